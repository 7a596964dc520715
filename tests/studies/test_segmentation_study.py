"""Studies of segmentation: what is trained, tables by hand, resumption, and what is typed wrong."""

from __future__ import annotations

import io
import json
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ml_collections import ConfigDict
from PIL import Image

from eojax.config.base import base_config, flatten, from_json, set_key
from eojax.data.dataset import Dataset
from eojax.evaluation.published_segmentation import (
    AUXILIARY_TITLES,
    amount_scores,
    auxiliary_scores,
    city_scores,
    network_scores,
)
from eojax.methods.pixels.auxiliary import WEIGHTS
from eojax.studies.grid.cells import load_dataset
from eojax.studies.grid.runner import Listener, Start
from eojax.studies.segmentation import command, methods
from eojax.studies.segmentation.labelled_data import STUDY, drawn_cities, parse_amounts
from eojax.studies.segmentation.rows import labels_of
from eojax.studies.segmentation.study import lines_of
from eojax.studies.segmentation.table import _published_cities
from tests.apps.finished_runs import changed, write_finished
from tests.studies.grid_commands import PROVENANCE, cells_of, here, one_error, run_grid_command

TEST_CITIES = ('plain_8', 'coast_6')
_CONFIG = """
from tests.studies.test_segmentation_study import small_config

def get_config():
    return small_config({changes})
"""


