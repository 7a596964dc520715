"""Studies of synthesis: what learns from what, tables, resumption, and what is typed wrong."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from eojax.config.base import from_json
from eojax.data.columns import name_at
from eojax.data.facts import Facts
from eojax.data.synthesised import (
    FILE,
    SynthesisedImages,
    read_images,
    with_images,
    write_image,
    write_places,
)
from eojax.errors import UserError
from eojax.evaluation import evaluators
from eojax.evaluation.published_synthesis import published
from eojax.evaluation.synthesis.examples import FILE as EXAMPLES
from eojax.evaluation.synthesis.examples import SynthesisExample, write_examples
from eojax.methods import METHODS
from eojax.runs.domains import load_domain
from eojax.studies.grid.cells import load_dataset
from eojax.studies.grid.runner import Listener
from eojax.studies.synthesis import command, pays
from eojax.studies.synthesis.figures import side_by_side
from tests.apps.finished_runs import write_finished
from tests.evaluation.synthesis.stand_in import NAME, RECIPE, painted_config
from tests.studies.grid_commands import PROVENANCE, cells_of, here, one_error, run_grid_command

_CONFIG = """
from tests.evaluation.synthesis.stand_in import painted_config

def get_config():
    return painted_config({arguments})
"""
_SEGMENTER = "'segmentation', 'pixel_network', data__seed=7"
_GENERATORS = ('raster', 'label', 'concat', 'merge', 'fusion')


@pytest.fixture(autouse=True)
def painted() -> Iterator[None]:
    """The stand-in is a method as long as a test runs."""
    METHODS[NAME] = RECIPE
    yield
    del METHODS[NAME]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Configs of the stand-in and of a segmenter, the latter's data being others."""
    for name, arguments in (('make', "network='pixel_network'"), ('seg', _SEGMENTER)):
        (tmp_path / f'{name}.py').write_text(_CONFIG.format(arguments=arguments))
    return tmp_path


def _typed(files: Path, study: str, *more: str) -> tuple[str, ...]:
    return (study, f'--config={files}/make.py', f'--segmenter_config={files}/seg.py',
            f'--workdir={files}/grid', *more)  # fmt: skip


def _rows(files: Path) -> list[dict[str, Any]]:
    return json.loads((files / 'grid' / 'table.json').read_text())


def _table(files: Path, title: str) -> list[list[str]]:
    """The cells of the table under a title, its header first."""
    lines = (files / 'grid' / 'table.md').read_text().splitlines()
    start = lines.index(title) + 2
    end = next(i for i in range(start, len(lines)) if not lines[i].startswith('|'))
    return [cells_of(line) for line in (lines[start], *lines[start + 2 : end])]


class Fake:
    """A `Start` that trains nothing: the scores tell the setting and the seed."""

    def __init__(self, **codes: int) -> None:
        self.codes = codes
        self.started: list[str] = []

    def __call__(self, arguments: Sequence[str], listener: Listener) -> int:
        config, folder = (Path(argument.partition('=')[2]) for argument in arguments[:2])
        name = '/'.join(folder.parts[-2:])
        self.started.append(name + ' images' * ('--synthesise' in arguments))
        code = self.codes.get(folder.parts[-2], 0)
        if not code and '--synthesise' in arguments:
            (folder / 'synthesised').mkdir()
            (folder / 'synthesised' / FILE).write_text('{}')
        elif not code:
            _finish(folder, from_json(config))
        return code


def _finish(folder: Path, config: ConfigDict) -> None:
    """The later a setting stands in its study, the more pixels are right; more with the seed."""
    settings = [*pays.SETTINGS, *_GENERATORS, 'segmenter', 'generator']
    value = 0.4 + 0.02 * settings.index(folder.parts[-2]) + 0.01 * config.seed
    if config.method.name == 'segmentation':
        numbers = {'pixel_accuracy': value, 'mean_iou': value / 2, 'mean_iou_all': value / 5,
                   'iou_water': value, 'precision_water': 1.0}  # fmt: skip
    else:
        scores = {'pixel_accuracy': value, 'mean_iou': value / 2, 'mean_iou_all': value / 5,
                  'iou_water': value}  # fmt: skip
        numbers = {f'{p}{k}': v for p in ('truth_', 'agreement_') for k, v in scores.items()}
        numbers |= {f'real_{k}': 0.9 for k in scores}
        numbers |= {'mae': 0.1, 'psnr': 20.0, 'ssim': 0.5, 'frechet_distance': 0.25}
    write_finished(folder, config, **numbers)
    (folder / 'provenance.json').write_text(json.dumps({'parts': [PROVENANCE], 'error': None}))


