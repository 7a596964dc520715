from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eojax.apps.report import command as report
from eojax.apps.report.curves import Marks, curves, metric_names
from eojax.apps.report.page import render
from eojax.apps.report.wording import number
from eojax.data import split_record
from eojax.data.split_record import PartRecord, SplitRecord
from eojax.data.splits import Rule
from eojax.drawing import figures
from eojax.evaluation.published_results import published_results
from tests.apps.browser import opened
from tests.tiny_runs import tiny_config

CLASSES = ('Forest', '<script>', 'HerbaceousVegetation')
EVALUATION = {
    'step': 400, 'test_images': 1234, 'accuracy': 0.91234, 'nll': 0.3361, 'ece': 0.0543,
    'f1_macro': 0.8912, 'log_density_test': -1234.5678, 'kl_test': 0.1234, 'auroc_constant': 0.9421,
    'kl_constant': 7.25, 'samples': 256, 'sample_share_Forest': 0.005, 'sample_share_River': 0.995,
    'fpr95_constant': 0.122, 'fid': 148.72, 'kid': 0.0654, 'inception_images': 500,
    **{f'{kind}_{name}': 0.5 + 0.1 * i + 0.01 * j for i, name in enumerate(CLASSES)
       for j, kind in enumerate(('precision', 'recall', 'f1'))},
}  # fmt: skip


class Page(HTMLParser):
    """The contents of a page: its elements, its text, and the cells of each table row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ''
        self._hidden = self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._hidden = tag == 'style'
        if tag == 'tr':
            self.rows.append([])
        if tag in ('td', 'th'):
            self._in_cell = True
            self.rows[-1].append('')

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False
        self._in_cell = self._in_cell and tag not in ('td', 'th')

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        self.text += data
        if self._in_cell:
            self.rows[-1][-1] += data

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]

    def row(self, first: str) -> list[str]:
        (found,) = [row for row in self.rows if row and row[0].startswith(first)]
        return found


def _write(folder: Path, **files: Any) -> Path:
    """Text, JSON or JSON lines, by name with `__` for the dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        lines = name.endswith('__jsonl')
        text = ''.join(json.dumps(x) + '\n' for x in value) if lines else json.dumps(value)
        (folder / name.replace('__', '.')).write_text(value if isinstance(value, str) else text)
    return folder


def _picture(path: Path, width: int = 40, height: int = 30) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def _rows() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {'step': step, 'loss': 400.0 / step, 'accuracy': step / 500, 'images_per_second': 9.0,
         'phase': 'supervised' if step <= 200 else 'joint'}
        for step in range(10, 401, 10)
    ]  # fmt: skip
    rows.insert(30, {'step': 300, 'event': 'diverged', 'at': 310, 'rate': 0.5})
    rows[-1] |= {'validation_accuracy': 0.9, 'loss': None}
    return rows


def _run(folder: Path, **config: Any) -> Path:
    """A finished run of the published set, as training and evaluation leave it."""
    values = tiny_config('jem').to_dict() | {'steps': 400}
    values['data'] |= {'name': 'eurosat', 'size': 32}
    sizes = {'train': 800, 'validation': 80, 'test': 120, 'labelled': 800, 'unlabelled': 0}
    record = SplitRecord(Rule(0), {part: PartRecord(num, '') for part, num in sizes.items()}, ())
    _write(folder, config__json=values | config, metrics__jsonl=_rows())
    split_record.write(folder / 'splits.json', record)
    _write(folder / 'evaluation', evaluation__json=EVALUATION)
    _picture(folder / 'evaluation' / 'samples.png')
    for step in (200, 400):
        _picture(folder / 'samples' / f'step_{step:07d}.png', 64, 64)
    matrix = np.array([[8, 1, 1], [0, 9, 1], [2, 0, 8]])
    figures.confusion_matrix(matrix, ['a', 'b', 'c'], folder / 'evaluation/confusion_matrix.png')
    _picture(folder / 'evaluation' / 'log_density.png', 900, 300)
    _write(folder / 'map' / 'scene', summary__json={
        'scene': 'S2.tif', 'patches_per_second': 812.5, 'share_unseen': 0.0375,
        'hectares': {'Forest': 1234.5, '<i>River</i>': 2.25},
    })  # fmt: skip
    _picture(folder / 'map' / 'scene' / 'overview.png', 300, 100)
    _picture(folder / 'restored' / 'restored_0000.png')  # one of many
    _write(folder / 'domains', domains__json={
        'ucmerced': {'kl': 3.21, 'log_density': {'auroc': 0.938, 'fpr95': 0.236}},
        'noise': {'kl': 27.6, 'log_density': {'auroc': 1.0, 'fpr95': 0.0}},
    })  # fmt: skip
    return folder


