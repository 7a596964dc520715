"""BerundaNet and W-Net for pixels: their loss by hand, and what unlabelled windows can do."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random
from ml_collections import ConfigDict

from eojax.config.base import base_config, check_config, set_key
from eojax.data.facts import Facts, Raster
from eojax.errors import UserError
from eojax.losses import mumford_shah, reconstruction, relaxed_k_means
from eojax.methods import METHODS
from eojax.methods.method import Method, Task
from eojax.methods.pixels import auxiliary
from eojax.models import two_heads, w_net

FACTS = Facts(
    name='tiles',
    class_names=('water', 'crops', 'trees'),
    rasters={'images': Raster(('red', 'green')), 'elevation': Raster(('z',), 'int16', ((0, 9),))},
    label='pixel',
    size=(12, 12),
)
RATE = 0.5


def _config(method: str = 'berundanet_segmentation', **changes: Any) -> ConfigDict:
    """A tiny U-Net without normalisation, and plain gradient descent."""
    config = base_config(method, 'unet', 'landscape_cover')
    values = {
        'steps': 10, 'batch_size': 4, 'model.width': 4, 'model.depth': 1,
        'model.normalization': 'none', 'method.window': 8, 'method.clusters': 3,
        'optimizer.name': 'sgd', 'optimizer.momentum': 0.0, 'optimizer.nesterov': False,
        'optimizer.learning_rate': RATE,
    }  # fmt: skip
    for key, value in (values | changes).items():
        set_key(config, key.replace('__', '.'), value)
    check_config(config)
    return config


def _method(config: ConfigDict) -> Method:
    return METHODS[config.method.name].build(config, Task(FACTS, (12, 12, 2), 5, ()))


def _batch(unlabelled: int = 1, ratio: int = 1) -> dict[str, dict[str, Array]]:
    batch = {}
    for name, seed, num in (('labelled', 0, 4), ('unlabelled', unlabelled, 4 * ratio)):
        keys = random.split(random.key(seed), 3)
        labels = random.randint(keys[2], (num, 8, 8), -1, 3)
        batch[name] = {
            'images': random.uniform(keys[0], (num, 8, 8, 2), minval=-1.0),
            'elevation': random.uniform(keys[1], (num, 8, 8, 1), minval=-1.0),
            'labels': labels if name == 'labelled' else jnp.full_like(labels, -1),
            'truth': labels,
        }
    return batch


def _stepped(method: Method, batch: Any, state: Any = None) -> tuple[Any, Any, Any]:
    if state is None:
        state = jax.jit(lambda b: method.init(random.key(0), b, None))(batch)
    new, metrics = jax.jit(method.phases[0].step)(state, batch, random.key(1))
    return state, new, metrics


def _network(config: ConfigDict, outputs: int) -> Any:
    if config.method.name == 'w_net':
        return w_net.build(config.model, 3, outputs)
    return two_heads.build(config.model, config.method.variant, 3, outputs, False)


@pytest.mark.parametrize(
    ('changes', 'weight'),
    [
        ({'method': 'berundanet_segmentation', 'method__auxiliary': 'relaxed_k_means',
          'method__auxiliary_weight': 0.3}, 0.3),
        ({'method': 'w_net'}, 0.5),
    ],
)  # fmt: skip
def test_loss_by_hand(changes: dict[str, Any], weight: float) -> None:
    config = _config(**changes)
    task = config.method.auxiliary
    batch = _batch(ratio=2)
    state, new, metrics = _stepped(_method(config), batch)
    network = _network(config, 2 if task == 'l1' else 3)
    labels = batch['labelled']['labels']
    images = jnp.concatenate([batch[name]['images'] for name in ('labelled', 'unlabelled')])

    @jax.jit
    @jax.value_and_grad
    def by_hand(parameters: Any) -> Array:
        logits, others = network.apply(parameters, {}, images)
        logarithms = jnp.log(jax.nn.softmax(logits[:4]))
        chosen = jnp.take_along_axis(logarithms, jnp.maximum(labels, 0)[..., None], -1)[..., 0]
        known = labels >= 0
        supervised = -jnp.where(known, chosen, 0.0).sum() / known.sum()
        if task == 'l1':
            return supervised + weight * jnp.abs(others - images).mean()
        soft = jax.nn.softmax(others)
        colours = jnp.einsum('nhwc,nhwk->nkc', images, soft) / soft.sum((1, 2))[..., None]
        data = jnp.abs(images - jnp.einsum('nkc,nhwk->nhwc', colours, soft)).mean()
        regular = (soft * (1 - soft)).sum(-1).mean()
        return supervised + weight * (data + 0.1 * regular)

    loss, gradient = by_hand(state.trained.parameters)
    assert float(metrics['loss']) == pytest.approx(float(loss), rel=1e-5)
    jax.tree.map(
        lambda p, g, q: np.testing.assert_allclose(q, p - RATE * g, atol=2e-5),
        state.trained.parameters, gradient, new.trained.parameters,
    )  # fmt: skip


def test_tasks_have_the_losses_and_the_weights_that_worked() -> None:
    images, outputs = random.uniform(random.key(0), (2, 2, 8, 8, 3), minval=-1.0)
    soft = jax.nn.softmax(outputs)
    expected = {
        'l1': (0.5, reconstruction.l1(images, outputs)),
        'l2': (5.0, reconstruction.l2(images, outputs)),
        'relaxed_k_means': (1.0, relaxed_k_means.reconstruction(images, soft)
                            + 0.1 * relaxed_k_means.peakedness(soft)),
        'mumford_shah': (1.0, mumford_shah.spread(images, soft)
                         + 0.1 * mumford_shah.border_length(soft)),
    }  # fmt: skip
    for name, (weight, value) in expected.items():
        task = auxiliary.build(_config(method__auxiliary=name).method, 3)
        assert (task.outputs, task.of_images, task.weight) == (3, False, weight)
        loss, _ = task.loss(outputs, images, None, None)
        assert float(loss) == pytest.approx(float(value), rel=1e-6)


@pytest.mark.parametrize('variant', ['late', 'early'])
def test_unlabelled_windows_reach_the_shared_and_the_second_part_alone(variant: str) -> None:
    method = _method(_config(method__variant=variant, method__auxiliary='l2'))
    state, first, _ = _stepped(method, _batch(1))
    _, second, metrics = _stepped(method, _batch(2), state)
    moved = {
        name: any(
            not np.array_equal(a, b)
            for a, b in zip(jax.tree.leaves(part), jax.tree.leaves(
                second.trained.parameters[name]), strict=True)
        )
        for name, part in first.trained.parameters.items()
    }  # fmt: skip
    expected = {'encoder': True, 'decoder': variant == 'late', 'head': False, 'second_head': True}
    assert moved == expected | ({'second_decoder': True} if variant == 'early' else {})
    # What nobody may know changes nothing.
    batch = _batch(2)
    batch['unlabelled']['truth'] = jnp.zeros_like(batch['unlabelled']['truth'])
    _, again, same = _stepped(method, batch, state)
    jax.tree.map(np.testing.assert_array_equal, second, again)
    assert float(metrics['loss']) == float(same['loss'])


@pytest.mark.parametrize('task', ['inpainting', 'jigsaw'])
def test_tasks_that_damage_windows_leave_the_labelled_ones_whole(task: str) -> None:
    config = _config(method__auxiliary=task, method__hole=3, method__permutations=5,
                     method__rasters='images,elevation')  # fmt: skip
    method, batch = _method(config), _batch()
    state, _, metrics = _stepped(method, batch)
    sample = batch['labelled']
    inputs = (sample['images'], sample['elevation'])
    logits = method.abilities['pixel_logits'](state, *inputs, random.key(0))
    logarithms = jax.nn.log_softmax(logits)
    known = sample['labels'] >= 0
    chosen = (logarithms * jax.nn.one_hot(sample['labels'], 3)).sum(-1)
    assert float(metrics['supervised']) == pytest.approx(-float(chosen[known].mean()), rel=1e-5)
    if task == 'jigsaw':
        assert 'reconstruct' not in method.abilities
        assert float(metrics['unsupervised']) == pytest.approx(np.log(5), abs=1.0)
    else:
        painted = method.abilities['reconstruct'](state, *inputs, random.key(0))
        assert painted.shape == (4, 8, 8, 3)


def test_the_accuracy_of_orders_is_of_the_windows_that_hold_data() -> None:
    options = _config(method__auxiliary='jigsaw', method__permutations=4).method
    loss = auxiliary.build(options, 2).loss
    logits, which = jnp.eye(4), jnp.array([0, 1, 0, 3])
    valid = jnp.ones((4, 6, 6), bool).at[0].set(False)
    for mask, share, counted in ((None, 0.75, 4), (valid, 2 / 3, 3), (valid & False, 0.0, 0)):
        _, metrics = loss(logits, jnp.zeros((4, 6, 6, 2)), which, mask)
        assert float(metrics['jigsaw_accuracy']) == pytest.approx(share)
        assert int(metrics['jigsaw_accuracy_counted']) == counted


def test_it_learns_with_normalisation_and_paints_in_few_colours() -> None:
    config = _config(model__normalization='batch', method__auxiliary='relaxed_k_means')
    method, batch = _method(config), _batch()
    _, new, first = _stepped(method, batch)
    step = jax.jit(method.phases[0].step)
    for _ in range(8):
        new, last = step(new, batch, random.key(1))
    assert float(last['loss']) < float(first['loss'])
    images = batch['labelled']['images']
    painted = method.abilities['reconstruct'](new, images, random.key(0))
    network = _network(config, 3)
    _, outputs = network.apply(new.trained.average, new.trained.statistics, images)
    expected = relaxed_k_means.quantised(images, jax.nn.softmax(outputs))
    np.testing.assert_allclose(painted, expected, atol=1e-6)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'method__variant': 'middle'}, 'method.variant'),
        ({'method__auxiliary': 'l3'}, 'method.auxiliary'),
        ({'method': 'w_net', 'method__auxiliary': 'jigsaw'}, 'method.auxiliary'),
        ({'method__auxiliary_weight': -0.5}, 'method.auxiliary_weight must be -1'),
        ({'method__clusters': 1}, 'method.clusters'),
        ({'method__unlabelled_ratio': 0}, 'method.unlabelled_ratio'),
        ({'method__auxiliary': 'inpainting'}, 'method.hole must be from 1 to 8'),
        ({'method__auxiliary': 'jigsaw', 'method__permutations': 1}, 'method.permutations'),
    ],
)
def test_bad_options_name_their_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        _config(**changes)
