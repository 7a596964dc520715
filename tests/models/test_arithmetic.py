"""The type of the arithmetic: chosen by the devices when a run begins, and kept by the run."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from eojax import models
from eojax.config.base import from_json
from eojax.devices import target
from eojax.errors import UserError
from eojax.models.arithmetic import dtype_of, settle
from eojax.runs import run as runs
from tests.tiny_runs import tiny_config


@pytest.mark.parametrize(
    ('platform', 'expected'), [('cpu', 'float32'), ('gpu', 'bfloat16'), ('tpu', 'bfloat16')]
)
def test_auto_is_what_the_devices_are_good_at(
    platform: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, 'platform', lambda: platform)
    config = tiny_config('supervised')
    assert config.model.dtype == 'auto'
    assert settle(config).model.dtype == expected
    assert config.model.dtype == 'auto', 'the config itself is as it was'
    assert dtype_of('auto') == jnp.dtype(expected)
    assert dtype_of('float32') == jnp.float32


def test_a_run_keeps_the_type_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config('supervised')
    run = runs.prepare(config, tmp_path)
    assert run.config.model.dtype == 'float32'
    runs.open_folder(tmp_path, run.config)
    assert from_json(tmp_path / 'config.json').model.dtype == 'float32'
    monkeypatch.setattr(target, 'platform', lambda: 'gpu')
    runs.check_folder(tmp_path, config)
    assert settle(config, from_json(tmp_path / 'config.json')).model.dtype == 'float32'
    config.model.dtype = 'bfloat16'
    with pytest.raises(UserError, match=r'model\.dtype'):
        runs.check_folder(tmp_path, config)


def test_bfloat16_computes_about_the_same_with_float32_parameters() -> None:
    """Predictions agree but for rounding: 2^-8 a layer, which averages out."""
    config = tiny_config('jem')
    images = random.uniform(random.key(1), (16, 16, 16, 3), minval=-1.0, maxval=1.0)
    outputs = {}
    for name in ('float32', 'bfloat16'):
        config.model.dtype = name
        network = models.build(config.model, 10)
        parameters, statistics = network.init(random.key(0), images)
        assert {leaf.dtype for leaf in jax.tree.leaves(parameters)} == {jnp.dtype('float32')}
        outputs[name] = network.apply(parameters, statistics, images)
    for exact, rounded in zip(*map(jax.tree.leaves, outputs.values()), strict=True):
        assert exact.dtype == rounded.dtype == jnp.float32
        assert float(jnp.abs(exact - rounded).max()) < 0.03 * float(jnp.abs(exact).max()) + 0.01


def test_parameters_that_are_ready_give_the_same_numbers() -> None:
    config = tiny_config('jem')
    config.model.update({'dtype': 'bfloat16', 'norm': 'group'})
    network = models.build(config.model, 10)
    images = random.uniform(random.key(1), (4, 16, 16, 3), minval=-1.0, maxval=1.0)
    parameters, statistics = network.init(random.key(0), images)
    parameters = jax.tree.map(lambda x: x + 0.01, parameters)
    assert network.ready is not None
    ready = network.ready(parameters)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(ready['group1_block1']['conv1'])} == {
        'bfloat16'
    }
    for name in ('head', 'density1', 'norm'):
        assert {leaf.dtype.name for leaf in jax.tree.leaves(ready[name])} == {'float32'}

    def energy(parameters):
        return lambda x: jax.nn.logsumexp(network.apply(parameters, statistics, x), -1).sum()

    for function in (lambda p: energy(p)(images), lambda p: jax.grad(energy(p))(images)):
        # Without jit: what is compiled together is rounded together.
        np.testing.assert_array_equal(function(ready), function(parameters))
