"""Memory of a suite's compiled training step, by options, without running it.

    python -m benchmarks.memory --entry=image_synthesis --vary method.window=256,512 \\
        --vary model.remat=False,True [--set batch_size=1] [--suite=gpu] [--out=FILE.json]

For each combination the programs of training are compiled for the device that jax computes on, and
their analysis is printed: what is held between steps, what a step needs besides, and the most that
is needed at a time. Programs of other devices need other amounts. No weights are computed, and the
record is written anew after each combination, so that an interruption costs the last one alone.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from jax import random
from ml_collections import ConfigDict

from benchmarks import command, provenance
from benchmarks.run import compile_afresh
from benchmarks.suites import suites
from benchmarks.training_step import Needed, needed_of
from eojax.config.base import set_key
from eojax.devices import sharding
from eojax.devices.compiler_options import compiler_options
from eojax.errors import UserError, one_line_errors, unknown_name
from eojax.runs import run as runs
from eojax.runs.carry import abstract_carry, metric_names
from eojax.tables import plain_table
from eojax.training.step_program import lower_steps

# Buffers are laid out before code is generated, which takes most of the time and is not run.
_QUICKLY: dict[str, Any] = {'xla_backend_optimization_level': 0}


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table and writes its record."""
    options = _parser().parse_args(arguments)
    with one_line_errors():
        commit = command.commit_for(options)
        compile_afresh()
        choices = [_choice(text) for text in options.vary]
        fixed = [(key, values[0]) for key, values in map(_choice, options.set)]
        words = ' '.join(
            ['python -m benchmarks.memory', f'--suite={options.suite}', f'--entry={options.entry}',
             *(f'--vary {text}' for text in options.vary), *(f'--set {x}' for x in options.set)]
        )  # fmt: skip
        rows: list[list[str]] = [['options', 'held', 'temporary', 'peak']]
        numbers: dict[str, float] = {}
        for values in itertools.product(*(values for _, values in choices)):
            changed = [(key, value) for (key, _), value in zip(choices, values, strict=True)]
            title = ', '.join(f'{key}={value}' for key, value in changed) or 'as it is'
            command.say(f'compiling {options.entry}: {title}')
            needed = needed_by(_config(options.suite, options.entry, [*fixed, *changed]))
            rows.append([title, *(f'{size / 2**20:,.0f} MiB' for size in needed)])
            numbers |= {f'{title}: {name}_bytes': float(x) for name, x in needed._asdict().items()}
            command.write(options, provenance.record_of(words, commit, numbers, options.notes))
        print('\n'.join(plain_table(rows)))


def needed_by(config: ConfigDict) -> Needed:
    """What the step of a config's first phase needs on one device; it is compiled and not run."""
    run = runs.prepare(config, Path())  # which writes nothing
    try:
        key = sharding.place_key(random.key(config.seed, impl=config.random), run.mesh)
        names = metric_names(run, 0, abstract_carry(run, 0, ()).state)
        carry = abstract_carry(run, 0, names)
        options = _QUICKLY if jax.default_backend() == 'cpu' else {}
        lowered = lower_steps(run, run.method.phases[0], carry, key, 1)
        return needed_of(lowered.compile(compiler_options={**compiler_options(), **options}))
    finally:
        run.feed.close()


def _config(suite: str, entry: str, changes: Sequence[tuple[str, str]]) -> ConfigDict:
    known = suites()
    if suite not in known:
        raise unknown_name('suite', suite, known)
    if entry not in known[suite].entries:
        raise unknown_name(f'entry of the {suite} suite', entry, known[suite].entries)
    config = known[suite].entries[entry]()
    for key, text in changes:
        set_key(config, key, command.plain_value(text))
    config.steps_per_call = 1
    return config


def _choice(text: str) -> tuple[str, list[str]]:
    key, equals, values = text.partition('=')
    if not equals or not values:
        raise UserError(f'{text!r}: say KEY=VALUE, or KEY=VALUE,VALUE')
    return key, values.split(',')


def _parser() -> argparse.ArgumentParser:
    parser = command.parser('memory', __doc__)
    parser.add_argument('--suite', default='gpu', help='whose sizes; compiled for what is here')
    parser.add_argument('--entry', required=True, help='of the suite')
    parser.add_argument('--vary', action='append', default=[], help='KEY=VALUE,VALUE; repeated')
    parser.add_argument('--set', action='append', default=[], help='KEY=VALUE; repeated')
    return parser


if __name__ == '__main__':
    main()
