"""Compiles training steps for accelerators that are not here, and says what the programs do.

    python -m benchmarks.compile_for --target=h100:8 --target=v5e:4x4 --config=jem_eurosat \\
        [--set model.dtype=bfloat16] [--out=benchmarks/results/compiled] [--check]

For each target and config one step of the last phase is compiled through the project's own code,
with the published data set's shape in place of its pixels, and read: memory against the chip's,
what is donated, collectives and whether one sits in the loop of the chains, transfers to the host,
types, copies, kernels, bytes, and what the chip's published rates make of all that, a prediction.
Nothing is run on an accelerator. `--check` ends with exit code 1 where the gate does not hold.

It takes the compilers and no driver or card: pip install -e '.[aot]'
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ml_collections import ConfigDict

from benchmarks import command, provenance
from benchmarks.compiling import gate, programs, targets
from benchmarks.compiling.findings import Findings, find, numbers, predict
from benchmarks.compiling.table import rate_text
from benchmarks.compiling.targets import Target
from eojax.config.base import set_key
from eojax.config.command_line import load_config
from eojax.config.shipped import config_file
from eojax.errors import UserError, one_line_errors
from eojax.tables import plain_table

Made = TypeVar('Made')

_HEAD = (
    'config', 'target', 'peak GB', 'of', 'traffic GB', 'kernels', 'an update', 'collectives MB',
    'in chain', 'predicted steps/s', 'at most',
)  # fmt: skip


class Result(NamedTuple):
    """A program that was compiled and read.

    Attributes:
      title: of the config with what was set.
      target: it was compiled for.
      found: in its text.
      failed: lines of the gate.
    """

    title: str
    target: Target
    found: Findings
    failed: list[str]


def main(arguments: Sequence[str] | None = None) -> None:
    """Compiles, prints a table, and writes a record of each program."""
    options = _parser().parse_args(arguments)
    with one_line_errors():
        chosen = [targets.parse(text) for text in options.target]
        lacking = {why for target in chosen if (why := targets.missing(target))}
        if lacking:
            raise UserError(f'to compile for these targets, install {"; ".join(sorted(lacking))}')
        _check(options, len(chosen))
        commit = _commit_for(options)
        results, refused = [], []
        for name in options.config:
            for target in chosen:
                try:
                    results.append(in_a_process(_one, name, target, options, commit))
                except UserError as error:
                    if len(options.config) * len(chosen) == 1:
                        raise
                    refused.append(f'{name} for {target.name}: {error}')
                    command.say(f'REFUSED {refused[-1]}')
        print('\n'.join(plain_table([_HEAD, *map(_row, results)])))
        print('Predicted is what published rates make of it, half of each reached; none was run.')
        broken = [f'{r.title} for {r.target.name}: {line}' for r in results for line in r.failed]
        for line in broken:
            print(f'GATE {line}')
        if refused or (broken and options.check):
            raise UserError(
                f'{len(refused)} programs were refused and {len(broken)} checks do not hold'
            )


def in_a_process(function: Callable[..., Made], *arguments: Any) -> Made:
    """What a function returns in a process of its own.

    Raises:
      UserError: the process has ended with no result, as compilers end it where they find a fault
        of their own; or what the function raises.
    """
    spawn = multiprocessing.get_context('spawn')  # a fork would share jax's threads
    with ProcessPoolExecutor(1, spawn) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except BrokenProcessPool:
            pass
    raise UserError('the compiler has ended its process; the reason stands above')


def _one(name: str, target: Target, options: argparse.Namespace, commit: str) -> Result:
    targets.on_the_cpu()
    config = _config(name, options.set)
    title = ' '.join([Path(name).stem, *options.set, *_unusual(options)])
    command.say(f'compiling {title} for {target.name}')
    mesh = targets.mesh_for(target)
    compiled = programs.compile_step(config, mesh, options.phase, options.effort)
    if options.text:
        Path(options.text).write_text(compiled.text)
    found = find(compiled, config, not options.no_count)
    failed = gate.failures(found, target)
    command.say(
        f'traced in {compiled.trace_seconds:.0f} s, compiled in {compiled.compile_seconds:.0f} s:'
        f' peak {found.peak_bytes / 1e9:.2f} GB; {"; ".join(failed) or "the gate holds"}'
    )
    if options.out:
        seconds = {
            'trace_seconds': compiled.trace_seconds, 'compile_seconds': compiled.compile_seconds
        }  # fmt: skip
        record = provenance.record_of(
            _spelled(name, target, options),
            commit,
            {**numbers(found, target), **seconds, 'gate_failures': float(len(failed))},
            options.notes,
            'libtpu jax-cuda12-plugin',
        )
        record['compiled'] = {
            'config': Path(name).stem,
            'set': list(options.set),
            'target': target.name,
            'devices': target.devices,
            'phase': options.phase,
            'effort': options.effort,
            'failures': failed,
        }
        words = re.sub(r'[^a-z0-9]+', '_', f'{title} {target.name}'.lower()).strip('_')
        provenance.write_record(Path(options.out) / f'{words}.json', record)
    return Result(title, target, found, failed)


def _config(name: str, changes: Sequence[str]) -> ConfigDict:
    config = load_config(name)
    for text in changes:
        key, equals, value = text.partition('=')
        if not equals:
            raise UserError(f'--set {text!r}: say KEY=VALUE')
        set_key(config, key, command.plain_value(value))
    return config


def _row(result: Result) -> tuple[str, ...]:
    found, target = result.found, result.target
    prediction = predict(found, target)
    rates = ['-', '-']
    if prediction is not None:
        both = (prediction.steps_per_second, prediction.most_steps_per_second)
        rates = [rate_text(rate) for rate in both]
    return (
        result.title, target.name, f'{found.peak_bytes / 1e9:.2f}',
        f'{target.chip.memory / 1e9:.0f}', f'{found.traffic_bytes / 1e9:.1f}', str(found.kernels),
        str(found.chain_kernels or '-'), f'{found.collective_bytes / 1e6:.1f}',
        str(found.chain_collectives), *rates,
    )  # fmt: skip


def _spelled(name: str, target: Target, options: argparse.Namespace) -> str:
    words = [f'--target={target.name}', f'--config={Path(name).stem}']
    words += [f'--set {text}' for text in options.set]
    words += [f'--{text}' for text in _unusual(options)]
    words += ['--no-count'] if options.no_count else []
    return ' '.join(['python -m benchmarks.compile_for', *words])


def _unusual(options: argparse.Namespace) -> list[str]:
    """What makes another program of the same config and target."""
    words = [f'phase={options.phase}'] if options.phase != -1 else []
    return words + ([f'effort={options.effort:g}'] if options.effort != programs.QUICK else [])


def _check(options: argparse.Namespace, num_targets: int) -> None:
    """Refuses what would fail after minutes of compiling."""
    for name in options.config:
        config_file(name)
    if not -1 <= options.effort <= 1:
        raise UserError(f'--effort must be from -1 to 1, not {options.effort:g}')
    if not options.text:
        return
    if len(options.config) * num_targets > 1:
        raise UserError('--text is the file of one program: say one --target and one --config')
    file = Path(options.text).absolute()
    if not file.parent.is_dir():
        raise UserError(f'--text {options.text}: there is no such folder')
    if file.is_dir() or not os.access(file.parent, os.W_OK | os.X_OK):
        raise UserError(f'--text {options.text} is not writable')


def _commit_for(options: argparse.Namespace) -> str:
    if not options.out:
        return ''
    if not Path(options.out).is_dir():
        raise UserError(f'--out {options.out}: there is no such folder')
    if not os.access(options.out, os.W_OK | os.X_OK):
        raise UserError(f'--out {options.out} is not writable')
    return options.commit or provenance.commit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.compile_for',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument('--target', action='append', required=True, help='CHIP:SHAPE; repeated')
    parser.add_argument('--config', action='append', required=True, help='file or name; repeated')
    parser.add_argument('--set', action='append', default=[], help='KEY=VALUE; repeated')
    parser.add_argument('--phase', type=int, default=-1, help='its number; the last by default')
    parser.add_argument(
        '--effort', type=float, default=programs.QUICK,
        help='of the TPU compiler, -1 to 1; at -1 memory, loops and collectives are right, and'
        ' schedules of convolutions are not',
    )  # fmt: skip
    parser.add_argument('--out', default='', help='folder for a record of each program')
    parser.add_argument('--text', default='', help='file for the optimised program')
    parser.add_argument('--check', action='store_true', help='exit code 1 where the gate fails')
    parser.add_argument('--no-count', action='store_true', help='without counting operations')
    parser.add_argument('--notes', default='', help='what a reader of the records must know')
    parser.add_argument('--commit', default='', help='for the records, of a copy without git')
    return parser


if __name__ == '__main__':
    main()
