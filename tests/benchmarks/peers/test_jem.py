"""The PyTorch peers of the JEM step compute what eojax computes, from the same weights."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

torch = pytest.importorskip('torch', reason='the peers need benchmarks/requirements.txt')

from benchmarks.peers import jem as jem_peers  # noqa: E402
from benchmarks.peers.flax_weights import torch_names  # noqa: E402
from benchmarks.peers.jem import best_effort, reference_style  # noqa: E402
from benchmarks.peers.wide_resnet import from_flax  # noqa: E402
from eojax.config.base import base_config  # noqa: E402
from eojax.data.dataset import Dataset, image_dataset  # noqa: E402
from eojax.data.facts import Facts  # noqa: E402
from eojax.errors import UserError  # noqa: E402
from eojax.methods import jem  # noqa: E402
from eojax.methods.method import Task  # noqa: E402
from eojax.methods.update import optimizers  # noqa: E402
from eojax.models import MODELS  # noqa: E402
from eojax.samplers import langevin  # noqa: E402
from eojax.samplers.replay_buffer import ReplayBuffer  # noqa: E402
from tests.trained_states import with_trained  # noqa: E402

MODULES = {'reference style': reference_style, 'best effort': best_effort}
BATCH = 4


def tiny_config(size: int = 16, depth: int = 10, width: int = 1) -> Any:
    config = base_config('jem', 'wide_resnet', 'landscapes')
    config.batch_size = config.method.likelihood_batch_size = BATCH
    config.data.size = size
    config.model.update({'depth': depth, 'width': width, 'density_head': True})
    config.sampler.update({'steps': 3, 'buffer_size': 12})
    return config


@functools.cache
def parameters_of(size: int, depth: int, width: int, density_head: bool) -> Any:
    """Parameters that are nowhere zero, density head and biases included."""
    config = tiny_config(size, depth, width)
    config.model.density_head = density_head
    model = MODELS['wide_resnet'].build(config.model, 5)
    shapes = jax.eval_shape(model.init, random.key(0), jnp.zeros((1, size, size, 3)))[0]
    generator = np.random.default_rng(depth)

    def draw(shape: Any) -> np.ndarray:
        scale = 0.05 if len(shape.shape) == 1 else np.prod(shape.shape[:-1]) ** -0.5
        if shape.shape[-1] == 1:
            scale *= 0.1  # summed over pixels
        return (scale * generator.standard_normal(shape.shape)).astype(np.float32)

    return jax.tree.map(draw, shapes)


def uniform_images(num: int, size: int = 16) -> np.ndarray:
    return np.random.default_rng(num).uniform(-1, 1, (num, size, size, 3)).astype(np.float32)


def training_set(num: int = 20, size: int = 16) -> Dataset:
    generator = np.random.default_rng(7)
    images = generator.integers(0, 256, (num, size, size, 3)).astype(np.uint8)
    names = tuple(str(i) for i in range(num))
    return image_dataset(images, (np.arange(num) % 5).astype(np.int32), names, tuple('abcde'))


def make_peer(name: str, config: Any, **options: Any) -> Any:
    parameters = parameters_of(config.data.size, config.model.depth, config.model.width, True)
    return MODULES[name].build(config, parameters, {'data': training_set()}, 'cpu', **options)


def to_torch(images: np.ndarray) -> Any:
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)


def from_torch(images: Any) -> np.ndarray:
    return images.detach().permute(0, 2, 3, 1).numpy()


def near(ours: Any, theirs: Any, tolerance: float = 2e-5) -> None:
    """Equal but for rounding, measured at the largest value."""
    theirs = np.asarray(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())


@pytest.mark.parametrize('activation', ['leaky_relu', 'swish'])
@pytest.mark.parametrize('density_head', [False, True])
@pytest.mark.parametrize(('size', 'depth', 'width'), [(16, 10, 1), (32, 16, 2)])
def test_energy_and_image_gradient_are_eojaxs(size, depth, width, density_head, activation):
    config = tiny_config(size, depth, width)
    config.model.update({'activation': activation, 'density_head': density_head})
    parameters = parameters_of(size, depth, width, density_head)
    model = MODELS['wide_resnet'].build(config.model, 5)
    images = uniform_images(2, size)
    energy = jem.energy_of(model, parameters, {}, None)
    values, backward = jax.vjp(jax.jit(energy), images)
    (gradient,) = backward(jnp.ones(2))
    inputs = to_torch(images).requires_grad_()
    found = -from_flax(config.model, parameters)(inputs).logsumexp(1)
    (found_gradient,) = torch.autograd.grad(found.sum(), inputs)
    near(found.detach(), values)
    near(from_torch(found_gradient), gradient)


def test_foreign_parameters_are_refused():
    config = tiny_config()
    parameters = dict(parameters_of(16, 10, 1, True))
    with pytest.raises(ValueError, match=r'density1\.weight'):
        from_flax(config.model, {k: v for k, v in parameters.items() if k != 'density1'})
    with pytest.raises(ValueError, match='extra'):
        from_flax(config.model, {**parameters, 'extra': {'kernel': np.zeros((1, 1))}})
    short = {'kernel': parameters['density1']['kernel'][:-1]}
    with pytest.raises(ValueError, match=r'density1\.weight is \(1, 16\)'):
        from_flax(config.model, {**parameters, 'density1': short})


def eojax_step(config: Any, buffer: np.ndarray, labelled: np.ndarray, real: np.ndarray) -> Any:
    """The state and metrics after one step of eojax's own method from this buffer."""
    method = jem.build(config, Task(Facts(class_names=tuple('abcde')), (16, 16, 3), 20, (4,) * 5))
    batch = {
        'labelled': {'images': labelled, 'labels': jnp.arange(BATCH, dtype=jnp.int32)},
        'unlabelled': {'images': real},
    }
    parameters = parameters_of(16, 10, 1, True)
    key = random.key(0)
    state = jax.eval_shape(method.init, key, batch, method.fitted)
    state = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), state)
    filled = ReplayBuffer.of(jnp.asarray(buffer)[None], state.replay_buffer.labels)
    state = with_trained(state, parameters=parameters, average=parameters)._replace(
        replay_buffer=filled
    )
    return jax.jit(method.phases[0].step)(state, batch, key)


