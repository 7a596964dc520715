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
import datetime
import importlib.metadata
import json
import os
import platform
import shlex
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from eojax.atomic_file import write_atomically
from eojax.errors import UserError, one_line_errors
from eojax.progress import read_metrics
from eojax.run import default_folder

RESULTS = Path(__file__).parent / 'results'
_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')


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
        machine = hardware()
        record = {
            'command': repeatable(command),
            'commit': version,
            'hardware': machine,
            'date': datetime.date.today().isoformat(),
            'versions': versions(),
            'numbers': numbers,
        }
        if options.notes:
            record['notes'] = options.notes
        device = str(machine['device']).lower().replace(' ', '-')
        out = options.out or RESULTS / f'{name}_{device}_{record["date"]}.json'
        text = json.dumps(record, indent=2) + '\n'
        write_atomically(out, lambda file: file.write(text.encode()))
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


def repeatable(command: Sequence[str]) -> str:
    """The command line as it can be run elsewhere: without where the interpreter lies here."""
    program = Path(command[0]).name
    return shlex.join(['python' if program.startswith('python') else program, *command[1:]])


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


def hardware() -> dict[str, Any]:
    """The devices that jax computes on, and the machine around them."""
    devices = jax.devices()
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30
    return {
        'device': devices[0].device_kind,
        'count': len(devices),
        'cpu': _cpu_name(),
        'cores': os.cpu_count(),
        'memory_gb': round(memory),
    }


def _cpu_name() -> str:
    info = Path('/proc/cpuinfo')
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith('model name'):
                return line.split(':', 1)[1].strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Of Python and the packages that compute."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {'python': platform.python_version(), **found}


def commit() -> str:
    """The commit of this checkout, with `-dirty` where tracked files differ from it."""
    root = Path(__file__).parent.parent

    def git(*words: str) -> str:
        done = subprocess.run(
            ['git', *words], cwd=root, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise UserError(f'a record needs the commit, and git says: {done.stderr.strip()}')
        return done.stdout.strip()

    dirty = '-dirty' if git('status', '--porcelain', '--untracked-files=no') else ''
    return git('rev-parse', 'HEAD') + dirty


if __name__ == '__main__':
    main()
