"""The joint model of pixels against sums over all maps, its steps against arithmetic by hand."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random
from ml_collections import ConfigDict
from scipy.ndimage import uniform_filter

from eojax.config.base import base_config, check_config, set_key
from eojax.data.dataset import ArraySource, Dataset, Places
from eojax.data.facts import Facts, Raster
from eojax.errors import UserError
from eojax.losses.pixel_cross_entropy import pixel_cross_entropy
from eojax.methods import seg_jem
from eojax.methods.joint.pixel_energy import averaged, pixel_log_density, window_log_density
from eojax.methods.joint.window_starts import fit_window_textures
from eojax.methods.method import Method, Task
from eojax.methods.pixels.fitted_windows import read_windows
from eojax.models import MODELS, pixel_network
from tests.trained_states import with_trained

FACTS = Facts(
    name='tiles',
    class_names=('water', 'crops', 'trees'),
    rasters={
        'images': Raster(),
        'elevation': Raster(('surface',), 'int16', ((0.0, 100.0),), 2),
    },
    label='pixel',
    size=(12, 12),
)


def _config(**changes: Any) -> ConfigDict:
    """Plain gradient descent at rate 1 and chains without noise, everything optional off."""
    config = base_config('seg_jem', 'pixel_network', 'landscape_cover')
    config.steps, config.batch_size = 10, 4
    config.model.update({'width': 6, 'kernel': 3, 'activation': 'swish'})
    config.method.update({'window': 8, 'chain_window': 4})
    config.sampler.update({'steps': 3, 'step_size': 0.1, 'noise': 0.0, 'reinitialise': 0.0,
                           'buffer_size': 4})  # fmt: skip
    config.optimizer.update({'name': 'sgd', 'learning_rate': 1.0, 'momentum': 0.0,
                             'nesterov': False, 'warmup_steps': 0})  # fmt: skip
    for key, value in changes.items():
        set_key(config, key.replace('__', '.'), value)
    return config


def _method(config: ConfigDict) -> Method:
    return seg_jem.build(config, Task(FACTS, (12, 12, 3), 5, ()))


def _batch() -> dict[str, dict[str, Any]]:
    keys = random.split(random.key(0), 5)
    labels = np.array(random.randint(keys[4], (4, 8, 8), -1, 3))
    labels[3] = -1  # a window without labels

    def rasters(first: Array, second: Array, side: int) -> dict[str, Array]:
        return {
            'images': random.uniform(first, (4, side, side, 3), minval=-1.0),
            'elevation': random.uniform(second, (4, side, side, 1), minval=-1.0),
        }

    return {
        'labelled': {**rasters(keys[0], keys[1], 8), 'labels': jnp.asarray(labels)},
        'unlabelled': rasters(keys[2], keys[3], 4),
    }


def _started(config: ConfigDict) -> tuple[Method, Any, Any]:
    """A method and its state, with parameters that are livelier than at the start."""
    method, batch = _method(config), _batch()
    state = method.init(random.key(0), batch, None)
    parameters = jax.tree.map(lambda p: 3.0 * p + 0.01, state.trained.parameters)
    return method, with_trained(state, parameters=parameters, average=parameters), batch


def _logits(parameters: Any, *rasters: Array) -> Array:
    return pixel_network.build(_config().model, 3).apply(parameters, {}, *rasters)


def _change(before: Any, after: Any) -> Any:
    return jax.tree.map(lambda a, b: a - b, before.trained.parameters, after.trained.parameters)


def _assert_close(found: Any, expected: Any, tolerance: float = 2e-5) -> None:
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance, rtol=1e-4)


# Four pixels, two classes: sixteen maps.
OUTPUTS = 2.0 * random.normal(random.key(3), (1, 2, 2, 2))
MAPS = np.array(list(itertools.product((0, 1), repeat=4))).reshape(16, 2, 2)


def _exponents(maps: np.ndarray) -> np.ndarray:
    """sum_i f_i[Y_i] of each map, in float64."""
    outputs = np.asarray(OUTPUTS[0], np.float64)
    return np.array([sum(outputs[r, c, y[r, c]] for r in (0, 1) for c in (0, 1)) for y in maps])


def test_the_sum_over_all_maps_is_the_product_of_the_sums_over_classes() -> None:
    total = np.exp(_exponents(MAPS)).sum()  # Eq. 4.16
    factors = np.exp(np.asarray(OUTPUTS, np.float64)).sum(-1).prod()  # Eq. 4.18
    assert factors == pytest.approx(total, rel=1e-6)
    shares = pixel_log_density(OUTPUTS)
    assert float(window_log_density(shares, 'sum')[0]) == pytest.approx(np.log(total), rel=1e-6)
    mean = float(window_log_density(shares, 'mean')[0])
    assert mean == pytest.approx(np.log(total) / 4, rel=1e-6)


def test_the_conditional_of_the_joint_model_is_the_product_of_softmaxes() -> None:
    exponents = _exponents(MAPS)
    conditional = exponents - np.log(np.exp(exponents).sum())  # Eq. 4.17
    for labels, expected in zip(MAPS, conditional, strict=True):
        # Eq. 4.14, as the loss has it: a mean over four pixels.
        found = -4.0 * pixel_cross_entropy(OUTPUTS, jnp.asarray(labels)[None])
        assert float(found) == pytest.approx(float(expected), abs=1e-5)


def test_a_pixel_without_a_class_is_summed_over_and_stands_as_its_log_sum_exp() -> None:
    known = np.array([[1, -1], [0, -1]])
    fitting = MAPS[((known == MAPS) | (known < 0)).all((1, 2))]
    assert len(fitting) == 4
    expected = np.log(np.exp(_exponents(fitting)).sum())
    shares = np.asarray(pixel_log_density(OUTPUTS))[0]
    right = np.asarray(OUTPUTS[0])[..., known[0, 0]] * 0.0
    for row, column in np.argwhere(known >= 0):
        right[row, column] = OUTPUTS[0, row, column, known[row, column]]
    assert np.where(known >= 0, right, shares).sum() == pytest.approx(expected, rel=1e-6)
    # log p(X, known Y) = log p(X) + sum_known log p(Y_i|X): the two terms of the loss.
    terms = shares.sum() - 2.0 * float(pixel_cross_entropy(OUTPUTS, jnp.asarray(known)[None]))
    assert terms == pytest.approx(expected, rel=1e-6)


def test_the_gradient_of_the_density_in_the_outputs_is_the_softmax() -> None:
    slope = jax.grad(lambda f: window_log_density(pixel_log_density(f), 'sum').sum())(OUTPUTS)
    np.testing.assert_allclose(slope, jax.nn.softmax(OUTPUTS), atol=1e-6)


def test_a_joint_step_equals_arithmetic_by_hand() -> None:
    weights = {'classification_weight': 0.7, 'likelihood_weight': 0.4, 'energy_l2': 0.2}
    config = _config(
        method__rasters='images, elevation', **{f'method__{k}': v for k, v in weights.items()}
    )
    method, state, batch = _started(config)
    new, metrics = jax.jit(method.phases[-1].step)(state, batch, random.key(2))

    def lse(parameters: Any, windows: Array) -> Array:
        return jnp.log(jnp.exp(_logits(parameters, windows)).sum(-1))

    # Each step of the chain climbs the sum over pixels.
    old, ends = state.trained.parameters, state.replay_buffer.images[0]
    slope_of = jax.jit(jax.grad(lambda x: lse(old, x).sum()))
    norms = []
    for _ in range(3):
        slope = np.asarray(slope_of(ends))
        norms.append(np.sqrt(np.square(slope).sum((1, 2, 3))).mean())
        ends = np.asarray(ends) + 0.1 * slope
    np.testing.assert_allclose(new.replay_buffer.images[0], ends, atol=1e-5)
    assert float(metrics['sampler_gradient']) == pytest.approx(np.mean(norms), rel=1e-3)

    labelled, real = batch['labelled'], jnp.concatenate(list(batch['unlabelled'].values()), -1)

    def hand_loss(parameters: Any) -> Array:
        logits = _logits(parameters, labelled['images'], labelled['elevation'])
        known = labelled['labels'] >= 0
        right = (jax.nn.log_softmax(logits) * jax.nn.one_hot(labelled['labels'], 3)).sum(-1)
        first, second = lse(parameters, real), lse(parameters, ends)
        return (
            -0.7 * (right * known).sum() / known.sum()
            + 0.4 * (second.mean() - first.mean())
            + 0.2 * ((first**2).mean() + (second**2).mean())
        )

    loss, gradient = jax.jit(jax.value_and_grad(hand_loss))(old)
    assert float(metrics['loss']) == pytest.approx(float(loss), rel=1e-5)
    _assert_close(_change(state, new), gradient)


def test_steps_of_the_tempered_model_are_as_many_times_longer_as_it_has_pixels() -> None:
    ends = []
    for scale, size in (('sum', 0.1), ('mean', 1.6)):
        method, state, batch = _started(
            _config(method__energy_scale=scale, sampler__step_size=size, sampler__steps=2)
        )
        new, _ = jax.jit(method.phases[-1].step)(state, batch, random.key(2))
        ends.append(np.asarray(new.replay_buffer.images))
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-5)


def test_windows_without_labels_enter_by_their_density_alone() -> None:
    method, state, batch = _started(_config())
    step = jax.jit(method.phases[-1].step)
    once, _ = step(state, batch, random.key(1))
    unseen = batch['labelled']['images'].at[3].set(0.5)  # of which no pixel has a class
    other = {**batch, 'labelled': {**batch['labelled'], 'images': unseen}}
    again, _ = step(state, other, random.key(1))
    _assert_close(once, again, 0.0)
    moved = {**batch, 'unlabelled': {**batch['unlabelled'], 'images': unseen[:, :4, :4]}}
    third, metrics = step(state, moved, random.key(1))
    shares = pixel_log_density(_logits(state.trained.parameters, unseen[:, :4, :4]))
    assert float(metrics['log_density_real']) == pytest.approx(float(shares.mean()), rel=1e-4)
    difference = _change(once, third)
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(difference)) > 1e-3


def test_score_matching_sees_the_energy_of_its_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_place_of_it(
        log_density: Any, images: Array, key: Array, noise: Any, valid: None
    ) -> Array:
        value: Array = log_density(images).mean()
        return value

    monkeypatch.setattr(seg_jem, 'denoising_score_matching', in_place_of_it)
    values = []
    for scale in ('sum', 'mean'):
        method, state, batch = _started(
            _config(
                method__score_matching_weight=0.5,
                method__energy_scale=scale,
                method__supervised_steps=4,
            )
        )
        assert [phase.name for phase in method.phases] == ['supervised', 'joint']
        _, metrics = jax.jit(method.phases[0].step)(state, batch, random.key(1))
        values.append(float(metrics['score_matching']))
        expected = float(metrics['cross_entropy']) + 0.5 * values[-1]
        assert float(metrics['loss']) == pytest.approx(expected, rel=1e-5)
    assert values[0] == pytest.approx(16.0 * values[1], rel=1e-4)
    plain = _method(_config(method__supervised_steps=4))
    assert set(plain.phases[0].streams) == {'labelled'}


@pytest.mark.parametrize('density', ['local', 'head'])
def test_another_density_leaves_the_classes_and_is_the_log_sum_exp_of_f(density: str) -> None:
    config = _config(method__density=density, method__density_width=4, method__density_depth=2)
    method, state, batch = _started(config)
    images, key = batch['labelled']['images'], random.key(0)
    logits = method.abilities['pixel_logits'](state, images, key)
    shares = method.abilities['pixel_log_density'](state, images, key)
    np.testing.assert_allclose(shares, pixel_log_density(logits), atol=1e-6)
    np.testing.assert_allclose(
        method.abilities['log_density'](state, images, key), shares.mean((1, 2)), atol=1e-6
    )
    assert shares.std() > 1e-3
    # The cross-entropy moves no parameter of the density.
    plain = _config(method__density=density, method__density_width=4, method__density_depth=2,
                    method__likelihood_weight=0.0)  # fmt: skip
    new, _ = jax.jit(_method(plain).phases[-1].step)(state, batch, random.key(1))
    change = _change(state, new)
    if density == 'local':
        assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(change['density'])) < 1e-6
        assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(change['classes'])) > 1e-4
        # A pixel sees 2 (depth + 1) + 1 = 7 pixels on a side.
        slope = jax.grad(lambda x: method.abilities['pixel_log_density'](state, x, key)[0, 4, 4])(
            images
        )
        rows = np.flatnonzero(np.asarray(slope[0]).any((1, 2)))
        assert (rows.min(), rows.max()) == (1, 7)
        # Of one colour, no pixel differs from another, at the border neither.
        flat = method.abilities['pixel_log_density'](state, jnp.full((1, 8, 8, 3), 0.3), key)
        np.testing.assert_allclose(flat, flat[0, 0, 0], rtol=1e-4)
    else:
        assert np.abs(change['head']['kernel'][..., -1]).max() < 1e-6
        assert np.abs(change['head']['kernel'][..., :-1]).max() > 1e-4


def test_averaged_shares_are_means_of_the_pixels_around() -> None:
    shares = random.normal(random.key(0), (2, 7, 9))
    expected = uniform_filter(np.asarray(shares, np.float64), (0, 5, 5), mode='nearest')
    np.testing.assert_allclose(averaged(shares, 5), expected, atol=1e-6)
    np.testing.assert_array_equal(averaged(shares, 1), shares)
    # One share goes to its neighbours, and the sum stays.
    alone = jnp.zeros((1, 9, 9)).at[0, 4, 4].set(2.0)
    assert float(averaged(alone, 3).sum()) == pytest.approx(2.0, rel=1e-6)
    method, state, batch = _started(_config(method__density_average=3))
    images, key = batch['labelled']['images'], random.key(0)
    plain = pixel_log_density(method.abilities['pixel_logits'](state, images, key))
    found = method.abilities['pixel_log_density'](state, images, key)
    np.testing.assert_allclose(found, averaged(plain, 3), atol=1e-6)


def test_textures_of_windows_have_the_colours_of_their_places() -> None:
    generator = np.random.default_rng(0)
    images = np.concatenate([
        generator.integers(0, 40, (3, 12, 12, 3)), generator.integers(215, 256, (3, 12, 12, 3))
    ]).astype(np.uint8)  # fmt: skip
    elevation = np.full((6, 6, 6, 1), 50, np.int16)
    names = tuple(f'{i}' for i in range(6))
    sizes = np.full(6, 12, np.int32)
    places = Places(names, sizes, sizes, np.full(6, -1, np.int32))
    dataset = Dataset(FACTS, places, ArraySource({'images': images, 'elevation': elevation}))
    windows = read_windows(dataset, ('images', 'elevation'), 8)
    assert windows.shape == (2000, 8, 8, 4)
    np.testing.assert_allclose(windows[..., 3], 0.0, atol=1e-6)
    gaussian = fit_window_textures(dataset, ('images',), 8, 2)
    assert gaussian.filters.shape == (2, 8, 8, 3, 3)
    means = np.sort(gaussian.mean[:, 0])
    np.testing.assert_allclose(means, [20 / 127.5 - 1, 235 / 127.5 - 1], atol=0.03)
    method = _method(_config(sampler__start='gaussian', sampler__start_textures=2,
                             method__chain_window=8))  # fmt: skip
    shapes = jax.tree.map(lambda a: (a.shape, a.dtype), gaussian)
    assert jax.tree.map(lambda a: (a.shape, a.dtype), method.fitted.textures) == shapes
    assert method.fit is not None
    state = method.init(random.key(0), _batch(), seg_jem.Fitted(gaussian))
    assert state.replay_buffer.images.shape == (1, 4, 8, 8, 3)


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('method.chain_window', 9, 'between 0 and method.window 8'),
        ('method.energy_scale', 'total', 'method.energy_scale'),
        ('method.density', 'heads', 'method.density'),
        ('method.likelihood_weight', -1.0, 'method.likelihood_weight'),
        ('method.supervised_steps', 10, 'leaves nothing'),
        ('method.score_matching_noise', (0.5, 0.1), 'score_matching_noise'),
        ('method.density_average', 4, 'method.density_average'),
        ('sampler.start_textures', 0, 'sampler.start_textures'),
        ('sampler.start_noise', 'clouds', 'sampler.start_noise'),
        ('sampler.buffer_size', 3, 'sampler.buffer_size'),
        ('sampler.inner_steps', 2, 'sampler.inner_steps'),
    ],
)
def test_options_that_cannot_train_are_refused(key: str, value: Any, message: str) -> None:
    config = _config()
    check_config(config)
    set_key(config, key, value)
    with pytest.raises(UserError, match=message):
        check_config(config)


def test_batch_normalisation_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    known = MODELS['pixel_network']

    def mixing(options: ConfigDict, outputs: int) -> Any:
        return pixel_network.build(options, outputs)._replace(per_image=False)

    monkeypatch.setitem(MODELS, 'pixel_network', known._replace(build=mixing))
    with pytest.raises(UserError, match='normalization'):
        check_config(_config())
    check_config(_config(method__density='local'))  # which no other window of a batch enters
