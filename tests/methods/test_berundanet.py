"""BerundaNet's step against Eq. 3.3 by hand, and what unlabelled images can and cannot do."""

from __future__ import annotations

import shutil
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random
from ml_collections import ConfigDict

from eojax.config.base import check_config
from eojax.errors import UserError
from eojax.methods import METHODS
from eojax.methods.method import Method, Task
from eojax.models import berundanet as networks
from eojax.runs import run as runs
from eojax.training.loop import train
from tests.methods.linear_model import plain_config, small_task
from tests.trained_states import with_trained
from tests.training_runs import assert_same_bits, saved_state, small_config

SHAPE, RATE = (8, 8, 2), 0.5


def small_net(method: str = 'berundanet', **options: Any) -> ConfigDict:
    """WRN-10-1 and plain gradient descent; `options` by key, with `__` for the dot."""
    config = plain_config(method, model__depth=10, model__width=1, optimizer__learning_rate=RATE)
    if method == 'berundanet':
        config.method.decoder_features = 4
    config.update_from_flattened_dict({k.replace('__', '.'): v for k, v in options.items()})
    return config


def task() -> Task:
    return small_task()._replace(image_shape=SHAPE)


def built(config: ConfigDict) -> Method:
    return METHODS[config.method.name].build(config, task())


def batch(unlabelled: int = 1) -> dict[str, dict[str, Array]]:
    """Six labelled images, and four others of the seed `unlabelled`."""
    keys = random.key(7), random.key(unlabelled)
    images = [
        random.uniform(k, (n, *SHAPE), minval=-1.0) for k, n in zip(keys, (6, 4), strict=True)
    ]
    return {
        'labelled': {'images': images[0], 'labels': jnp.arange(6) % 3},
        'unlabelled': {'images': images[1], 'labels': jnp.full(4, -1)},
    }


def stepped(config: ConfigDict, state: Any, of: Any) -> tuple[Any, Any]:
    return jax.jit(built(config).phases[0].step)(state, of, random.key(1))


@pytest.mark.parametrize(('kind', 'weight'), [('l1', 0.5), ('l2', 5.0)])
def test_loss_by_hand(kind: str, weight: float):
    config = small_net(method__reconstruction=kind, method__reconstruction_weight=weight)
    state, data = built(config).init(random.key(0), batch(), None), batch()
    new, metrics = stepped(config, state, data)
    network = networks.build(config.model, 3, 2, 4)
    labelled, others = (data[name]['images'] for name in ('labelled', 'unlabelled'))

    @jax.jit
    def hand_loss(parameters: Any) -> Array:
        logits, painted = network.apply(parameters, {}, labelled)  # no normalisation here
        _, painted_others = network.apply(parameters, {}, others)
        log_p = logits - jnp.log(jnp.exp(logits).sum(-1, keepdims=True))
        supervised = -sum(log_p[i, i % 3] for i in range(6)) / 6
        difference = jnp.concatenate([painted - labelled, painted_others - others])
        error = jnp.abs(difference) if kind == 'l1' else difference**2
        return supervised + weight * error.sum() / (10 * 8 * 8 * 2)

    loss, gradient = jax.jit(jax.value_and_grad(hand_loss))(state.trained.parameters)
    assert float(metrics['loss']) == pytest.approx(float(loss), rel=1e-5)
    jax.tree.map(
        lambda p, g, q: np.testing.assert_allclose(q, p - RATE * g, atol=2e-5),
        state.trained.parameters, gradient, new.trained.parameters,
    )  # fmt: skip


def test_without_reconstruction_it_is_supervised():
    config, data = small_net(method__reconstruction_weight=0.0), batch()
    state = built(config).init(random.key(0), data, None)
    new, metrics = stepped(config, state, data)
    plain = small_net('supervised')
    other = built(plain).init(random.key(3), data, None)
    encoder = state.trained.parameters['encoder']
    assert jax.tree.structure(other.trained.parameters) == jax.tree.structure(encoder)
    expected, reference = stepped(plain, with_trained(other, parameters=encoder), data)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
        new.trained.parameters['encoder'], expected.trained.parameters,
    )  # fmt: skip
    jax.tree.map(
        np.testing.assert_array_equal,
        new.trained.parameters['decoder'],
        state.trained.parameters['decoder'],
    )
    for name in ('loss', 'accuracy'):
        assert float(metrics[name]) == pytest.approx(float(reference[name]), rel=1e-5)


def _moved(first: Any, second: Any) -> dict[str, float]:
    """The largest difference in each layer of the encoder."""
    return {
        name: max(
            float(np.abs(a - b).max())
            for a, b in zip(jax.tree.leaves(value), jax.tree.leaves(second[name]), strict=True)
        )
        for name, value in first.items()
    }


