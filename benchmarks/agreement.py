"""The tiny step of each method on the accelerator beside the same step on the CPU.

    python -m benchmarks.agreement [--method=jem,...] [--steps=3]

Both compute in float32 with products in full precision, from the same key: what differs beyond
rounding is a fault of a kernel, of a formulation that only one kind of device uses, or of the card.
Ends with exit code 1 where a metric differs by more than `--tolerance`, relative to its size.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jax import random
from jax.sharding import Mesh
from ml_collections import ConfigDict

from benchmarks.suites import suites
from eojax.devices import sharding, target
from eojax.errors import UserError, one_line_errors, unknown_name
from eojax.runs import run as runs
from eojax.runs.carry import initial_carry
from eojax.tables import plain_table
from eojax.training.step_program import compile_phase, means, order_key


def metrics_on(config: ConfigDict, mesh: Mesh, steps: int) -> dict[str, float]:
    """Means of the metrics over the first steps of a config's first phase, on these devices; -1 of
    a share of which nothing was counted."""
    with target.compiling_for(mesh), jax.default_device(mesh.devices.flat[0]):
        run = runs.prepare(config, Path(), mesh)
        key = sharding.place_key(random.key(config.seed, impl=config.random), mesh)
        phase, carry = run.method.phases[0], initial_carry(run, key)
        programs = compile_phase(run, phase, carry, key)
        for step in range(steps):
            feed = run.feed.feed(phase.streams, order_key(key), step)
            carry, _ = programs.one(carry, feed, key)
        run.feed.close()
        found = means(jax.device_get(carry.sums), steps)
        return {name: -1.0 if np.isnan(value) else value for name, value in found.items()}


def difference(one: dict[str, float], other: dict[str, float]) -> float:
    """The largest difference of a metric, relative to its size where that is above one."""
    both = np.array([[one[name], other[name]] for name in one])
    return float((np.abs(both[:, 0] - both[:, 1]) / np.maximum(1.0, np.abs(both[:, 1]))).max())


def _with_the_cpu() -> None:
    """Has jax know the CPU too where the environment names the accelerator alone."""
    named = jax.config.values['jax_platforms']
    if named and 'cpu' not in named.split(','):
        jax.config.update('jax_platforms', f'{named},cpu')


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the differences of each method."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.agreement',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument('--method', default='', help='entries of the tiny suite; else all')
    parser.add_argument('--steps', type=int, default=3)
    parser.add_argument('--tolerance', type=float, default=0.01)
    options = parser.parse_args(arguments)
    with one_line_errors():
        if options.steps < 1:
            raise UserError(f'--steps must be at least 1, not {options.steps}')
        if not options.tolerance > 0:
            raise UserError(f'--tolerance must be positive, not {options.tolerance:g}')
        jax.config.update('jax_default_matmul_precision', 'highest')
        _with_the_cpu()
        entries = suites()['tiny'].entries
        wanted = [name for name in options.method.split(',') if name] or list(entries)
        for name in wanted:
            if name not in entries:
                raise unknown_name('entry of the tiny suite', name, entries)
        rows, worst = [['method', 'difference']], 0.0
        here, cpu = jax.devices()[:1], jax.devices('cpu')[:1]
        for name in wanted:
            config = entries[name]()
            config.model.dtype = 'float32'
            found = [
                metrics_on(config, sharding.data_mesh(devices), options.steps)
                for devices in (here, cpu)
            ]
            different = difference(*found)
            worst = float(np.maximum(worst, different))  # what is no number stays none
            rows.append([name, f'{different:.1e}'])
        print(f'{here[0].device_kind} beside the CPU, {options.steps} steps')
        print('\n'.join(plain_table(rows)))
        if not worst <= options.tolerance:
            raise UserError(f'a metric differs by {worst:.1e}, more than {options.tolerance:g}')


if __name__ == '__main__':
    main()