@pytest.mark.parametrize('name', MODULES)
def test_a_whole_step_is_eojaxs(name, monkeypatch):
    """Chains, loss, gradient, update and buffer, where chance is left out of all of them."""
    config = tiny_config()
    config.sampler.update({'noise': 0.0, 'reinitialise': 0.0, 'buffer_size': BATCH})
    config.method.update({'input_noise': 0.0, 'energy_l2': 0.1, 'likelihood_weight': 0.7})
    config.method.classification_weight = 1.3
    labelled, real = uniform_images(BATCH), uniform_images(BATCH)[::-1].copy()
    peer = make_peer(name, config)
    monkeypatch.setattr(peer, '_draw', torch.arange)  # every chain of the buffer, as eojax does
    images_first = name == 'reference style'
    buffer = from_torch(peer.buffer) if images_first else peer.buffer.numpy()
    state, metrics = eojax_step(config, buffer.copy(), labelled, real)
    peer.update(to_torch(labelled), torch.arange(BATCH), to_torch(real))
    ends = from_torch(peer.buffer) if images_first else peer.buffer.numpy()
    near(ends, state.replay_buffer.images[0])
    near(float(peer.loss), metrics['loss'])
    moments, own = (
        dict(torch_names(state.trained.moments[0].mu)),
        dict(peer.network.named_parameters()),
    )
    for key, weights in torch_names(state.trained.parameters):
        near(peer.optimizer.state[own[key]]['exp_avg'], moments[key], 1e-4)
        # An element whose gradient is all rounding moves by up to the rate in either direction.
        moved = np.abs(own[key].detach().numpy() - weights)
        assert np.mean(moved > 0.02 * config.optimizer.learning_rate) < 0.01, key


