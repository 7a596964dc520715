"""The PyTorch peers of the FixMatch step compute what eojax computes, on the same images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the peers need benchmarks/requirements.txt')

from benchmarks.peers.fixmatch import best_effort, reference_style  # noqa: E402
from benchmarks.peers.flax_weights import torch_names  # noqa: E402
from eojax.config.base import base_config  # noqa: E402
from eojax.data.dataset import ArraySource  # noqa: E402
from eojax.data.facts import IMAGES  # noqa: E402
from eojax.errors import UserError  # noqa: E402
from tests.benchmarks.peers.fixmatch_case import (  # noqa: E402
    BATCH,
    RATIO,
    SIZE,
    eojax_steps,
    parameters_of,
    step_images,
    tiny_config,
    training_set,
    unit,
)

MODULES = {'reference style': reference_style, 'best effort': best_effort}


def make_peer(name: str, config: Any, **options: Any) -> Any:
    if name == 'reference style':
        options.setdefault('workers', 0)
    sets = {'data': training_set()}
    return MODULES[name].build(config, parameters_of(config.model.norm), sets, 'cpu', **options)


def update(peer: Any) -> None:
    """One step of the peer on the images of `step_images`."""
    images = step_images()
    labels = torch.from_numpy(images.labels)
    views = [torch.from_numpy(x) for x in (images.labelled, images.weak, images.strong)]
    if peer.name == 'reference style':
        views = [torch.from_numpy(unit(x.numpy())).permute(0, 3, 1, 2) for x in views]
    peer.update(views[0], labels, views[1], views[2])


def near(ours: Any, theirs: Any, tolerance: float, name: str = '') -> None:
    """Equal but for rounding, measured at the largest value, and at 0.01 where all is rounding."""
    theirs = np.asarray(theirs)
    limit = tolerance * max(np.abs(theirs).max(), 0.01)
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=0, atol=limit, err_msg=name)


def near_all(ours: Any, theirs: Any, tolerance: float) -> None:
    """Named tensors against eojax's parameters."""
    expected = dict(torch_names(theirs))
    found = {name: tensor.detach() for name, tensor in ours}
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        near(found[name], array, tolerance, name)


@pytest.mark.parametrize('norm', ['batch', 'group'])
@pytest.mark.parametrize('name', MODULES)
def test_two_steps_are_eojaxs(name, norm, monkeypatch):
    """Loss, momentum (the gradient), update, running average and statistics."""
    config = tiny_config(method__threshold=0.5, method__consistency_weight=1.7, model__norm=norm)
    steps = eojax_steps(config, monkeypatch, 2)
    assert 0.0 < steps.metrics[0]['mask_rate'] < 1.0
    peer = make_peer(name, config)
    for state, metrics in zip(*steps, strict=True):
        update(peer)
        near(float(peer.loss), metrics['loss'], 1e-5)
        own = dict(peer.network.named_parameters())
        trace = [(k, peer.optimizer.state[p]['momentum_buffer']) for k, p in own.items()]
        near_all(trace, state.trained.moments[1][0].trace, 2e-4)
        near_all(own.items(), state.trained.parameters, 2e-5)
        near_all(peer.average.named_parameters(), state.trained.average, 2e-5)
        if norm == 'batch':
            check_statistics(peer.network, state.trained.statistics)
            check_statistics(peer.average, state.trained.statistics)


