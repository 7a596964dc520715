"""The variational autoencoder against its equations, and a run of it from training to samples."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random
from ml_collections import ConfigDict
from scipy import stats

from eojax.apps import generate
from eojax.config.base import base_config, check_config
from eojax.errors import UserError
from eojax.evaluation.reconstructions import reconstruct_batches
from eojax.feed.streams import Stream
from eojax.losses.pixel_likelihood import LEVEL
from eojax.methods import vae
from eojax.methods.method import Method
from eojax.models import convolutional_autoencoder, inception
from eojax.runs.opening import open_run
from eojax.runs.run import with_data
from eojax.training.loop import train
from tests.methods.linear_model import SHAPE, small_batch, small_task
from tests.training_runs import assert_same_bits, rows, saved_state

LATENT, VALUES = 2, math.prod(SHAPE)


def linear_autoencoder() -> Any:
    """m(x) = A x, log v = c, and a decoder W z + b: p(x) is a Gaussian in closed form."""

    def init(key: Array, images: Array) -> Any:
        keys = random.split(key, 3)
        return {
            'A': 0.3 * random.normal(keys[0], (VALUES, LATENT)),
            'c': jnp.asarray([-0.5, 0.2]),
            'W': 0.3 * random.normal(keys[1], (LATENT, VALUES)),
            'b': 0.1 * random.normal(keys[2], (VALUES,)),
        }

    def encode(parameters: Any, images: Array) -> tuple[Array, Array]:
        means = images.reshape(len(images), -1) @ parameters['A']
        return means, jnp.broadcast_to(parameters['c'], means.shape)

    def decode(parameters: Any, latents: Array) -> Array:
        return (latents @ parameters['W'] + parameters['b']).reshape(-1, *SHAPE)

    return SimpleNamespace(init=init, encode=encode, decode=decode, latent=LATENT)


def plain_config(**options: Any) -> ConfigDict:
    """Plain gradient descent at rate 1 on a Gaussian likelihood; `options` of the method."""
    config = base_config('vae', 'convolutional_autoencoder', 'landscapes')
    config.steps, config.batch_size = 10, 4
    config.optimizer.update({'name': 'sgd', 'learning_rate': 1.0, 'momentum': 0.0,
                             'nesterov': False})  # fmt: skip
    config.method.update({'augment': 'none', 'likelihood': 'gaussian', **options})
    return config


def build_linear(monkeypatch: pytest.MonkeyPatch, **options: Any) -> Method:
    config = plain_config(**options)
    with monkeypatch.context() as patch:
        patch.setattr(
            convolutional_autoencoder, 'build', lambda options, shape: linear_autoencoder()
        )
        return vae.build(config, small_task())


def test_kl_is_that_of_samples():
    means, log_variances = np.array([0.5, -1.5]), np.array([-1.0, 0.7])
    found = vae.kl_of_latents(jnp.asarray(means), jnp.asarray(log_variances))
    deviations = np.exp(0.5 * log_variances)
    z = means + deviations * np.random.default_rng(0).standard_normal((400_000, 2))
    ratio = stats.norm.logpdf(z, means, deviations) - stats.norm.logpdf(z)
    np.testing.assert_allclose(found, ratio.mean(0), rtol=0.01)
    np.testing.assert_allclose(vae.kl_of_latents(jnp.zeros(3), jnp.zeros(3)), 0.0, atol=1e-7)


def expected_elbo(parameters: Any, images: Array) -> Array:
    """The ELBO of each image in closed form, with its expectation over q; without the KL's weight.

    E_q|x - W z - b|^2 = |x - W m - b|^2 + sum_j v_j |W_j|^2.
    """
    network, scale = parameters['network'], jnp.exp(parameters['log_scale'])
    spread = jnp.tile(scale, VALUES // SHAPE[-1])
    flat = images.reshape(len(images), -1)
    means, variances = flat @ network['A'], jnp.exp(network['c'])
    residual = (flat - means @ network['W'] - network['b']) / spread
    noise = (variances[:, None] * jnp.square(network['W'] / spread)).sum()
    normal = VALUES * (0.5 * jnp.log(2 * jnp.pi) - jnp.log(LEVEL)) + jnp.log(spread).sum()
    fit = -0.5 * (jnp.square(residual).sum(-1) + noise) - normal
    return fit - 0.5 * (jnp.square(means) + variances - jnp.log(variances) - 1.0).sum(-1)


def test_steps_follow_the_gradient_of_the_elbo(monkeypatch):
    """The mean of many steps' gradients is that of the closed form: z is reparameterised right."""
    method, batch = build_linear(monkeypatch), small_batch()
    state = method.init(random.key(0), batch, None)
    step = jax.jit(jax.vmap(method.phases[0].step, (None, None, 0)))
    new, metrics = step(state, batch, random.split(random.key(1), 20_000))
    images = batch['unlabelled']['images']
    loss, gradient = jax.value_and_grad(lambda p: -expected_elbo(p, images).mean() / VALUES)(
        state.trained.parameters
    )
    assert float(metrics['loss'].mean()) == pytest.approx(float(loss), rel=2e-3)
    np.testing.assert_allclose(metrics['bits_per_value'], metrics['loss'] / np.log(2), rtol=1e-5)
    found = jax.tree.map(
        lambda p, q: p - q.mean(0), state.trained.parameters, new.trained.parameters
    )
    for name, value in {**gradient['network'], 'log_scale': gradient['log_scale']}.items():
        step_taken = {**found['network'], **found}[name]
        assert np.abs(value).max() > 1e-2
        np.testing.assert_allclose(step_taken, value, rtol=0.03, atol=0.004)


