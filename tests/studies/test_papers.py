"""Figures and tables of the papers: what is asked for, trained once, drawn, and typed wrong."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image
from rasterio.transform import Affine

from eojax.apps.map_scene.coordinates import Frame
from eojax.apps.map_scene.figures import Overview
from eojax.config.base import check_config, from_json, set_keys
from eojax.data.sets.eurosat import CLASS_NAMES
from eojax.studies.grid.runner import Listener
from eojax.studies.papers import command, completion, maps, transfer
from eojax.studies.papers.item import FIGURE, TABLE, PlaceOf
from eojax.studies.papers.items import ITEMS
from eojax.studies.papers.listing import listing, needed
from eojax.studies.papers.plan import Given, plan_of
from eojax.studies.papers.runs import Configs, Trained, folder_of
from eojax.studies.papers.sources import SOURCES
from tests.apps.finished_runs import write_finished, write_reliability
from tests.data.rasters import TRANSFORM, surface, write_raster
from tests.studies.grid_commands import here, one_error, run_grid_command
from tests.tiny_runs import TinyRun, tiny_run
from tests.training_runs import small_config, stop_at

ALL_RUNS = sorted({run for item in ITEMS for run in (*item.runs, *item.more)})


def _run(*arguments: str, start: Any = None, code: int = 0) -> None:
    run_grid_command(command.main, *arguments, start=start, code=code)


@pytest.fixture
def eurosat(tmp_path: Path) -> Path:
    """Six images of each class in EuroSAT's layout."""
    rng = np.random.default_rng(0)
    for name in CLASS_NAMES:
        folder = tmp_path / 'EuroSAT_RGB' / name
        folder.mkdir(parents=True)
        for number in range(6):
            pixels = rng.integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f'{name}_{number}.jpg')
    return tmp_path / 'EuroSAT_RGB'


def _tiny(method: str) -> TinyRun:
    return tiny_run(method, network='convolutional_autoencoder' if method == 'vae' else 'convnet')


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """All runs have the configs of tiny runs that are made once a session."""

    def of(self: Configs, run: Trained, seed: int) -> ConfigDict:
        return _tiny(run.method).run.config.copy_and_resolve_references()

    monkeypatch.setattr(Configs, 'of', of)


def _copy(arguments: Sequence[str], listener: Listener) -> int:
    """A `Start` that trains nothing: the tiny run's folder, with an evaluation."""
    config, folder = (Path(argument.partition('=')[2]) for argument in arguments[:2])
    values = from_json(config)
    shutil.copytree(_tiny(values.method.name).folder, folder, dirs_exist_ok=True)
    numbers: dict[str, Any] = {} if values.method.name == 'vae' else {'accuracy': 0.5}
    write_finished(folder, values, **numbers)
    write_reliability(folder, [4, 6], [0.3, 0.8], [0.5, 0.5])
    return 0


def _accuracy(arguments: Sequence[str], listener: Listener) -> int:
    """A `Start` that trains nothing: the accuracy tells the labels and the seed."""
    config, folder = (Path(argument.partition('=')[2]) for argument in arguments[:2])
    values = from_json(config)
    write_finished(folder, values, accuracy=0.25 + 0.1 * values.seed, ece=0.1)
    write_reliability(folder, [10, 30], [0.3, 0.8], [0.4, 0.7])
    return 0


def _scene(folder: Path) -> Path:
    """A scene of three bands, 96 x 64 pixels of 10 m."""
    return write_raster(folder / 'scene.tif', surface(64, 96))


def test_all_figures_and_tables_are_listed_with_what_they_need():
    text = listing()
    for kind, keys in (
        (FIGURE, ('000/1', '000/2', '000/3', '000/4', '001/1', '001/3', '001/4', '001/5', '001/6',
                  '001/7', '001/8', *(f'002/4.{n}' for n in range(7, 15)), '004/1', '004/2',
                  '004/3')),
        (TABLE, ('000/1', '001/II', '001/III', '001/IV', '002/3.6', '002/4.2', '002/4.3',
                 '002/4.4', '002/4.5')),
    ):  # fmt: skip
        for key in keys:
            assert f'--{kind}={key} ' in text
    assert len({(item.kind, item.key) for item in ITEMS}) == len(ITEMS)
    for item in ITEMS:
        assert set(needed(item)) <= set(SOURCES), item.key
    assert 'as --figure=001/4' in text