def _page(folder: Path, *options: str) -> Page:
    report.main([f'--workdir={folder}', *options])
    return Page((folder / 'report.html').read_text())


def _fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        report.main(arguments)
    assert stopped.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith('eojax: ')
    return lines[0]


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    return _run(tmp_path_factory.mktemp('runs') / 'a <b>run</b> & "more"')


@pytest.fixture(scope='module')
def page(folder) -> Page:
    return _page(folder)


def test_numbers_are_those_of_the_evaluation(page):
    assert page.row('Accuracy')[1] == '91.23%'
    assert page.row('Negative log-likelihood')[1] == '0.3361'
    assert page.row('Expected calibration error')[1] == '5.43%'
    assert page.row('Mean log p(x), test')[1] == '-1,235'
    assert page.row('FID')[:2] == ['FID\u00a0↓Fréchet inception distance, 500 images', '148.7']
    assert page.row('KID')[1] == '0.0654'
    assert page.row('constant') == ['constant', '0.942', '12.20%', '7.250']
    assert page.row('Divergence of log p(x), test')[1] == '0.1234'
    shares = [row for row in page.rows if len(row) == 2 and row[1] in ('99.5%', '0.5%')]
    assert shares == [['River', '99.5%'], ['Forest', '0.5%']]
    assert 'Of 256 samples' in page.text
    assert 'kl constant' not in page.text
    assert '1,234 images of the test split' in page.text
    for i, name in enumerate(CLASSES):
        scores = [50 + 10 * i + j for j in (2, 0, 1)]
        assert [name, *(f'{score:.1f}%' for score in scores)] in page.rows


def test_a_run_without_a_density_is_compared_by_what_it_has(tmp_path):
    run = _run(tmp_path / 'run')
    numbers = {k: v for k, v in EVALUATION.items() if not k.startswith('log_density')}
    numbers |= {'log_sum_exp_train': 3.07, 'log_sum_exp_test': 3.06}
    _write(run / 'evaluation', evaluation__json=numbers)
    page = _page(run)
    assert page.row('Divergence of log-sum-exp, test')[1] == '0.1234'
    assert 'How well log-sum-exp tells the test images' in page.text
    texts = [page.text, *(image['alt'] for image in page.named('img'))]
    assert any('Values of log-sum-exp of training' in text for text in texts)
    rows = [row[0] for row in page.rows if row and row[0].startswith('Divergence')]
    assert not any('log p(x)' in name for name in rows)


def test_papers_numbers_stand_beside_with_what_differs(page):
    accuracy = page.row('Accuracy')[2]
    assert '97.42 ± 0.19%' in accuracy
    assert 'TGRS 2022, Table\u00a0III' in accuracy
    assert '97.6%' in accuracy
    assert '122.1' in page.row('FID')[2]
    assert '0.06' in page.row('KID')[2]
    assert page.row('Negative log-likelihood')[2] == ''
    assert 'Images of 32 px here, of 64 px in the papers' in page.text
    assert 'WRN-10-1 here, WRN-28-10' in page.text
    # 400 steps of 16 images, of 800.
    assert '8.0 passes over 800 training images here, 200 in the papers' in page.text
    assert 'compare 500 images with as many samples' in page.text


