"""FixMatch: labels for few images, consistency for all others.

"Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
2022), section 3.3.2, after Sohn et al. (2020). With alpha a weak and A a strong augmentation:

    L_s = 1 / N sum_i H(y_i, p(y|alpha(x_i)))                                       (Eq. 3.24)
    L_u = 1 / mu N sum_i 1{max q_i >= omega} H(argmax q_i, p(y|A(u_i)))             (Eq. 3.25)
    L = L_s + lambda_u L_u,    q_i = p(y|alpha(u_i)) without a gradient             (Eq. 3.26)

The unlabelled images are all training images, the labelled ones among them (footnote 2 there).
Labelled images and both views of the unlabelled ones pass the network as one batch, and share its
statistics of batch normalisation. What is evaluated is the running average of the parameters.

Notes:
  Options that FixMatch does not have, off by default: distribution alignment, and FreeMatch's
  self-adaptive threshold in place of omega (`eojax.losses.consistency`), and pseudo-labels by the
  running average of the parameters in place of the parameters (Tarvainen and Valpola, "Mean
  teachers", 2017): these err less, and the weak views need no gradient. The network's statistics
  of batch normalisation then see the labelled images and the strong views alone.
  The strong view is an independent weak one, then RandAugment and cutout, as published. Which of
  its operations are drawn is an option (`eojax.augment.randaugment.SETS`). The PyTorch code that
  the thesis has its numbers from (LeeDoYup/FixMatch-pytorch) draws three operations, a square of up
  to half of the side, and does both before the flips and crops: `strong_operations` 3,
  `cutout_drawn` and `strong_first`.
  The network has a leaky ReLU of 0.2 and shortcuts of a block's input; FixMatch's has a slope of
  0.1, and in its first group shortcuts after norm and activation (`eojax.models.wide_resnet`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, random
from ml_collections import ConfigDict

from eojax import models
from eojax.augment import AUGMENTATIONS
from eojax.augment.randaugment import operations_of, strong
from eojax.augment.warp import INTERPOLATIONS, Warped
from eojax.devices import sharding
from eojax.feed.streams import Batch, Stream
from eojax.losses.consistency import (
    Beliefs,
    PseudoLabels,
    align,
    class_thresholds,
    consistency_loss,
    initial_beliefs,
    pseudo_labels,
    update_beliefs,
)
from eojax.methods.features import features_of
from eojax.methods.method import Method, Metrics, Phase, Recipe, Task, share_of
from eojax.methods.options import AUGMENT, AVERAGE_DECAY, UNLABELLED_RATIO
from eojax.methods.update import descent
from eojax.methods.update.descent import Aside, Trained
from eojax.option import BELOW_ONE, NOT_NEGATIVE, SHARE, Option, at_least, name_in, one_of

OPTIONS = {
    'method': {
        'augment': AUGMENT.but('flips_shift'),
        'unlabelled_ratio': UNLABELLED_RATIO.but(7),
        'threshold': Option(0.95, 'omega, the least confidence of a pseudo-label', SHARE),
        'threshold_kind': Option(
            'fixed', "omega as it is, or FreeMatch's of each class", one_of('fixed', 'adaptive')
        ),
        'teacher': Option(
            'network',
            'the parameters that make the pseudo-labels: as they are, or averaged',
            one_of('network', 'average'),
        ),
        'consistency_weight': Option(1.0, 'lambda_u, the weight of L_u', NOT_NEGATIVE),
        'distribution_alignment': Option(
            False, 'whether the guesses are brought to the shares of the labelled classes'
        ),
        'beliefs_decay': Option(
            0.999, 'decay of the running means of the guesses, for the two options', BELOW_ONE
        ),
        'strong_operations': Option(2, 'operations of RandAugment on a strong view', at_least(1)),
        'strong_set': Option(
            'all', 'of which operations: all, mild, or names with a comma between'
        ),
        'cutout_share': Option(
            0.5, 'side of the square that cutout covers, as a share of the shorter side', SHARE
        ),
        'cutout_drawn': Option(
            False, 'whether the side of the square is uniform from 0 to that share'
        ),
        'strong_first': Option(
            False, 'whether RandAugment and cutout come before the flips and crops'
        ),
        'interpolation': Option(
            'nearest', 'of rotations and shears of a strong view', name_in(INTERPOLATIONS)
        ),
        'average_decay': AVERAGE_DECAY.but(0.999),
    },
}


class FixMatchState(NamedTuple):
    """All that the next step needs.

    Attributes:
      beliefs: running means of the predictions, for the options that need them.
    """

    trained: Trained
    beliefs: Beliefs


class Views(NamedTuple):
    """The unlabelled images of a step as the network sees them, `[mu N, H, W, C]` each."""

    weak: Array
    strong: Array


def check(config: ConfigDict) -> None:
    """Refuses operations of strong views that there are not.

    Raises:
      UserError: one line that names the key.
    """
    operations_of(config.method.strong_set)


def streams(config: ConfigDict) -> dict[str, Stream]:
    """Labelled images, weakly augmented, and all images as they are: their views are made here."""
    num = config.method.unlabelled_ratio * config.batch_size
    return {
        'labelled': Stream('labelled', config.batch_size, config.method.augment),
        'unlabelled': Stream('train', num, 'none'),
    }


def strong_view(
    sample: Mapping[str, Array], key: Array, options: ConfigDict
) -> tuple[dict[str, Array], Warped]:
    """A of a sample, and its geometry; `options` is the config group `method`."""
    return strong(
        sample,
        key,
        options.strong_operations,
        options.cutout_share,
        options.interpolation,
        operations_of(options.strong_set),
        options.cutout_drawn,
    )


def views(images: Array, key: Array, options: ConfigDict) -> Views:
    """alpha(u) and A(u) of images in [-1, 1]; `options` is the config group `method`."""
    weakly = AUGMENTATIONS[options.augment]
    key_weak, key_other, key_strong = random.split(key, 3)
    weak, _ = weakly({'images': images}, key_weak)
    if options.strong_first:
        other, _ = strong_view({'images': images}, key_strong, options)
        strongly, _ = weakly({'images': other['images']}, key_other)
    else:
        other, _ = weakly({'images': images}, key_other)
        strongly, _ = strong_view(other, key_strong, options)
    return Views(weak['images'], strongly['images'])


def guess(
    logits: Array, beliefs: Beliefs, target: Array, options: ConfigDict
) -> tuple[PseudoLabels, Beliefs]:
    """Pseudo-labels of the weak views' logits `[N, K]`, and the beliefs after them.

    Args:
      target: float32 `[K]`, the shares of the classes among the labelled images.
    """
    q = jax.nn.softmax(jax.lax.stop_gradient(logits))
    beliefs = update_beliefs(beliefs, q, options.beliefs_decay)
    adaptive = options.threshold_kind == 'adaptive'
    threshold = class_thresholds(beliefs) if adaptive else options.threshold
    if options.distribution_alignment:
        q = align(q, beliefs, target)
    return pseudo_labels(q, threshold), beliefs


def class_shares(task: Task) -> Array:
    """The shares of the classes among the labelled training images, float32 `[K]`."""
    counts = np.asarray(task.label_counts)
    return jnp.asarray(counts / max(counts.sum(), 1), jnp.float32)


def guess_metrics(pseudo: PseudoLabels, truth: Array) -> dict[str, Array]:
    """The share of images with a pseudo-label, and of those whose class is known the share right.

    Args:
      truth: int32 `[N]`, the classes of the images; -1 where a class is not known.
    """
    counted = pseudo.chosen & (truth >= 0)
    right = counted & (pseudo.labels == truth)
    return {
        'mask_rate': pseudo.chosen.mean(),
        **share_of('pseudo_label_accuracy', right, counted),
    }


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config."""
    options, target = config.method, class_shares(task)
    network = models.build(config.model, task.num_classes)
    down = descent.build(config.optimizer, config.steps, options.average_decay)

    def init(key: Array, batch: Batch, fitted: Any) -> FixMatchState:
        trained = down.begin(*network.init(key, batch['labelled']['images'][:1]))
        return FixMatchState(trained, initial_beliefs(task.num_classes))

    def loss_of(parameters: Any, state: FixMatchState, batch: Batch, key: Array) -> Any:
        key_views, key_model = random.split(key)
        labelled, unlabelled = batch['labelled'], batch['unlabelled']
        both = views(unlabelled['images'], key_views, options)
        groups = [labelled['images'], both.strong]
        if options.teacher == 'network':
            groups.append(both.weak)
        joined = sharding.join(groups, task.num_devices)
        old = state.trained
        outputs, statistics = network.train(parameters, old.statistics, joined, key=key_model)
        logits, strongly, *guessed = sharding.parted(
            outputs, [len(g) for g in groups], task.num_devices
        )
        weak = guessed[0] if guessed else network.apply(old.average, old.statistics, both.weak)
        supervised = optax.softmax_cross_entropy_with_integer_labels(
            logits, labelled['labels']
        ).mean()  # Eq. 3.24
        pseudo, beliefs = guess(weak, state.beliefs, target, options)
        consistency = consistency_loss(strongly, pseudo)  # Eq. 3.25
        loss = supervised + options.consistency_weight * consistency  # Eq. 3.26
        metrics = {
            'cross_entropy': supervised,
            'consistency': consistency,
            'accuracy': (logits.argmax(-1) == labelled['labels']).mean(),
            **guess_metrics(pseudo, unlabelled['truth']),
        }
        return loss, Aside(metrics, statistics, beliefs)

    def step(state: FixMatchState, batch: Batch, key: Array) -> tuple[FixMatchState, Metrics]:
        new, aside = down.step(state.trained, lambda p: loss_of(p, state, batch, key))
        return FixMatchState(new, aside.kept), aside.metrics

    def logits(state: FixMatchState, images: Array, key: Array) -> Array:
        outputs: Array = network.apply(state.trained.average, state.trained.statistics, images)
        return outputs

    phase = Phase('fixmatch', config.steps, streams(config), step)
    return Method(init, (phase,), {'logits': logits, **features_of(network)})


RECIPE = Recipe(
    OPTIONS,
    ('logits', 'features'),
    build,
    check,
    advice='lower optimizer.learning_rate or method.consistency_weight, or set optimizer.clip_norm',
    starts_from_weights=True,
)