@pytest.mark.parametrize('small', [True, False])
def test_each_run_has_a_config(tmp_path, small):
    configs = Configs(small, {}, [])
    for run in ALL_RUNS:
        config = configs.of(run, 3)
        set_keys(config, {'data.root': str(tmp_path)})
        check_config(config)
        assert (config.method.name, config.data.name) == run[:2]
        assert (config.data.labels_per_class, config.seed) == (run.labels, 3)
        assert (config.model.get('depth') == 10) == (small and run.method != 'vae')


def test_a_change_holds_for_each_run_and_phases_keep_their_shares(capsys):
    configs = Configs(True, {}, ['--config.steps=700'])
    config = configs.of(Trained('jem', 'eurosat'), 0)
    assert (config.steps, config.method.supervised_steps) == (700, 400)
    configs.of(Trained('jem', 'eurosat', '10'), 1)
    assert capsys.readouterr().err.count('7000 -> 700') == 1


def test_a_table_has_the_papers_numbers_beside_ours(eurosat, tmp_path, capsys):
    asked = ('--table=001/III', '--small', f'--data=eurosat={eurosat}', '--labels=1',
             '--methods=supervised,jem', '--seeds=2', f'--workdir={tmp_path}/runs')  # fmt: skip
    _run(*asked, start=_accuracy)
    out = tmp_path / 'runs' / '001_table_III'
    text = (out / 'README.md').read_text()
    assert '30.00 ± 7.07' in text
    assert '28.02 ± 0.97' in text  # of Wide-ResNet
    assert '36.86 ± 1.11' in text  # of JEM
    assert 'eojax.studies.papers --table=001/III --small' in text
    record = json.loads((out / 'record.json').read_text())
    assert record['numbers']['jem_eurosat_small, 1 labels: accuracy'] == pytest.approx(0.3)
    published = record['paper']['published']['jem_eurosat_small, 1 labels: accuracy']
    assert published['printed'] == '36.86 ± 1.11%'
    assert len(record['runs']) == 4
    assert (out / 'accuracy.png').exists()
    # The same runs are those of a figure and of another table, and are not trained again.
    _run('--table=002/4.3', *asked[1:])
    assert '28.02 ± 0.97' in (tmp_path / 'runs' / '002_table_4.3' / 'README.md').read_text()


def test_a_run_that_fails_is_a_line_of_its_table(eurosat, tmp_path, capsys):
    def start(arguments: Sequence[str], listener: Listener) -> int:
        return 3 if 'jem' in arguments[1] else _accuracy(arguments, listener)

    asked = ('--table=001/III', '--small', f'--data=eurosat={eurosat}', '--labels=1',
             f'--workdir={tmp_path}/runs')  # fmt: skip
    _run(*asked, '--methods=supervised,jem', start=start, code=1)
    text = (tmp_path / 'runs' / '001_table_III' / 'README.md').read_text()
    assert '25.00' in text
    assert 'ended with exit code 3' in text
    capsys.readouterr()
    _run(*asked, '--methods=jem', '--table_only', code=1)
    assert '001/III is not drawn: none of its runs is finished' in capsys.readouterr().err


def test_a_killed_run_goes_on_and_the_figure_is_drawn(monkeypatch, tmp_path, capsys):
    """Ten seconds: a training end to end, as the command has it."""
    config = small_config('jem', 'convnet')
    monkeypatch.setattr(Configs, 'of', lambda self, run, seed: config)
    rng = np.random.default_rng(0)
    (tmp_path / 'others').mkdir()
    for number in range(5):
        pixels = rng.integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / 'others' / f'{number}.png')
    asked = ('--figure=000/2', '--small', f'--data=eurosat={tmp_path}',
             f'--domain=others={tmp_path}/others', f'--workdir={tmp_path}/runs')  # fmt: skip
    stop_at(monkeypatch, 7, signal.SIGINT)
    _run(*asked, start=here, code=130)
    assert not (tmp_path / 'runs' / '000_figure_2').exists()
    capsys.readouterr()
    _run(*asked, start=here)
    folder = folder_of(tmp_path / 'runs', Trained('jem', 'eurosat'), True, 0)
    assert len(json.loads((folder / 'provenance.json').read_text())['parts']) == 2
    out = tmp_path / 'runs' / '000_figure_2'
    assert np.asarray(Image.open(out / 'figure.png').convert('L')).std() > 5
    record = json.loads((out / 'record.json').read_text())
    assert {'test: kl_test', 'others: kl_others'} <= record['numbers'].keys()
    assert record['paper']['published']['test: kl_test_histogram']['value'] == 0.2
    assert 'In place of OSCD, ISPRS Potsdam: others, which' in record['notes']
    _run(*asked)  # starts nothing


