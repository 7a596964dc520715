"""Runs whose generator is a plain function, to see what the apps of synthesis do with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax

from eojax.apps.synthesise.network import Model, model_of
from eojax.data.facts import Facts, Raster
from eojax.runs.run import Run
from tests.data.rasters import write_raster
from tests.tiny_runs import tiny_run

NAMES = ('water', 'forest', 'fields')
COLOURS = {'water': '#0000ff', 'forest': '#00ff00', 'fields': '#ffff00'}
FACTS = Facts(
    name='landscape_pairs',
    title='drawn land',
    class_names=NAMES,
    rasters={
        'images': Raster(),
        'elevation': Raster(('surface',), 'int16', ((-100.0, 100.0),)),
        'sar': Raster(('vv_db', 'vh_db'), 'float32', ((-25.0, 5.0), (-30.0, 0.0))),
    },
    label='pixel',
    class_colours=COLOURS,
    metres=10.0,
)


def run_of(
    ability: Callable[..., Any] | None,
    rasters: tuple[str, ...] = (),
    target: str = 'images',
    window: int = 16,
    facts: Facts = FACTS,
    generator: str = 'fusion',
) -> Run:
    """A run of a method with the one ability `synthesise`, or with none."""
    run = tiny_run('supervised').run
    config = run.config.copy_and_resolve_references().unlock()
    config.method.update({'generator': generator, 'target': target})
    config.data.name = facts.name
    known = {'data': run.known['data']._replace(facts=facts)}
    abilities = {} if ability is None else {'synthesise': ability}
    seen = (*rasters, target)
    method = run.method._replace(abilities=abilities, window=window, rasters=seen)
    return run._replace(config=config, known=known, method=method, programs={})


def model_with(ability: Callable[..., Any], *args: Any, **options: Any) -> Model:
    """The generator of `run_of`, without a state."""
    return model_of(run_of(ability, *args, **options), ())


def by_class(state: Any, labels: Array, rasters: Any, key: Array) -> Array:
    """The three classes as -1, 0 and 1 in red, unknown in green."""
    red = jnp.where(labels < 0, 0.0, labels - 1.0)
    green = jnp.where(labels < 0, 1.0, -1.0)
    return jnp.stack([red, green, -jnp.ones_like(red)], -1)


def by_height(state: Any, labels: Array, rasters: Any, key: Array) -> Array:
    """Radar of two bands: class and elevation."""
    return jnp.stack([labels - 1.0, rasters[0][..., 0]], -1)


def by_place(state: Any, labels: Array, rasters: Any, key: Array) -> Array:
    """Grey that rises from left to right and from top to bottom of a window."""
    down = jnp.linspace(-0.8, 0.0, labels.shape[1])[:, None]
    grey = down + jnp.linspace(0.0, 0.8, labels.shape[2])
    return jnp.broadcast_to(grey[..., None], (*labels.shape, 3))


def blurred(state: Any, labels: Array, rasters: Any, key: Array) -> Array:
    """The mean class of 7 x 7 pixels, beyond the window as if it were forest."""
    values = (labels - 1.0)[..., None]
    box = jnp.ones((7, 7, 1, 1)) / 49.0
    layout = ('NHWC', 'HWIO', 'NHWC')
    mean = lax.conv_general_dilated(values, box, (1, 1), 'SAME', dimension_numbers=layout)
    return jnp.broadcast_to(mean, (*labels.shape, 3))


def never(state: Any, labels: Array, rasters: Any, key: Array) -> Array:
    """Fails where it is asked."""
    raise AssertionError('nothing is to be made')


def answer_open(monkeypatch: pytest.MonkeyPatch, module: str, *runs: Run) -> None:
    """Lets a command open these runs, one after the other, as from their folders."""
    left = list(runs)

    def opened(
        workdir: Path, checkpoint: Any, data_root: str, need: Callable[[Run], Any], *more: Any
    ) -> tuple[Run, Any]:
        run = left.pop(0)
        need(run)
        return run, ()

    monkeypatch.setattr(f'eojax.apps.{module}.command.open_trained', opened)


def write_cover(path: Path, classes: np.ndarray, **options: Any) -> Path:
    """A map of classes uint8 `[H, W]`."""
    return write_raster(path, classes.astype(np.uint8)[..., None], **options)
