"""Several processes on this machine: what they are told, how they end, and one real run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.launch.commands import SUM_OVER_DEVICES, run, start, write_command

# Writes down what it was given, and ends as it is told to by FAILS, SLOW and DEAF.
_STUB = r"""
{
  echo "$EOJAX_COORDINATOR $EOJAX_NUM_PROCESSES $EOJAX_PROCESS_ID $JAX_PLATFORMS"
  echo "$XLA_FLAGS"
  echo "${CUDA_VISIBLE_DEVICES-}"
  printf '%s|' "$@"
} >"told_$EOJAX_PROCESS_ID"
echo "process $EOJAX_PROCESS_ID speaks"
for name in TERM INT; do
  trap "echo $name >>signals_$EOJAX_PROCESS_ID; exit $((128 + $(kill -l $name)))" $name
done
if [[ ${DEAF-} == "$EOJAX_PROCESS_ID" ]]; then trap '' TERM; fi
echo "$$" >"started_$EOJAX_PROCESS_ID"
if [[ ${FAILS-} == "$EOJAX_PROCESS_ID" ]]; then
  until [[ -e started_0 && -e started_1 ]]; do read -rt 0.02 <> <(:) || true; done
  exit 7
fi
if [[ -n ${SLOW-} ]]; then
  for _ in {1..3000}; do read -rt 0.02 <> <(:) || true; done
fi
"""


@pytest.fixture
def python(tmp_path: Path) -> Path:
    return write_command(tmp_path / 'python', _STUB)


def _until(true: Callable[[], bool]) -> None:
    """Waits for other processes, and not for long."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, 'the processes did not get there'
        threading.Event().wait(0.02)


def _running(folder: Path) -> list[int]:
    """Which of the processes in `folder` are still there."""
    ids = [int(file.read_text()) for file in folder.glob('started_*')]
    return [pid for pid in ids if _lives(pid)]


def _lives(pid: int) -> bool:
    try:
        state = Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != 'Z'  # ended, but nobody has looked yet


