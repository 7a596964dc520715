"""Runs a training or an evaluation and records what it reached, with all it takes to repeat it.

    python -m benchmarks.record --notes='one seed' -- \\
        python -m eojax.main --config=configs/jem_eurosat_small.py --config.data.root=EuroSAT.zip

    python -m benchmarks.record -- \\
        python -m eojax.evaluate --workdir=runs/NAME --inception=inception.npz --out=NAME_fid

The file goes to `benchmarks/results/<config>_<device>_<date>.json`; its format is described there.
A failed command records nothing and has its exit code passed on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.provenance import RESULTS, commit, record_of, repeatable, write_record
from eojax.errors import UserError, one_line_errors
from eojax.runs.run import default_folder
from eojax.training.progress import read_metrics


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command after `--` and writes the record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--notes', default='', help='what a reader must know')
    parser.add_argument('--out', type=Path, help='file to write')
    parser.add_argument('command', nargs=argparse.REMAINDER, help='-- and the training command')
    options = parser.parse_args(arguments)
    with one_line_errors():
        command = options.command[1:] if options.command[:1] == ['--'] else options.command
        folder, name = run_of(command)
        version = commit()
        begun = time.perf_counter()
        code = subprocess.run(command, check=False).returncode
        if code:
            raise SystemExit(code)
        numbers = {'wall_seconds': round(time.perf_counter() - begun, 2), **numbers_of(folder)}
        record = record_of(repeatable(command), version, numbers, options.notes)
        device = str(record['hardware']['device']).lower().replace(' ', '-')
        out = options.out or RESULTS / f'{name}_{device}_{record["date"]}.json'
        write_record(out, record)
        print(f'recorded in {out}')


def run_of(command: Sequence[str]) -> tuple[Path, str]:
    """The folder that a command fills, and the name of its record.

    Raises:
      UserError: it names no config and no `--out` of an evaluation, or the folder exists: a resumed
        run has no time of its own.
    """
    values = dict(part.lstrip('-').split('=', 1) for part in command if '=' in part)
    if 'config' in values:
        config = values['config']
        folder, name = Path(values.get('workdir') or default_folder(config)), Path(config).stem
    elif 'eojax.evaluate' in command and 'out' in values:
        folder = Path(values['out'])
        name = folder.name
    else:
        raise UserError(
            'say what to record: -- python -m eojax.main --config=configs/NAME.py, or'
            ' -- python -m eojax.evaluate --workdir=RUN --out=NAME'
        )
    if folder.exists():
        raise UserError(f'{folder} exists; a record needs a run from its beginning')
    return folder, name


def numbers_of(folder: Path) -> dict[str, float]:
    """The numbers of a finished run: its evaluation, steps and speed; of an evaluation, its own."""
    if not (folder / 'metrics.jsonl').exists():
        return json.loads((folder / 'evaluation.json').read_text())
    rows = read_metrics(folder / 'metrics.jsonl')
    numbers: dict[str, float] = {'steps': max(row['step'] for row in rows)}
    phases = dict.fromkeys(row['phase'] for row in rows if 'phase' in row)
    for phase in phases:
        speeds = [r['steps_per_second'] for r in rows if r.get('phase') == phase]
        name = 'steps_per_second' if len(phases) == 1 else f'steps_per_second_{phase}'
        numbers[name] = round(statistics.median(speeds), 3)
    numbers['divergences'] = sum(row.get('event') == 'diverged' for row in rows)
    return numbers | json.loads((folder / 'evaluation' / 'evaluation.json').read_text())


if __name__ == '__main__':
    main()
