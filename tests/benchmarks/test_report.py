"""The table and chart from made-up records."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmarks import report
from benchmarks.command import BUSY
from tests.benchmarks.fabricated import suite_record, write

GPU = {'device': 'NVIDIA Fast', 'count': 1, 'cpu': 'Abacus', 'cores': 16, 'memory_gb': 8}


@pytest.fixture
def place(tmp_path):
    """A page with markers, and a folder of records: two of a CPU, one of a GPU, one of a run."""
    (tmp_path / 'results').mkdir()
    (tmp_path / 'page.md').write_text(f'above\n\n{report.BEGIN}\nold\n{report.END}\n\nbelow\n')
    older = suite_record(date='2025-12-31')
    older['numbers']['jem_ratio_reference_style'] = 0.5
    write(tmp_path / 'results', 'b.json', suite_record())
    write(tmp_path / 'results', 'z.json', older)
    write(tmp_path / 'results', 'gpu.json', suite_record(hardware=GPU))
    write(tmp_path / 'results', 'training.json', {'numbers': {'accuracy': 0.5}})
    return tmp_path


def run(place, *more):
    names = {'results': 'results', 'page': 'page.md', 'chart': 'speed.png'}
    report.main([*(f'--{name}={place / path}' for name, path in names.items()), *more])


def test_the_newest_record_of_each_hardware_is_a_row(place):
    run(place)
    lines = (place / 'page.md').read_text().splitlines()
    assert lines[:3] == ['above', '', report.BEGIN]
    assert lines[-3:] == [report.END, '', 'below']
    rows = [line for line in lines if line.startswith('| `jem`')]
    assert len(rows) == 2
    assert '| NVIDIA Fast |' in rows[0]  # accelerators first
    assert rows[1] == (
        '| `jem`: WRN-16-2, 64 px | 2 cores, Abacus | 2 (1.8–2.2) | 48% | 0.71x | 2.50x'
        ' | [2026-01-02](results/b.json) |'
    )


def test_the_chart_has_a_panel_for_each_row(place):
    run(place)
    with Image.open(place / 'speed.png') as picture:
        two, pixels = picture.height, np.asarray(picture.convert('RGB'))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 3  # three bars, and text
    (place / 'results' / 'gpu.json').unlink()
    run(place)
    with Image.open(place / 'speed.png') as picture:
        assert picture.height < two


def test_check_says_what_is_stale_and_writes_nothing(place, capsys):
    before = (place / 'page.md').read_bytes()
    with pytest.raises(SystemExit) as caught:
        run(place, '--check')
    assert caught.value.code == 1
    assert 'page.md does not show the newest records' in capsys.readouterr().err
    assert (place / 'page.md').read_bytes() == before
    assert not (place / 'speed.png').exists()
    run(place)
    run(place, '--check')
    newer = suite_record(date='2026-01-03')
    newer['numbers']['jem_best_effort_steps_per_second'] = 1.0  # in the chart alone
    newer['numbers']['jem_ratio_best_effort'] = 2.5
    write(place / 'results', 'b.json', newer)
    text = (place / 'page.md').read_text().replace('2026-01-02](results/b', '2026-01-03](results/b')
    (place / 'page.md').write_text(text)
    with pytest.raises(SystemExit):
        run(place, '--check')
    assert 'speed.png does not show' in capsys.readouterr().err


def test_without_records_nothing_was_measured(place):
    for file in (place / 'results').iterdir():
        file.unlink()
    run(place)
    assert 'Not measured yet.' in (place / 'page.md').read_text()
    assert not (place / 'speed.png').exists()
    run(place, '--check')


def test_what_was_timed_on_a_busy_machine_stays_out(place):
    busy = suite_record(date='2026-02-01')
    busy['suite']['notes'] = [f'jem: {BUSY}']
    write(place / 'results', 'busy.json', busy)
    run(place)
    text = (place / 'page.md').read_text()
    assert 'busy.json' not in text
    assert 'results/b.json' in text


@pytest.mark.parametrize('text', ['no markers', f'{report.END} {report.BEGIN}', report.BEGIN])
def test_a_page_without_a_place_for_the_table_is_refused(place, text, capsys):
    (place / 'page.md').write_text(text)
    with pytest.raises(SystemExit):
        run(place)
    assert report.END in capsys.readouterr().err
    assert (place / 'page.md').read_text() == text


@pytest.mark.parametrize('text', ['{', '{"suite": {"entries": {"jem": ""}}, "numbers": {}}'])
def test_a_damaged_record_is_named(place, text, capsys):
    (place / 'results' / 'bad.json').write_text(text)
    with pytest.raises(SystemExit):
        run(place)
    assert 'bad.json is no record' in capsys.readouterr().err
