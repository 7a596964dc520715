"""The PyTorch peers of image synthesis compute what eojax computes, on the same windows."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the peers need benchmarks/requirements.txt')

from benchmarks.peers.flax_weights import torch_names  # noqa: E402
from benchmarks.peers.image_synthesis import best_effort, reference_style, values_of  # noqa: E402
from benchmarks.peers.image_synthesis.best_effort import Drawn  # noqa: E402
from eojax.config.base import base_config  # noqa: E402
from eojax.data.dataset import ArraySource, Dataset, Places  # noqa: E402
from eojax.data.facts import IMAGES, PIXEL_LABELS, Facts, Raster  # noqa: E402
from eojax.errors import UserError  # noqa: E402
from eojax.methods import METHODS  # noqa: E402
from eojax.methods.method import Task  # noqa: E402

BATCH, CLASSES, SIDE, TILE = 2, 4, 16, 24
FACTS = Facts(
    class_names=tuple('abcd'),
    label='pixel',
    size=(TILE, TILE),
    rasters={IMAGES: Raster(), 'elevation': Raster(('height',), 'float32', ((0.0, 50.0),))},
)
MODULES = {'reference style': reference_style, 'best effort': best_effort}


def tiny_config(**options: Any) -> Any:
    """SGD, as rounding decides the sign of Adam's first steps; `options` by dotted key."""
    config = base_config('image_synthesis', 'image_generator', 'landscape_pairs')
    config.batch_size, config.method.window, config.data.size = BATCH, SIDE, TILE
    config.method.update({'average_decay': 0.0, 'raster_values': 'stored'})
    config.model.update({'width': 4, 'levels': 1, 'blocks': 1})
    config.discriminator.update({'width': 4, 'scales': 2})
    for group in (config.optimizer, config.discriminator.optimizer):
        group.update({'name': 'sgd', 'learning_rate': 0.02})
    config.update_from_flattened_dict({k.replace('__', '.'): v for k, v in options.items()})
    return config


@functools.cache
def training_set() -> Dataset:
    generator = np.random.default_rng(0)
    arrays = {
        IMAGES: generator.integers(0, 256, (5, TILE, TILE, 3), np.uint8),
        'elevation': generator.uniform(0, 50, (5, TILE, TILE, 1)).astype(np.float32),
        PIXEL_LABELS: generator.integers(0, CLASSES, (5, TILE, TILE), np.uint8),
    }
    sides = np.full(5, TILE, np.int32)
    places = Places(np.array(list('vwxyz')), sides, sides, np.zeros(5, np.int32))
    return Dataset(FACTS, places, ArraySource(arrays))


def batch() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    labels = generator.integers(-1, CLASSES, (BATCH, SIDE, SIDE)).astype(np.int32)
    shape = (BATCH, SIDE, SIDE)
    return {
        IMAGES: generator.uniform(-1, 1, (*shape, 3)).astype(np.float32),
        'elevation': generator.uniform(-1, 1, (*shape, 1)).astype(np.float32),
        'labels': labels,
    }


@functools.cache
def eojax_steps(spectral_norm: str) -> tuple[Any, list[Any], list[Any]]:
    """The players before, and the state and the metrics of eojax after each of two steps."""
    config = tiny_config(method__spectral_norm=spectral_norm)
    task = Task(FACTS, (TILE, TILE, 3), 5, (0,) * CLASSES)
    method = METHODS['image_synthesis'].build(config, task)
    drawn = {'labelled': jax.tree.map(jnp.asarray, batch())}
    state = method.init(jax.random.key(3), drawn, None)
    players = {
        name: {'parameters': player.trained.parameters, 'spectra': player.spectra}
        for name, player in (('generator', state.generator), ('discriminator', state.discriminator))
    }
    players = jax.tree.map(np.array, players)
    step, states, metrics = jax.jit(method.phases[0].step), [], []
    for number in range(2):
        state, told = step(state, drawn, jax.random.key(number))
        states.append(state)
        metrics.append(told)
    return players, states, metrics