FIGURES = ('000/1', '000/3', '000/4', '001/1', '001/4', '001/5', '001/6', '001/8', '002/4.7',
           '002/4.12')  # fmt: skip


def test_figures_are_drawn_of_trained_runs(tiny, monkeypatch, tmp_path):
    """Of networks that were not trained; most of its half a minute is compilation."""
    scene = _scene(tmp_path)
    monkeypatch.setattr(completion, '_IMAGES', 2)
    monkeypatch.setattr(completion, '_CHAINS', 2)
    asked = [f'--figure={key}' for key in FIGURES]
    asked += ['--table=000/1', '--table=001/II']
    _run(*asked, '--small', f'--data=eurosat={tmp_path}', f'--domain=town={scene}',
         '--images=20', f'--workdir={tmp_path}/runs', start=_copy)  # fmt: skip
    for key in FIGURES:
        out = tmp_path / 'runs' / f'{key.replace("/", "_figure_")}'
        picture = np.asarray(Image.open(out / 'figure.png').convert('L'))
        assert picture.std() > 5, key
        record = json.loads((out / 'record.json').read_text())
        assert record['numbers'], key
    notes = json.loads((tmp_path / 'runs/001_figure_6/record.json').read_text())['notes']
    assert 'In place of OSCD: town, which the paper does not show' in notes
    text = (tmp_path / 'runs/000_table_1/README.md').read_text()
    assert '| JEM         |   50.00% | 97.6% |' in text
    assert 'ResNet-50' in text
    text = (tmp_path / 'runs/001_table_II/README.md').read_text()
    assert '122.1' in text
    assert '--data=inception=PATH' in text
    assert (tmp_path / 'runs/001_table_II/samples.png').exists()  # of JEM and the VAE
    # The maps of one figure are those of another.
    assert len([*(tmp_path / 'runs' / 'maps' / 'town').iterdir()]) == 4


def test_a_table_of_half_of_its_runs_says_so(eurosat, tmp_path):
    """FID is of the first seed: where that is not finished, no other one stands in for it."""
    asked = ('--table=001/II', '--small', f'--data=eurosat={eurosat}', '--seeds=2',
             f'--workdir={tmp_path}/runs', '--table_only')  # fmt: skip
    configs = Configs(True, {'eurosat': eurosat}, [])
    for run, seed in ((Trained('supervised', 'eurosat'), 0), (Trained('jem', 'eurosat'), 1)):
        config = configs.of(run, seed)
        numbers = {'accuracy': 0.5, 'ece': 0.1, 'fid': 90.0, 'kid': 0.1, 'inception_images': 500}
        write_finished(folder_of(tmp_path / 'runs', run, True, seed), config, **numbers)
    _run(*asked)
    out = tmp_path / 'runs' / '001_table_II'
    record = json.loads((out / 'record.json').read_text())
    assert record['numbers']['JEM: accuracy'] == 0.5
    assert record['numbers']['JEM: fid'] is None
    assert 'JEM: 1 of 2 seeds. VAE: 0 of 2 seeds.' in record['notes']
    assert not (out / 'samples.png').exists()