@pytest.mark.parametrize(
    'data', [{'name': 'folder'}, {'name': 'eurosat', 'labels_per_class': 7}, 'eurosat_ms']
)
def test_other_data_and_labels_have_no_papers_numbers(tmp_path, data):
    page = _page(_run(tmp_path / 'run', data=data))
    assert len(page.row('Accuracy')) == 2
    assert '97.42' not in page.text
    assert 'protocols differ' not in page.text


def test_so2sat_is_of_32_pixels_in_the_papers(tmp_path):
    data = {'name': 'so2sat', 'labels_per_class': 'all', 'size': 32}
    page = _page(_run(tmp_path / 'run', data=data))
    assert '54.60' in page.row('Accuracy')[2]
    assert '64 px in the papers' not in page.text
    assert 'px in the papers' not in page.text


def test_published_numbers_are_of_the_same_labels():
    found = {(r.key, r.paper): r for r in published_results('eurosat', 'jem', 10)}
    assert found['accuracy', 'TGRS 2022'].value == pytest.approx(0.6160)
    assert found['accuracy', 'TGRS 2022'].printed == '61.60 ± 1.49%'
    assert found['ece', 'TGRS 2022'].value == pytest.approx(0.1022)
    assert ('fid', 'TGRS 2022') not in found
    (merced,) = published_results('ucmerced', 'supervised', 'all')
    assert (merced.value, merced.place) == (pytest.approx(0.8171), 'Table IV')
    assert published_results('landscapes', 'jem', 'all') == []


def test_text_from_files_stays_text(page):
    assert not page.named('script')
    assert not page.named('i')
    assert 'a <b>run</b> & "more"' in page.text
    assert '<i>River</i>' in page.text


def test_guarantees_have_tables_and_their_numbers_stand_once(tmp_path):
    areas = {f'area_{kind}of_low': 0.1 * i for i, kind in enumerate(
        ('mapped_', '', 'low_', 'high_', 'true_'), 1
    )}  # fmt: skip
    numbers = {
        'accuracy': 0.75, 'set_coverage': 0.91, 'set_coverage_of_low': 0.87, 'set_threshold': 0.5,
        'area_error': 0.01, **areas, 'aurc_confidence': 0.05,
        **{f'error_at_{c}_confidence': c / 1000 for c in (100, 90, 80, 70)},
    }  # fmt: skip
    run = _run(tmp_path / 'run')
    _write(run / 'evaluation', evaluation__json=numbers)
    page = _page(run)
    assert ['low', '10.00%', '20.00%', '30.00%', '40.00%', '50.00%'] in page.rows
    assert ['low', '87.00%'] in page.rows
    assert ['max p(y|x)', '10.00%', '9.00%', '8.00%', '7.00%'] in page.rows
    assert page.row('Error of corrected areas')[1] == '0.01000'
    assert page.row('Sets with the true class')[1] == '0.9100'
    assert 'area mapped of low' not in page.text
    assert 'error at 90' not in page.text


def test_no_text_of_a_run_becomes_markup(tmp_path):
    # It closes whatever attribute or element it could stand in.
    text = '"\'><script>alert(1)<'
    config = {'method': {'name': text}, 'data': {'name': text}, text: {'name': text, text: [text]},
              'model': {'name': text}, 'steps': 9, 'note': text}  # fmt: skip
    rows = [{'step': 1, text: 2.0, 'phase': text}, {'step': 2, text: 3.0, 'phase': f'{text}2'},
            {'step': 2, 'event': text, 'at': text, 'done': text},
            {'step': 2, 'event': 'diverged', 'rate': text}]  # fmt: skip
    run = _write(tmp_path / text, config__json=config, metrics__jsonl=rows)
    numbers = {text: text, f'precision_{text}': 0.5, f'auroc_{text}': 0.5, 'step': text}
    _write(run / 'evaluation', evaluation__json=numbers)
    _write(run / text, evaluation__json={'test_images': text})
    _write(run / f'map{text}', summary__json={text: {text: text}, 'b': [{text: [text]}]})
    for folder in ('evaluation', f'map{text}'):
        _picture(run / folder / f'{text}.png')
    (run / f'map{text}' / f'torn{text}.png').write_bytes(b'')
    _picture(run / 'samples' / f'step_{text}.png')
    page = _page(run)
    assert not page.named('script')
    assert page.text.count('<script>alert(1)<') > 25
    known = {'class', 'id', 'href', 'src', 'alt', 'width', 'height', 'style', 'role', 'tabindex',
             'aria-label', 'scope', 'lang', 'charset', 'name', 'content', 'http-equiv', 'viewbox',
             'points', 'x', 'y', 'dy', 'text-anchor', 'x1', 'x2', 'y1', 'y2', 'cx', 'cy', 'r',
             'open'}  # fmt: skip
    assert {name for _, attributes in page.elements for name in attributes} <= known
    styles = {a['style'] for _, a in page.elements if 'style' in a}
    assert styles == {'--share: 0.0%'}


