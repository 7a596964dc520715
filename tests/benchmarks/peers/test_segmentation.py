"""The PyTorch peers of the U-Net step compute what eojax computes, on the same windows."""

from __future__ import annotations

import random
from typing import Any

import jax
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the peers need benchmarks/requirements.txt')

from benchmarks.peers.flax_weights import torch_names  # noqa: E402
from benchmarks.peers.pixels import Tiles, pixel_cross_entropy  # noqa: E402
from benchmarks.peers.segmentation import best_effort, classes_of, reference_style  # noqa: E402
from benchmarks.peers.segmentation.host_windows import Held, labelled_windows  # noqa: E402
from benchmarks.peers.unet import from_flax  # noqa: E402
from eojax import models  # noqa: E402
from eojax.data.facts import UNKNOWN  # noqa: E402
from eojax.errors import UserError  # noqa: E402
from tests.benchmarks.peers.pixel_case import (  # noqa: E402
    BATCH,
    CLASSES,
    SIDE,
    class_of,
    eojax_steps,
    labelled_batch,
    parameters_of,
    tiny_config,
    training_set,
    unit,
    window_classes,
    windows,
)

MODULES = {'reference style': reference_style, 'best effort': best_effort}


def make_peer(name: str, config: Any, **options: Any) -> Any:
    if name == 'reference style':
        options.setdefault('workers', 0)
    sets = {'data': training_set()}
    parameters = parameters_of(config.model.normalization)
    return MODULES[name].build(config, parameters, sets, 'cpu', **options)


def update(peer: Any) -> None:
    images = torch.from_numpy(windows(BATCH, 11))
    if peer.name == 'reference style':
        images = torch.from_numpy(unit(images.numpy())).permute(0, 3, 1, 2)
    peer.update(images, torch.from_numpy(window_classes()))


def near(ours: Any, theirs: Any, tolerance: float, name: str = '') -> None:
    """Equal but for rounding, measured at the largest value, and at 0.01 where all is rounding."""
    theirs = np.asarray(theirs)
    limit = tolerance * max(np.abs(theirs).max(), 0.01)
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=0, atol=limit, err_msg=name)


@pytest.mark.parametrize('pooling', ['max', 'mean'])
@pytest.mark.parametrize(('normalization', 'size'), [('batch', 8), ('group', 7), ('none', 7)])
def test_the_network_is_eojaxs(normalization, size, pooling):
    """Logits and the number of parameters; sides that are no multiple of 2 are padded alike."""
    config = tiny_config('segmentation', model__normalization=normalization, model__pooling=pooling)
    images = unit(windows(2, 3))[:, :size]
    parameters = parameters_of(normalization)
    network = models.build(config.model, CLASSES)
    statistics = network.init(jax.random.key(0), images)[1]
    theirs, _ = network.train(parameters, statistics, images, key=jax.random.key(0))
    peer = from_flax(config.model, parameters)
    near(peer(torch.from_numpy(images).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).detach(),
         theirs, 1e-5)  # fmt: skip
    count = sum(leaf.size for leaf in jax.tree.leaves(parameters))
    assert sum(p.numel() for p in peer.parameters()) == count


@pytest.mark.parametrize('normalization', ['batch', 'group'])
@pytest.mark.parametrize('name', MODULES)
def test_two_steps_are_eojaxs(name, normalization):
    """Loss over the known pixels, update and running average."""
    config = tiny_config('segmentation', model__normalization=normalization,
                         method__average_decay=0.99)  # fmt: skip
    steps = eojax_steps(config, {'labelled': labelled_batch()}, 2, jax.random.key)
    peer = make_peer(name, config)
    for state, metrics in zip(*steps, strict=True):
        update(peer)
        near(float(peer.loss), metrics['loss'], 1e-5)
        own = dict(peer.network.named_parameters())
        averages = dict(zip(own, peer.averages, strict=True))
        for key, value in torch_names(state.trained.parameters):
            near(own[key].detach(), value, 2e-5, key)
        for key, value in torch_names(state.trained.average):
            near(averages[key], value, 2e-5, key)


@pytest.mark.parametrize('name', MODULES)
def test_a_step_draws_windows_and_moves_all_parameters(name):
    peer = make_peer(name, tiny_config('segmentation'))
    before = [p.detach().clone() for p in peer.network.parameters()]
    losses = []
    for _ in range(2):
        peer.step()
        losses.append(float(peer.loss))
    peer.synchronize()
    peer.close()
    assert np.isfinite(losses).all()
    assert losses[0] != losses[1]
    assert peer.averages == []
    assert all((p != q).any() for p, q in zip(peer.network.parameters(), before, strict=True))


@pytest.mark.parametrize('augmentation', ['none', 'dihedral', 'dihedral_shift'])
def test_windows_keep_classes_with_their_pixels(augmentation):
    """Every pixel says where it is from, on the device and on the host."""
    training = training_set()
    known = classes_of(training)
    assert (known[1::2] == UNKNOWN).all()
    tiles = Tiles(training, torch.device('cpu'))
    assert tiles.labelled.tolist() == [0, 2, 4]
    chosen = tiles.labelled.repeat(60)
    images, classes = tiles.windows(chosen, SIDE, augmentation, torch.Generator().manual_seed(0))
    held = Held(np.asarray(training.images), known, SIDE, augmentation)
    host = labelled_windows(held, chosen.numpy(), random.Random(1))
    for found, theirs in ((images.numpy(), classes.numpy()), (host.images, host.classes)):
        assert found.shape == (180, SIDE, SIDE, 3)
        assert (theirs == class_of(found)).all()
        assert (found[..., 2] == chosen.numpy()[:, None, None]).all()
        # Windows lie everywhere, up to the last row and column, and many are turned.
        assert found[..., :2].min() == 0
        assert found[..., :2].max() == 19
        turned = (np.diff(found[:, 1:3, 4, 0].astype(int), axis=1) == 0).mean()
        assert turned == 0 if augmentation == 'none' else 0.3 < turned < 0.7


def test_a_batch_without_a_known_pixel_has_no_loss():
    classes = torch.full((2, 3, 3), UNKNOWN)
    assert float(pixel_cross_entropy(torch.randn(2, 4, 3, 3), classes)) == 0.0


def test_worker_processes_make_the_batches_that_this_process_makes():
    losses = []
    for workers in (0, 1):
        peer = make_peer('reference style', tiny_config('segmentation'), workers=workers)
        peer.step()
        losses.append(peer.loss)
        assert ('1 worker processes' in peer.notes) == (workers == 1)
        peer.close()
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('method.loss', 'focal', 'method.loss='),
        ('method.class_weights', 'balanced', 'method.class_weights='),
        ('method.rasters', 'images,elevation', 'method.rasters='),
        ('method.window', 64, 'method.window=64 is larger'),
        ('optimizer.clip_norm', 1.0, 'optimizer.clip_norm='),
    ],
)
@pytest.mark.parametrize('name', MODULES)
def test_options_that_a_peer_does_not_compute_are_refused(name, key, value, message):
    config = tiny_config('segmentation')
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=message):
        make_peer(name, config)
