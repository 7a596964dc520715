"""FixMatch for segmentation: labels for the pixels of few places, consistency for all others.

"Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
2022), section 3.3.2, after Sohn et al. (2020), whose perspectives name it for pixels. With alpha a
weak and A a strong augmentation, i a labelled and j any other pixel:

    L_s = mean_i H(y_i, p_i(y|alpha(x)))                                            (Eq. 3.24)
    L_u = mean_j 1{max q_j >= omega} H(argmax q_j, p_j(y|A(u)))                     (Eq. 3.25)
    L = L_s + lambda_u L_u,    q = p(y|alpha(u)) without a gradient                 (Eq. 3.26)

The map of pseudo-labels goes through the geometry of the strong view, so that a pixel is told what
was guessed for the ground that it shows: back from where the weak view had moved it, then as the
strong view moves, warps and covers. What the strong view does not show has no part in L_u.

The windows of L_u are of all training places, the labelled ones among them. Labelled windows and
both views pass the network as one batch, and share its statistics of batch normalisation.

Notes:
  No publication gives this method's numbers on these data. The pseudo-labels are, by default, those
  of the running average of the parameters (Tarvainen and Valpola, "Mean teachers", 2017), whose
  guesses change slowly: with those of the network itself, segmentation is known to oscillate.
  Beside omega there is a threshold for each class (`threshold_kind='adaptive'`): that of FreeMatch
  (Wang et al., 2023, Eq. 5 to 8), its means taken over pixels. It lets classes of which the network
  is never as sure as of others have pseudo-labels too.
  `cutmix_share` of the strong views have a box of another one in them (`eojax.augment.cutmix`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array, random
from ml_collections import ConfigDict

from eojax import models
from eojax.augment import AUGMENTATIONS
from eojax.augment.boxes import Boxes
from eojax.augment.cutmix import draw_mixed_boxes, mix
from eojax.augment.geometric import Move
from eojax.augment.randaugment import operations_of, strong
from eojax.augment.sample import VALID
from eojax.augment.warp import Warped
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.feed.streams import Batch
from eojax.losses.consistency import (
    Beliefs,
    class_thresholds,
    initial_beliefs,
    pseudo_labels,
    update_beliefs,
)
from eojax.losses.pixel_consistency import pixel_consistency
from eojax.losses.pixel_cross_entropy import pixel_accuracy
from eojax.losses.valid_pixels import mean_over
from eojax.methods import fixmatch
from eojax.methods.features import features_of, pixel_logits_of
from eojax.methods.method import Method, Metrics, Phase, Recipe, Task
from eojax.methods.pixels import supervised_loss, windows
from eojax.methods.update import descent
from eojax.methods.update.descent import Aside, Trained

_FIXMATCH = ('threshold', 'threshold_kind', 'teacher', 'consistency_weight', 'beliefs_decay',
             'strong_operations', 'strong_set', 'cutout_share', 'interpolation')  # fmt: skip
DEFAULTS: dict[str, dict[str, Any]] = {
    'method': {
        **windows.DEFAULTS,
        **supervised_loss.DEFAULTS,
        **{key: fixmatch.DEFAULTS['method'][key] for key in _FIXMATCH},
        'unlabelled_ratio': 1,
        'teacher': 'average',
        'cutmix_share': 0.0,
        'average_decay': 0.99,
    },
}


class FixMatchSegmentationState(NamedTuple):
    """All that the next step needs.

    Attributes:
      trained: the network's.
      beliefs: running means of the predictions of pixels, for the adaptive threshold.
      class_weights: where they were counted before training.
    """

    trained: Trained
    beliefs: Beliefs
    class_weights: Any = ()


@struct.dataclass
class Views:
    """The unlabelled windows of a step as the network sees them.

    Attributes:
      weak, strong: samples of the rasters `[mu N, h, w, bands]`; `truth` goes with the weak ones.
      moved: the geometry of the weak views.
      moved_again, warped, mixed: that of the strong ones, in this order.
      num_devices: over which the windows are split.
    """

    weak: Mapping[str, Array]
    strong: Mapping[str, Array]
    moved: Move
    moved_again: Move
    warped: Warped
    mixed: Boxes
    num_devices: int = struct.field(pytree_node=False)

    def follow(self, labels: Array) -> tuple[Array, Array]:
        """Pseudo-labels of the weak views, int32 `[mu N, h, w]`, as the strong ones show them.

        Returns:
          The labels, -1 where there is none, and bool `[mu N, h, w]`: which pixels of the strong
          views show ground of which the weak view has shown anything, and which holds data.
        """
        data = {VALID: self.weak[VALID]} if VALID in self.weak else {}
        back = self.moved.undo({'labels': labels, **data})
        away = self.warped.apply(self.moved_again.apply(back))
        followed = mix(away, self.mixed, self.num_devices)
        return followed['labels'], followed[VALID]


def views(sample: Mapping[str, Array], key: Array, options: ConfigDict, num_devices: int) -> Views:
    """alpha(u) and A(u) of windows.

    Args:
      sample: rasters of one size in [-1, 1], `truth`, and `valid` where pixels may be without data.
      options: the config group `method`.

    Raises:
      UserError: CutMix of a window with itself, where a device has no other.
    """
    num, height, width = sample['truth'].shape
    if options.cutmix_share and num < 2 * num_devices:
        raise UserError(
            f'method.cutmix_share {options.cutmix_share} needs two unlabelled windows on each'
            f' device, and a step has {num} on {num_devices}: raise method.unlabelled_ratio or'
            ' batch_size, or set it to 0'
        )
    weakly = AUGMENTATIONS[options.augment]
    key_weak, key_other, key_strong, key_mix = random.split(key, 4)
    weak, moved = weakly(sample, key_weak)
    rasters = {name: array for name, array in sample.items() if name != 'truth'}
    other, moved_again = weakly(rasters, key_other)
    strongly, warped = strong(
        other,
        key_strong,
        options.strong_operations,
        options.cutout_share,
        options.interpolation,
        operations_of(options.strong_set),
    )
    mixed = draw_mixed_boxes(key_mix, num, height, width, options.cutmix_share)
    filled = mix({name: strongly[name] for name in rasters}, mixed, num_devices)
    return Views(weak, filled, moved, moved_again, warped, mixed, num_devices)


def guess(
    logits: Array,
    beliefs: Beliefs,
    options: ConfigDict,
    updates: Array | int,
    valid: Array | None = None,
) -> tuple[Array, Beliefs]:
    """Pseudo-labels of the pixels of the weak views, and the beliefs after them.

    Args:
      logits: float32 `[mu N, h, w, K]`.
      updates: how many came before. The memory of the beliefs grows with them, as that of the
        averaged parameters does (`eojax.methods.update.descent`): with a fixed decay of 0.999 the
        first thresholds, 1 / K, would hold for a thousand steps and let every guess pass.
      valid: bool `[mu N, h, w]`, the pixels that hold data, of which guesses are made; None: all.

    Returns:
      int32 `[mu N, h, w]`, -1 where no class is probable enough.
    """
    q = jax.nn.softmax(jax.lax.stop_gradient(logits)).reshape(-1, logits.shape[-1])
    decay = jnp.minimum(options.beliefs_decay, (1.0 + updates) / (10.0 + updates))
    beliefs = update_beliefs(beliefs, q, decay, None if valid is None else valid.reshape(-1))
    adaptive = options.threshold_kind == 'adaptive'
    pseudo = pseudo_labels(q, class_thresholds(beliefs) if adaptive else options.threshold)
    labels = jnp.where(pseudo.chosen, pseudo.labels, -1).reshape(logits.shape[:-1])
    return labels if valid is None else jnp.where(valid, labels, -1), beliefs


def guess_metrics(labels: Array, truth: Array, valid: Array | None = None) -> dict[str, Array]:
    """The share of pixels with a pseudo-label, and of those whose class is known the share right.

    Args:
      labels: int32 `[mu N, h, w]`, -1 without one.
      truth: int32 `[mu N, h, w]`, -1 where a class is not known.
      valid: bool `[mu N, h, w]`, the pixels that hold data; None: all.
    """
    counted = (labels >= 0) & (truth >= 0)
    right = counted & (labels == truth)
    return {
        'mask_rate': mean_over(labels >= 0, valid),
        'pseudo_label_accuracy': right.sum() / jnp.maximum(counted.sum(), 1),
    }


def check(config: ConfigDict) -> None:
    """Refuses combinations that cannot train.

    Raises:
      UserError: one line that names the key.
    """
    windows.check(config.method)
    supervised_loss.check(config.method)
    fixmatch.check(config)
    share = config.method.cutmix_share
    if not 0.0 <= share <= 1.0:
        raise UserError(f'method.cutmix_share must lie in [0, 1], not {share}')


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config.

    Raises:
      UserError: data without a raster that is asked for; windows that cut pixels of one; another
        number of weights than classes.
    """
    options = config.method
    shown = windows.windows_of(options, task.facts)
    supervised = supervised_loss.build(options, task.facts, shown.rasters)
    network = models.build(config.model, task.num_classes)
    down = descent.build(config.optimizer, config.steps, options.average_decay)

    def init(key: Array, batch: Batch, fitted: Any) -> FixMatchSegmentationState:
        inputs = (raster[:1] for raster in shown.inputs(batch['labelled']))
        trained = down.begin(*network.init(key, *inputs))
        beliefs = initial_beliefs(task.num_classes)
        return FixMatchSegmentationState(trained, beliefs, supervised.weights(fitted))

    def loss_of(
        parameters: Any, state: FixMatchSegmentationState, batch: Batch, key: Array
    ) -> tuple[Array, Aside]:
        key_views, key_model = random.split(key)
        old, labels = state.trained, batch['labelled']['labels']
        kept = {*shown.rasters, 'truth', VALID}
        unlabelled = {n: array for n, array in batch['unlabelled'].items() if n in kept}
        both = views(unlabelled, key_views, options, task.num_devices)
        groups = [shown.inputs(batch['labelled']), shown.inputs(both.strong)]
        if options.teacher == 'network':
            groups.append(shown.inputs(both.weak))
        sizes = [len(group[0]) for group in groups]
        joined = (sharding.join(parts, task.num_devices) for parts in zip(*groups, strict=True))
        outputs, statistics = network.train(parameters, old.statistics, *joined, key=key_model)
        logits, strongly, *guessed = sharding.parted(outputs, sizes, task.num_devices)
        if not guessed:
            weak = shown.inputs(both.weak)
            guessed = [network.apply(old.average, old.statistics, *weak)]
        valid = both.weak.get(VALID)
        pseudo, beliefs = guess(guessed[0], state.beliefs, options, old.updates, valid)
        cross_entropy = supervised.loss(logits, labels, state.class_weights)  # Eq. 3.24
        consistency = pixel_consistency(strongly, *both.follow(pseudo))  # Eq. 3.25
        loss = cross_entropy + options.consistency_weight * consistency  # Eq. 3.26
        metrics = {
            'supervised': cross_entropy,
            'consistency': consistency,
            'pixel_accuracy': pixel_accuracy(logits, labels),
            **guess_metrics(pseudo, both.weak['truth'], valid),
        }
        return loss, Aside(metrics, statistics, beliefs)

    def step(
        state: FixMatchSegmentationState, batch: Batch, key: Array
    ) -> tuple[FixMatchSegmentationState, Metrics]:
        new, aside = down.step(state.trained, lambda p: loss_of(p, state, batch, key))
        return state._replace(trained=new, beliefs=aside.kept), aside.metrics

    streams = shown.streams(config.batch_size, options.unlabelled_ratio)
    # Both views of them are made in the step.
    streams['unlabelled'] = streams['unlabelled']._replace(augment='none')
    phase = Phase('fixmatch', config.steps, streams, step)
    return Method(
        init,
        (phase,),
        {**pixel_logits_of(network), **features_of(network)},
        score='mean_iou',
        rasters=shown.rasters,
        window=shown.evaluation,
        fit=supervised.fit,
        fitted=supervised.fitted,
    )


RECIPE = Recipe(
    DEFAULTS,
    ('pixel_logits', 'features'),
    check,
    build,
    models=models.buildable(per_pixel=True),
    labels=('pixel',),
    advice='lower optimizer.learning_rate or method.consistency_weight, or set optimizer.clip_norm',
)
