"""FixMatch for pixels: its step by hand, and pseudo-labels that follow the strong view."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import random
from ml_collections import ConfigDict

from eojax.config.base import base_config, check_config, set_key
from eojax.data.facts import Facts, Raster
from eojax.errors import UserError
from eojax.losses.consistency import Beliefs
from eojax.methods import fixmatch_segmentation
from eojax.methods.method import Method, Task
from eojax.methods.pixels.views import views
from eojax.models import pixel_network
from tests.trained_states import with_trained

CLASSES = ('water', 'crops', 'trees')
FACTS = Facts(
    name='tiles',
    class_names=CLASSES,
    rasters={
        'images': Raster(),
        'elevation': Raster(('surface',), 'int16', ((0.0, 100.0),), 2),
    },
    label='pixel',
    size=(16, 16),
)


def _config(**changes: Any) -> ConfigDict:
    config = base_config('fixmatch_segmentation', 'pixel_network', 'landscape_cover')
    config.steps, config.batch_size = 10, 2
    config.model.update({'width': 6, 'kernel': 3})
    config.method.update({'window': 8, 'unlabelled_ratio': 2, 'threshold': 0.4})
    config.optimizer.update({'name': 'adam', 'learning_rate': 0.01, 'warmup_steps': 0})
    for key, value in changes.items():
        set_key(config, key.replace('__', '.'), value)
    return config


def _method(config: ConfigDict) -> Method:
    return fixmatch_segmentation.build(config, Task(FACTS, (16, 16, 3), 5, ()))


def _stream(num: int, seed: int) -> dict[str, jax.Array]:
    keys = random.split(random.key(seed), 3)
    truth = random.randint(keys[2], (num, 8, 8), -1, 3)
    coarse = random.uniform(keys[1], (num, 4, 4, 1), minval=-1.0)
    return {
        'images': random.uniform(keys[0], (num, 8, 8, 3), minval=-1.0),
        # As the feed gives it: each value repeated to the pixels of the place.
        'elevation': coarse.repeat(2, 1).repeat(2, 2),
        'labels': truth.at[1].set(-1),
        'truth': truth,
    }


def _batch(seed: int = 0) -> dict[str, dict[str, jax.Array]]:
    return {'labelled': _stream(2, seed), 'unlabelled': _stream(4, seed + 100)}


def _sharper(state: Any) -> Any:
    """The state with parameters that are sure of some pixels."""
    return with_trained(
        state,
        parameters=jax.tree.map(lambda leaf: 8.0 * leaf, state.trained.parameters),
        average=jax.tree.map(lambda leaf: -8.0 * leaf, state.trained.average),
    )


def _views(
    sample: Any, key: jax.Array, options: ConfigDict, num_devices: int = 1, labelled: Any = None
) -> Any:
    of = jax.jit(lambda *arrays: views(*arrays, options, 3, num_devices))
    return of(sample, labelled or {}, key)


# Every geometry that there is, and nothing that changes a colour.
MOVING = {
    'method__augment': 'dihedral_shift',
    'method__strong_set': 'geometric',
    'method__cutout_share': 0.4,
    'method__cutmix_share': 0.6,
}


@pytest.mark.parametrize('classmix_share', [0.0, 0.5])
def test_pseudo_labels_follow_the_strong_view(classmix_share: float) -> None:
    rasters = ('images', 'elevation')
    options = _config(**MOVING, method__classmix_share=classmix_share).method
    # Every pixel of every window has a colour of its own; those of labelled ones have class 1.
    number = jnp.arange(1, 24 * 256 + 1).reshape(24, 16, 16)
    colour = number[..., None] / 8000.0
    sample = {name: colour for name in rasters} | {'truth': number}
    ones = jnp.ones((8, 16, 16), jnp.int32)
    labelled = {name: ones[..., None] / 8000.0 for name in rasters} | {'labels': ones}
    both = _views(sample, random.key(3), options, 2, labelled)
    shown = jnp.round(both.weak['images'][..., 0] * 8000.0).astype(jnp.int32)
    np.testing.assert_array_equal(shown, both.weak['truth'])
    weights = jnp.arange(1.0, 25.0)
    labels, seen, followed = (np.asarray(array) for array in both.follow(shown, weights))
    for name in rasters:
        strong = np.round(np.asarray(both.strong[name])[..., 0] * 8000.0).astype(int)
        np.testing.assert_array_equal(strong[seen], labels[seen])
    assert 0.3 < seen.mean() < 0.95
    assert (labels[~seen] == -1).all()
    pasted = seen & (labels == 1)
    assert 0.2 < pasted.any((1, 2)).mean() < 0.9 if classmix_share else pasted.sum() <= 1
    # A pixel has the weight of the window that it is from; pasted ones have 1.
    window = (labels - 1) // 256
    np.testing.assert_array_equal(followed[seen], np.where(pasted, 1.0, window + 1.0)[seen])
    # Another window's box is in some of them, and not in all.
    own = np.broadcast_to(np.arange(24)[:, None, None], labels.shape)
    unpasted = seen & ~pasted
    mixed = ((window != own) & unpasted).any((1, 2))
    assert 0 < mixed.sum() < 24
    np.testing.assert_array_equal(window[unpasted] // 12, own[unpasted] // 12)


@pytest.mark.parametrize(('teacher', 'labelling'), [('network', 'sure'), ('average', 'all')])
def test_one_step_by_hand(teacher: str, labelling: str) -> None:
    rasters = ('images', 'elevation')
    config = _config(
        **MOVING,
        method__rasters=','.join(rasters),
        method__teacher=teacher,
        method__consistency_weight=2.5,
        method__pseudo_labels=labelling,
        method__classmix_share=0.7 if labelling == 'all' else 0.0,
    )
    method, batch, key = _method(config), _batch(), random.key(1)
    state = _sharper(method.init(random.key(0), batch, None))
    new, metrics = jax.jit(method.phases[0].step)(state, batch, key)

    network = pixel_network.build(config.model, 3)
    unlabelled = batch['unlabelled']
    sample = {name: unlabelled[name] for name in (*rasters, 'truth')}
    both = _views(sample, random.split(key)[0], config.method, 1, batch['labelled'])
    which = state.trained.parameters if teacher == 'network' else state.trained.average
    guessed = network.apply(which, {}, *(both.weak[name] for name in rasters))
    q = np.asarray(jax.nn.softmax(guessed))
    pseudo = np.where(q.max(-1) >= 0.4, q.argmax(-1), -1)
    guessed_labels, weights = pseudo, np.ones(4)
    if labelling == 'all':
        guessed_labels, weights = q.argmax(-1), (pseudo >= 0).mean((1, 2))
        assert weights.min() < weights.max()
    follow = jax.jit(lambda both, *maps: both.follow(*maps))
    maps = (jnp.asarray(guessed_labels, jnp.int32), jnp.asarray(weights, jnp.float32))
    labels, seen, weighed = (np.asarray(array) for array in follow(both, *maps))

    def hand_loss(parameters: Any) -> jax.Array:
        def log_p(sample: Any) -> jax.Array:
            outputs = network.apply(parameters, {}, *(sample[name] for name in rasters))
            return outputs - jnp.log(jnp.exp(outputs).sum(-1, keepdims=True))

        known = batch['labelled']['labels']
        right = (log_p(batch['labelled']) * jax.nn.one_hot(known, 3)).sum(-1)
        supervised = -right[known >= 0].mean()
        follows = (log_p(both.strong) * jax.nn.one_hot(labels, 3)).sum(-1)
        return supervised - 2.5 * (follows * weighed * seen).sum() / seen.sum()

    loss, gradient = jax.value_and_grad(hand_loss)(state.trained.parameters)
    assert float(metrics['loss']) == pytest.approx(float(loss), rel=1e-4)
    assert float(metrics['mask_rate']) == pytest.approx((pseudo >= 0).mean(), abs=1e-6)
    assert 0.2 < float(metrics['mask_rate']) < 1.0
    truth = np.asarray(both.weak['truth'])
    counted = (pseudo >= 0) & (truth >= 0)
    expected = (pseudo == truth)[counted].mean()
    assert float(metrics['pseudo_label_accuracy']) == pytest.approx(expected, abs=1e-6)
    adam = optax.adam(0.01)
    updates, _ = adam.update(gradient, adam.init(state.trained.parameters))
    for value, wanted in zip(
        jax.tree.leaves(new.trained.parameters),
        jax.tree.leaves(optax.apply_updates(state.trained.parameters, updates)),
        strict=True,
    ):
        np.testing.assert_allclose(value, wanted, atol=2e-3)


def test_hidden_labels_and_unlabelled_pixels_change_nothing() -> None:
    method, batch = _method(_config(**MOVING)), _batch()
    state = _sharper(method.init(random.key(0), batch, None))
    step = jax.jit(method.phases[0].step)
    once, _ = step(state, batch, random.key(1))
    hidden = {**batch['unlabelled'], 'labels': jnp.zeros((4, 8, 8), jnp.int32)}
    hidden['truth'] = jnp.zeros_like(hidden['truth'])
    again, _ = step(state, {**batch, 'unlabelled': hidden}, random.key(1))
    jax.tree.map(np.testing.assert_array_equal, once, again)
    unknown = {**batch['labelled'], 'labels': jnp.full((2, 8, 8), -1, jnp.int32)}
    _, metrics = step(state, {**batch, 'labelled': unknown}, random.key(1))
    assert float(metrics['supervised']) == 0.0


def test_a_rare_class_has_pseudo_labels_by_its_own_threshold() -> None:
    options = _config(method__threshold=0.9, method__threshold_kind='adaptive').method
    logits = jnp.zeros((1, 10, 10, 3)).at[..., 0].set(4.0)
    logits = logits.at[:, 0].set(jnp.array([0.0, 1.0, 0.0]))
    beliefs = Beliefs(jnp.asarray(0.95), jnp.array([0.83, 0.14, 0.03]))
    guesses, beliefs = fixmatch_segmentation.guess(logits, beliefs, options, 10**6)
    labels = guesses.labels
    assert (np.asarray(labels)[0, 0] == 1).all()
    fixed = _config(method__threshold=0.9).method
    labels = fixmatch_segmentation.guess(logits, beliefs, fixed, 0)[0].labels
    assert (np.asarray(labels)[0, 0] == -1).all()
    assert (np.asarray(labels)[0, 1:] == 0).all()
    never = _config(method__threshold=1.0).method
    assert (
        np.asarray(fixmatch_segmentation.guess(100.0 * logits, beliefs, never, 0)[0].labels) == -1
    ).all()


def test_the_first_thresholds_are_soon_forgotten() -> None:
    options = _config(method__threshold_kind='adaptive').method
    logits = jnp.zeros((1, 10, 10, 3)).at[..., 0].set(4.0)
    sure = float(jax.nn.softmax(logits)[0, 0, 0, 0])
    beliefs = fixmatch_segmentation.initial_beliefs(3)
    for updates in range(30):
        _, beliefs = fixmatch_segmentation.guess(logits, beliefs, options, updates)
    assert float(beliefs.confidence) == pytest.approx(sure, abs=0.01)
    # Less sure than the mean: no pseudo-label, which the first threshold of 1/3 would have let in.
    labels = fixmatch_segmentation.guess(0.3 * logits, beliefs, options, 30)[0].labels
    assert (np.asarray(labels) == -1).all()


def test_all_pixels_have_labels_and_a_window_weighs_by_its_sure_ones() -> None:
    options = _config(method__threshold=0.9, method__pseudo_labels='all').method
    logits = jnp.zeros((2, 10, 10, 3)).at[..., 0].set(0.1)
    logits = logits.at[1, :3, :, 2].set(9.0)
    valid = jnp.ones((2, 10, 10), bool).at[1, 5:].set(False)
    beliefs = fixmatch_segmentation.initial_beliefs(3)
    guesses, _ = fixmatch_segmentation.guess(logits, beliefs, options, 0, valid)
    labels, sure = np.asarray(guesses.labels), np.asarray(guesses.sure)
    assert (labels[0] == 0).all()
    assert (labels[1, :3] == 2).all()
    assert (labels[1, 3:5] == 0).all()
    assert (labels[1, 5:] == -1).all()
    assert (sure >= 0).sum() == 30
    np.testing.assert_allclose(guesses.weights, [0.0, 0.6])


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'method__classmix_share': -0.5}, r'method.classmix_share must lie in \[0, 1\]'),
        ({'method__pseudo_labels': 'sur'}, "did you mean 'sure'"),
        ({'method__cutmix_share': 1.5}, r'method.cutmix_share must lie in \[0, 1\]'),
        ({'method__unlabelled_ratio': 0}, 'method.unlabelled_ratio must be at least 1'),
        ({'method__teacher': 'averag'}, "did you mean 'average'"),
        ({'method__window': 0}, 'method.window must be at least 1'),
        ({'method__strong_set': 'milde'}, "did you mean 'mild'"),
    ],
)
def test_bad_options_name_their_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_config(_config(**changes))


def test_cutmix_wants_another_window_on_each_device() -> None:
    options, sample = _config(method__cutmix_share=0.5).method, _stream(4, 0)
    sample = {name: sample[name] for name in ('images', 'truth')}
    _views(sample, random.key(0), options, 2)
    with pytest.raises(UserError, match='two unlabelled windows on each device, and a step has 4'):
        _views(sample, random.key(0), options, 4)