def test_beta_weights_the_kl_and_free_bits_cost_nothing(monkeypatch):
    batch, losses, kls = small_batch(), {}, {}
    for options in ((1.0, 0.0), (3.0, 0.0), (1.0, 50.0)):
        method = build_linear(monkeypatch, beta=options[0], free_bits=options[1])
        state = method.init(random.key(0), batch, None)
        new, metrics = method.phases[0].step(state, batch, random.key(1))
        losses[options], kls[options] = float(metrics['loss']), float(metrics['kl'])
    kl = kls[1.0, 0.0]
    assert losses[3.0, 0.0] - losses[1.0, 0.0] == pytest.approx(2.0 * kl / VALUES, rel=1e-4)
    # Both latents are below 50 nats: their KL counts as 50 each, and has no gradient.
    assert losses[1.0, 50.0] - losses[1.0, 0.0] == pytest.approx((100.0 - kl) / VALUES, rel=1e-4)
    unpriced = build_linear(monkeypatch, beta=0.0)
    reference, _ = unpriced.phases[0].step(state, batch, random.key(1))
    for name, value in reference.trained.parameters['network'].items():
        np.testing.assert_allclose(new.trained.parameters['network'][name], value, atol=1e-6)


def test_bound_rises_with_its_samples_to_the_exact_log_density(monkeypatch):
    batch, found = small_batch(), {}
    for num in (1, 8, 4096):
        method = build_linear(monkeypatch, importance_samples=num)
        state = method.init(random.key(0), batch, None)
        images = batch['unlabelled']['images']
        density = jax.jit(jax.vmap(method.abilities['log_density'], (None, None, 0)))
        keys = random.split(random.key(2), 20_000 if num < 100 else 2)
        found[num] = np.mean(density(state, images, keys), 0)
    network, scale = (
        state.trained.parameters['network'],
        jnp.exp(state.trained.parameters['log_scale']),
    )
    covariance = network['W'].T @ network['W'] + jnp.diag(jnp.tile(scale**2, VALUES // SHAPE[-1]))
    normal = stats.multivariate_normal(np.asarray(network['b']), np.asarray(covariance))
    exact = normal.logpdf(np.asarray(images).reshape(len(images), -1)) + VALUES * np.log(LEVEL)
    np.testing.assert_allclose(found[1], expected_elbo(state.trained.parameters, images), rtol=0.01)
    assert (found[1] < found[8]).all()
    assert (found[8] < exact + 0.05).all()
    np.testing.assert_allclose(found[4096], exact, atol=0.1)
    assert (exact - found[1]).max() > 0.3  # there was something to gain


def test_the_bound_of_an_image_depends_on_its_own_key_alone(monkeypatch):
    method = build_linear(monkeypatch, importance_samples=4)
    batch = small_batch()
    state, images = method.init(random.key(0), batch, None), batch['unlabelled']['images']
    keys, order = random.split(random.key(2), len(images)), jnp.arange(len(images))[::-1]
    density = method.abilities['log_density']
    found = np.asarray(density(state, images, keys))
    np.testing.assert_allclose(density(state, images[order], keys[order]), found[::-1], rtol=1e-6)
    np.testing.assert_allclose(density(state, images[1:2], keys[1:2])[0], found[1], rtol=1e-6)
    assert np.ptp(found) > 1e-3


def test_samples_are_decoded_prior_latents_and_follow_the_key_alone(monkeypatch):
    method, batch = build_linear(monkeypatch, average_decay=0.9), small_batch()
    state = method.init(random.key(0), batch, None)
    for number in range(3):
        state, _ = method.phases[0].step(state, batch, random.key(number))
    sample = method.abilities['sample']
    first = np.asarray(sample(state, random.key(5), jnp.zeros(3, jnp.int32)))
    latents = random.normal(random.key(5), (3, LATENT))
    expected = np.clip(
        linear_autoencoder().decode(state.trained.average['network'], latents), -1, 1
    )
    np.testing.assert_allclose(first, expected, atol=1e-6)
    np.testing.assert_array_equal(first, sample(state, random.key(5), jnp.arange(3)))
    assert np.abs(first - sample(state, random.key(6), jnp.zeros(3, jnp.int32))).max() > 1e-2
    images = batch['unlabelled']['images']
    means, _ = linear_autoencoder().encode(state.trained.average['network'], images)
    again = method.abilities['reconstruct'](state, images, random.key(0))
    expected = np.clip(linear_autoencoder().decode(state.trained.average['network'], means), -1, 1)
    np.testing.assert_allclose(again, expected, atol=1e-6)
    assert (
        np.abs(
            state.trained.average['network']['W'] - state.trained.parameters['network']['W']
        ).max()
        > 1e-4
    )


def test_labels_are_not_looked_at(monkeypatch):
    method, batch = build_linear(monkeypatch), small_batch()
    state = method.init(random.key(0), batch, None)
    assert method.phases[0].streams == {'unlabelled': Stream('train', 4, 'none')}
    plain, _ = method.phases[0].step(state, batch, random.key(1))
    named = {k: {**v, 'labels': v['labels'] + 7} for k, v in batch.items()}
    other, _ = method.phases[0].step(state, named, random.key(1))
    jax.tree.map(np.testing.assert_array_equal, plain.trained.parameters, other.trained.parameters)


class Trained(NamedTuple):
    """A run of six steps, its config, and the images that its FID compared."""

    folder: Path
    config: ConfigDict
    compared: list[np.ndarray]


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory, compiled_once: None) -> Trained:
    folder = tmp_path_factory.mktemp('vae')
    config = base_config('vae', 'convolutional_autoencoder', 'landscapes')
    config.steps, config.batch_size = 6, 8
    config.checkpoint_every = config.log_every = 3
    config.evaluate_every, config.tensorboard = 6, False
    config.data.update({'size': 16, 'num_images': 200, 'labels_per_class': '1'})
    config.model.update({'width': 4, 'stages': 2, 'latent': 5})
    config.method.importance_samples = 3
    weights = folder / 'weights.npz'
    weights.write_bytes(b'')
    config.evaluate.update({'batch_size': 32, 'outlier_images': 20, 'inception': str(weights),
                            'inception_images': 30})  # fmt: skip
    compared = []

    def means(params: object, images: np.ndarray, **options: object) -> np.ndarray:
        compared.append(images)
        return images.reshape(len(images), -1)[:, :5].astype(np.float32)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inception, 'load_inception', lambda path: {})
        patch.setattr(inception, 'features', means)
        train(config, folder / 'run')
    return Trained(folder / 'run', config, compared)


