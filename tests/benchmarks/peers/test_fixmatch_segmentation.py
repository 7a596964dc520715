"""The PyTorch peers of FixMatch for pixels compute what eojax computes, on the same views."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the peers need benchmarks/requirements.txt')

from benchmarks.peers.fixmatch.device_augmentation import Draws  # noqa: E402
from benchmarks.peers.fixmatch_segmentation import (  # noqa: E402
    Options,
    best_effort,
    device_views,
    host_views,
    reference_style,
)
from benchmarks.peers.fixmatch_segmentation.device_views import Views  # noqa: E402
from benchmarks.peers.flax_weights import torch_names  # noqa: E402
from benchmarks.pillow_augmentation import GREY, MOVING, Strong  # noqa: E402
from eojax.errors import UserError  # noqa: E402
from eojax.methods import fixmatch_segmentation  # noqa: E402
from eojax.methods.pixels.views import Views as Both  # noqa: E402
from eojax.methods.pixels.views import views  # noqa: E402
from tests.benchmarks.peers.pixel_case import (  # noqa: E402
    BATCH,
    SIDE,
    eojax_steps,
    labelled_batch,
    parameters_of,
    tiny_config,
    training_set,
    unit,
    window_classes,
    windows,
)
from tests.benchmarks.peers.test_segmentation import near  # noqa: E402

MODULES = {'reference style': reference_style, 'best effort': best_effort}
RATIO = 2


class OneStep(NamedTuple):
    """A batch of eojax, the views that it makes of it, and the map between them."""

    batch: dict[str, Any]
    views: Both
    places: np.ndarray


def config_of(**options: Any) -> Any:
    options = {
        'method__unlabelled_ratio': RATIO,
        'method__threshold': 0.5,
        'method__consistency_weight': 1.7,
        'method__cutmix_share': 0.5,
        'method__cutout_share': 0.25,
        'method__average_decay': 0.9,
        **options,
    }
    return tiny_config('fixmatch_segmentation', **options)


def one_step(config: Any) -> OneStep:
    """Views by eojax; its own `follow`, asked for the numbers of pixels, gives the map."""
    num = RATIO * BATCH
    truth = jnp.full((num, SIDE, SIDE), -1)
    sample = {'images': jnp.asarray(unit(windows(num, 12))), 'truth': truth}
    both = views(sample, {}, jax.random.key(4), config.method, 3, 1)
    numbers = jnp.arange(num * SIDE * SIDE, dtype=jnp.int32).reshape(num, SIDE, SIDE)
    followed, seen = both.follow(numbers)[:2]
    places = np.where(seen, followed, -1)
    assert 0.2 < (places >= 0).mean() < 1.0
    return OneStep({'labelled': labelled_batch(), 'unlabelled': sample}, both, places)


def make_peer(name: str, config: Any, **options: Any) -> Any:
    if name == 'reference style':
        options.setdefault('workers', 0)
    parameters = parameters_of(config.model.normalization)
    return MODULES[name].build(config, parameters, {'data': training_set()}, 'cpu', **options)


def update(peer: Any, step: OneStep) -> None:
    both = [np.array(x['images']) for x in (step.views.weak, step.views.strong)]
    classes, places = torch.from_numpy(window_classes()), torch.from_numpy(step.places).long()
    if peer.name == 'reference style':
        images = [unit(windows(BATCH, 11)), *both]
        images = [torch.from_numpy(x).permute(0, 3, 1, 2) for x in images]
        peer.update(images[0], classes, images[1], images[2], places)
    else:
        weak, strong = (torch.from_numpy((x + 1.0) * 127.5) for x in both)
        labelled = torch.from_numpy(windows(BATCH, 11)).float()
        peer.update(labelled, classes, Views(weak, strong, places))


@pytest.mark.parametrize('teacher', ['average', 'network'])
@pytest.mark.parametrize('name', MODULES)
def test_two_steps_are_eojaxs(name, teacher, monkeypatch):
    """Both terms of the loss, update and running average: the second step has another teacher."""
    config = config_of(method__teacher=teacher, model__normalization='group')
    step = one_step(config)
    monkeypatch.setattr(fixmatch_segmentation, 'views', lambda *_: step.views)
    steps = eojax_steps(config, step.batch, 2, jax.random.key)
    peer = make_peer(name, config)
    for state, metrics in zip(*steps, strict=True):
        assert 0.0 < metrics['mask_rate'] < 1.0
        assert metrics['consistency'] > 0.01
        update(peer, step)
        near(float(peer.loss), metrics['loss'], 1e-5)
        own, average = (dict(x.named_parameters()) for x in (peer.network, peer.average))
        for key, value in torch_names(state.trained.parameters):
            near(own[key].detach(), value, 2e-5, key)
        for key, value in torch_names(state.trained.average):
            near(average[key], value, 2e-5, key)


@pytest.mark.parametrize('name', MODULES)
def test_batch_statistics_are_those_of_labelled_and_strong_windows(name, monkeypatch):
    """The teacher has those of the step before, and its pass moves none."""
    config = config_of(model__normalization='batch')
    step = one_step(config)
    monkeypatch.setattr(fixmatch_segmentation, 'views', lambda *_: step.views)
    steps = eojax_steps(config, step.batch, 1, jax.random.key)
    peer = make_peer(name, config)
    update(peer, step)
    near(float(peer.loss), steps.metrics[0]['loss'], 1e-5)
    own, teacher = dict(peer.network.named_buffers()), dict(peer.average.named_buffers())
    means = [(k, v) for k, v in torch_names(steps.states[0].trained.statistics) if 'mean' in k]
    assert means
    for key, value in means:
        layer = key.rsplit('.', 1)[0]
        near(own[f'{layer}.running_mean'], value, 1e-5, key)
        near(teacher[f'{layer}.running_mean'], value, 1e-5, key)


def views_of(where: str, options: Options, pixels: np.ndarray) -> Any:
    """The views of windows as NumPy arrays, by the device's code or by the host's."""
    if where == 'host':
        return host_views.views(pixels, options, random.Random(2))
    generator = torch.Generator().manual_seed(2)
    draws = Draws(options.strong.operations, generator)
    drawn = device_views.draw(len(pixels), options, draws, generator)
    made = device_views.make(torch.from_numpy(pixels), drawn, options.strong.interpolation)
    return host_views.HostViews(*(x.numpy() for x in made))


@pytest.mark.parametrize('where', ['host', 'device'])
def test_a_pixel_of_the_strong_view_is_the_one_of_the_weak_view_that_its_number_says(where):
    pixels = np.random.default_rng(0).integers(1, 256, (40, SIDE, SIDE, 3)).astype(np.uint8)
    options = Options(Strong('dihedral', MOVING, 2, 0.25), 0.5, SIDE)
    weak, strong, places = views_of(where, options, pixels)
    seen = places >= 0
    assert 0.3 < seen.mean() < 0.9
    assert (strong[seen] == weak.reshape(-1, 3)[places[seen]]).all()
    hidden = strong[~seen]
    assert ((hidden == 0).all(-1) | (hidden == GREY).all(-1)).all()
    # Some show a neighbour's pixels, and weak views are not all turned alike.
    window = np.arange(40)[:, None, None]
    theirs = seen & (places // SIDE**2 != window)
    assert 0.05 < theirs.mean() < 0.4
    assert (places[theirs] // SIDE**2 == ((window + 1) % 40 + 0 * places)[theirs]).all()
    for one, original in zip(weak, pixels, strict=True):
        kept = np.sort(one.reshape(-1, 3), 0), np.sort(original.reshape(-1, 3), 0)
        assert (kept[0] == kept[1]).all()
    assert 0.5 < (weak != pixels).any((1, 2, 3)).mean() < 1.0


@pytest.mark.parametrize('where', ['host', 'device'])
def test_operations_on_colours_leave_the_numbers_alone(where):
    pixels = windows(6, 1)
    options = Options(Strong('none', ('solarise',), 2, 0.0), 0.0, SIDE)
    weak, strong, places = views_of(where, options, pixels)
    assert (weak == pixels).all()
    assert (strong != pixels).any()
    assert (places.reshape(-1) == np.arange(places.size)).all()


@pytest.mark.parametrize('name', MODULES)
def test_a_step_draws_windows_and_moves_all_parameters(name):
    peer = make_peer(name, config_of())
    before = [p.detach().clone() for p in peer.network.parameters()]
    losses = []
    for _ in range(2):
        peer.step()
        losses.append(float(peer.loss))
    peer.synchronize()
    peer.close()
    assert np.isfinite(losses).all()
    assert losses[0] != losses[1]
    assert all((p != q).any() for p, q in zip(peer.network.parameters(), before, strict=True))


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('method.threshold_kind', 'adaptive'),
        ('method.augment', 'dihedral_shift'),
        ('method.loss', 'dice'),
        ('optimizer.clip_norm', 1.0),
    ],
)
def test_options_that_a_peer_does_not_compute_are_refused(key, value):
    config = config_of()
    config.update_from_flattened_dict({key: value})
    for name in MODULES:
        with pytest.raises(UserError, match=f'{key}='):
            make_peer(name, config)