def test_nothing_is_loaded_from_elsewhere(folder, page):
    addresses = [
        value for _, attributes in page.elements for name, value in attributes.items()
        if name in ('src', 'href', 'srcset', 'action', 'data', 'poster', 'background')
    ]  # fmt: skip
    assert len(addresses) > 5
    assert all(str(x).startswith(('#', 'data:image/')) for x in addresses)
    assert not {'link', 'iframe', 'object', 'embed'} & {name for name, _ in page.elements}
    styles = re.findall(r'<style>(.*?)</style>', (folder / 'report.html').read_text(), re.DOTALL)
    assert not re.search(r'url\(|@import', ''.join(styles))
    assert page.named('html')[0]['lang'] == 'en'
    assert len(page.named('h1')) == 1


def test_pictures_are_those_of_the_folder(folder, page):
    images = page.named('img')
    assert all(image['alt'] for image in images)
    held = {base64.b64decode(str(image['src']).partition(',')[2]) for image in images}
    shown = ('evaluation/samples.png', 'evaluation/confusion_matrix.png', 'map/scene/overview.png',
             'evaluation/log_density.png', 'samples/step_0000400.png')  # fmt: skip
    assert held == {(folder / name).read_bytes() for name in shown}


def test_apps_are_told_from_their_json(page):
    assert page.row('patches per second')[1] == '812.5'
    assert page.row('share unseen')[1] == '3.75%'
    assert ['Forest', '1,234'] in page.rows
    assert page.row('<i>River</i>')[1] == '2.250'
    assert page.row('ucmerced') == ['ucmerced', '3.210', '0.938', '23.60%']
    assert 'Land cover of a scene' in page.text
    # Made already, so no command is given for them, but for the others.
    assert 'eojax.apps.compare_domains' not in page.text
    assert 'eojax.apps.restore --workdir=' in page.text


@pytest.mark.parametrize(
    ('file', 'title'), [('iou.csv', 'Places of training'), ('strip.png', 'Land cover edited')]
)
def test_other_summaries_are_no_map_of_a_scene(tmp_path, file, title):
    run = _write(tmp_path / 'run', config__json={})
    _write(run / 'made', summary__json={'images': 3})
    (run / 'made' / file).write_bytes(b'')
    text = _page(run).text
    assert title in text
    # No such map is there, so its command is offered.
    assert 'eojax.apps.map_scene --workdir=' in text


def test_divergence_is_listed_and_marked(page):
    assert page.row('diverged') == [
        'diverged', '310', 'back to step 300, learning rate times 0.5',
    ]  # fmt: skip
    marks = [a for a in page.named('line') if a['class'] == 'event']
    assert len(marks) == len(page.named('svg')) == 4
    # The axis of 400 steps runs from 44 to 312.
    assert {a['x1'] for a in marks} == {f'{44 + 268 * 310 / 400:.1f}'}
    phases = {a['x1'] for a in page.named('line') if a['class'] == 'phase'}
    assert phases == {'178.0'}
    assert 'supervised from step 0, then joint from step 200' in page.text