@pytest.mark.parametrize('name', MODULES)
def test_a_chain_without_noise_ends_where_eojaxs_does(name):
    config = tiny_config()
    config.sampler.update({'noise': 0.0, 'steps': 4, 'decay': 0.5, 'step_size': 3.0})
    config.sampler.update({'clamp': 0.98, 'clamp_gradient': 0.02})
    images = uniform_images(BATCH)
    model = MODELS['wide_resnet'].build(config.model, 5)
    energy = jem.energy_of(model, parameters_of(16, 10, 1, True), {}, None)
    chain = langevin.from_config(config.sampler)
    end = jax.jit(lambda x: langevin.run_chain(energy, x, random.key(0), chain).images)(images)
    peer = make_peer(name, config)
    found = from_torch(peer.chain(to_torch(images)))
    near(found, end)
    assert np.abs(found - images).max() > 0.02  # more than one bounded move
    assert np.isclose(np.abs(found), 0.98).any()


def test_the_langevin_coefficients_are_equation_8_or_its_decoupled_form():
    options = tiny_config().sampler
    options.update({'steps': 4, 'step_size': 0.8, 'noise': 0.3, 'decay': 1.0})
    assert jem_peers.langevin_coefficients(options, 2) == pytest.approx((0.4, 0.3))
    options.coupled = True
    assert jem_peers.langevin_coefficients(options, 2) == pytest.approx((0.2, 0.4**0.5))


@pytest.mark.parametrize('name', MODULES)
def test_the_chains_noise_has_the_configs_deviation(name):
    config = tiny_config()
    config.sampler.update({'steps': 1, 'noise': 0.25, 'step_size': 1e-6})
    images = to_torch(uniform_images(16))
    moved = make_peer(name, config).chain(images) - images
    assert moved.std() == pytest.approx(0.25, rel=0.03)


@pytest.mark.parametrize('name', MODULES)
def test_the_buffer_changes_where_it_was_drawn_and_lies_where_it_should(name):
    peer = make_peer(name, tiny_config())
    before = peer.buffer.clone()
    weights = [p.detach().clone() for p in peer.network.parameters()]
    peer.step()
    changed = (peer.buffer != before).flatten(1).any(1)
    assert set(torch.nonzero(changed)[:, 0].tolist()) == set(peer.drawn.tolist())
    assert 0 < int(changed.sum()) < len(before)
    assert all((p != q).any() for p, q in zip(peer.network.parameters(), weights, strict=True))
    before = peer.buffer.clone()
    peer.sampler()
    peer.synchronize()
    assert (peer.buffer == before).all()


def test_the_reference_styles_buffer_stays_on_the_host_and_travels_each_step(monkeypatch):
    peer = make_peer('reference style', tiny_config())
    travels = []

    def chain(images: Any) -> Any:
        travels.append(images)
        return images + 1.0

    monkeypatch.setattr(peer, 'chain', chain)
    buffer = peer.buffer
    peer.step()
    assert peer.buffer is buffer
    assert peer.buffer.device.type == 'cpu'
    assert [x.shape for x in travels] == [(BATCH, 3, 16, 16)]
    ends = dict(zip(peer.drawn.tolist(), travels[0] + 1.0, strict=True))
    assert all((peer.buffer[slot] == end).all() for slot, end in ends.items())


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_the_chain_follows_the_trained_weights(dtype):
    peer = make_peer('best effort', tiny_config(), dtype=dtype)
    config = peer.config
    config.unlock()
    images = to_torch(uniform_images(BATCH))
    before = peer.frozen_log_density(images)
    peer.rates = [0.01]
    peer.step()
    with torch.no_grad():
        want = peer.network(images).logsumexp(1).sum()
    assert abs(want - before) > 0.2
    assert abs(want - peer.frozen_log_density(images)) < 0.1 * abs(want - before)
    assert not any(p.requires_grad for p in peer.frozen.parameters())


