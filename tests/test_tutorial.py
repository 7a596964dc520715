"""The tutorial notebook: its code runs from top to bottom."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

NOTEBOOK = Path(__file__).parents[1] / 'docs' / 'tutorial.ipynb'


def test_the_tutorial_runs_from_top_to_bottom(tmp_path: Path) -> None:
    cells = json.loads(NOTEBOOK.read_text())['cells']
    code = '\n'.join(''.join(cell['source']) for cell in cells if cell['cell_type'] == 'code')
    # The smaller network and a shorter training, in a quarter of the time.
    code = code.replace('jem-eurosat-64', 'jem-eurosat-32').replace('steps=100', 'steps=10')
    script = tmp_path / 'tutorial.py'
    script.write_text(f"import matplotlib\n\nmatplotlib.use('Agg')\n{code}\n")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'right:' in done.stdout
    assert (tmp_path / 'map' / 'class_map.tif').exists()
    assert (tmp_path / 'runs' / 'tutorial' / 'evaluation' / 'predictions.csv').exists()


def test_the_tutorial_is_stored_with_what_it_printed() -> None:
    cells = [c for c in json.loads(NOTEBOOK.read_text())['cells'] if c['cell_type'] == 'code']
    assert [cell['execution_count'] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell['outputs']]
    assert not [output for output in outputs if output['output_type'] == 'error']
    assert sum('image/png' in output.get('data', {}) for output in outputs) >= 4
    assert NOTEBOOK.stat().st_size < 1.5e6
