"""The tutorial notebook: its code runs from top to bottom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib
import pytest

from tests.quick import shorten_repairs
from tests.weights.tiny_files import ship_tiny_file

NOTEBOOK = Path(__file__).parents[1] / 'docs' / 'tutorial.ipynb'


def test_the_tutorial_runs_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = json.loads(NOTEBOOK.read_text())['cells']
    code = '\n'.join(''.join(cell['source']) for cell in cells if cell['cell_type'] == 'code')
    monkeypatch.chdir(tmp_path)
    matplotlib.use('Agg')
    ship_tiny_file('jem-eurosat-64', 16, tmp_path / 'shipped', monkeypatch)
    shorten_repairs(monkeypatch)
    # A shorter training, of fewer images.
    for long, short in (
        ('steps=100', 'steps=4'),
        ("'data.num_images': 1000", "'data.num_images': 200"),
    ):
        assert long in code
        code = code.replace(long, short)
    names: dict[str, Any] = {}
    exec(compile(code, NOTEBOOK.name, 'exec'), names)
    assert 'right:' in capsys.readouterr().out
    assert (tmp_path / 'map' / 'class_map.tif').exists()
    assert (tmp_path / 'runs' / 'tutorial' / 'evaluation' / 'predictions.csv').exists()


def test_the_tutorial_is_stored_with_what_it_printed() -> None:
    cells = [c for c in json.loads(NOTEBOOK.read_text())['cells'] if c['cell_type'] == 'code']
    assert [cell['execution_count'] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell['outputs']]
    assert not [output for output in outputs if output['output_type'] == 'error']
    assert sum('image/png' in output.get('data', {}) for output in outputs) >= 4
    assert NOTEBOOK.stat().st_size < 1.5e6
