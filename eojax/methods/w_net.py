"""W-Net: segmentation from few labelled windows, whose classes a second U-Net makes use of.

"Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
2022), section 3.2, Fig. 3.2 (c), after Xia and Kulis (2017): U-Net, softmax, U-Net
(`eojax.models.w_net`).

    L(x) = L_s(phi_s(x), y) + lambda L_u(phi_u(phi_s(x)), x)                (Eq. 3.4)

The second U-Net paints the image (`l1`, `l2`), or its outputs are the memberships of K clusters
(`relaxed_k_means`, `mumford_shah`); see `eojax.methods.pixels.auxiliary`. At inference there is the
first U-Net alone. The step: `eojax.methods.pixels.multi_task`.

Notes:
  Table 3.2 of the thesis has a W-Net with relaxed k-means and does not say which of its two maps
  were the memberships; by Eq. 3.4 they are those of the second U-Net.
  As for BerundaNet, the unlabelled windows are those of all training places.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from eojax.methods.method import Method, Recipe, Task
from eojax.methods.pixels import auxiliary, multi_task
from eojax.models import w_net

TASKS = ('l1', 'l2', *auxiliary.CLUSTERING)
OPTIONS = {
    'method': {
        key: option
        for key, option in multi_task.OPTIONS.items()
        if key not in ('hole', 'permutations')
    }
}


def check(config: ConfigDict) -> None:
    """Refuses combinations that cannot train.

    Raises:
      UserError: one line that names the key.
    """
    multi_task.check(config, TASKS)


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config; errors as of `multi_task.build`."""
    return multi_task.build(
        config, task, lambda second: w_net.build(config.model, task.num_classes, second.outputs)
    )


RECIPE = Recipe(
    OPTIONS,
    ('pixel_logits', 'features', 'reconstruct'),
    build,
    check,
    models=('unet',),
    labels=('pixel',),
    advice='lower optimizer.learning_rate or method.auxiliary_weight',
)