def small_config(method: str = 'segmentation', **changes: Any) -> ConfigDict:
    """32 drawn tiles of 32 pixels in 16 regions, two of them for the test, two steps."""
    network, size = ('unet', 'depth') if method != 'segmentation' else ('pixel_network', 'kernel')
    config = base_config(method, network, 'landscape_cover')
    values: dict[str, Any] = {
        'steps': 2, 'batch_size': 2, 'log_every': 1, 'evaluate_every': 0, 'tensorboard': False,
        'data.size': 32, 'data.num_images': 32, 'data.regions': 16,
        'data.test_groups': ','.join(TEST_CITIES), 'method.window': 16, 'model.width': 2,
        f'model.{size}': 1, 'evaluate.batch_size': 4, 'evaluate.keep_reference': False,
    }  # fmt: skip
    for key, value in (values | changes).items():
        set_key(config, key.replace('__', '.'), value)
    return config


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Configs of two networks on the same data, one of other data, one with half of the labels."""
    for name, changes in (
        ('small', ''), ('wide', 'model__width=3'), ('other', 'data__seed=1'),
        ('half', 'data__labelled_share=0.5'),
    ):  # fmt: skip
        (tmp_path / f'{name}.py').write_text(_CONFIG.format(changes=changes))
    return tmp_path


def _run(*arguments: str, start: Start | None = None, code: int = 0) -> None:
    run_grid_command(command.main, *arguments, start=start, code=code)


def _rows(workdir: Path) -> list[dict[str, Any]]:
    return json.loads((workdir / 'table.json').read_text())


class Fake:
    """A `Start` that trains nothing: the scores tell the setting and the seed."""

    def __init__(self, **codes: int) -> None:
        self.codes = codes
        self.started: list[str] = []

    def __call__(self, arguments: Sequence[str], listener: Listener) -> int:
        config, folder = (Path(argument.partition('=')[2]) for argument in arguments[:2])
        self.started.append('/'.join(folder.parts[-2:]))
        code = self.codes.get(folder.name, 0)
        if not code:
            _finish(folder, from_json(config))
        return code


def _finish(folder: Path, values: ConfigDict) -> None:
    """Half of the pixels are right; more with a higher seed or width, fewer with fewer labels."""
    accuracy = 0.5 + 0.01 * values.seed**2 + 0.1 * (values.model.width - 2)
    accuracy -= 0.2 * (1.0 - values.data.labelled_share) + 0.1 * bool(values.data.labelled_groups)
    if values.method.get('auxiliary') == 'l1':
        accuracy += 0.02 * values.method.auxiliary_weight
    numbers = {'pixel_accuracy': accuracy, 'mean_iou': accuracy / 2, 'mean_iou_all': accuracy / 4,
               'iou_water': 0.4, 'precision_water': 0.9, 'pixel_accuracy_coast_6': 0.3,
               'mean_iou_coast_6': 0.2}  # fmt: skip
    write_finished(folder, values, **numbers)
    (folder / 'provenance.json').write_text(json.dumps({'parts': [PROVENANCE], 'error': None}))


def _table(workdir: Path, title: str) -> list[list[str]]:
    """The cells of the table under a title, its header first."""
    lines = (workdir / 'table.md').read_text().splitlines()
    start = lines.index(title) + 2
    end = next(i for i in range(start, len(lines)) if not lines[i].startswith('|'))
    return [cells_of(line) for line in (lines[start], *lines[start + 2 : end])]


def test_amounts_are_trained_with_every_seed_and_what_is_finished_is_left_alone(files):
    workdir = files / 'grid'
    typed = ('labelled_data', f'--config={files}/small.py', f'--workdir={workdir}', '--seeds=2',
             '--amounts=50%,one_city,city:plain_0,3')  # fmt: skip
    fake = Fake(seed_1=128 + signal.SIGTERM)
    _run(*typed, start=fake, code=143)
    settings = ('50_percent', 'one_city', 'city_plain_0', '3_places')
    assert fake.started == [*(f'{name}/seed_0' for name in settings), '50_percent/seed_1']
    assert len(_rows(workdir)) == 4
    fake = Fake()
    _run(*typed, start=fake)
    assert fake.started == [f'{name}/seed_1' for name in settings]
    _run(*typed)  # starts nothing any more
    copy = workdir / '3_places' / 'seed_1_old'
    shutil.copytree(copy.with_name('seed_1'), copy)
    _run(*typed, code=1)
    shutil.rmtree(copy)
    rows = _rows(workdir)
    assert [(r['config'], r['seed']) for r in rows] == [
        (name, seed) for name in ('50_percent', 'city_plain_0', 'one_city', '3_places')
        for seed in (0, 1)
    ]  # fmt: skip
    dataset = load_dataset(small_config().data, 'data')
    drawn = drawn_cities(dataset, small_config(), (0, 1))
    for row in rows:
        data = from_json(Path(row['folder']) / 'config.json').data
        limits = (data.labelled_groups, data.labelled_share, data.labelled_in_all)
        assert limits == {
            '50_percent': ('', 0.5, 0), 'city_plain_0': ('plain_0', 1.0, 0),
            'one_city': (drawn[row['seed']], 1.0, 0), '3_places': ('', 1.0, 3),
        }[row['config']]  # fmt: skip


def test_the_one_city_is_for_training_and_another_with_another_seed():
    dataset = load_dataset(small_config().data, 'data')
    drawn = drawn_cities(dataset, small_config(), range(12))
    assert drawn == drawn_cities(dataset, small_config(), range(12))
    assert len(set(drawn.values())) > 3
    assert not set(drawn.values()) & set(TEST_CITIES)
    assert set(drawn.values()) <= set(dataset.facts.group_names)


def test_the_table_has_means_deviations_gains_and_the_thesis(files, capsys):
    workdir = files / 'grid'
    typed = ('labelled_data', f'--config={files}/small.py', f'--workdir={workdir}')
    _run(*typed, '--amounts=all,10%,one_city', '--seeds=3', start=Fake())
    # The run of 10 % with seed 2 goes: gains are of the seeds that both have.
    (workdir / '10_percent' / 'seed_2' / 'evaluation' / 'evaluation.json').unlink()
    capsys.readouterr()
    _run('labelled_data', '--table_only', f'--workdir={workdir}')
    assert (workdir / 'table.md').read_text() in capsys.readouterr().out
    header, everything, share, city = _table(workdir, '## landscape_cover: scores in %')
    assert header == [
        'setting', 'labelled places', 'overall accuracy', 'mean IoU', 'mean IoU, all classes',
        'overall accuracy − everything', 'mean IoU − everything', 'thesis: overall accuracy',
        'thesis: mean IoU', 'time a run',
    ]  # fmt: skip
    # 50, 51 and 54: mean 51.67, deviation of the sample sqrt(13 / 3) = 2.08.
    assert everything[2:] == ['51.67 ± 2.08', '25.83 ± 1.04', '12.92 ± 0.52', '', '', '52.40',
                              '15.79', '10 min']  # fmt: skip
    # 32 and 33, each 18 below everything with the same seed.
    assert share[0] == '10 % of each city'
    assert share[2] == '32.50 ± 0.71 (2)'
    assert share[5:9] == ['-18.00 ± 0.00 (2)', '-9.00 ± 0.00 (2)', '50.14', '15.25']
    assert (city[0], city[5], city[7]) == ('one city', '-10.00 ± 0.00', '42.09')
    assert _table(workdir, '## Mean IoU of each test city in %')[:2] == [
        ['setting', 'coast_6'], ['everything', '20.00 ± 0.00'],
    ]  # fmt: skip
    assert _table(workdir, '## IoU of each class in %')[0] == ['setting', 'water']
    notes = [line for line in (workdir / 'table.md').read_text().splitlines() if line[:2] == '- ']
    assert any('Table 2.2; MiniFrance. These are other data' in note for note in notes)
    assert any(note.startswith('- one city: ') and '(seed 2)' in note for note in notes)


def test_the_csv_has_a_row_for_each_setting(files):
    workdir = files / 'grid'
    _run('labelled_data', f'--config={files}/small.py', f'--workdir={workdir}', '--amounts=all,10%',
         '--seeds=3', start=Fake())  # fmt: skip
    table = pd.read_csv(io.StringIO((workdir / 'table.csv').read_text())).set_index('setting')
    assert [*table.index] == ['everything', '10 % of each city']
    share = table.loc['10 % of each city']
    assert (share['runs'], share['pixel_accuracy_gain_seeds']) == (3, 3)
    assert share['pixel_accuracy_mean'] == pytest.approx(0.3366667, abs=1e-6)
    assert share['mean_iou_std'] == pytest.approx((13 / 3) ** 0.5 / 200)
    assert share['pixel_accuracy_gain_mean'] == pytest.approx(-0.18)
    assert share['mean_iou_coast_6_mean'] == pytest.approx(0.2)
    assert share['thesis_mean_iou'] == pytest.approx(0.1525)
    assert share['seconds_mean'] == 600
    assert np.isnan(table.loc['everything', 'pixel_accuracy_gain_mean'])


def test_methods_stand_side_by_side_and_a_failed_run_is_a_row_that_says_why(files, capsys):
    workdir = files / 'grid'
    typed = ('methods', f'--config={files}/wide.py', f'--config={files}/small.py', '--seeds=0,3',
             f'--workdir={workdir}')  # fmt: skip
    fake = Fake(seed_3=7)
    _run(*typed, start=fake, code=1)
    assert fake.started == ['wide/seed_0', 'small/seed_0', 'wide/seed_3', 'small/seed_3']
    assert 'exit code 7' in capsys.readouterr().err.splitlines()[-1]
    rows = _rows(workdir)
    assert [row['error'] is None for row in rows] == [True, False, True, False]
    assert [row['pixel_accuracy'] for row in rows] == [0.6, None, 0.5, None]
    _, wide, small = _table(workdir, '## landscape_cover: scores in %')
    # The first config of the supervised method is the base.
    assert (wide[0], wide[2], wide[5]) == ('wide', '60.00', '')
    assert (small[0], small[2], small[5], small[6]) == ('small', '50.00', '-10.00', '-5.00')
    text = (workdir / 'table.md').read_text()
    assert '1 of 2' in text
    assert f'- failed: {workdir}/wide/seed_3: the process of the run ended with exit code 7' in text
    assert '- The configs differ in model.width: 3 or 2.' in text


def test_methods_may_differ_in_which_places_are_labelled_and_the_table_says_so(files):
    workdir = files / 'grid'
    _run('methods', f'--config={files}/small.py', f'--config={files}/half.py', '--seeds=1',
         f'--workdir={workdir}', start=Fake())  # fmt: skip
    assert (
        '- The configs differ in data.labelled_share: 1.0 or 0.5.'
        in (workdir / 'table.md').read_text()
    )


def test_every_auxiliary_loss_has_its_weights_and_supervised_training_is_the_base(files):
    workdir, fake = files / 'grid', Fake()
    (files / 'late.py').write_text(_CONFIG.format(changes="method='berundanet_segmentation'"))
    _run('auxiliary_losses', f'--config={files}/late.py', f'--workdir={workdir}', '--seeds=2',
         '--losses=jigsaw,l1', '--weights=0.5,2', start=fake)  # fmt: skip
    settings = ('supervised', 'jigsaw_0_5', 'jigsaw_2', 'l1_0_5', 'l1_2')
    assert fake.started == [f'{name}/seed_{seed}' for seed in (0, 1) for name in settings]
    late = dict(flatten(from_json(workdir / 'l1_2' / 'seed_1' / 'config.json')))
    assert (late['method.auxiliary'], late['method.auxiliary_weight']) == ('l1', 2.0)
    base = dict(flatten(from_json(workdir / 'supervised' / 'seed_1' / 'config.json')))
    assert base['method.name'] == 'segmentation'
    differing = {key for key, value in base.items() if late[key] != value}
    assert differing == {'method.name'}
    _, *lines = _table(workdir, '## landscape_cover: scores in %')
    titles = ['supervised', 'L1, λ = 0.5', 'L1, λ = 2', 'jigsaw, λ = 0.5', 'jigsaw, λ = 2']
    assert [line[0] for line in lines] == titles
    # 2 % of all pixels more for each unit of the weight of L1.
    assert [line[5] for line in lines[:3]] == ['', '+1.00 ± 0.00', '+4.00 ± 0.00']
    assert [line[8] for line in lines] == [
        '67.43 ± 0.49', '68.78 ± 1.27', '–', '70.17 ± 1.12', '–',
    ]  # fmt: skip
    for name in ('scores', 'weights'):
        assert np.asarray(Image.open(workdir / f'{name}.png').convert('L')).std() > 5


def test_the_thesis_numbers_are_those_of_its_tables():
    few = amount_scores('vaihingen', '1')
    assert (few.accuracy, few.mean_iou, few.place) == (0.78, 0.56, 'Sec. 2.2.1')
    assert amount_scores('landscape_cover', '3') is None
    assert city_scores('Clermont-Ferrand').accuracy == pytest.approx(0.4651)
    assert city_scores('Caen') is None
    best = auxiliary_scores('relaxed_k_means', 1.0)
    assert (best.accuracy, best.mean_iou_deviation) == pytest.approx((0.8303, 0.0035))
    assert auxiliary_scores('relaxed_k_means', 0.5) is None
    assert all(auxiliary_scores(loss, weight) for loss, weight in WEIGHTS.items())
    assert set(AUXILIARY_TITLES) == set(WEIGHTS)
    late = network_scores('landscape_cover', 'unet', 'late', 'l1')
    assert (late.mean_iou, late.place) == pytest.approx((0.1870, 'Table 3.2'))
    assert network_scores('minifrance', 'unet', 'supervised', None).mean_iou == 0.2077
    assert network_scores('minifrance', 'segnet', 'supervised', None) is None


def test_the_thesis_numbers_stand_beside_runs_with_the_labels_that_it_had():
    config = small_config().to_dict()
    config['model']['name'] = 'unet'
    for name, hidden, whole in (('minifrance', 0.2077, None), ('tiny_minifrance', 0.1818, 0.2525)):
        for labels, expected in (('published', hidden), ('all', whole)):
            config['data'] |= {'name': name, 'labels': labels}
            row = labels_of(config, 'all')
            scores = methods.study(['all']).published(row)
            assert (scores and scores.mean_iou) == expected
            # Of the amounts the thesis has all eight training cities labelled.
            assert (STUDY.published(row) is None) == (labels == 'published')


def test_the_thesis_cities_stand_beside_everything_alone():
    labels = labels_of(small_config().to_dict(), 'all')
    row = {**labels, 'error': None, 'pixel_accuracy_rennes': 0.5, 'mean_iou_rennes': 0.2}
    share = {**row, 'config': '10_percent', 'labelled_share': 0.1}
    for rows, there in (([row, share], True), ([share], False)):
        scores = _published_cities(STUDY, lines_of(STUDY, rows))
        assert bool(scores) == there


def test_amounts_are_titled_by_their_rows_as_by_what_was_typed():
    for amount in parse_amounts('all,2.5%,city:Le Mans,12,1'):
        config = small_config().to_dict()
        config['data'] |= {key.partition('.')[2]: v for key, v in amount.values.items()}
        assert STUDY.title_of(labels_of(config, amount.name)) == amount.title
    assert [amount.name for amount in parse_amounts('2.5%,city:Le Mans')] == [
        '2_5_percent', 'city_Le_Mans',
    ]  # fmt: skip


def test_figures_are_pictures(files):
    workdir = files / 'grid'
    _run('labelled_data', f'--config={files}/small.py', f'--workdir={workdir}', '--seeds=2',
         '--amounts=all,4,2', start=Fake())  # fmt: skip
    for name in ('scores', 'cities', 'classes', 'places'):
        picture = np.asarray(Image.open(workdir / f'{name}.png').convert('L'))
        assert picture.std() > 5, name


def test_a_study_from_end_to_end(files):
    workdir = files / 'grid'
    _run('labelled_data', f'--config={files}/small.py', f'--workdir={workdir}', '--seeds=1',
         '--amounts=one_city', start=here)  # fmt: skip
    (row,) = _rows(workdir)
    assert row['labelled_places'] == 2
    assert 0.0 <= row['mean_iou_all'] <= row['mean_iou'] <= row['pixel_accuracy'] <= 1.0
    for city in TEST_CITIES:
        assert 0.0 <= row[f'pixel_accuracy_{city}'] <= 1.0
    header = _table(workdir, '## Mean IoU of each test city in %')[0]
    assert sorted(header[1:]) == sorted(TEST_CITIES)


SMALL = '--config={}/small.py'
WRONG = {
    'no such study': (('label_data',), "did you mean 'labelled_data'"),
    'nothing to train': (('methods',), 'say what to train'),
    'nothing there': (('methods', '--table_only'), 'holds no trained runs'),
    'two configs': (('labelled_data', SMALL, '--config=b.py'), 'say what to train: --config'),
    'other data': (
        ('methods', SMALL, '--config={}/other.py'),
        'small, seed 0 and other, seed 0 are of different data (data.seed: 0 -> 1)',
    ),
    'no segmentation': (
        ('methods', '--config=configs/supervised_eurosat.py'), 'does not segment; these do: '
    ),
    'an amount': (('labelled_data', SMALL, '--amounts=all,half'), "'half' is no amount"),
    'all of it': (('labelled_data', SMALL, '--amounts=100%'), "'100%' is no amount"),
    'an amount twice': (('labelled_data', SMALL, '--amounts=5,05'), '5 places is given twice'),
    'an unknown city': (('labelled_data', SMALL, '--amounts=city:Caen'), "'Caen'"),
    'a test city': (('labelled_data', SMALL, '--amounts=city:coast_6'), 'no training place'),
    'too many': (('labelled_data', SMALL, '--amounts=99'), 'data.labelled_in_all=99, but there'),
    'labels by key': (
        ('labelled_data', SMALL, '--config.data.labelled_share=0.5'), 'the grid sets data.labelled'
    ),
    'the seed': (('methods', SMALL, '--config.seed=1'), 'the grid sets seed itself'),
    'another method': (('auxiliary_losses', SMALL), "a config of 'berundanet_segmentation'"),
    'a loss': (('auxiliary_losses', SMALL, '--losses=l3'), "unknown auxiliary loss 'l3'"),
    'weights': (('auxiliary_losses', SMALL, '--weights=1,0'), 'expected positive numbers'),
    'weights twice': (('auxiliary_losses', SMALL, '--weights=1,1.0'), 'one is given twice'),
    'no seed': (('methods', SMALL, '--seeds=0'), 'expected how many'),
}  # fmt: skip


@pytest.mark.parametrize(('arguments', 'message'), WRONG.values(), ids=WRONG.keys())
def test_mistakes_are_one_line_and_nothing_runs(files, capsys, arguments, message):
    typed = [argument.replace('{}', str(files)) for argument in arguments]
    _run(*typed, f'--workdir={files}/grid', code=1)
    assert message in one_error(capsys)
    assert not (files / 'grid').exists()


def test_runs_of_another_config_are_refused(files, capsys):
    typed = ('labelled_data', f'--workdir={files}/grid', '--amounts=all', '--seeds=1')
    _run(*typed, f'--config={files}/small.py', start=Fake())
    capsys.readouterr()
    _run(*typed, f'--config={files}/wide.py', code=1)
    assert 'a run of another all (model.width: 2 -> 3)' in one_error(capsys)


def test_data_without_cities_have_no_one_city(capsys):
    dataset = load_dataset(small_config().data, 'data')
    places = dataset.places._replace(groups=None)
    without: Dataset = dataset._replace(places=places)
    with pytest.raises(Exception, match='belong to no cities'):
        drawn_cities(without, changed(small_config(), data__test_groups=''), [0])