def test_each_seed_has_a_segmenter_that_judges_all_generators(files: Path):
    typed = _typed(files, 'table', '--seeds=2', '--config.steps=3', '--config.data.num_images=40',
                   '--segmenter_config.model.width=3')  # fmt: skip
    fake = Fake(merge=128 + signal.SIGTERM)
    run_grid_command(command.main, *typed, start=fake, code=143)
    names = ('segmenter', *_GENERATORS)
    assert fake.started == [f'{name}/seed_0' for name in names[:5]]
    fake = Fake()
    run_grid_command(command.main, *typed, start=fake)
    assert fake.started == ['merge/seed_0', 'fusion/seed_0', *(f'{name}/seed_1' for name in names)]
    run_grid_command(command.main, *typed)  # starts nothing any more
    assert [(r['config'], r['seed']) for r in _rows(files)] == [
        (name, seed) for name in names for seed in (0, 1)
    ]
    grid = files / 'grid'
    fusion = from_json(grid / 'fusion' / 'seed_1' / 'config.json')
    segmenter = from_json(grid / 'segmenter' / 'seed_1' / 'config.json')
    assert (fusion.method.generator, fusion.steps) == ('fusion', 3)
    assert fusion.evaluate.segmenter == str(grid / 'segmenter' / 'seed_1')
    # The segmenter has the generators' data, whatever its own config says.
    assert segmenter.data.to_dict() == fusion.data.to_dict()
    assert (segmenter.data.num_images, segmenter.model.width, segmenter.steps) == (40, 3, 2)
    assert segmenter.method.rasters == 'images'


def test_the_table_has_the_real_column_and_the_papers_numbers(files: Path):
    run_grid_command(
        command.main, *_typed(files, 'table', '--seeds=2', '--generators=fusion,raster'),
        start=Fake(),
    )  # fmt: skip
    header, real, raster, fusion = _table(
        files, '## landscape_pairs: a segmenter on synthesised images, in %'
    )
    assert header[:2] == ['image', 'truth: accuracy']
    assert [real[0], raster[0], fusion[0]] == ['real image', 'raster', 'fusion']
    assert real[1:] == ['90.00 ± 0.00'] * 3 + [''] * 3
    # 48 and 49: mean 48.5, deviation of the sample 0.71.
    assert raster[1:4] == ['48.50 ± 0.71', '24.25 ± 0.35', '9.70 ± 0.14']
    assert raster[1:4] == raster[4:7]
    assert _table(files, '## Distances and likeness')[1][:4] == [
        'raster', '0.2500 ± 0.0000', '20.00 ± 0.00', '0.500 ± 0.000',
    ]  # fmt: skip
    paper = _table(files, '## The paper, Table III: GeoNRW')
    assert paper[1] == ['real image', '54.34', '17.34', '', '', '']
    assert paper[3] == ['fusion', '56.17', '18.36', '76.92', '23.26', '0.0078']
    assert published('geonrw', 'fusion').truth == (0.1836, 0.5617)
    text = (files / 'grid' / 'table.md').read_text()
    assert 'The paper is about other data (GeoNRW)' in text
    for name in ('class_iou_truth', 'class_iou_real'):
        picture = np.asarray(Image.open(files / 'grid' / f'{name}.png').convert('L'))
        assert picture.std() > 5, name


def test_a_trained_segmenter_serves_too(files: Path):
    fake = Fake()
    run_grid_command(
        command.main, 'table', f'--config={files}/make.py', '--segmenter=some_run', '--seeds=1',
        f'--workdir={files}/grid', '--generators=label', start=fake,
    )  # fmt: skip
    assert fake.started == ['label/seed_0']
    config = from_json(files / 'grid' / 'label' / 'seed_0' / 'config.json')
    assert config.evaluate.segmenter == 'some_run'