def test_a_table_names_the_runs_that_it_is_without(eurosat, tmp_path, capsys):
    folder = tmp_path / 'runs'
    asked = ('--table=001/III', '--small', f'--data=eurosat={eurosat}', '--labels=1',
             '--methods=supervised,jem', '--seeds=2', f'--workdir={folder}',
             '--table_only')  # fmt: skip
    configs = Configs(True, {'eurosat': eurosat}, [])
    first, second = Trained('supervised', 'eurosat', '1'), Trained('jem', 'eurosat', '1')
    write_finished(folder_of(folder, first, True, 0), configs.of(first, 0), accuracy=0.5, ece=0.1)
    half = folder_of(folder, second, True, 0)
    write_finished(half, configs.of(second, 0), 1200, accuracy=0.4, ece=0.1)
    begun = folder_of(folder, second, True, 1)
    write_finished(begun, configs.of(second, 1), 300)
    (begun / 'evaluation' / 'evaluation.json').unlink()
    _run(*asked)
    end = f'{configs.of(second, 0).steps:,}'
    lines = [
        f'jem_eurosat_small, JEM, 1 per class, seed 0: it was trained for 1,200 of {end} steps',
        'supervised_eurosat_small, Wide-ResNet, 1 per class, seed 1: not begun',
        f'jem_eurosat_small, JEM, 1 per class, seed 1: it was trained for 300 of {end} steps',
    ]
    out = folder / '001_table_III'
    record = json.loads((out / 'record.json').read_text())
    assert record['paper']['unfinished'] == lines
    assert 'Not finished, and left out: 3 of 4 runs.' in record['notes']
    text, said = (out / 'README.md').read_text(), capsys.readouterr().err
    for line in lines:
        assert f'- not in it: {line}' in text
        assert line in said
    assert [row['accuracy'] for row in record['runs']] == [0.5]


def test_a_figure_of_transfer_needs_no_data(tmp_path):
    few = ('--config.data.num_images=400', '--config.source.num_images=400')
    _run(
        '--figure=004/2',
        '--small',
        '--seeds=1',
        *few,
        f'--workdir={tmp_path}/runs',
        start=_accuracy,
    )
    out = tmp_path / 'runs' / '004_figure_2'
    record = json.loads((out / 'record.json').read_text())
    assert len(record['runs']) == transfer.num_small_runs('normalisation')
    assert 'stand in for So2Sat' in record['notes']
    assert (out / 'figure.png').exists()


def test_a_city_is_found_in_the_folder_of_its_data_set(tmp_path):
    city = tmp_path / 'DFC2017' / 'rome'
    (city / 'lcz').mkdir(parents=True)
    scene = write_raster(city / 'scene.tif', surface(40, 40))
    truth = write_raster(city / 'lcz' / 'rome_lcz_GT.tif', surface(4, 4))
    (item,) = [item for item in ITEMS if item.key == '001/7']
    given = Given({'so2sat': tmp_path, 'dfc2017': tmp_path / 'DFC2017'}, {}, True)
    (place,) = plan_of(item, given).places
    assert (place.path, place.truth) == (scene, truth)
    lost = item._replace(places=(PlaceOf('dfc2017', 'oslo', 'Oslo', 'so2sat'),))
    with pytest.raises(Exception, match='no scene of Oslo'):
        plan_of(lost, given)


def test_true_classes_are_read_where_the_scene_lies(tmp_path):
    """Of a truth of 40 m that begins two of its pixels west and north of a scene of 10 m."""
    values = np.arange(1, 37, dtype=np.uint8).reshape(6, 6, 1)
    coarse = TRANSFORM @ Affine.translation(-8, -8) @ Affine.scale(4)
    truth = write_raster(tmp_path / 'truth.tif', values, transform=coarse)
    left, top = TRANSFORM @ (0, 0)
    right, bottom = TRANSFORM @ (24, 16)
    frame = Frame(left, right, top, bottom, 'EPSG')
    empty = np.zeros((16, 24, 3), np.uint8)
    scene = Overview('', empty, empty[..., 0] == 0, np.zeros((16, 24), np.int16),
                     np.zeros((16, 24)), None, None, '', None, {}, 10.0, frame)  # fmt: skip
    classes = maps.truth_of(truth, scene).classes
    # Four of its rows and six of its columns, of which two lie beyond its end: unknown.
    expected = np.full((4, 6), -1)
    expected[:, :4] = values[2:, 2:, 0].astype(int) - 1
    np.testing.assert_array_equal(classes, expected.repeat(4, 0).repeat(4, 1))