def check_statistics(network: Any, statistics: Any) -> None:
    """Running means, and variances up to PyTorch's n / (n - 1)."""
    own, found = dict(network.named_buffers()), dict(torch_names(statistics))
    assert found
    fewest = (BATCH + 2 * RATIO * BATCH) * (SIZE // 4) ** 2
    for key, value in found.items():
        layer, kind = key.rsplit('.', 1)
        tolerance = 1e-5 if kind == 'mean' else 1.5 / fewest
        near(own[f'{layer}.running_{kind}'], value, tolerance, key)


@pytest.mark.parametrize('name', MODULES)
def test_adam_is_eojaxs(name, monkeypatch):
    # Under batch normalisation a bias has no gradient but rounding, which Adam would scale up.
    config = tiny_config(model__norm='group', optimizer__name='adam',
                         optimizer__learning_rate=1e-3, optimizer__weight_decay=0.1,
                         method__threshold=0.5)  # fmt: skip
    steps = eojax_steps(config, monkeypatch, 2)
    peer = make_peer(name, config)
    for state, metrics in zip(*steps, strict=True):
        update(peer)
        near(float(peer.loss), metrics['loss'], 2e-4)
        own = dict(peer.network.named_parameters())
        for key, weights in torch_names(state.trained.parameters):
            # An element whose gradient is all rounding moves by up to the rate either way.
            off = np.abs(own[key].detach().numpy() - weights)
            assert np.mean(off > 0.05 * config.optimizer.learning_rate) < 0.02, key


@pytest.mark.parametrize('name', MODULES)
def test_pseudo_labels_below_the_threshold_do_not_count(name):
    losses = {}
    for threshold in (0.0, 0.5, 1.0):
        peer = make_peer(name, tiny_config(method__threshold=threshold))
        update(peer)
        losses[threshold] = float(peer.loss)
    assert losses[1.0] < losses[0.5] < losses[0.0]


@pytest.mark.parametrize('name', MODULES)
def test_a_step_trains_on_its_own_batches(name):
    peer = make_peer(name, tiny_config(method__threshold=0.3))
    weights = [p.detach().clone() for p in peer.network.parameters()]
    losses = []
    for _ in range(3):
        peer.step()
        losses.append(float(peer.loss))
    peer.synchronize()
    assert np.isfinite(losses).all()
    assert len(set(losses)) == 3
    assert all((p != q).any() for p, q in zip(peer.network.parameters(), weights, strict=True))
    peer.close()


def test_worker_processes_make_the_batches_that_this_process_makes():
    losses = []
    for workers in (0, 1):
        peer = make_peer('reference style', tiny_config(), workers=workers)
        peer.step()
        losses.append(peer.loss)
        assert ('1 worker processes' in peer.notes) == (workers == 1)
        peer.synchronize()
        peer.close()
    assert losses[0] == losses[1]


def test_bfloat16_stays_near_float32():
    losses = []
    for dtype in ('float32', 'bfloat16'):
        peer = make_peer('best effort', tiny_config(), dtype=dtype)
        update(peer)
        losses.append(float(peer.loss))
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('method.distribution_alignment', True),
        ('method.threshold_kind', 'adaptive'),
        ('method.augment', 'randaugment'),
        ('model.dropout', 0.1),
        ('optimizer.clip_norm', 1.0),
        ('optimizer.sharpness_radius', 0.1),
    ],
)
@pytest.mark.parametrize('name', MODULES)
def test_options_that_a_peer_does_not_compute_are_refused(name, key, value):
    config = tiny_config()
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=f'{key}=') as caught:
        make_peer(name, config)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('name', MODULES)
def test_other_methods_and_other_images_are_refused(name):
    joint = base_config('fixmatch_jem', 'wide_resnet', 'landscapes')
    sets = {'data': training_set()}
    with pytest.raises(UserError, match=r"method\.name 'fixmatch' alone, not 'fixmatch_jem'"):
        MODULES[name].build(joint, {}, sets, 'cpu')
    two_bands = sets['data']._replace(source=ArraySource({IMAGES: training_set().images[..., :2]}))
    with pytest.raises(UserError, match='three bands alone'):
        MODULES[name].build(tiny_config(), parameters_of(), {'data': two_bands}, 'cpu')


def test_without_a_compiler_one_line_says_so_and_nothing_has_moved(capsys, monkeypatch):
    def broken(function, **options):
        def call(*arguments):
            raise torch._dynamo.exc.TorchDynamoException('no C++\ncompiler')

        return call

    monkeypatch.setattr(torch, 'compile', broken)
    peer = make_peer('best effort', tiny_config(), compiled=True)
    said = capsys.readouterr().err
    assert said.count('\n') == 1
    assert 'torch.compile does not work here' in said
    assert 'not compiled' in peer.notes
    plain = make_peer('best effort', tiny_config())
    for one, other in zip(peer.network.buffers(), plain.network.buffers(), strict=True):
        assert (one == other).all()
    peer.step()