def test_synthesis_pays_by_the_gain_over_real_images_alone(files: Path):
    typed = _typed(files, 'pays', '--seeds=2', '--share=0.25')
    fake = Fake()
    run_grid_command(command.main, *typed, start=fake)
    assert fake.started == [
        'generator/seed_0', 'generator/seed_1', 'generator/seed_0 images',
        'generator/seed_1 images',
        *(f'{name}/seed_{seed}' for seed in (0, 1) for name in pays.SETTINGS),
    ]  # fmt: skip
    run_grid_command(command.main, *typed)  # starts nothing any more
    grid = files / 'grid'
    made = str(grid / 'generator' / 'seed_1' / 'synthesised')
    data = {
        name: from_json(grid / name / 'seed_1' / 'config.json').data
        for name in ('generator', *pays.SETTINGS)
    }
    assert {
        name: (one.labelled_share, one.synthesised, one.synthesised_use)
        for name, one in data.items()
    } == {
        'generator': (0.25, '', 'beside'), 'real': (0.25, '', 'beside'),
        'synthesised': (1.0, made, 'alone'), 'real_and_synthesised': (1.0, made, 'beside'),
        'all_real': (1.0, '', 'beside'),
    }  # fmt: skip
    title = '## Gain of IoU of each class over A, real, in percentage points'
    header, *rows = _table(files, title)
    assert header == ['trained on', 'water']
    assert rows == [
        ['B, synthesised', '+2.00 ± 0.00'], ['A, real, and B, synthesised', '+4.00 ± 0.00'],
        ['A and B, real', '+6.00 ± 0.00'],
    ]  # fmt: skip
    text = (grid / 'table.md').read_text()
    assert 'A: places with real images, 25 % of the training places' in text
    assert (grid / 'scores.png').exists()


def test_images_that_were_not_made_end_the_study(files: Path, capsys):
    class Lazy(Fake):
        def __call__(self, arguments: Sequence[str], listener: Listener) -> int:
            return 0 if '--synthesise' in arguments else super().__call__(arguments, listener)

    run_grid_command(command.main, *_typed(files, 'pays'), start=Lazy(), code=1)
    assert 'its generator made no images' in capsys.readouterr().err


def test_a_study_from_end_to_end(files: Path, monkeypatch: pytest.MonkeyPatch):
    """The generator learns from A alone, and segmenters see what it made of B."""
    monkeypatch.setattr(evaluators, 'draw', lambda results, out: None)  # its figures take long
    kept = {name: pays.SETTINGS[name] for name in ('synthesised', 'real_and_synthesised')}
    monkeypatch.setattr(pays, 'SETTINGS', kept)
    run_grid_command(command.main, *_typed(files, 'pays', '--seeds=1'), start=here)
    assert [row['error'] for row in _rows(files)] == [None] * 2
    places = {row['config']: row['labelled_places'] for row in _rows(files)}
    grid = files / 'grid'
    images = read_images(grid / 'generator' / 'seed_0' / 'synthesised')
    assert places['synthesised'] == len(images.names)
    domains = {
        name: load_domain(from_json(grid / name / 'seed_0' / 'config.json'))
        for name in ('generator', *kept)
    }
    real, alone, both = domains.values()
    assert places['real_and_synthesised'] == len(real.splits.labelled) + len(images.names)
    for domain in (alone, both):
        np.testing.assert_array_equal(domain.splits.test, real.splits.test)
        np.testing.assert_array_equal(domain.splits.validation, real.splits.validation)
    names = [name_at(alone.dataset.names, i) for i in alone.splits.labelled]
    assert sorted(names) == sorted(images.names)
    assert not {*names} & {name_at(real.dataset.names, i) for i in real.splits.labelled}
    plain = load_dataset(painted_config().data, 'data')
    changed = [
        (both.dataset.source.read(i, None, ('images',))['images']
         != plain.source.read(i, None, ('images',))['images']).any()
        for i in range(plain.places.num)
    ]  # fmt: skip
    assert [name_at(plain.names, i) for i in np.flatnonzero(changed)] == sorted(images.names)
    # One colour for each class and, by the raster, a little more: what the stand-in paints.
    place = plain.places.names.index(images.names[0])
    read = both.dataset.source.read(place, None, ('images', 'labels'))
    water = read['images'][read['labels'] == np.bincount(read['labels'].ravel()).argmax()]
    assert water.std(0).max() < 10


def test_generators_stand_side_by_side_on_the_same_places(tmp_path: Path):
    picture, labels = np.full((4, 4, 3), 90, np.uint8), np.zeros((4, 4), np.int32)
    rows = []
    for name, inputs in (('label', {}), ('fusion', {'elevation': picture[..., :1]})):
        folder = tmp_path / name
        (folder / 'evaluation').mkdir(parents=True)
        pictures = {**inputs, 'real image': picture, 'synthesised': picture}
        write_examples(folder / 'evaluation' / EXAMPLES, [SynthesisExample('x', labels, pictures)])
        rows.append({'config': name, 'seed': 0, 'folder': str(folder)})
    facts = Facts(class_names=('a',), label='pixel')
    side_by_side(rows, facts, tmp_path / 'figure.png')
    assert np.asarray(Image.open(tmp_path / 'figure.png').convert('L')).std() > 5
    write_examples(
        tmp_path / 'label' / 'evaluation' / EXAMPLES, [SynthesisExample('y', labels, pictures)]
    )
    with pytest.raises(UserError, match='evaluated on other places'):
        side_by_side(rows, facts, tmp_path / 'figure.png')