def test_the_scenes_of_a_folder_stand_in_one_by_one(tmp_path):
    for name in ('a', 'b'):
        write_raster(tmp_path / f'{name}.tif', surface(40, 40))
    (item,) = [item for item in ITEMS if item.key == '000/3']
    (tmp_path / 'images').mkdir()
    others = {'photos': tmp_path / 'images', 'town': tmp_path}
    plan = plan_of(item, Given({'eurosat': tmp_path}, others, True))
    assert plan.notes == ('in place of OSCD: town, which the paper does not show',)
    assert [place.title for place in plan.places] == ['town a', 'town b']
    assert {place.trained_on for place in plan.places} == {'eurosat'}


def test_what_is_missing_is_left_out_and_said(tmp_path):
    (item,) = [item for item in ITEMS if item.key == '001/IV']
    plan = plan_of(item, Given({'ucmerced': tmp_path}, {}, True))
    assert {run.data for run in plan.runs} == {'ucmerced'}
    (note,) = plan.notes
    assert 'So2Sat LCZ42: --data=so2sat=PATH' in note
    assert 'AID: --data=aid=PATH' in note
    # The configs of a method that the paper's table does not have are there too.
    given = Given({'ucmerced': tmp_path}, {}, True, ('10',), ('berundanet',))
    assert plan_of(item, given).runs == (Trained('berundanet', 'ucmerced', '10'),)


WRONG = {
    'nothing': ((), 'say which: --figure=001/4'),
    'no such figure': (('--figure=001/44',), "did you mean '001/4'?"),
    'a table': (('--figure=001/III',), 'it is a table: --table=001/III'),
    'missing data': (('--figure=001/4',), '001/4 needs EuroSAT, RGB: --data=eurosat=PATH (http'),
    'missing domains': (
        ('--figure=001/5', '--data=eurosat={}'),
        'BigEarthNet: --data=bigearthnet=PATH (https://bigearth.net); or --domain=NAME=PATH',
    ),
    'missing scene': (('--figure=000/3', '--data=eurosat={}'), 'or --domain=NAME=PATH for a scene'),
    'missing radar': (('--figure=004/1',), '--data=so2sat=PATH (https'),
    'unknown data': (('--figure=001/4', '--data=eurosatt={}'), "did you mean 'eurosat'?"),
    'no path': (('--figure=001/4', '--data=eurosat'), 'write --data=NAME=PATH'),
    'nothing there': (('--figure=001/4', '--data=eurosat={}/none'), 'no such file or folder'),
    'given twice': (('--figure=001/4', '--domain=a={}', '--domain=a={}'), 'a is given twice'),
    'name of data': (('--figure=001/4', '--domain=oscd={}'), 'say --data=oscd={}'),
    'name of a split': (('--figure=001/4', '--domain=test={}'), 'the name test is taken'),
    'no labels': (
        ('--table=001/III', '--data=eurosat={}', '--labels=7'),
        'its labels are all,100,20,10,5,1, its methods supervised,berundanet,fixmatch,jem',
    ),
    'one label of two': (
        ('--table=001/III', '--data=eurosat={}', '--labels=10,11'),
        '--labels: no table that is asked for has 11, but all,100,20,10,5,1',
    ),
    'one method of two': (
        ('--table=001/III', '--data=eurosat={}', '--methods=jem,fixmtach'),
        '--methods: no table that is asked for has fixmtach, but supervised',
    ),
    'the seed': (('--figure=001/4', '--config.seed=1'), 'the grid sets seed itself'),
    'unknown key': (
        ('--figure=001/4', '--data=eurosat={}', '--config.stepz=1'), "nearest is 'steps'"
    ),
    'no jobs': (('--figure=001/4', '--jobs=0'), '--jobs must be at least 1'),
}  # fmt: skip


@pytest.mark.parametrize(('arguments', 'message'), WRONG.values(), ids=WRONG.keys())
def test_mistakes_are_one_line_and_nothing_runs(tmp_path, capsys, arguments, message):
    typed = [argument.replace('{}', str(tmp_path)) for argument in arguments]
    _run(*typed, f'--workdir={tmp_path}/runs', code=1)
    assert message.replace('{}', str(tmp_path)) in one_error(capsys)
    assert not (tmp_path / 'runs').exists()
