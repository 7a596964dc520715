"""The TPU script against a stub of gcloud that runs the workers' commands in folders here."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.launch.commands import run, write_command

# The slice's state is in a file; worker i has the folder worker_i for its home.
_GCLOUD = r"""
echo "$*" | head -n 1 >>calls
shift 2
case "$1 $2" in
  'queued-resources create') echo READY >state; rm -rf worker_*; mkdir worker_0 worker_1 ;;
  'queued-resources delete') [[ -e state ]] && rm state ;;
  'queued-resources describe') [[ $(cat state) == READY ]] && echo ACTIVE ;;
  'tpu-vm describe') cat state ;;
  'tpu-vm scp') for w in worker_*; do cp "$3" "$w/${4#*:}"; done ;;
  'tpu-vm ssh')
    home=$PWD workers=(worker_0)
    for word in "$@"; do
      case $word in
        --worker=all) workers=(worker_*) ;;
        --command=*) command=${word#--command=} ;;
      esac
    done
    for w in "${workers[@]}"; do
      (cd "$home/$w" && HOME=$PWD TEST=$home bash -c "$command") || exit
    done ;;
esac
"""
# Makes the environment, whose interpreter is the test's stand-in for training.
_UV = r"""
if [[ $1 == venv ]]; then mkdir -p .venv/bin; cp "$TEST/training" .venv/bin/python; fi
echo "$*" >>"$TEST/uv_calls"
"""
_PYTHON3 = 'mkdir -p ~/.local/bin; cp "$TEST/uv" ~/.local/bin/uv'


@pytest.fixture
def cloud(tmp_path: Path) -> Path:
    write_command(tmp_path / 'bin' / 'gcloud', _GCLOUD)
    write_command(tmp_path / 'bin' / 'python3', _PYTHON3)
    write_command(tmp_path / 'bin' / 'mountpoint', 'exit 1')
    write_command(tmp_path / 'bin' / 'gcsfuse', 'echo "$*" >>"$TEST/mounts"')
    write_command(tmp_path / 'uv', _UV)
    return tmp_path


def _training(folder: Path, lines: str) -> None:
    """A stand-in for `python -m eojax.main` on a worker."""
    write_command(folder / 'training', f'printf "%s|" "$@" >>told; echo >>told\n{lines}')


def _tpu(folder: Path, *words: str, **variables: object) -> subprocess.CompletedProcess[str]:
    given = {'TPU_ZONE': 'zone-a', 'TPU_TYPE': 'v4-16', 'TPU_POLL': 0.05}
    return run('tpu_pod.sh', *words, folder=folder, **(given | variables))


def _verbs(folder: Path) -> list[str]:
    return [' '.join(line.split()[2:4]) for line in (folder / 'calls').read_text().splitlines()]


def _until_all_have(folder: Path, name: str) -> None:
    """Training is detached on each worker, and the script waits for the first one alone."""
    end = time.monotonic() + 60
    while len(list(folder.glob(f'worker_*/eojax/{name}'))) < 2:
        assert time.monotonic() < end, f'not all workers have {name}'
        threading.Event().wait(0.02)


def test_train_makes_a_slice_and_trains_on_all_its_workers(cloud: Path) -> None:
    _training(cloud, 'exit 0')
    done = _tpu(cloud, 'train', 't', '--', '--config=x.py', '--config.a=b c', TPU_BUCKET='mine')
    assert done.returncode == 0, done.stderr
    _until_all_have(cloud, 'exit_code')
    for i in range(2):
        home = cloud / f'worker_{i}'
        told = (home / 'eojax' / 'told').read_text()
        assert told == '-m|eojax.main|--config=x.py|--config.a=b c|\n'
        assert (home / 'eojax' / 'eojax' / 'main.py').exists()  # this checkout
        assert (home / 'eojax' / 'runs').resolve() == home / 'bucket' / 'runs'
    assert (cloud / 'mounts').read_text().count('--implicit-dirs mine') == 2
    assert (cloud / 'uv_calls').read_text().count('-c constraints.txt -e .[tpu]') == 2
    (create,) = [c for c in (cloud / 'calls').read_text().splitlines() if ' create ' in c]
    words = create.split()
    assert '--spot' in words
    assert '--accelerator-type=v4-16' in words
    assert '--zone=zone-a' in words


def test_train_goes_on_on_a_new_slice_after_a_preemption(cloud: Path) -> None:
    _training(
        cloud,
        'if [[ ! -e $TEST/once && $PWD == *_0/eojax ]]; then\n'
        '  touch "$TEST/once"; echo PREEMPTED >"$TEST/state"; exit 143\nfi\nexit 0',
    )
    done = _tpu(cloud, 'train', 't', '--', '--config=x.py')
    assert done.returncode == 0, done.stderr
    assert 'once more from the last checkpoint' in done.stderr
    made = [v for v in _verbs(cloud) if v.startswith('queued-resources') or v.endswith('scp')]
    once = ['queued-resources delete', 'queued-resources create', 'queued-resources describe']
    assert made == 2 * [*once, 'tpu-vm scp']


def test_sigterm_that_nobody_sent_is_a_preemption_about_to_come(cloud: Path) -> None:
    _training(cloud, 'if [[ ! -e once ]]; then touch once; exit 143; fi; exit 0')
    done = _tpu(cloud, 'train', 't', '--', '--config=x.py')
    assert done.returncode == 0, done.stderr
    assert (cloud / 'worker_0/eojax/told').read_text().count('eojax.main') == 2
    assert _verbs(cloud).count('queued-resources create') == 1  # the slice stayed after all


def test_training_that_fails_ends_with_its_code(cloud: Path) -> None:
    _training(cloud, 'exit 3')
    done = _tpu(cloud, 'train', 't', '--', '--config=x.py')
    assert done.returncode == 3
    assert (cloud / 'worker_0/eojax/told').read_text().count('eojax.main') == 1
    assert 'tpu_pod.sh delete t' in done.stderr


def test_a_setup_that_fails_is_not_tried_for_ever(cloud: Path) -> None:
    _training(cloud, 'exit 0')
    write_command(cloud / 'uv', 'exit 9')
    done = _tpu(cloud, 'train', 't', '--', '--config=x.py')
    assert done.returncode == 9
    assert _verbs(cloud).count('tpu-vm scp') == 1


@pytest.mark.parametrize(
    ('code', 'version', 'expected'),
    [(1, 'tar (GNU tar) 1.35', 0), (1, 'bsdtar 3.7.2', 1), (2, 'tar (GNU tar) 1.35', 2)],
)
def test_files_that_change_while_they_are_packed_are_no_failure(
    code: int, version: str, expected: int, cloud: Path
) -> None:
    """Only GNU tar says so, by its code 1."""
    tar = shutil.which('tar')
    write_command(
        cloud / 'bin' / 'tar',
        f'if [[ $1 == --version ]]; then echo "{version}"; exit; fi\n'
        f'"{tar}" "$@" || exit\nif [[ $1 == -c* ]]; then exit {code}; fi',
    )
    assert _tpu(cloud, 'create', 't').returncode == 0
    done = _tpu(cloud, 'copy', 't')
    assert done.returncode == expected, done.stderr
    assert ('files changed while they were packed' in done.stderr) == (not expected)
    assert (cloud / 'worker_1/eojax/eojax/main.py').exists() == (not expected)


def test_stop_saves_and_run_resumes(cloud: Path) -> None:
    _training(
        cloud,
        'trap "exit 143" TERM; touch started\n'
        'for _ in {1..3000}; do read -rt 0.02 <> <(:) || true; done',
    )
    for words in (['create', 't'], ['copy', 't'], ['run', 't', '--', '--config=x.py']):
        done = _tpu(cloud, *words)
        assert done.returncode == 0, done.stderr
    _until_all_have(cloud, 'started')
    assert _tpu(cloud, 'run', 't', '--', '--config=x.py').returncode == 0  # it runs already
    assert _tpu(cloud, 'stop', 't').returncode == 0
    assert _tpu(cloud, 'wait', 't').returncode == 143
    assert (cloud / 'worker_0/eojax/told').read_text().count('eojax.main') == 1
    assert '143\nstopped' in _tpu(cloud, 'status', 't').stdout
    _training(cloud, 'exit 0')
    for i in range(2):
        (cloud / f'worker_{i}/eojax/.venv/bin/python').write_bytes(
            (cloud / 'training').read_bytes()
        )
    assert _tpu(cloud, 'run', 't', '--', '--config=x.py').returncode == 0
    assert _tpu(cloud, 'wait', 't').returncode == 0


def test_dry_run_prints_the_commands_and_calls_nobody(tmp_path: Path) -> None:
    write_command(tmp_path / 'bin' / 'gcloud', 'touch called')
    done = _tpu(tmp_path, '--dry-run', 'train', 't', '--', '--config=x.py', '--config.a=b c')
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / 'called').exists()
    lines = [line.split() for line in done.stdout.splitlines()]
    assert {tuple(words[:3]) for words in lines} == {('gcloud', 'compute', 'tpus')}
    assert [' '.join(words[3:5]) for words in lines] == [
        'queued-resources delete', 'queued-resources create', 'queued-resources describe',
        'tpu-vm scp', 'tpu-vm ssh', 'tpu-vm ssh', 'tpu-vm ssh',
    ]  # fmt: skip
    assert all('--zone=zone-a' in words for words in lines)
    assert '--config.a=b\\\\ c' in done.stdout


def test_a_guaranteed_slice_is_not_a_spot_one(tmp_path: Path) -> None:
    done = _tpu(tmp_path, '--dry-run', 'create', 't', TPU_SPOT=0)
    assert '--spot' not in done.stdout
    assert '--accelerator-type=v4-16' in done.stdout


@pytest.mark.parametrize(
    ('words', 'line'),
    [
        (['fly', 't'], 'usage: '),
        (['create'], "needs the slice's name"),
        (['train', 't'], '--config=configs/NAME.py'),
        (['run', 't', '--'], '--config=configs/NAME.py'),
    ],
)
def test_what_is_missing_is_said(words: list[str], line: str, tmp_path: Path) -> None:
    done = _tpu(tmp_path, *words)
    assert done.returncode == 2
    assert line in done.stderr
    assert done.stderr.count('\n') == 1


def test_a_zone_is_needed(tmp_path: Path) -> None:
    done = run('tpu_pod.sh', '--dry-run', 'delete', 't', folder=tmp_path)
    assert done.returncode == 2
    assert 'set TPU_ZONE' in done.stderr