def test_bfloat16_stays_near_float32():
    images = to_torch(uniform_images(BATCH))
    exact = make_peer('best effort', tiny_config()).chain(images)
    config = tiny_config()
    config.sampler.noise = 0.0
    exact = make_peer('best effort', config).chain(images) - images
    rounded = make_peer('best effort', config, dtype='bfloat16').chain(images) - images
    assert rounded.dtype == torch.float32
    error = (rounded - exact).norm() / exact.norm()
    assert 1e-5 < error < 0.05


def test_learning_rates_are_the_schedules():
    config = tiny_config()
    config.steps = 40
    config.method.supervised_steps = 4
    config.optimizer.update({'warmup_steps': 10, 'schedule': 'milestones', 'milestones': (0.5,)})
    schedule = optimizers.learning_rate(config.optimizer, config.steps)
    expected = [float(schedule(step)) for step in range(4, 40)]
    assert jem_peers.learning_rates(config) == pytest.approx(expected)
    peer = make_peer('reference style', config)
    peer.step()
    peer.step()
    assert peer.optimizer.param_groups[0]['lr'] == pytest.approx(expected[1])


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('method.score_matching_weight', 0.1),
        ('method.class_conditional', True),
        ('method.average_decay', 0.9),
        ('method.augment', 'randaugment'),
        ('sampler.start', 'gaussian'),
        ('sampler.buffer_dtype', 'bfloat16'),
        ('model.norm', 'batch'),
        ('model.dropout', 0.1),
        ('optimizer.name', 'sgd'),
        ('optimizer.clip_norm', 1.0),
    ],
)
@pytest.mark.parametrize('name', MODULES)
def test_options_that_a_peer_does_not_compute_are_refused(name, key, value):
    config = tiny_config()
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=f'{key}=') as caught:
        make_peer(name, config)
    assert '\n' not in str(caught.value)


def test_an_option_that_no_peer_has_heard_of_is_refused():
    config = tiny_config()
    with config.unlocked():
        config.sampler.momentum = 0.5
    with pytest.raises(UserError, match=r'sampler\.momentum=0\.5'):
        make_peer('best effort', config)


@pytest.mark.parametrize('name', MODULES)
def test_other_methods_devices_and_dtypes_are_refused(name):
    supervised = base_config('supervised', 'wide_resnet', 'landscapes')
    with pytest.raises(UserError, match=r'method\.name'):
        MODULES[name].build(supervised, {}, {'data': training_set()}, 'cpu')
    parameters = parameters_of(16, 10, 1, True)
    for device in ('cuda:77', 'abacus'):
        with pytest.raises(UserError, match=f"no device '{device}'"):
            MODULES[name].build(tiny_config(), parameters, {'data': training_set()}, device)
    with pytest.raises(UserError, match='unknown dtype'):
        make_peer('best effort', tiny_config(), dtype='float8')


def test_without_a_compiler_one_line_says_so(capsys, monkeypatch):
    def broken(function, **options):
        def call(*arguments):
            raise torch._dynamo.exc.TorchDynamoException('no C++\ncompiler')

        return call

    monkeypatch.setattr(torch, 'compile', broken)
    peer = make_peer('best effort', tiny_config(), compiled=True)
    said = capsys.readouterr().err
    assert said.count('\n') == 1
    assert 'torch.compile does not work here' in said
    assert not peer.compiled
    assert 'not compiled' in peer.notes
    peer.step()


def test_notes_name_precision_and_threads():
    threads = f'{torch.get_num_threads()} threads'
    assert make_peer('reference style', tiny_config()).notes == f'float32, not compiled, {threads}'
    notes = make_peer('best effort', tiny_config(), dtype='bfloat16').notes
    assert notes == f'bfloat16, channels last, not compiled, {threads}'
