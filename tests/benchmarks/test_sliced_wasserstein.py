"""The distance timed over sizes, and that everybody computes the same one."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

from benchmarks import sliced_wasserstein
from benchmarks.sliced_wasserstein import Case

CASE = Case(batch=9, projections=5, features=4, classes=2)


def test_all_compute_the_same_distance():
    held = sliced_wasserstein.batches(CASE)
    calls = sliced_wasserstein._ours(CASE, held)
    expected = sliced_wasserstein.numpy_distance(held)
    assert float(calls['forward']()) == pytest.approx(expected, rel=1e-5)
    value, (to_source, to_target) = calls['gradient']()
    assert float(value) == pytest.approx(expected, rel=1e-5)
    # Pairs pull at each other.
    np.testing.assert_allclose(to_source.sum(0), -to_target.sum(0), atol=1e-5)
    for side in calls['sort']():
        assert (np.diff(side, axis=1) >= 0.0).all()
    if importlib.util.find_spec('ot') is not None:
        assert sliced_wasserstein.pot_distance(held) == pytest.approx(expected, rel=1e-5)


def test_numbers_by_hand():
    seconds = {
        'forward': [0.2, 0.4],
        'gradient': [0.5, 0.5],
        'class_gradient': [1.0, 1.0],
        'sort': [0.1, 0.2],
        'numpy_forward': [0.1, 0.1],
    }
    numbers = sliced_wasserstein.numbers_of(CASE, seconds)
    name = 'batch9_projections5'
    assert numbers[f'{name}_forward_seconds'] == pytest.approx(0.3)
    assert numbers[f'{name}_sort_share_of_forward'] == pytest.approx(0.5)
    assert numbers[f'{name}_sort_share_of_gradient'] == pytest.approx(0.3)
    assert numbers[f'{name}_ratio_numpy_forward_low'] == pytest.approx(0.25)
    assert numbers[f'{name}_ratio_torch_gradient'] is None
    assert numbers[f'{name}_pot_forward_seconds'] is None


def test_a_record_comes_of_the_command(tmp_path, capsys):
    out = tmp_path / 'distance.json'
    sliced_wasserstein.main([
        '--batches=4,9', '--projections=3', '--features=4', '--repeats=2', '--seconds=0',
        f'--out={out}', f'--commit={"0" * 40}',
    ])  # fmt: skip
    record = json.loads(out.read_text())
    assert record['command'] == (
        'python -m benchmarks.sliced_wasserstein --batches=4,9 --projections=3 --features=4'
        ' --classes=4 --repeats=2'
    )
    cases = {'batch4_projections3': [4, 3], 'batch9_projections3': [9, 3]}
    assert record['sliced_wasserstein']['cases'] == cases
    assert set(record['repeats']) == set(cases)
    there = importlib.util.find_spec('torch') is not None
    for name in cases:
        assert record['numbers'][f'{name}_gradient_seconds'] > 0.0
        assert (record['numbers'][f'{name}_ratio_torch_gradient'] is not None) == there
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [['4', '3'], ['9', '3']]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--batches=64,x'], '--batches takes whole numbers, not 64,x'),
        (['--projections=0'], '--projections must be positive'),
        (['--out=nowhere/x.json'], 'there is no folder nowhere'),
    ],
)
def test_mistakes_are_one_line_before_anything_is_timed(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(sliced_wasserstein, 'workloads', lambda *_: pytest.fail('it was timed'))
    with pytest.raises(SystemExit) as caught:
        sliced_wasserstein.main(arguments)
    assert caught.value.code == 1
    told = capsys.readouterr().err
    assert message in told
    assert told.count('\n') == 1
