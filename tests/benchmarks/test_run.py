"""A tiny suite from the command line to its record."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path

import pytest

from benchmarks import rivals, run
from benchmarks.rivals import NO_TORCH, Rivals
from benchmarks.timing import Workload


@pytest.fixture
def cached(monkeypatch):
    """Programs may come from the tests' cache."""
    monkeypatch.setattr(run, 'compile_afresh', lambda: None)


def test_a_suite_is_timed_against_peers_and_recorded(tmp_path, monkeypatch, capsys, cached):
    def sleeping(step):
        nap = Workload('reference_style', lambda times: time.sleep(0.002 * times))
        return Rivals([nap], ['best_effort: is away'])

    monkeypatch.setattr(rivals, 'build', sleeping)
    out = tmp_path / 'tiny.json'
    run.main(['--suite=tiny', '--only=jem', '--repeats=3', f'--out={out}', '--notes=one try'])
    record = json.loads(out.read_text())
    numbers = record['numbers']
    assert record['command'] == 'python -m benchmarks.run --suite=tiny --only=jem --repeats=3'
    assert record['notes'] == 'one try'
    assert record['suite']['entries'] == {'jem': 'WRN-10-1, 16 px, batch 8, 2 steps, float32'}
    rate = numbers['jem_steps_per_second']
    assert numbers['jem_steps_per_second_low'] <= rate <= numbers['jem_steps_per_second_high']
    # The labelled images and those of p(x).
    assert numbers['jem_images_per_second'] == pytest.approx(16 * rate, rel=1e-3)
    share = numbers['jem_step_flops'] * rate / numbers['matmul_flops_per_second']
    assert numbers['jem_matmul_share'] == pytest.approx(share, rel=1e-2)
    seconds = record['repeats']['jem']
    assert set(seconds) == {
        'end to end', 'reference_style', 'step alone', 'input alone', 'matrix product', 'copy',
    }  # fmt: skip
    assert {len(values) for values in seconds.values()} == {3}
    middle = sorted(seconds['end to end'])[1]
    assert rate == pytest.approx(1 / middle, rel=1e-3)
    by_hand = sorted(
        theirs / ours
        for theirs, ours in zip(seconds['reference_style'], seconds['end to end'], strict=True)
    )
    assert numbers['jem_ratio_reference_style'] == pytest.approx(by_hand[1], rel=1e-3)
    assert numbers['jem_ratio_best_effort'] is None
    assert 'jem: best_effort: is away' in record['suite']['notes']
    others = numbers.pop('jem_other_cores')
    assert others is None or others >= 0
    for name, value in numbers.items():
        assert value is None or (math.isfinite(value) and value > 0), name
    assert str(tmp_path) not in out.read_text()
    printed = capsys.readouterr().out
    assert 'vs reference style' in printed
    assert 'peak memory from the program' in printed


def test_without_torch_the_table_says_so_and_how_to_get_it(monkeypatch, capsys, cached):
    found = rivals.importlib.util.find_spec
    monkeypatch.setattr(
        rivals.importlib.util, 'find_spec', lambda name: None if name == 'torch' else found(name)
    )
    run.main(['--suite=tiny', '--only=supervised', '--repeats=1'])
    printed = capsys.readouterr().out
    assert printed.splitlines()[2].split()[-4:] == ['no', 'torch', 'no', 'torch']
    assert NO_TORCH in printed
    assert Path('benchmarks/requirements.txt').exists()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--suite=x'], 'unknown suite'),
        (['--suite=tiny', '--only=jem,x'], 'unknown entry of the tiny suite'),
        (['--suite=tiny', '--repeats=0'], '--repeats must be at least 1'),
        (['--suite=tiny', '--out=nowhere/x.json'], 'there is no folder nowhere'),
    ],
)
def test_mistakes_are_one_line_before_anything_is_timed(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(run.measurement, 'measure', lambda *_: pytest.fail('it was timed'))
    with pytest.raises(SystemExit) as caught:
        run.main(arguments)
    assert caught.value.code == 1
    told = capsys.readouterr().err
    assert message in told
    assert told.count('\n') == 1


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write everywhere')
def test_a_folder_that_cannot_be_written_is_said_first(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(run.measurement, 'measure', lambda *_: pytest.fail('it was timed'))
    tmp_path.chmod(0o500)
    with pytest.raises(SystemExit):
        run.main(['--suite=tiny', f'--out={tmp_path}/x.json'])
    assert 'is not writable' in capsys.readouterr().err