def test_unlabelled_images_act_by_their_reconstruction_alone():
    after = {}
    for weight in (0.0, 0.5):
        config = small_net(method__reconstruction_weight=weight)
        state = built(config).init(random.key(0), batch(), None)
        for seed in (1, 2):
            new, _ = stepped(config, state, batch(seed))
            after[weight, seed] = new.trained.parameters['encoder']
    without = _moved(after[0.0, 1], after[0.0, 2])
    assert max(without.values()) < 1e-6
    through = _moved(after[0.5, 1], after[0.5, 2])
    # The classifier's head is not between the image and its reconstruction.
    assert through.pop('head') < 1e-6
    assert min(through.values()) > 1e-6


def test_labels_of_unlabelled_images_are_not_looked_at():
    config, data = small_net(), batch()
    state = built(config).init(random.key(0), data, None)
    new, _ = stepped(config, state, data)
    named = {**data, 'unlabelled': {**data['unlabelled'], 'labels': jnp.asarray([0, 1, 2, 1])}}
    other, _ = stepped(config, state, named)
    jax.tree.map(np.testing.assert_array_equal, new.trained.parameters, other.trained.parameters)


def test_batch_normalisation_sees_labelled_and_unlabelled_images():
    config, data = small_net(model__norm='batch', optimizer__learning_rate=1e-6), batch()
    state = built(config).init(random.key(0), data, None)
    new, _ = stepped(config, state, data)
    stem = state.trained.parameters['encoder']['stem']
    images = jnp.concatenate([data['labelled']['images'], data['unlabelled']['images']])
    outputs = jax.lax.conv_general_dilated(
        images, stem['kernel'], (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )
    first = new.trained.statistics['encoder']['group1_block1']['norm1']['BatchNorm_0']
    np.testing.assert_allclose(first['mean'], 0.1 * outputs.mean((0, 1, 2)), atol=1e-5)


def test_the_average_is_what_is_evaluated():
    config, data = small_net(method__average_decay=0.9), batch()
    method = built(config)
    state = method.init(random.key(0), data, None)
    step = jax.jit(method.phases[0].step)
    for number in range(2):
        state, _ = step(state, data, random.key(number))
    images = data['labelled']['images']
    network = networks.build(config.model, 3, 2, 4)
    logits, painted = jax.jit(network.apply)(state.trained.average, {}, images)
    key = random.key(0)
    found = method.abilities['logits'](state, images, key)
    np.testing.assert_allclose(found, logits, atol=1e-5)
    again = method.abilities['reconstruct'](state, images, key)
    np.testing.assert_allclose(again, np.clip(painted, -1.0, 1.0), atol=1e-5)
    assert (
        np.abs(jax.jit(network.apply)(state.trained.parameters, {}, images)[0] - logits).max()
        > 1e-4
    )


@pytest.mark.usefixtures('compiled_once')
def test_fewer_labels_than_the_batch_train_and_resume_exactly(tmp_path):
    changes = {'data__labels_per_class': '1', 'batch_size': 12, 'model__norm': 'batch'}
    changes |= {'method__decoder_features': 4, 'method__average_decay': 0.9, 'steps': 6}
    config = small_config('berundanet', **changes, checkpoint_every=3, evaluate_every=6)
    config.evaluate.checkpoint = 'best'
    out = train(config, tmp_path / 'run')
    assert {'reconstructions.png', 'confusion_matrix.png'} <= {path.name for path in out.iterdir()}
    state = saved_state(tmp_path / 'run', 6)
    assert all(np.isfinite(v).all() for v in state.values() if v.dtype.kind == 'f')
    # As a run that was killed after its checkpoint at step 3 leaves it.
    shutil.rmtree(tmp_path / 'run' / 'checkpoints' / '6')
    train(config, tmp_path / 'run')
    assert_same_bits(state, saved_state(tmp_path / 'run', 6))
    run = runs.prepare(config, tmp_path / 'run')
    assert len(run.splits.labelled) == 10
    streams = run.method.phases[0].streams
    assert (streams['unlabelled'].part, streams['unlabelled'].batch_size) == ('train', 12)


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('reconstruction', 'l3', "unknown method.reconstruction 'l3'"),
        ('augment', 'weak', 'unknown method.augment'),
        ('unlabelled_ratio', 0, 'method.unlabelled_ratio must be at least 1'),
        ('decoder_features', 0, 'method.decoder_features must be at least 1'),
        ('reconstruction_weight', -0.5, 'method.reconstruction_weight must not be negative'),
        ('average_decay', 1.0, 'method.average_decay must lie in'),
    ],
)
def test_what_cannot_train_is_refused(key: str, value: Any, message: str):
    config = small_net()
    check_config(config)
    config.method[key] = value
    with pytest.raises(UserError, match=message):
        check_config(config)
