"""Pixels without data are in no loss and no statistic: another value there changes nothing."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random

from eojax.config.base import base_config, check_config, set_key
from eojax.data.dataset import ArraySource, Dataset, Places
from eojax.data.facts import Facts, Raster, valid_of
from eojax.errors import UserError
from eojax.methods import METHODS
from eojax.methods.joint.pixel_energy import window_log_density
from eojax.methods.method import Method, Task
from eojax.methods.pixels import supervised_loss
from eojax.methods.pixels.fitted_windows import read_windows
from eojax.models import pixel_network, two_heads, w_net

CLASSES = ('water', 'crops', 'trees')
FACTS = Facts(
    name='tiles',
    class_names=CLASSES,
    rasters={'images': Raster(('red', 'green'), missing=True)},
    label='pixel',
    size=(12, 12),
)
SGD = {
    'steps': 10, 'batch_size': 4, 'method.window': 8, 'optimizer.name': 'sgd',
    'optimizer.momentum': 0.0, 'optimizer.nesterov': False, 'optimizer.learning_rate': 0.5,
    'optimizer.warmup_steps': 0,
}  # fmt: skip
# A network of which each output sees one pixel: what stands in the others cannot matter.
POINTWISE = {'model.width': 6, 'model.kernel': 1, 'model.activation': 'swish'}


def _config(method: str, model: str, values: dict[str, Any]) -> Any:
    config = base_config(method, model, 'landscape_cover')
    for key, value in (SGD | values).items():
        set_key(config, key, value)
    check_config(config)
    return config


def _method(config: Any) -> Method:
    return METHODS[config.method.name].build(config, Task(FACTS, (12, 12, 2), 5, ()))


def _valid(num: int, side: int) -> Array:
    """A window without data, one of which a part holds some, and whole ones."""
    return jnp.ones((num, side, side), bool).at[0].set(False).at[1, :, : side // 2 + 1].set(False)


def _stream(seed: int, side: int, fill: float, valid: Array) -> dict[str, Array]:
    keys = random.split(random.key(seed), 2)
    images = random.uniform(keys[0], (len(valid), side, side, 2), minval=-1.0)
    truth = jnp.where(valid, random.randint(keys[1], valid.shape, 0, 3), -1)
    return {
        'images': jnp.where(valid[..., None], images, fill),
        'labels': truth.at[2].set(-1),
        'truth': truth,
        'valid': valid,
    }


def _batch(fill: float, side: int = 8, whole: bool = False) -> dict[str, dict[str, Array]]:
    """Both streams; with `whole`, -1 stands in the part of a window, and `fill` where all is."""
    batch = {}
    for name, seed, size in (('labelled', 0, 8), ('unlabelled', 1, side)):
        one = _stream(seed, size, fill, _valid(4, size))
        if whole:
            part = _stream(seed, size, -1.0, one['valid'])['images'][1]
            one['images'] = one['images'].at[1].set(part)
        batch[name] = one
    return batch


def _stepped(method: Method, batches: list[Any]) -> tuple[Any, list[Any]]:
    """The state before, and what each batch makes of it and of the numbers."""
    state = jax.jit(lambda batch: method.init(random.key(0), batch, None))(batches[0])
    step = jax.jit(method.phases[0].step)
    return state, [step(state, batch, random.key(1)) for batch in batches]


def _assert_alike(one: Any, other: Any) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), one, other)


@pytest.mark.parametrize(
    ('name', 'task'),
    [('berundanet_segmentation', 'l1'), ('berundanet_segmentation', 'relaxed_k_means'),
     ('w_net', 'l1')],
)  # fmt: skip
def test_second_tasks_are_means_over_the_pixels_that_hold_data(name: str, task: str) -> None:
    values = {'model.width': 2, 'model.depth': 1, 'model.normalization': 'none',
              'method.auxiliary': task, 'method.clusters': 3}  # fmt: skip
    config = _config(name, 'unet', values)
    first, second = (_batch(fill, whole=True) for fill in (-1.0, 0.7))
    state, [(new, metrics), (again, numbers)] = _stepped(_method(config), [first, second])
    _assert_alike((new.trained.parameters, metrics), (again.trained.parameters, numbers))

    outputs = 2 if task == 'l1' else 3
    network = (
        w_net.build(config.model, 3, outputs)
        if name == 'w_net'
        else two_heads.build(config.model, config.method.variant, 3, outputs, False)
    )
    images = jnp.concatenate([first[stream]['images'] for stream in ('labelled', 'unlabelled')])
    valid = np.concatenate([first[stream]['valid'] for stream in ('labelled', 'unlabelled')])
    others = np.asarray(jax.jit(network.apply)(state.trained.parameters, {}, images)[1])
    images, errors = np.asarray(images), []
    for window, mask, painted in zip(images, valid, others, strict=True):
        shown, painted = window[mask], painted[mask]  # without the others, as if they were not
        if task == 'relaxed_k_means' and len(shown):
            soft = np.asarray(jax.nn.softmax(painted))
            painted = soft @ (soft.T @ shown / soft.sum(0)[:, None])
        errors.append(np.abs(shown - painted[:, :2]).mean(-1))
    expected = np.concatenate(errors).mean()
    assert float(metrics['reconstruction']) == pytest.approx(expected, rel=1e-5)


def test_pixels_without_data_get_no_pseudo_labels_and_no_say() -> None:
    values = {**POINTWISE, 'method.threshold': 0.0, 'method.strong_set': 'geometric',
              'method.cutmix_share': 0.5, 'method.threshold_kind': 'adaptive'}  # fmt: skip
    config = _config('fixmatch_segmentation', 'pixel_network', values)
    first, second, nothing = (_batch(fill) for fill in (-1.0, 0.7, 0.0))
    for stream in nothing.values():
        stream['valid'] = jnp.zeros_like(stream['valid'])
        stream['labels'] = stream['truth'] = jnp.full_like(stream['labels'], -1)
    state, steps = _stepped(_method(config), [first, second, nothing])
    (new, metrics), (again, numbers), (after, none) = steps
    assert float(metrics['consistency']) > 0.1
    _assert_alike((new.trained.parameters, metrics), (again.trained.parameters, numbers))
    _assert_alike(new.beliefs, again.beliefs)
    assert float(none['loss']) == float(none['mask_rate']) == 0.0
    _assert_alike(after.beliefs, state.beliefs)


def test_the_density_is_of_the_pixels_that_hold_data() -> None:
    values = {
        **POINTWISE, 'method.chain_window': 4, 'method.energy_scale': 'mean',
        'method.energy_l2': 0.1, 'method.score_matching_weight': 0.3, 'sampler.steps': 2,
        'sampler.buffer_size': 4,
    }  # fmt: skip
    config = _config('seg_jem', 'pixel_network', values)
    first, second = (_batch(fill, 4) for fill in (-1.0, 0.7))
    state, [(new, metrics), (again, numbers)] = _stepped(_method(config), [first, second])
    _assert_alike((new.trained.parameters, metrics), (again.trained.parameters, numbers))
    network = pixel_network.build(config.model, 3)
    drawn = first['unlabelled']
    outputs = network.apply(state.trained.parameters, {}, drawn['images'])
    shares = np.asarray(jax.nn.logsumexp(outputs, -1))[np.asarray(drawn['valid'])]
    assert float(metrics['log_density_real']) == pytest.approx(shares.mean(), rel=1e-5)
    # Of the windows one by one, as the score matching has them.
    share = np.random.default_rng(0).normal(size=(4, 4, 4)).astype(np.float32)
    valid = np.asarray(drawn['valid'])
    for scale, reduce in (('sum', np.sum), ('mean', np.mean)):
        of_windows = window_log_density(jnp.asarray(share), scale, drawn['valid'])
        by_hand = [reduce(one[mask]) if mask.any() else 0.0
                   for one, mask in zip(share, valid, strict=True)]  # fmt: skip
        np.testing.assert_allclose(of_windows, by_hand, rtol=1e-5)


def _tiles(content: int) -> Dataset:
    """Two tiles: the left half of the first holds no data but `content`, and nor do all of the
    second."""
    images = np.random.default_rng(0).integers(50, 200, (2, 12, 12, 2), np.uint8)
    valid = np.ones((2, 12, 12), bool)
    valid[0, :, :6] = valid[1] = False
    images[~valid] = content
    sides, labels = np.full(2, 12, np.int32), np.full(2, -1, np.int32)
    source = ArraySource({'images': images, valid_of('images'): valid})
    return Dataset(FACTS, Places(('a', 'b'), sides, sides, labels), source)


def test_classes_are_counted_where_the_network_sees_data() -> None:
    tiles = _tiles(0)
    maps = np.zeros((2, 12, 12), np.uint8)
    maps[0, :, 4:8] = 1  # half of it in the part with data
    arrays = {**tiles.source.arrays, 'labels': maps}  # type: ignore[attr-defined]
    places = tiles.places._replace(labels=np.zeros(2, np.int32))
    training = tiles._replace(source=ArraySource(arrays), places=places)
    options = _config('segmentation', 'pixel_network', {'method.class_weights': 'balanced'}).method
    fit = supervised_loss.build(options, FACTS).fit
    assert fit is not None
    np.testing.assert_allclose(fit(training), [72 / 2 / 48, 72 / 2 / 24, 72 / 2 / 24])


def test_chains_begin_at_what_the_pixels_that_hold_data_look_like() -> None:
    windows = read_windows(_tiles(0), ('images',), 8)
    assert windows.min() > -0.7
    assert windows.max() < 0.7
    np.testing.assert_array_equal(windows, read_windows(_tiles(255), ('images',), 8))
    with pytest.raises(UserError, match='holds data'):
        read_windows(_tiles(0).subset(np.array([1])), ('images',), 8)
