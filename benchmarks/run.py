"""Times the project's training steps against PyTorch peers and the device's own ceiling.

    python -m benchmarks.run [--suite=cpu|gpu] [--only=jem,...] [--repeats=5] [--out=FILE.json]

The suites are in `benchmarks/suites.py`. With `--out`, a record as `benchmarks/results/README.md`
describes it; `python -m benchmarks.report` makes the README's table of such records.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks import measurement, provenance
from benchmarks.flops import counting_device
from benchmarks.suites import choose
from benchmarks.table import table
from eojax.errors import UserError, one_line_errors


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures a suite, prints its table and writes its record."""
    options = _parser().parse_args(arguments)
    with one_line_errors():
        if options.repeats < 1:
            raise UserError(f'--repeats must be at least 1, not {options.repeats}')
        only = tuple(name for name in options.only.split(',') if name)
        suite, entries = choose(options.suite, only)
        counting_device()
        commit = ''
        if options.out:  # what cannot be written is said before the minutes of timing
            _check_writable(options.out)
            commit = options.commit or provenance.commit()
        compile_afresh()
        measured = measurement.measure(suite, entries, options.repeats, _say)
        record: dict[str, Any] = provenance.record_of(
            _command(options), commit, measured.numbers, options.notes, 'torch'
        )
        record['suite'] = {
            'name': options.suite or ('cpu' if jax.default_backend() == 'cpu' else 'gpu'),
            'repeats': options.repeats,
            'product': 'float32' if jax.default_backend() == 'cpu' else 'bfloat16',
            'entries': measured.entries,
            'notes': measured.notes,
        }
        record['repeats'] = measured.seconds
        print(table(record))
        if options.out:
            provenance.write_record(options.out, record)
            print(f'recorded in {options.out}')


def compile_afresh() -> None:
    """Leaves the cache of compiled programs alone: what comes from there took no compilation."""
    jax.config.update('jax_enable_compilation_cache', False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.run',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--suite', default='', help='cpu or gpu; what jax computes on if absent')
    parser.add_argument('--only', default='', help='entries of the suite, with commas between')
    parser.add_argument('--repeats', type=int, default=5, help='rounds of each entry')
    parser.add_argument('--out', type=Path, help='file to write a record to')
    parser.add_argument('--notes', default='', help='what a reader of the record must know')
    parser.add_argument(
        '--commit', default='', help='for the record, where the code is a copy without git'
    )
    return parser


def _command(options: argparse.Namespace) -> str:
    """The command as it can be run elsewhere: without where its record went here."""
    parts = ['python -m benchmarks.run']
    parts += [
        f'--{name}={getattr(options, name)}' for name in ('suite', 'only') if getattr(options, name)
    ]
    return ' '.join([*parts, f'--repeats={options.repeats}'])


def _check_writable(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise UserError(f'--out {path}: there is no folder {folder}')
    if path.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f'--out {path} is not writable')


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == '__main__':
    main()
