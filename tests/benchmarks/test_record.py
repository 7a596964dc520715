"""Recording what a training command reached."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import record

_SCRIPT = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[2].split('=', 1)[1])
(folder / 'evaluation').mkdir(parents=True)
rows = [
    {'step': 10, 'phase': 'first', 'steps_per_second': 4.0},
    {'step': 20, 'phase': 'first', 'steps_per_second': 6.0},
    {'step': 20, 'event': 'diverged'},
    {'step': 30, 'phase': 'first', 'steps_per_second': 5.0},
    {'step': 40, 'phase': 'second', 'steps_per_second': 2.0},
]
(folder / 'metrics.jsonl').write_text(''.join(json.dumps(r) + chr(10) for r in rows))
(folder / 'evaluation' / 'evaluation.json').write_text('{"accuracy": 0.5}')
"""


def test_a_record_holds_the_runs_numbers_and_how_to_repeat_them(tmp_path):
    script = tmp_path / 'train.py'
    script.write_text(_SCRIPT)
    command = [sys.executable, str(script), '--config=configs/x.py', f'--workdir={tmp_path}/run']
    out = tmp_path / 'x.json'
    record.main([f'--out={out}', '--notes=made up', '--', *command])
    written = json.loads(out.read_text())
    numbers = written['numbers']
    assert numbers['accuracy'] == 0.5
    assert numbers['steps'] == 40
    assert numbers['steps_per_second_first'] == 5.0
    assert numbers['steps_per_second_second'] == 2.0
    assert numbers['divergences'] == 1
    assert numbers['wall_seconds'] > 0.0
    assert written['command'].endswith(f'--workdir={tmp_path}/run')
    assert written['command'].startswith('python ')
    assert len(written['commit'].removesuffix('-dirty')) == 40
    assert written['notes'] == 'made up'


def test_an_evaluation_is_recorded_under_the_name_of_its_folder(tmp_path, monkeypatch):
    (tmp_path / 'eojax').mkdir()
    (tmp_path / 'eojax' / '__init__.py').touch()
    (tmp_path / 'eojax' / 'evaluate.py').write_text(
        "import pathlib, sys; out = pathlib.Path(sys.argv[2].split('=')[1]); out.mkdir();"
        "(out / 'evaluation.json').write_text('{\"fid\": 2.5}')"
    )
    command = [sys.executable, '-m', 'eojax.evaluate', '--workdir=x', f'--out={tmp_path}/x_fid']
    monkeypatch.setattr(record, 'RESULTS', tmp_path)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    record.main(['--', *command])
    (written,) = tmp_path.glob('x_fid_cpu_*.json')
    assert json.loads(written.read_text())['numbers']['fid'] == 2.5


def test_a_failed_command_records_nothing(tmp_path):
    script = tmp_path / 'train.py'
    script.write_text('raise SystemExit(7)')
    out = tmp_path / 'x.json'
    with pytest.raises(SystemExit) as caught:
        record.main([f'--out={out}', '--', sys.executable, str(script), '--config=x.py'])
    assert caught.value.code == 7
    assert not out.exists()


def test_a_resumed_run_is_not_recorded(tmp_path, capsys):
    (tmp_path / 'run').mkdir()
    with pytest.raises(SystemExit) as caught:
        record.main(['--', 'python', '--config=x.py', f'--workdir={tmp_path}/run'])
    assert caught.value.code == 1
    assert 'from its beginning' in capsys.readouterr().err
