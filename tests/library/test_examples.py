"""The examples of `docs/examples`: each runs, and what it prints is so."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

from tests.tiny_runs import tiny_run

EXAMPLES = Path(__file__).parents[2] / 'docs' / 'examples'
# What each prints, and between which two values the number in it lies.
PRINTED: dict[str, list[tuple[str, float, float]]] = {
    'calibration': [(r'as they are: .* ([\d.]+)', 0.0, 0.02), (r'too sure: .* ([\d.]+)', 0.1, 0.3)],
    'fid_and_kid': [(r'same kind: FID ([\d.]+)', 0.0, 0.05), (r'darker: FID ([\d.]+)', 0.3, 2.0)],
    'langevin': [(r'left: .*deviation \[([\d.]+)', 0.45, 0.55), (r'left: (\d+)', 800, 1200)],
    'out_of_distribution': [
        (r'shifted: AUROC ([\d.]+)', 0.85, 0.95), (r'typical: AUROC ([\d.]+)', 0.0, 0.05),
    ],
    'randaugment': [(r'uint8: (\d+)%', 50, 95)],
    'read_geotiff': [(r'(\d+) windows of 64 px', 11, 11), (r'px of ([\d.]+) m', 10, 10)],
    'read_image_folder': [(r'Meadow: 5 images, mean level (\d+)', 130, 138)],
    'replay_buffer': [(r'step   0: .* ([\d.]+)', 0.9, 1.2), (r'step 119: .* ([\d.]+)', 0.0, 0.1)],
    'sliced_wasserstein': [(r'squared ([\d.]+)', 0.5, 0.65), (r'descent: ([\d.]+)', 0.0, 0.01)],
    'supervised_contrastive': [(r'step 99: .*within ([\d.]+)', 0.9, 1.0)],
    'open_a_run': [(r'by ([\d.]+) levels', 0.1, 200)],
}  # fmt: skip


def test_all_examples_are_run() -> None:
    assert {path.stem for path in EXAMPLES.glob('*.py')} == set(PRINTED)
    page = (EXAMPLES.parent / 'library.md').read_text(encoding='utf-8')
    assert all(f'examples/{name}.py' in page for name in PRINTED)


@pytest.mark.parametrize('name', sorted(PRINTED))
def test_an_example_runs_alone(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [str(tiny_run('jem').folder)] if name == 'open_a_run' else []
    monkeypatch.setattr(sys, 'argv', [f'{name}.py', *arguments])
    runpy.run_path(str(EXAMPLES / f'{name}.py'), run_name='__main__')
    printed = capsys.readouterr().out
    for pattern, low, high in PRINTED[name]:
        found = re.search(pattern, printed)
        assert found, printed
        assert low <= float(found[1]) <= high, found[0]