def test_folders_of_images_that_do_not_fit_are_one_line(tmp_path: Path):
    dataset = load_dataset(painted_config().data, 'data')
    name = name_at(dataset.names, 3)

    def made(raster: str = 'images', names: tuple[str, ...] = (name,), **image: Any) -> None:
        shape, dtype = image.get('shape', (32, 32, 3)), image.get('dtype', np.uint8)
        write_image(tmp_path, 0, np.zeros(shape, dtype))
        write_places(SynthesisedImages(tmp_path, raster, names), 'run', 1)

    made()
    changed = with_images(dataset, read_images(tmp_path))
    assert not changed.source.read(3, None, ('images',))['images'].any()
    assert dataset.source.read(3, None, ('images',))['images'].any()  # and nothing else
    for arguments, message in (
        ({'names': ('nowhere',)}, "has no place 'nowhere'"),
        ({'raster': 'infrared'}, "has no raster 'infrared'"),
        ({'shape': (16, 32, 3)}, r'is uint8 \(16, 32, 3\), and .* has uint8 \(32, 32, 3\)'),
        ({'dtype': np.float32}, 'is float32'),
    ):
        made(**arguments)
        with pytest.raises(UserError, match=message):
            with_images(dataset, read_images(tmp_path))
    (tmp_path / FILE).write_text('{"names": 3}')
    with pytest.raises(UserError, match='is damaged'):
        read_images(tmp_path)
    with pytest.raises(UserError, match=r'holds no places\.json'):
        read_images(tmp_path / 'elsewhere')


def test_held_out_places_are_never_replaced(tmp_path: Path):
    config = painted_config('segmentation', data__synthesised=str(tmp_path))
    domain = load_domain(painted_config('segmentation'))
    name = name_at(domain.dataset.names, int(domain.splits.test[0]))
    write_image(tmp_path, 0, np.zeros((32, 32, 3), np.uint8))
    write_places(SynthesisedImages(tmp_path, 'images', (name,)), 'run', 1)
    with pytest.raises(UserError, match='has images of 1 test places'):
        load_domain(config)


WRONG = {
    'no such study': (('tables',), "did you mean 'table'"),
    'nothing to train': (('table',), 'say what to train'),
    'nothing there': (('table', '--table_only'), 'holds no trained runs'),
    'no segmenter': (('table', '--config={}/make.py'), 'or --segmenter=RUN, not both'),
    'two segmenters': (
        ('table', '--config={}/make.py', '--segmenter_config={}/seg.py', '--segmenter=x'),
        'not both',
    ),
    'a change of none': (
        ('table', '--config={}/make.py', '--segmenter=x', '--segmenter_config.steps=3'),
        'is trained already',
    ),
    'a generator': (
        ('table', '--config={}/make.py', '--segmenter=x', '--generators=fuse'),
        "unknown generator 'fuse'",
    ),
    'no synthesis': (
        ('table', '--config={}/seg.py', '--segmenter=x'), "'segmentation' cannot synthesise"
    ),
    'no segmentation': (
        ('pays', '--config={}/make.py', '--segmenter_config={}/make.py'), 'cannot pixel logits'
    ),
    'the share': (
        ('pays', '--config={}/make.py', '--segmenter_config={}/seg.py', '--share=1'), '--share=1'
    ),
    'labels by key': (
        ('pays', '--config={}/make.py', '--config.data.labelled_share=0.5'), 'the grid sets data.'
    ),
    'the generator by key': (
        ('table', '--config={}/make.py', '--config.method.generator=label'), 'the grid sets method.'
    ),
}  # fmt: skip


@pytest.mark.parametrize(('arguments', 'message'), WRONG.values(), ids=WRONG.keys())
def test_mistakes_are_one_line_and_nothing_runs(
    files: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
):
    typed = [argument.replace('{}', str(files)) for argument in arguments]
    run_grid_command(command.main, *typed, f'--workdir={files}/grid', code=1)
    assert message in one_error(capsys)
    assert not (files / 'grid').exists()