def test_each_process_is_told_who_it_is(tmp_path: Path, python: Path) -> None:
    done = run(
        'local_processes.sh', '3', '2', '--', '--config=x.py', '--workdir=a b',
        folder=tmp_path, PYTHON=python, XLA_FLAGS='--xla_a=1', EOJAX_LOGS=tmp_path / 'logs',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = [(tmp_path / f'told_{i}').read_text().split('\n') for i in range(3)]
    (address,) = {lines[0].split()[0] for lines in told}
    host, port = address.split(':')
    assert host == '127.0.0.1'
    assert 1024 < int(port) < 32768  # below the ports of outgoing connections
    for i, lines in enumerate(told):
        assert lines[0].split()[1:] == ['3', str(i), 'cpu']
        assert lines[1] == '--xla_a=1 --xla_force_host_platform_device_count=2'
        assert lines[3] == '-m|eojax.main|--config=x.py|--workdir=a b|'
    assert done.stdout == 'process 0 speaks\n'
    assert str(tmp_path / 'logs') in done.stderr
    for i in (1, 2):
        assert (tmp_path / 'logs' / f'process_{i}.log').read_text() == f'process {i} speaks\n'


def test_the_devices_may_be_left_out_and_may_be_gpus(tmp_path: Path, python: Path) -> None:
    done = run(
        'local_processes.sh', '2', '--', '--config=x.py',
        folder=tmp_path, PYTHON=python, JAX_PLATFORMS='cuda', CUDA_VISIBLE_DEVICES='5,3,1',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [(tmp_path / f'told_{i}').read_text().split('\n') for i in range(2)]
    assert [told[2] for told in lines] == ['5', '3']
    assert lines[0][1] == '--xla_force_host_platform_device_count=1'
    assert lines[0][0].endswith('cuda')


def test_more_gpus_than_there_are_is_an_error(tmp_path: Path, python: Path) -> None:
    done = run(
        'local_processes.sh', '2', '2', '--', '--config=x.py',
        folder=tmp_path, PYTHON=python, JAX_PLATFORMS='cuda', CUDA_VISIBLE_DEVICES='0,1,2',
    )  # fmt: skip
    assert done.returncode == 2
    assert '2 x 2 GPUs asked for, 3 given' in done.stderr
    assert not _running(tmp_path)


@pytest.mark.parametrize(
    'words', [['0', '--', 'x'], ['2', 'x', '--', 'x'], ['2', '1', '--'], ['2', '--config=x.py']]
)
def test_wrong_numbers_say_how_it_is_called(words: list[str], tmp_path: Path, python: Path) -> None:
    done = run('local_processes.sh', *words, folder=tmp_path, PYTHON=python)
    assert done.returncode == 2
    assert 'usage: ' in done.stderr
    assert not list(tmp_path.glob('told_*'))


def test_one_that_fails_gives_its_code_and_the_others_a_bounded_time(
    tmp_path: Path, python: Path
) -> None:
    done = run(
        'local_processes.sh', '2', '--', '--config=x.py',
        folder=tmp_path, PYTHON=python, FAILS=1, SLOW=1, EOJAX_GRACE=1,
    )  # fmt: skip
    assert done.returncode == 7
    assert 'process 1 ended with code 7' in done.stderr
    assert '[1] process 1 speaks' in done.stderr  # what it said, though not on the terminal
    assert 'did not end within 1 s: killed' in done.stderr
    _until(lambda: not _running(tmp_path))


@pytest.mark.parametrize('name', ['TERM', 'INT'])
def test_signals_reach_all_processes_once(name: str, tmp_path: Path, python: Path) -> None:
    number = signal.Signals[f'SIG{name}']
    process = start(
        'local_processes.sh', '3', '--', '--config=x.py', folder=tmp_path, PYTHON=python, SLOW=1
    )
    assert process.stderr is not None
    _until(lambda: len(list(tmp_path.glob('started_*'))) == 3)
    assert 'the output of processes 1 to 2' in process.stderr.readline()  # said once all are there
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert [(tmp_path / f'signals_{i}').read_text() for i in range(3)] == [f'{name}\n'] * 3
    assert not _running(tmp_path)


def test_one_that_does_not_stop_is_killed(tmp_path: Path, python: Path) -> None:
    process = start(
        'local_processes.sh', '2', '--', '--config=x.py',
        folder=tmp_path, PYTHON=python, SLOW=1, DEAF=0, EOJAX_GRACE=0,
    )  # fmt: skip
    assert process.stderr is not None
    _until(lambda: len(list(tmp_path.glob('started_*'))) == 2)
    process.stderr.readline()
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143  # that of the one which did
    assert '1 process(es) did not end' in err
    _until(lambda: not _running(tmp_path))


def test_no_orphan_where_the_script_is_killed_outright(tmp_path: Path, python: Path) -> None:
    tied = subprocess.run(['setpriv', '--pdeathsig', 'KILL', 'true'], check=False)
    if tied.returncode:
        pytest.skip('setpriv cannot tie processes to their parent here')
    process = start(
        'local_processes.sh', '2', '--', '--config=x.py', folder=tmp_path, PYTHON=python, SLOW=1
    )
    _until(lambda: len(list(tmp_path.glob('started_*'))) == 2)
    process.kill()
    process.communicate(timeout=60)
    _until(lambda: not _running(tmp_path))


def test_two_real_processes_of_two_devices_add_up(tmp_path: Path) -> None:
    python = write_command(tmp_path / 'python', f'exec {sys.executable} -c "$SUM"')
    done = run(
        'local_processes.sh', '2', '2', '--', '--config=x.py',
        folder=tmp_path, PYTHON=python, EOJAX_LOGS=tmp_path, SUM=SUM_OVER_DEVICES,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + (tmp_path / 'process_1.log').read_text()
    for i in range(2):
        assert json.loads((tmp_path / f'sum_{i}.json').read_text()) == [2, 2, 4, 10.0]
