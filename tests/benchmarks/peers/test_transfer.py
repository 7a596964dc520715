"""The PyTorch peer of the alignment computes what eojax computes, along the same directions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random
from ml_collections import ConfigDict

torch = pytest.importorskip('torch', reason='the peers need benchmarks/requirements.txt')

from benchmarks.peers import sliced_wasserstein as theirs  # noqa: E402
from benchmarks.peers.flax_weights import torch_names  # noqa: E402
from benchmarks.peers.transfer import best_effort, learning_rates  # noqa: E402
from eojax.config.base import base_config  # noqa: E402
from eojax.data.dataset import Dataset, image_dataset  # noqa: E402
from eojax.errors import UserError  # noqa: E402
from eojax.losses import sliced_wasserstein as ours  # noqa: E402
from eojax.methods import swd_transfer  # noqa: E402
from eojax.methods.method import Task  # noqa: E402
from eojax.methods.update import optimizers  # noqa: E402

CLASSES, SIZE, FEW, MANY = 3, 12, 5, 9


def tiny_config(**options: Any) -> ConfigDict:
    """Two encoders of two blocks, with SGD; `options` by dotted key."""
    config = base_config('swd_transfer', 'convnet', 'landscape_zones', 'landscape_zones')
    config.steps, config.batch_size = 30, FEW
    config.model.update({'widths': (8, 12), 'strides': (1, 2), 'activation': 'swish'})
    config.method.update({'source_steps': 10, 'source_batch_size': MANY, 'embedding_size': 6,
                          'num_projections': 7, 'average_decay': 0.9,
                          'alignment_weight': 1.5, 'class_alignment_weight': 0.8})  # fmt: skip
    config.optimizer.update({'name': 'sgd', 'learning_rate': 0.05, 'warmup_steps': 4,
                             'schedule': 'cosine'})  # fmt: skip
    config.update_from_flattened_dict({k.replace('__', '.'): v for k, v in options.items()})
    return config


def dataset(bands: int, dtype: Any) -> Dataset:
    generator = np.random.default_rng(bands)
    images = generator.integers(0, 256, (30, SIZE, SIZE, bands)).astype(dtype)
    labels = np.where(np.arange(30) % 4 == 3, -1, np.arange(30) % CLASSES).astype(np.int32)
    limits = ((0.0, 255.0),) * bands if dtype == np.uint16 else None
    names = tuple(f'{i:02}' for i in range(30))
    return image_dataset(images, labels, names, tuple('abc'), tuple('rgb')[:bands], limits)


SETS = {'source': dataset(3, np.uint8), 'data': dataset(2, np.uint16)}


def initial_state(config: ConfigDict) -> tuple[Any, Any, Any]:
    """The method, the state at the beginning of the alignment, and a batch."""
    facts = {group: held.facts for group, held in SETS.items()}
    task = Task(
        facts['data'], (SIZE, SIZE, 2), 30, (8, 8, 7), source=facts['source'],
        source_shape=(SIZE, SIZE, 3),
    )  # fmt: skip
    method = swd_transfer.build(config, task)
    generator = np.random.default_rng(5)
    batch = {}
    for name, num, bands in (('source', MANY, 3), ('labelled', FEW, 2), ('unlabelled', MANY, 2)):
        images = generator.uniform(-1, 1, (num, SIZE, SIZE, bands)).astype(np.float32)
        labels = generator.integers(0, CLASSES, num).astype(np.int32)
        batch[name] = {'images': images, 'labels': labels, 'truth': jnp.full(num, -1)}
    state = method.phases[1].begin(method.init(random.key(0), batch, None))
    return method, state, batch


def make_peer(config: ConfigDict, parameters: Any, **options: Any) -> Any:
    return best_effort.build(config, jax.tree.map(np.asarray, parameters), SETS, 'cpu', **options)


def as_batch(batch: Any) -> Any:
    source, few, every = (
        torch.from_numpy(batch[name]['images']) for name in ('source', 'labelled', 'unlabelled')
    )
    labels, known = (
        torch.from_numpy(batch[name]['labels'].astype(np.int64)) for name in ('source', 'labelled')
    )
    return best_effort.Batch(source, labels, few, known, every)


def directions_of(config: ConfigDict, key: Any) -> Any:
    """Those that a step of eojax draws from its key."""
    drawn = random.split(key, 3)[2]
    shape = (config.method.num_projections, config.method.embedding_size)
    pair = [ours.random_projections(k, *shape) for k in (drawn, random.fold_in(drawn, 1))]
    return torch.from_numpy(np.array(pair))


def near_all(found: Any, expected: Any, tolerance: float) -> None:
    for name, array in torch_names(expected):
        limit = tolerance * max(np.abs(array).max(), 0.01)
        np.testing.assert_allclose(
            found[name].detach().numpy(), array, rtol=0, atol=limit, err_msg=name
        )


@pytest.mark.parametrize(
    'options',
    [
        {'method__target_rate_factor': 0.3},
        {'method__normalise_embedding': True, 'method__classifier_hidden': 10},
        {'method__train_source_encoder': False, 'model__normalise_input': True},
        {'model__norm': 'batch'},
        {'method__sum_over_batch': True},
    ],
)
def test_two_steps_are_eojaxs(options, monkeypatch):
    """Loss, momentum (the gradient), update and running average."""
    config = tiny_config(**options)
    method, state, batch = initial_state(config)
    peer = make_peer(config, state.trained.parameters)
    step = jax.jit(method.phases[1].step)
    for key in random.split(random.key(4)):
        monkeypatch.setattr(peer, '_directions', lambda key=key: directions_of(config, key))
        state, metrics = step(state, batch, key)
        peer.update(as_batch(batch))
        assert float(peer.loss) == pytest.approx(float(metrics['loss']), rel=2e-5)
        own = dict(peer.networks.named_parameters())
        near_all(own, state.trained.parameters, 2e-5)
        near_all(dict(peer.average.named_parameters()), state.trained.average, 2e-5)
        momenta = {k: p for k, p in own.items() if p in peer.optimizer.state}
        trace = state.trained.moments[0][0].trace
        assert momenta.keys() == dict(torch_names(trace)).keys()
        near_all(
            {k: peer.optimizer.state[p]['momentum_buffer'] for k, p in momenta.items()},
            trace,
            3e-4,
        )
    assert ('source.head.weight' in momenta) == config.method.train_source_encoder


@pytest.mark.parametrize(('absent', 'by_size'), [(False, False), (True, False), (True, True)])
def test_class_distances_and_their_gradients_are_eojaxs(absent, by_size):
    """With unequal counts, and a class that one side does not have."""
    generator = np.random.default_rng(2)
    sources, targets = (generator.standard_normal((n, 4)).astype(np.float32) for n in (11, 6))
    labels = generator.integers(0, 4, 11)
    known = np.array([0, 1, 1, 0, 1, 1]) if absent else np.array([0, 1, 2, 3, 3, 3])
    key = random.key(3)

    def distance(source: Any, target: Any) -> Any:
        return ours.class_conditional_sliced_wasserstein(
            source, jnp.asarray(labels), target, jnp.asarray(known), 4, key, 9, by_size=by_size
        )

    value, gradients = jax.value_and_grad(distance, (0, 1))(sources, targets)
    leaves = [torch.from_numpy(x).requires_grad_() for x in (sources, targets)]
    directions = torch.from_numpy(np.array(ours.random_projections(key, 9, 4)))
    found = theirs.class_conditional(
        leaves[0],
        torch.from_numpy(labels),
        leaves[1],
        torch.from_numpy(known),
        4,
        directions,
        by_size,
    )
    found.backward()
    assert float(found.detach()) == pytest.approx(float(value), rel=1e-5)
    for leaf, gradient in zip(leaves, gradients, strict=True):
        np.testing.assert_allclose(leaf.grad, gradient, atol=1e-5)


def test_the_rates_are_those_of_the_phase():
    config = tiny_config(method__target_rate_factor=0.5)
    schedule = optimizers.learning_rate(config.optimizer, 20)
    expected = [0.5 * float(schedule(step)) for step in range(20)]
    assert learning_rates(config) == pytest.approx(expected)


def test_a_step_trains_on_its_own_batches():
    config = tiny_config(optimizer__name='adam', optimizer__warmup_steps=0)
    peer = make_peer(config, initial_state(config)[1].trained.parameters)
    assert float(peer.target.images.min()) >= -1.0
    weights = [p.detach().clone() for p in peer.weights]
    losses = []
    for _ in range(3):
        peer.step()
        losses.append(float(peer.loss))
    peer.synchronize()
    assert np.isfinite(losses).all()
    assert len(set(losses)) == 3
    assert all((p != q).any() for p, q in zip(peer.weights, weights, strict=True))
    for domain, order, num in zip(
        (peer.source, peer.target), peer.orders[:2], (MANY, FEW), strict=True
    ):
        chosen = next(order)
        assert len(chosen) == num
        assert (domain.labels[chosen] >= 0).all()


@pytest.mark.parametrize(
    ('key', 'value'),
    [('method.pseudo_labels', True), ('optimizer.clip_norm', 1.0), ('method.augment', 'mixup')],
)
def test_options_that_the_peer_does_not_compute_are_refused(key, value):
    config = tiny_config()
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=f'{key}=') as caught:
        best_effort.build(config, {}, SETS, 'cpu')
    assert '\n' not in str(caught.value)


def test_another_method_is_refused():
    config = base_config('fine_tune', 'convnet', 'landscape_zones', 'landscape_zones')
    with pytest.raises(UserError, match=r"method\.name 'swd_transfer' alone, not 'fine_tune'"):
        best_effort.build(config, {}, SETS, 'cpu')
