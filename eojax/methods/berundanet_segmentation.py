"""BerundaNet: segmentation from few labelled windows, and an unsupervised task on all of them.

"Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
2022), section 3.2, with the networks of its Fig. 3.2 (a) and (b): `method.variant` is `early` (one
encoder, two decoders) or `late` (everything shared, and one convolution for each task), over a
U-Net or a SegNet (`eojax.models.two_heads`).

    L(x) = L_s(phi_s(x), y) + lambda L_u(phi_u(x), x)                       (Eq. 3.3)

with L_s the cross-entropy of labelled pixels (`eojax.methods.pixels.supervised_loss`) and L_u one
of the losses of section 3.2.3 (`eojax.methods.pixels.auxiliary`). The step:
`eojax.methods.pixels.multi_task`. The second head is dropped at inference.

Notes:
  The unlabelled windows are those of all training places, the labelled ones among them. They pass
  the network in one batch with the labelled ones and share the statistics of batch normalisation.
  Tasks that damage no window learn from the labelled windows too, as in the thesis; for inpainting
  and jigsaw see `auxiliary`.
  The thesis does not state optimiser, rate, batch or augmentation; those of a config are its own.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from eojax.methods.method import Method, Recipe, Task
from eojax.methods.pixels import auxiliary, multi_task
from eojax.models import two_heads
from eojax.option import Option, name_in

OPTIONS = {
    'method': {
        'variant': Option(
            'late',
            'where the two tasks part: after the encoder (early) or the decoder (late)',
            name_in(two_heads.VARIANTS),
        ),
        **multi_task.OPTIONS,
    }
}


def check(config: ConfigDict) -> None:
    """Refuses combinations that cannot train.

    Raises:
      UserError: one line that names the key.
    """
    multi_task.check(config, tuple(auxiliary.WEIGHTS))


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config; errors as of `multi_task.build`."""

    def network(second: auxiliary.Auxiliary) -> two_heads.Network:
        return two_heads.build(
            config.model, config.method.variant, task.num_classes, second.outputs, second.of_images
        )

    return multi_task.build(config, task, network)


RECIPE = Recipe(
    OPTIONS,
    ('pixel_logits', 'features', 'reconstruct'),
    build,
    check,
    models=tuple(two_heads.PARTS),
    labels=('pixel',),
    advice='lower optimizer.learning_rate or method.auxiliary_weight',
)