def test_curves_leave_out_what_is_no_number_and_hold_far_values_on_the_axis():
    rows = [{'step': s, 'x': 1.0 + s / 1000, 'note': 'a', 'flag': True} for s in range(1, 1001)]
    rows[500]['x'] = 1e9
    rows[10]['x'] = float('nan')
    assert metric_names(rows) == ['x']
    drawn = Page(render('curves.html', panels=curves(rows, Marks())))
    assert '1 beyond the axis' in drawn.text
    (line,) = drawn.named('polyline')
    heights = [float(p.split(',')[1]) for p in str(line['points']).split()]
    assert len(heights) == 150
    # Rises over nearly all of the panel's 140 units, undisturbed by the one value.
    assert heights == sorted(heights, reverse=True)
    assert heights[0] - heights[-1] > 40
    flat = Page(render('curves.html', panels=curves([{'step': 5, 'loss': 2.0}], Marks())))
    assert len(flat.named('circle')) == 1


def test_a_run_that_has_just_begun_has_a_page(tmp_path):
    run = _write(tmp_path / 'begun', config__json=tiny_config('jem').to_dict())
    page = _page(run)
    for name in ('img', 'figure', 'svg'):
        assert not page.named(name)
    assert 'step 0 of 4' in page.text
    assert 'no interval has been logged yet' in page.text
    assert f'python -m eojax.evaluate --workdir={run}' in page.text
    # Each command is whole, and every section has content.
    assert page.text.count('python -m eojax') == 6
    assert [a['id'] for a in page.named('section')] == ['configuration', 'missing']


@pytest.mark.parametrize(
    ('method', 'offered'),
    [
        ('jem', {'generate', 'restore', 'map_scene', 'compare_domains', 'calibration'}),
        ('supervised', {'map_scene', 'compare_domains', 'calibration'}),
        ('vae', {'generate'}),  # it draws images, but starts no chain from a damaged one
    ],
)
def test_a_run_is_offered_what_its_method_can_do(tmp_path, method, offered):
    run = _write(tmp_path / 'run', config__json={'method': {'name': method}})
    assert set(re.findall(r'eojax\.apps\.(\w+)', _page(run).text)) == offered


def test_a_config_of_elsewhere_is_told_as_it_is(tmp_path):
    config = {'method': 'their own', 'lr': 3e-4, 'nest': {'deep': {'er': [1, 2]}}, 'no': None,
              'steps': 'many', 'model': ['x']}  # fmt: skip
    rows = [{'step': 3, 'event': 'paused', 'why': '<night>'}, {'step': 5, 'loss': 1.5}]
    page = _page(_write(tmp_path / 'run', config__json=config, metrics__jsonl=rows))
    assert page.row('deep.er')[1] == '1, 2'
    assert page.row('no')[1] == '(none)'
    assert page.row('lr')[1] == '0.0003'
    assert 'their own · ' in page.text
    assert page.row('paused') == ['paused', '3', 'why <night>']


def test_what_lies_elsewhere_is_included_once(tmp_path, capsys):
    run = _write(tmp_path / 'run', config__json={})
    other = _write(tmp_path / 'other', calibration__json={'a': {'ece': 0.25, 'bins': [0] * 15}})
    inside = _write(run / 'inside', summary__json=[{'x': 1}])
    options = (f'--include={other}', f'--include={inside}', f'--out={tmp_path}/x.html')
    report.main([f'--workdir={run}', *options])
    page = Page((tmp_path / 'x.html').read_text())
    assert page.row('a') == ['a', '25.00%']
    assert page.text.count('Land cover of a scene') == 1
    empty = _write(tmp_path / 'empty')
    line = _fails([f'--workdir={run}', f'--include={empty}'], capsys)
    assert 'holds no figures (PNG) and no numbers (JSON)' in line
    assert 'is no folder' in _fails([f'--workdir={run}', '--include=/none'], capsys)