def test_a_run_is_evaluated_by_what_a_vae_can_do(trained):
    out = trained.folder / 'evaluation'
    numbers = json.loads((out / 'evaluation.json').read_text())
    assert {'fid', 'kid', 'auroc_constant', 'log_density_samples', 'kl_test',
            'reconstruction_rmse'} <= numbers.keys()  # fmt: skip
    assert numbers['inception_images'] == 30
    assert not {'accuracy', 'ece'} & numbers.keys()
    assert np.isfinite(list(numbers.values())).all()
    assert [images.shape for images in trained.compared] == [(30, 16, 16, 3)] * 2
    assert len({image.tobytes() for image in trained.compared[1]}) == 30
    assert {path.name for path in out.iterdir()} == {
        'evaluation.json', 'log_density.png', 'samples.png', 'reconstructions.png',
    }  # fmt: skip
    (last,) = [row for row in rows(trained.folder) if row['step'] == 6]
    assert np.isfinite(last['validation_log_density'])
    assert (trained.folder / 'samples' / 'step_0000006.png').stat().st_size > 0


def test_reconstruction_error_is_that_of_the_reconstructions(trained):
    run, state = open_run(trained.folder)
    run = with_data(run)
    numbers = json.loads((trained.folder / 'evaluation' / 'evaluation.json').read_text())
    tested = run.dataset.images[run.splits.test]
    expected = np.asarray(
        run.method.abilities['reconstruct'](state, tested / 127.5 - 1.0, random.key(0))
    )
    error = np.sqrt(np.mean((127.5 * (expected + 1.0) - tested) ** 2))
    assert numbers['reconstruction_rmse'] == pytest.approx(error, rel=1e-3)
    parts = list(reconstruct_batches(run, state, tested))  # 40 images in batches of 32
    assert [len(again) for _, again in parts] == [32, 8]
    again = np.concatenate([again for _, again in parts])
    np.testing.assert_allclose(again, expected, atol=1e-4)


