"""Memory of compiled steps, by options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jax import random

from benchmarks import memory
from benchmarks.suites import suites
from benchmarks.training_step import needed_of
from eojax.devices import sharding
from eojax.runs import run as runs
from eojax.runs.carry import initial_carry
from eojax.training.step_program import compile_phase


def test_a_larger_batch_needs_more_and_the_record_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'memory.json'
    memory.main(
        ['--suite=tiny', '--entry=supervised', '--vary=batch_size=4,16', f'--out={out}',
         '--commit=abc']
    )  # fmt: skip
    record = json.loads(out.read_text())
    assert record['command'] == (
        'python -m benchmarks.memory --suite=tiny --entry=supervised --vary batch_size=4,16'
    )
    small, large = (record['numbers'][f'batch_size={n}: temporary_bytes'] for n in (4, 16))
    assert 0 < small < large
    for size in (4, 16):
        held, peak = (record['numbers'][f'batch_size={size}: {n}_bytes'] for n in ('held', 'peak'))
        assert 0 < held < peak
    assert 'batch_size=16' in capsys.readouterr().out


def test_a_step_that_is_compiled_quickly_needs_as_much_as_the_one_that_is_trained() -> None:
    config = memory._config('tiny', 'supervised', [])
    quickly = memory.needed_by(config)
    run = runs.prepare(config, Path())
    key = sharding.place_key(random.key(config.seed, impl=config.random), run.mesh)
    programs = compile_phase(run, run.method.phases[0], initial_carry(run, key), key)
    run.feed.close()
    assert quickly == needed_of(programs.one)


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--entry=jim'], 'unknown entry'),
        (['--entry=jem', '--suite=big'], 'unknown suite'),
        (['--entry=jem', '--set=batch_size'], 'KEY=VALUE'),
        (['--entry=jem', '--set=method.size=3'], 'method.size'),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        memory.main(arguments)
    assert words in f'{stopped.value}{capsys.readouterr().err}'


def test_values_are_what_they_look_like() -> None:
    config = memory._config('tiny', 'supervised', [('batch_size', '3'), ('tensorboard', 'False')])
    assert (config.batch_size, config.tensorboard) == (3, False)
    assert suites()['tiny'].entries['supervised']().batch_size != 3
