from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image
from scipy.special import logsumexp, softmax

from eojax.apps.compare_domains import command as compare_domains
from eojax.apps.compare_domains import comparison
from eojax.apps.compare_domains.comparison import (
    Comparison,
    Judged,
    remarks,
    table,
)
from eojax.apps.compare_domains.domains import Domain, find_domain, own_domains, read_ahead
from eojax.data.reading.raster import DEFAULT_READING, Reading
from eojax.errors import UserError
from eojax.evaluation.reference import IMAGES
from eojax.evaluation.roughness import roughness
from eojax.evaluation.scoring import score
from eojax.samplers.keys import keys_of_images
from tests.data.rasters import write_raster
from tests.tiny_runs import TinyRun, tiny_run

NUM = '--images=100'
SCORES = ('log_density', 'max_probability', 'gradient')


@pytest.fixture(scope='module')
def jem(tmp_path_factory) -> TinyRun:
    """A copy, since the scores of training images are kept in the run's folder."""
    case = tiny_run('jem')
    folder = tmp_path_factory.mktemp('runs') / 'jem'
    shutil.copytree(case.folder, folder)
    return case._replace(run=case.run._replace(folder=folder), folder=folder)


@pytest.fixture(scope='module')
def supervised(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('runs') / 'supervised'
    shutil.copytree(tiny_run('supervised').folder, folder)
    return folder


@pytest.fixture(scope='module')
def sources(jem, tmp_path_factory) -> dict[str, Path]:
    """The test split as files, a zip archive of bright images of another size, and a scene."""
    folder = tmp_path_factory.mktemp('sources')
    rng = np.random.default_rng(0)
    _save_images(jem.run.dataset.images[jem.run.splits.test], folder / 'twin')
    _save_images(rng.integers(150, 256, (30, 24, 24, 3), dtype=np.uint8), folder / 'bright')
    with zipfile.ZipFile(folder / 'bright.zip', 'w') as archive:
        for file in (folder / 'bright').iterdir():
            archive.write(file, f'class/{file.name}')
    write_raster(folder / 'scene.tif', _scene_pixels())
    names = {'twin': 'twin', 'bright': 'bright.zip', 'scene': 'scene.tif'}
    return {name: folder / file for name, file in names.items()}


@pytest.fixture(scope='module')
def compared(jem, supervised, sources, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('out') / 'domains'
    given = [f'--domain={name}={path}' for name, path in sources.items()]
    compare_domains.main(
        [f'--workdir={jem.folder}', f'--supervised={supervised}', f'--out={out}', NUM, *given]
    )
    return out


def _scene_pixels(height: int = 40, width: int = 56) -> np.ndarray:
    return np.random.default_rng(1).integers(1, 256, (height, width, 3), dtype=np.uint8)


def _save_images(images: np.ndarray, folder: Path, order: int = 1) -> None:
    folder.mkdir(parents=True)
    for number, image in list(enumerate(images))[::order]:
        Image.fromarray(image).save(folder / f'{number:03d}.png')


def _read(out: Path, name: str = 'domains.json') -> dict[str, Any]:
    return json.loads((out / name).read_text())


def _scores(case: TinyRun, images: np.ndarray) -> dict[str, np.ndarray]:
    """The first two from what the method says itself; the gradient pushed back from its own sum."""
    run, abilities = case.run, case.run.method.abilities

    @jax.jit
    def slope(part: jax.Array, key: jax.Array) -> jax.Array:
        return jax.grad(lambda x: abilities['log_density'](case.state, x, key).sum())(part)

    norms = []
    for start in range(0, len(images), 32):
        part = images[start : start + 32].astype(np.float32) / 127.5 - 1.0
        filled = np.concatenate([part, np.full((32 - len(part), *part.shape[1:]), -1, np.float32)])
        stored = np.zeros((32, *part.shape[1:]), images.dtype)
        stored[: len(part)] = images[start : start + 32]
        slopes = slope(filled, keys_of_images(jax.random.key(run.config.seed), stored))
        norms.append(np.linalg.norm(slopes[: len(part)].reshape(len(part), -1), axis=1))
    return {
        'roughness': np.asarray(roughness(images.astype(np.float32) / 127.5 - 1.0)),
        'log_density': score(run, 'log_density', case.state, images),
        'max_probability': softmax(score(run, 'logits', case.state, images), axis=1).max(1),
        'gradient': -np.concatenate(norms),
    }


def _pairwise(inside: np.ndarray, outside: np.ndarray) -> float:
    above = (inside[:, None] > outside) + 0.5 * (inside[:, None] == outside)
    return float(above.mean())


def _false_positives(inside: np.ndarray, outside: np.ndarray) -> float:
    """At the highest of all thresholds that keep 95% of what is in distribution."""
    kept = [t for t in inside if np.mean(inside >= t) >= 0.95]
    return float(np.mean(outside >= max(kept)))


def _with_typical(scores: dict[str, np.ndarray], train: dict[str, np.ndarray]) -> dict[str, Any]:
    usual = np.median(train['log_density'])
    line = np.polyfit(train['roughness'], train['log_density'], 1)
    return {
        **scores,
        'typicality': -np.abs(scores['log_density'] - usual),
        'ratio': scores['log_density'] - np.polyval(line, scores['roughness']),
    }


def _divergence(sample: np.ndarray, reference: np.ndarray) -> float:
    k = round(min(len(sample) - 1, len(reference)) ** 0.5)
    x, y = sample.astype(np.float64), reference.astype(np.float64)
    own = np.sort(np.abs(x[:, None] - x), 1)[:, k]
    others = np.sort(np.abs(x[:, None] - y), 1)[:, k - 1]
    smallest = np.spacing(np.abs(sample))
    ratios = np.maximum(others, smallest) / np.maximum(own, smallest)
    return float(np.log(ratios).mean() + np.log(len(y) / (len(x) - 1)))


def test_numbers_are_those_of_scores_computed_here(jem, compared):
    run = jem.run
    train = _scores(jem, run.dataset.images[run.splits.train])
    test = _scores(jem, run.dataset.images[run.splits.test])
    assert len(run.splits.train) <= IMAGES['train']
    found = _read(compared)
    assert list(found) == ['test', 'twin', 'bright', 'scene', 'uniform_noise', 'constant']
    patches = np.stack(
        [_scene_pixels()[r : r + 16, c : c + 16] for r in (0, 16) for c in (0, 16, 32)]
    )
    for name, inside, outside in (
        ('test', train, test),
        ('scene', test, _scores(jem, patches)),
    ):
        numbers = found[name]
        assert numbers['images'] == len(outside['gradient'])
        expected = _divergence(outside['log_density'], train['log_density'])
        assert numbers['kl'] == pytest.approx(expected, abs=1e-5)
        inside, outside = (_with_typical(scores, train) for scores in (inside, outside))
        for key in (*SCORES, 'typicality', 'ratio'):
            assert set(numbers[key]) == {'auroc', 'fpr95', 'mean'}
            auroc = _pairwise(inside[key], outside[key])
            assert numbers[key]['auroc'] == pytest.approx(auroc, abs=2e-3)
            fpr = _false_positives(inside[key], outside[key])
            assert numbers[key]['fpr95'] == pytest.approx(fpr, abs=0.02)
            assert numbers[key]['mean'] == pytest.approx(outside[key].mean(), rel=1e-3, abs=1e-4)


def test_identical_images_are_told_apart_by_chance(compared):
    found = _read(compared)
    assert found['twin']['images'] == found['test']['images'] == 80
    assert found['twin']['kl'] == pytest.approx(found['test']['kl'])
    for key in SCORES:
        assert found['twin'][key]['auroc'] == pytest.approx(0.5, abs=1e-3)
        assert found['twin'][key]['mean'] == pytest.approx(found['test'][key]['mean'])
    assert found['uniform_noise']['images'] == found['constant']['images'] == 100


def test_the_second_run_has_its_own_numbers_and_a_row_of_the_figures(compared):
    """Supervised: log-sum-exp of the logits stands for log p(x)."""
    other = tiny_run('supervised')
    found, first = _read(compared, 'domains_supervised.json'), _read(compared)
    assert {k: set(v) for k, v in found.items()} == {k: set(v) for k, v in first.items()}
    test = other.run.dataset.images[other.run.splits.test]
    logits = score(other.run, 'logits', other.state, test)
    mean = found['test']['log_density']['mean']
    assert mean == pytest.approx(logsumexp(logits, axis=1).mean(), rel=1e-4)
    assert mean != pytest.approx(first['test']['log_density']['mean'], rel=1e-2)
    settings = _read(compared, 'comparison.json')
    assert settings['supervised']['density'] == 'log_sum_exp'
    assert settings['run']['density'] == 'log_density'
    assert 'log-sum-exp' in (compared / 'domains.md').read_text()


def test_writes_a_figure_for_each_domain_and_the_settings(compared):
    names = {path.name for path in compared.iterdir()}
    figures = {f'domain_{name}.png' for name in _read(compared)}
    numbers = {'domains.json', 'domains_supervised.json', 'comparison.json', 'domains.md'}
    assert names == figures | numbers | {'overview.png'}
    settings = _read(compared, 'comparison.json')
    assert settings['run']['divergence'] == 'neighbours'
    assert '6 patches' in settings['run']['domains']['scene']
    assert 'patches of 16 px, 8-bit values' in settings['run']['domains']['scene']
    assert '30 of 30 images, resampled to 16 px' in settings['run']['domains']['bright']


def test_neither_the_order_of_domains_nor_that_of_files_matters(
    jem, sources, compared, tmp_path, capsys
):
    """And one run alone has one row, and leaves nothing of an earlier second one."""
    shutil.copytree(compared, tmp_path / 'out')
    images = np.stack([np.asarray(Image.open(f)) for f in sorted(sources['twin'].iterdir())])
    _save_images(images, tmp_path / 'twin', order=-1)
    again = sources | {'twin': tmp_path / 'twin'}
    given = [f'--domain={name}={path}' for name, path in reversed(again.items())]
    compare_domains.main([f'--workdir={jem.folder}', f'--out={tmp_path}/out', NUM, *given])
    found, before = _read(tmp_path / 'out'), _read(compared)
    assert found == before
    assert list(found)[1:4] == ['scene', 'bright', 'twin']
    assert not (tmp_path / 'out' / 'domains_supervised.json').exists()
    one, two = (Image.open(out / 'domain_scene.png').height for out in (tmp_path / 'out', compared))
    assert 1.8 * one < two < 2.1 * one
    printed = capsys.readouterr().out
    assert '| scene' in printed
    assert 'max p(y|x) |' in printed


def _domain(case: TinyRun, path: Path, num: int = 100, **options: Any) -> Domain:
    return find_domain('there', path, case.run, num, **options)


def test_a_scene_gives_as_many_patches_as_fit(jem, tmp_path):
    pixels = _scene_pixels(35, 50)
    path = write_raster(tmp_path / 'a.tif', pixels)
    images = _domain(jem, path).read()
    expected = [pixels[r : r + 16, c : c + 16] for r in (0, 16) for c in (0, 16, 32)]
    np.testing.assert_array_equal(images, expected)
    np.testing.assert_array_equal(_domain(jem, path, 3).read(), expected[::2])
    # Of another side: resampled to what the run sees.
    assert _domain(jem, path, patch=10).read().shape == (15, 16, 16, 3)


def test_patches_with_missing_pixels_are_left_out_and_others_read_instead(jem, tmp_path):
    pixels = _scene_pixels(64, 64)
    pixels[0:16, 0:16] = 0
    pixels[20, 20] = 0
    pixels[63, 63] = 0
    path = write_raster(tmp_path / 'a.tif', pixels, nodata=0)
    images = _domain(jem, path).read()
    assert len(images) == 13
    assert (images > 0).all()
    some = _domain(jem, path, 12).read()
    assert len(some) == 12
    assert len({image.tobytes() for image in some}) == 12
    assert (some > 0).all()
    pixels[::8] = 0
    empty = _domain(jem, write_raster(tmp_path / 'b.tif', pixels, nodata=0))
    with pytest.raises(UserError, match='no patch of it has data in all pixels'):
        empty.read()
    # A pixel of another value that the user says to be empty.
    pixels = np.full((32, 32, 3), 50, np.uint8)
    pixels[3, 3] = 77
    path = write_raster(tmp_path / 'c.tif', pixels)
    assert len(_domain(jem, path, reading=Reading(nodata=77)).read()) == 3
    assert len(_domain(jem, path, reading=DEFAULT_READING).read()) == 4


def test_a_folder_of_scenes_is_tiled_and_one_of_images_is_resampled(jem, tmp_path):
    for folder in ('scenes', 'images', 'patches'):
        (tmp_path / folder).mkdir()
    large, small = _scene_pixels(33, 48), _scene_pixels(17, 20)
    write_raster(tmp_path / 'scenes' / 'a.tif', large)
    write_raster(tmp_path / 'scenes' / 'b.TIF', small)
    domain = _domain(jem, tmp_path / 'scenes')
    assert domain.text.startswith('2 scenes of 7 patches')
    images = domain.read()
    np.testing.assert_array_equal(images[0], large[:16, :16])
    np.testing.assert_array_equal(images[6], small[:16, :16])
    # Without coordinates, and no larger than what the run was trained on: images.
    write_raster(tmp_path / 'images' / 'a.tif', large, crs=None)
    write_raster(tmp_path / 'patches' / 'a.tif', large[:16, :16])
    assert len(_domain(jem, tmp_path / 'images').read()) == 1
    np.testing.assert_array_equal(_domain(jem, tmp_path / 'patches').read()[0], large[:16, :16])


def test_own_domains_are_noise_and_constants(jem):
    noise, constant = (domain.read() for domain in own_domains(jem.run, 30))
    assert noise.shape == constant.shape == (30, 16, 16, 3)
    assert noise.std() == pytest.approx(256 / 12**0.5, rel=0.02)
    assert (constant == constant[:, :1, :1]).all()


def _comparison(**domains: list[float]) -> Comparison:
    """Of test images with all scores from 0 to 9; a domain's three scores are constants."""
    inside = dict.fromkeys(SCORES, np.arange(10.0))
    images = np.zeros((1, 4, 4, 3), np.uint8)
    judged = {'test': Judged('', inside, images, images)}
    for name, values in domains.items():
        scores = {k: np.full(5, v) for k, v in zip(SCORES, values, strict=True)}
        judged[name] = Judged('', scores, images, images)
    return Comparison({'step': 3}, 'log p(x)', inside, judged)


def test_it_says_where_log_p_fails_and_what_helps():
    found = _comparison(
        smooth=[8.5, 5.5, 0.5], noise=[-1, 20, 3], bright=[20, 7.5, 9.5], other=[4.5, 0.5, 9]
    )
    smooth, bright, other = remarks(found)
    assert smooth.startswith('smooth: log p(x) ranks these images above the test split')
    assert 'AUROC 0.100' in smooth
    assert '-||grad log p(x)|| tells them apart best, AUROC 0.900' in smooth
    assert bright.startswith('bright: ')
    assert 'no score tells them apart; the best is max p(y|x), 0.200' in bright
    assert other.startswith('other: log p(x) has AUROC 0.500; max p(y|x) tells them apart best')


def test_table_escapes_strokes_and_names_the_runs():
    found = _comparison(noise=[-1, 20, 3])
    lines = table({'jem': found}).splitlines()
    assert len({line.replace('\\|', '  ').count('|') for line in lines}) == 1
    assert lines[3].split('|')[1].strip() == 'noise'
    assert lines[3].split('|')[4].strip() == '1.000 / 0.0%'
    assert 'jem' not in lines[0]
    both = table({'jem': found, 'other': found}, escape=False).splitlines()
    assert both[0].count('other: ') == 4
    assert both[3].count('1.000 / 0.0%') == 2


def _fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        compare_domains.main(arguments)
    assert stopped.value.code == 1
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith('eojax:')]
    assert len(lines) == 1
    return lines[0]


def test_mistakes_in_the_options_are_one_line(jem, sources, tmp_path, capsys):
    run, out = f'--workdir={jem.folder}', f'--out={tmp_path}/out'
    twin, scene = f'{sources["twin"]}', f'{sources["scene"]}'
    for arguments, message in (
        ([f'--domain=a={twin}', f'--domain=a={scene}'], "the name 'a' is given twice"),
        ([f'--domain=constant={twin}'], "the name 'constant' is taken"),
        ([f'--domain=test={twin}'], "the name 'test' is taken"),
        ([f'--domain={twin}'], 'expected NAME=PATH'),
        ([f'--domain=a/b={twin}'], 'expected NAME=PATH'),
        ([f'--domain=a={tmp_path}/none'], 'no such file or folder'),
        (['--images=1'], '--images must be at least 2'),
        (['--patch=0'], '--patch must be at least 1'),
        ([f'--supervised={jem.folder}'], 'is the run of --workdir'),
    ):
        assert message in _fails([run, out, *arguments], capsys)


def test_domains_that_cannot_be_read_are_one_line(jem, sources, tmp_path, capsys):
    run, out = f'--workdir={jem.folder}', f'--out={tmp_path}/out'
    with zipfile.ZipFile(tmp_path / 'empty.zip', 'w') as archive:
        archive.writestr('README', 'nothing')
    assert 'no images' in _fails([run, out, f'--domain=a={tmp_path}/empty.zip'], capsys)
    # What is wrong with the second shows before the first is scored.
    write_raster(tmp_path / 'small.tif', _scene_pixels(15, 80))
    given = [f'--domain=a={sources["twin"]}', f'--domain=b={tmp_path}/small.tif']
    error = _fails([run, out, *given], capsys)
    assert '80x15 pixels, smaller than a patch of 16x16; --patch=PIXELS' in error
    assert not any((tmp_path / 'out').iterdir())
    error = _fails([run, out, f'--domain=a={sources["scene"]}', '--bands=1,2'], capsys)
    assert '--bands=1,2 names 2 band(s)' in error


def test_a_third_domain_that_is_grey_is_refused_before_the_first_is_scored(
    jem, sources, tmp_path, capsys, monkeypatch
):
    """In the third file: the first ones of a domain are no promise."""
    (tmp_path / 'mixed').mkdir()
    for number, mode in enumerate(('RGB', 'RGB', 'L')):
        Image.new(mode, (16, 16), number).save(tmp_path / 'mixed' / f'{number}.png')
    monkeypatch.setattr(comparison, 'score_all', None)
    monkeypatch.setattr(comparison, 'reference_scores', None)
    given = [f'--domain={name}={sources[name]}' for name in ('twin', 'scene')]
    out = [f'--workdir={jem.folder}', f'--out={tmp_path}/out']
    error = _fails([*out, *given, f'--domain=mixed={tmp_path}/mixed'], capsys)
    assert '2.png' in error
    assert not any((tmp_path / 'out').iterdir())


def test_domains_that_memory_does_not_hold_are_read_again():
    reads = []

    def domain(name: str, num: int = 10) -> Domain:
        return Domain(name, '', lambda: reads.append(name) or np.zeros(num, np.uint8))  # type: ignore[func-returns-value]

    # A large one takes no room from those after it.
    ready = read_ahead([domain('large', 100), domain('a'), domain('b')], limit=15)
    assert reads == ['large', 'a', 'b']
    assert [len(one.read()) for one in ready] == [100, 10, 10]
    assert reads == ['large', 'a', 'b', 'large', 'b']


def test_a_run_without_logits_says_which_methods_have_them(jem):
    method = jem.run.method._replace(abilities={'sample': None})
    with pytest.raises(UserError, match=r"'jem' does not classify.* these do: .*jem"):
        compare_domains._has_logits(jem.run._replace(method=method))