def make_peer(name: str, config: Any) -> Any:
    options = {'workers': 0} if name == 'reference style' else {}
    players, _, _ = eojax_steps('all')
    if config.method.spectral_norm != 'all':
        players = eojax_steps(config.method.spectral_norm)[0]
    return MODULES[name].build(config, players, {'data': training_set()}, 'cpu', **options)


def update(peer: Any) -> None:
    drawn = batch()
    image, raster = (
        torch.from_numpy(drawn[name]).permute(0, 3, 1, 2) for name in (IMAGES, 'elevation')
    )
    classes = torch.from_numpy(drawn['labels']).long()
    if peer.name == 'reference style':
        peer.update(image.contiguous(), raster.contiguous(), classes)
    else:
        peer.update(Drawn(image, raster, classes))


@pytest.mark.parametrize('spectral_norm', ['all', 'authors'])
@pytest.mark.parametrize('name', MODULES)
def test_two_steps_are_eojaxs(name, spectral_norm):
    """Both losses, and all parameters of both networks after each step."""
    _, states, metrics = eojax_steps(spectral_norm)
    peer = make_peer(name, tiny_config(method__spectral_norm=spectral_norm))
    for state, values in zip(states, metrics, strict=True):
        update(peer)
        theirs = [float(values['loss']), float(values['discriminator_loss'])]
        np.testing.assert_allclose([float(x) for x in peer.losses], theirs, rtol=1e-4)
        for network, player in (
            (peer.generator, state.generator),
            (peer.discriminator, state.discriminator),
        ):
            held = dict(network.named_parameters())
            for key, value in torch_names(player.trained.parameters):
                limit = 1e-4 * max(np.abs(value).max(), 0.01)
                np.testing.assert_allclose(held[key].detach(), value, 0, limit, err_msg=key)


@pytest.mark.parametrize('name', MODULES)
def test_a_step_draws_windows_and_moves_both_networks(name):
    peer = make_peer(name, tiny_config())
    kernels = [
        [p for p in network.parameters() if p.ndim > 1]
        for network in (peer.generator, peer.discriminator)
    ]
    before = [[p.detach().clone() for p in held] for held in kernels]
    peer.step()
    peer.synchronize()
    peer.close()
    assert all(np.isfinite(float(loss)) for loss in peer.losses)
    for held, kept in zip(kernels, before, strict=True):
        assert all((p != q).any() for p, q in zip(held, kept, strict=True))


def test_values_are_scaled_as_eojax_scales_them():
    values = values_of(tiny_config(), training_set())
    place = training_set().source.read(2, None, (IMAGES, 'elevation'))
    np.testing.assert_allclose(values[2, ..., :3], place[IMAGES] / 127.5 - 1.0, atol=1e-6)
    np.testing.assert_allclose(values[2, ..., 3:], place['elevation'] / 25.0 - 1.0, atol=1e-6)


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('method.generator', 'label', 'method.generator='),
        ('method.discriminator', 'segmentation', 'method.discriminator='),
        ('method.discriminator_steps', 2, 'method.discriminator_steps='),
        ('method.diff_augment', 'colour', 'method.diff_augment='),
        ('method.average_decay', 0.9, 'average_decay=0.0 alone'),
        ('method.raster_values', 'relief', 'raster_values=stored alone'),
        ('method.spectral_norm', 'body', 'spectral_norm='),
        ('model.normalization', 'instance', 'model.normalization='),
        ('discriminator.optimizer.clip_norm', 1.0, 'discriminator.optimizer.clip_norm='),
    ],
)
def test_options_that_a_peer_does_not_compute_are_refused(key, value, message):
    config = tiny_config()
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=message):
        best_effort.build(config, {}, {'data': training_set()}, 'cpu')