def test_large_pictures_are_reduced_and_damaged_ones_named(tmp_path):
    run = _run(tmp_path / 'run')
    _picture(run / 'map' / 'large.png', 4200, 10)
    (run / 'map' / 'torn.png').write_bytes(b'\x89PNG no more')
    page = _page(run)
    assert 'torn.png cannot be shown: the file is damaged' in page.text
    assert '(reduced from 4,200 x 10 pixels)' in page.text
    (large,) = [a for a in page.named('img') if a['width'] == '2000']
    content = base64.b64decode(str(large['src']).partition(',')[2])
    with Image.open(io.BytesIO(content)) as image:
        assert image.width == 2000


def test_mistakes_are_one_line(tmp_path, capsys):
    assert 'is no run folder' in _fails([f'--workdir={tmp_path}'], capsys)
    run = _write(tmp_path / 'run', config__json='{"steps": ')
    assert 'config.json is damaged' in _fails([f'--workdir={run}'], capsys)
    _write(run, config__json={})
    assert 'give a file name' in _fails([f'--workdir={run}', f'--out={run}'], capsys)
    _write(run / 'map', summary__json='{]')
    assert 'summary.json is damaged' in _fails([f'--workdir={run}'], capsys)
    _write(run / 'map', summary__json={})
    _write(run / 'evaluation', evaluation__json='[1]')
    assert 'evaluation.json is damaged' in _fails([f'--workdir={run}'], capsys)
    assert not (run / 'report.html').exists()


def test_numbers_for_people():
    told = {
        ('accuracy', 0.8888): '88.88%', ('x', 1234567): '1,234,567', ('x', 0.0): '0',
        ('x', 0.012346): '0.01235', ('x', 1.5e-7): '1.50e-07', ('x', float('nan')): '–',
        ('x', float('-inf')): '-∞', ('x', True): 'yes', ('x', None): '–', ('x', 'text'): 'text',
        ('accuracy', 55.5): '55.50', ('max_probability auroc', 0.5): '0.500',
        ('kid', 0.00321): '0.00321', ('kid', 0.34): '0.340', ('kid', -0.00004): '-0.000040',
        ('kid', 0.0): '0.000', ('accuracy', 0.99996): '>99.99%', ('accuracy', 1.0): '100.00%',
        ('fpr95', 0.00004): '<0.01%', ('fpr95', 0.0): '0.00%', ('auroc', 0.9996): '>0.999',
        ('auroc', 1.0): '1.000', ('auroc', 0.0004): '<0.001', ('accuracy', 0.01): '1.00%',
    }  # fmt: skip
    for (key, value), text in told.items():
        assert number(value, key) == text


def test_without_a_browser_the_reason_is_given(folder, monkeypatch):
    monkeypatch.setattr('shutil.which', lambda name: None)
    with pytest.raises(pytest.skip.Exception, match='install'):
        opened(folder / 'report.html').__enter__()


@pytest.mark.parametrize(('width', 'scheme'), [(1280, 'light'), (390, 'light'), (390, 'dark')])
def test_in_a_browser(folder, page, width, scheme):
    file = folder / 'report.html'
    with opened(file, width, scheme) as visit:
        assert visit.complaints == []
        assert visit.failed == []
        assert all(address.startswith(('file://', 'data:')) for address in visit.requests)
        assert sum(address.startswith('file://') for address in visit.requests) == 1
        widths = visit.page.evaluate('[...document.images].map(image => image.naturalWidth)')
        assert len(widths) == len(page.named('img'))
        assert min(widths) > 0
        visit.page.evaluate('document.querySelectorAll("details").forEach(d => d.open = true)')
        assert visit.page.evaluate('document.documentElement.scrollWidth') <= width
        # Text does not shrink, and the table of the classes fits without scrolling.
        size = 'getComputedStyle(document.querySelector("td")).fontSize'
        assert float(visit.page.evaluate(size).removesuffix('px')) >= 13
        hidden = visit.page.evaluate(
            '[...document.querySelectorAll(".scroll")].map(e => e.scrollWidth - e.clientWidth)'
        )
        assert max(hidden) <= 0
