"""The batch script under stubs of SLURM's commands."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.launch.commands import LAUNCH, SUM_OVER_DEVICES, run, write_command

# Runs its command once for each task, at the same time, as srun does; the highest code is its own.
_SRUN = r"""
echo "srun" >>calls
while [[ $1 == -* ]]; do echo "$1" >>srun_options; shift; done
pids=()
for ((i = 0; i < SLURM_NTASKS; i++)); do
  SLURM_PROCID=$i SLURM_LOCALID=$i SLURM_STEP_NODELIST=localhost SLURM_STEP_NUM_NODES=1 "$@" &
  pids+=($!)
done
code=0
for pid in "${pids[@]}"; do
  ended=0
  wait "$pid" || ended=$?
  ((ended <= code)) || code=$ended
done
exit "$code"
"""
_TASK = r"""
printf '%s|' "$@" >"told_$SLURM_PROCID"
echo "$PYTHONPATH $EOJAX_CACHE $JAX_COMPILATION_CACHE_DIR $CUDA_CACHE_PATH" >"env_$SLURM_PROCID"
exit "${CODE:-0}"
"""


def _submit(
    folder: Path, *arguments: str, task: str = _TASK, state: str = 'RUNNING', **variables: object
) -> subprocess.CompletedProcess[str]:
    write_command(folder / 'bin' / 'srun', _SRUN)
    write_command(folder / 'bin' / 'squeue', f'echo "squeue $*" >>calls; echo {state}')
    write_command(folder / 'bin' / 'scontrol', 'echo "scontrol $*" >>calls')
    python = write_command(folder / 'python', task)
    given: dict[str, object] = {'SLURM_JOB_ID': 4242, 'SLURM_NTASKS': 2, 'SLURM_CPUS_PER_TASK': 8}
    given |= {'SLURM_SUBMIT_DIR': LAUNCH.parent, 'PYTHON': python}
    return run('slurm.sbatch', *arguments, folder=folder, **(given | variables))


def _calls(folder: Path) -> list[str]:
    return (folder / 'calls').read_text().splitlines()


def test_every_task_trains_with_the_same_flags_and_caches(tmp_path: Path) -> None:
    done = _submit(tmp_path, 'configs/x.py', '--workdir=a b')
    assert done.returncode == 0, done.stderr
    assert _calls(tmp_path) == ['srun']  # a run that ended is not put back into the queue
    for i in range(2):
        told = (tmp_path / f'told_{i}').read_text()
        assert told == '-m|eojax.main|--config=configs/x.py|--workdir=a b|'
        cache = f'{tmp_path}/.cache/eojax'  # in the home folder, where there is no SCRATCH
        expected = f'{LAUNCH.parent} {cache} {cache}/compiled {cache}/cuda\n'
        assert (tmp_path / f'env_{i}').read_text() == expected
    options = (tmp_path / 'srun_options').read_text().split()
    assert '--cpus-per-task=8' in options
    assert '--kill-on-bad-exit=0' in options  # one that has saved does not pull down the others
    assert any(re.fullmatch(r'--wait=[1-9]\d*', option) for option in options)


def test_caches_go_where_they_are_told(tmp_path: Path) -> None:
    _submit(tmp_path, 'configs/x.py', SCRATCH='/scratch/me', JAX_COMPILATION_CACHE_DIR='/fast')
    _, cache, compiled, cuda = (tmp_path / 'env_0').read_text().split()
    assert (cache, compiled) == ('/scratch/me/.cache/eojax', '/fast')
    assert cuda == '/scratch/me/.cache/eojax/cuda'


def test_saved_and_stopped_goes_back_to_the_queue(tmp_path: Path) -> None:
    done = _submit(tmp_path, 'configs/x.py', CODE=143)
    assert done.returncode == 143
    assert _calls(tmp_path)[-1] == 'scontrol requeue 4242'


@pytest.mark.parametrize('state', ['COMPLETING', 'CANCELLED', ''])
def test_a_cancelled_job_stays_cancelled(state: str, tmp_path: Path) -> None:
    done = _submit(tmp_path, 'configs/x.py', state=state, CODE=143)
    assert done.returncode == 143
    assert not [call for call in _calls(tmp_path) if call.startswith('scontrol')]


def test_an_error_is_not_tried_again(tmp_path: Path) -> None:
    done = _submit(tmp_path, 'configs/x.py', CODE=1)
    assert done.returncode == 1
    assert _calls(tmp_path) == ['srun']


def test_the_job_asks_for_a_signal_before_its_end() -> None:
    asked = dict(
        re.findall(r'^#SBATCH --([a-z-]+)=?(\S*)', (LAUNCH / 'slurm.sbatch').read_text(), re.M)
    )
    name, seconds = asked['signal'].split('@')
    assert name == 'TERM'  # to the tasks: with B: in front, to the script alone
    assert int(seconds) >= 60
    assert 'requeue' in asked
    assert asked['open-mode'] == 'append'  # a second start keeps the first one's output
    assert asked['gpus-per-node'] == asked['ntasks-per-node']
    assert 'gpus-per-task' not in asked


def test_outside_the_repository_is_one_line(tmp_path: Path) -> None:
    done = _submit(tmp_path, 'configs/x.py', SLURM_SUBMIT_DIR=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        f"no eojax in {tmp_path}: call sbatch in the repository's root, or set EOJAX_ROOT\n"
    )


def test_two_real_tasks_find_each_other_by_slurms_variables(tmp_path: Path) -> None:
    # jax takes its port from the job's number: 61440 and the number modulo 4096.
    for number in range(4096):
        with socket.socket() as trial:
            if trial.connect_ex(('127.0.0.1', 61440 + number)):
                break
    done = _submit(
        tmp_path, 'configs/x.py', task=f'exec {sys.executable} -c "$SUM"', SUM=SUM_OVER_DEVICES,
        SLURM_JOB_ID=number, JAX_PLATFORMS='cpu',
        XLA_FLAGS='--xla_force_host_platform_device_count=2',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for i in range(2):
        assert json.loads((tmp_path / f'sum_{i}.json').read_text()) == [2, 2, 4, 10.0]
