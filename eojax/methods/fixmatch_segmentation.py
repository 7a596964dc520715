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
  Two departures are those of Tranheden et al., "DACS: Domain Adaptation via Cross-domain Mixed
  Sampling" (2021). `classmix_share` of the strong views have half of the classes of a labelled
  window in them, with their true labels (`eojax.augment.class_mix`). With `pseudo_labels='all'`
  every pixel has the most probable class for a label, and its loss has for weight the share of sure
  pixels of its window. Sure pixels alone are of few classes, easy ones, and training on these alone
  draws all others to them: even with their true labels it can cost more than it gives.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, random
from ml_collections import ConfigDict

from eojax import models
from eojax.augment.sample import VALID
from eojax.devices import sharding
from eojax.feed.streams import Batch
from eojax.losses.consistency import (
    Beliefs,
    class_thresholds,
    initial_beliefs,
    pseudo_labels,
    update_beliefs,
)
from eojax.losses.pixel_consistency import pixel_consistency
from eojax.losses.pixel_cross_entropy import pixels_right
from eojax.losses.valid_pixels import mean_over
from eojax.methods import fixmatch
from eojax.methods.features import encoder_features_of, features_of, pixel_logits_of
from eojax.methods.method import Method, Metrics, Phase, Recipe, Task, share_of
from eojax.methods.options import AVERAGE_DECAY, UNLABELLED_RATIO
from eojax.methods.pixels import supervised_loss, windows
from eojax.methods.pixels.views import views
from eojax.methods.update import descent
from eojax.methods.update.descent import Aside, Trained
from eojax.option import SHARE, Option, one_of

_FIXMATCH = ('threshold', 'threshold_kind', 'teacher', 'consistency_weight', 'beliefs_decay',
             'strong_operations', 'strong_set', 'cutout_share', 'cutout_drawn',
             'interpolation')  # fmt: skip
OPTIONS: dict[str, dict[str, Option]] = {
    'method': {
        **windows.OPTIONS,
        **supervised_loss.OPTIONS,
        **{key: fixmatch.OPTIONS['method'][key] for key in _FIXMATCH},
        'unlabelled_ratio': UNLABELLED_RATIO,
        'teacher': fixmatch.OPTIONS['method']['teacher'].but('average'),
        'pseudo_labels': Option(
            'sure',
            'pixels with a pseudo-label: those that are sure, or all, weighted by their share',
            one_of('sure', 'all'),
        ),
        'cutmix_share': Option(0.0, 'share of strong views with a box of another one', SHARE),
        'classmix_share': Option(
            0.0, 'share of strong views with classes of a labelled window', SHARE
        ),
        'average_decay': AVERAGE_DECAY.but(0.99),
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


class Guesses(NamedTuple):
    """Pseudo-labels of the weak views.

    Attributes:
      labels: int32 `[mu N, h, w]`, -1 where there is none.
      sure: int32 `[mu N, h, w]`, those alone that are probable enough, -1 elsewhere.
      weights: float32 `[mu N]`, of the windows; None: all alike.
    """

    labels: Array
    sure: Array
    weights: Array | None = None


def guess(
    logits: Array,
    beliefs: Beliefs,
    options: ConfigDict,
    updates: Array | int,
    valid: Array | None = None,
) -> tuple[Guesses, Beliefs]:
    """Pseudo-labels of the pixels of the weak views, and the beliefs after them.

    Args:
      logits: float32 `[mu N, h, w, K]`.
      updates: how many came before. The memory of the beliefs grows with them, as that of the
        averaged parameters does (`eojax.methods.update.descent`): with a fixed decay of 0.999 the
        first thresholds, 1 / K, would hold for a thousand steps and let every guess pass.
      valid: bool `[mu N, h, w]`, the pixels that hold data, of which guesses are made; None: all.
    """
    q = jax.nn.softmax(jax.lax.stop_gradient(logits)).reshape(-1, logits.shape[-1])
    decay = jnp.minimum(options.beliefs_decay, (1.0 + updates) / (10.0 + updates))
    beliefs = update_beliefs(beliefs, q, decay, None if valid is None else valid.reshape(-1))
    adaptive = options.threshold_kind == 'adaptive'
    pseudo = pseudo_labels(q, class_thresholds(beliefs) if adaptive else options.threshold)

    sure = jnp.where(pseudo.chosen, pseudo.labels, -1).reshape(logits.shape[:-1])
    labels = pseudo.labels.reshape(logits.shape[:-1])
    if valid is not None:
        sure, labels = jnp.where(valid, sure, -1), jnp.where(valid, labels, -1)
    if options.pseudo_labels == 'sure':
        return Guesses(sure, sure), beliefs
    known = jnp.maximum((labels >= 0).sum((1, 2)), 1)
    return Guesses(labels, sure, (sure >= 0).sum((1, 2)) / known), beliefs


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
        **share_of('pseudo_label_accuracy', right, counted),
    }


def check(config: ConfigDict) -> None:
    """Refuses combinations that cannot train.

    Raises:
      UserError: one line that names the key.
    """
    supervised_loss.check(config.method)
    fixmatch.check(config)


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
        both = views(
            unlabelled, batch['labelled'], key_views, options, task.num_classes, task.num_devices
        )
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
        guesses, beliefs = guess(guessed[0], state.beliefs, options, old.updates, valid)
        cross_entropy = supervised.loss(logits, labels, state.class_weights)  # Eq. 3.24
        followed = both.follow(guesses.labels, guesses.weights)
        consistency = pixel_consistency(strongly, *followed)  # Eq. 3.25
        loss = cross_entropy + options.consistency_weight * consistency  # Eq. 3.26
        metrics = {
            'supervised': cross_entropy,
            'consistency': consistency,
            **share_of('pixel_accuracy', *pixels_right(logits, labels)),
            **guess_metrics(guesses.sure, both.weak['truth'], valid),
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
        {**pixel_logits_of(network), **features_of(network), **encoder_features_of(network)},
        score='mean_iou',
        rasters=shown.rasters,
        window=shown.evaluation,
        fit=supervised.fit,
        fitted=supervised.fitted,
    )


RECIPE = Recipe(
    OPTIONS,
    ('pixel_logits', 'features', 'encoder_features'),
    build,
    check,
    models=models.buildable(per_pixel=True),
    labels=('pixel',),
    advice='lower optimizer.learning_rate or method.consistency_weight, or set optimizer.clip_norm',
    starts_from_weights=True,
)
