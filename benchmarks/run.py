"""Times the project's training steps against PyTorch peers and the device's own ceiling.

    python -m benchmarks.run [--suite=cpu|gpu] [--only=jem,...] [--repeats=5] [--out=FILE.json]

The suites are in `benchmarks/suites.py`. With `--out`, a record as `benchmarks/results/README.md`
describes it; `python -m benchmarks.report` makes the table of docs/benchmarks.md of such records.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import jax

from benchmarks import command, measurement, provenance
from benchmarks.flops import counting_device
from benchmarks.suites import choose
from benchmarks.table import table
from eojax.errors import one_line_errors


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures a suite, prints its table and writes its record."""
    options = _parser().parse_args(arguments)
    with one_line_errors():
        commit = command.commit_for(options)
        only = tuple(name for name in options.only.split(',') if name)
        suite, entries = choose(options.suite, only)
        counting_device()
        compile_afresh()
        measured = measurement.measure(suite, entries, options.repeats, command.say)
        words = command.spelled('run', options, ('suite', 'only', 'repeats'))
        record: dict[str, Any] = provenance.record_of(
            words, commit, measured.numbers, options.notes, 'torch'
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
        command.write(options, record)


def compile_afresh() -> None:
    """Leaves the cache of compiled programs alone: what comes from there took no compilation."""
    jax.config.update('jax_enable_compilation_cache', False)


def _parser() -> argparse.ArgumentParser:
    parser = command.parser('run', __doc__)
    parser.add_argument('--suite', default='', help='cpu or gpu; what jax computes on if absent')
    parser.add_argument('--only', default='', help='entries of the suite, with commas between')
    return parser


if __name__ == '__main__':
    main()
