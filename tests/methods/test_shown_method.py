"""The method that the page on the contract shows: it runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax import random

from eojax.methods import METHODS
from eojax.methods.method import Recipe
from eojax.training.loop import train
from tests.methods.linear_model import build_linear, plain_config, small_batch
from tests.training_runs import rows, small_config

PAGE = Path(__file__).parents[2] / 'docs' / 'how_it_is_built.md'


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """The example's recipe, among the methods that configs can name."""
    section = PAGE.read_text().split('A whole method', 1)[1]
    found = re.search(r'```python\n(.*?)```', section, re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {'__name__': 'shown'}
    exec(compile(found.group(1), str(PAGE), 'exec'), names)
    monkeypatch.setitem(METHODS, 'shown', names['RECIPE'])
    return names['RECIPE']


def test_its_step_is_that_of_the_supervised_method(recipe: Recipe, monkeypatch: pytest.MonkeyPatch):
    states, losses = [], []
    for name in ('shown', 'supervised'):
        method = build_linear(monkeypatch, plain_config(name, optimizer__learning_rate=0.1))
        state, batch = method.init(random.key(0), small_batch(), None), small_batch()
        for number in range(2):
            state, metrics = jax.jit(method.phases[0].step)(state, batch, random.key(number))
        states.append(state.trained)
        losses.append({name: float(value) for name, value in metrics.items()})
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), *states)


def test_it_trains_and_is_evaluated(recipe: Recipe, tmp_path: Path):
    out = train(small_config('shown', steps=4, evaluate_every=4, checkpoint_every=4), tmp_path)
    assert {'evaluation.json', 'confusion_matrix.png'} <= {path.name for path in out.iterdir()}
    assert 'validation_accuracy' in rows(tmp_path)[-1]