def test_resumed_is_uninterrupted(trained, tmp_path):
    trained.config.evaluate.inception = ''
    shutil.copytree(trained.folder, tmp_path / 'run')
    # As a run that was killed after its checkpoint at step 3 leaves it.
    shutil.rmtree(tmp_path / 'run' / 'checkpoints' / '6')
    train(trained.config, tmp_path / 'run')
    assert_same_bits(saved_state(trained.folder, 6), saved_state(tmp_path / 'run', 6))


def test_images_are_generated_without_chains_or_classes(trained, tmp_path, capsys):
    where = f'--workdir={trained.folder}'
    generate.main([where, '--num=10', f'--out={tmp_path}/made'])
    names = {path.name for path in (tmp_path / 'made').iterdir()}
    assert names == {f'image_{i:04d}.png' for i in range(10)} | {'grid.png', 'samples.npz'}
    with np.load(tmp_path / 'made' / 'samples.npz', allow_pickle=False) as file:
        assert set(file) == {'images', 'requested', 'class_names', 'log_density'}
        assert len({image.tobytes() for image in file['images']}) == 10
        assert (file['requested'] == -1).all()
    capsys.readouterr()
    for argument, message in (
        ('--class=River', 'makes images of no class: leave out --class'),
        ('--steps=5', 'has no chains: leave out --steps'),
        ('--start=noise', 'has no chains: leave out --start'),
    ):
        with pytest.raises(SystemExit) as stopped:
            generate.main([where, argument, f'--out={tmp_path}/other'])
        assert stopped.value.code == 1
        lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith('eojax:')]
        assert len(lines) == 1
        assert message in lines[0]


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('method.likelihood', 'gausian', "did you mean 'gaussian'"),
        ('method.augment', 'strong', 'unknown method.augment'),
        ('method.beta', -1.0, 'method.beta must not be negative'),
        ('method.free_bits', math.inf, 'method.free_bits must be a finite number'),
        ('method.importance_samples', 0, 'must be at least 1'),
        ('method.average_decay', 1.0, 'method.average_decay must lie in'),
    ],
)
def test_what_cannot_train_is_refused(key, value, message):
    config = plain_config()
    check_config(config)
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=message):
        check_config(config)
