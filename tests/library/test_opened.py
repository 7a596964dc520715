"""A trained run from Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

import eojax
from eojax.apps import generate
from eojax.apps.restore import repair
from eojax.data.facts import Raster
from eojax.data.value_range import scale_to_unit
from eojax.evaluation import reference
from eojax.evaluation.sampling import draw_samples
from eojax.evaluation.scoring import scores_of
from eojax.library import making
from eojax.library.arrays import check_array
from eojax.library.opened import OpenedRun
from eojax.models.pixel_network import join_rasters
from eojax.samplers.keys import keys_of_images
from tests.data.rasters import write_raster
from tests.tiny_runs import TinyRun, tiny_run
from tests.weights.tiny_files import tiny_file


@pytest.fixture(scope='module')
def case() -> TinyRun:
    return tiny_run('jem')


@pytest.fixture(scope='module')
def run(case: TinyRun) -> OpenedRun:
    return OpenedRun(case.run, case.state, batch_size=8)


@pytest.fixture(scope='module')
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (19, 16, 16, 3), dtype=np.uint8)


def test_the_package_imports_nothing_heavy_and_shows_what_it_has() -> None:
    lines = (
        'import sys, eojax',
        'assert not {"jax", "numpy", "rasterio"} & set(sys.modules), "heavy"',
        'assert {"open", "train", "load_config", "OpenedRun"} <= set(dir(eojax))',
        'assert eojax.UserError.__name__ == "UserError"',
        'assert not hasattr(eojax, "no_such_name")',
    )
    subprocess.run([sys.executable, '-c', '\n'.join(lines)], check=True)
    assert 'eojax.open(' in (eojax.__doc__ or '')


def test_a_run_that_is_opened_says_what_it_is(case: TinyRun) -> None:
    run = eojax.open(case.folder)
    assert run.size == (16, 16)
    assert run.bands == ('red', 'green', 'blue')
    assert run.dtype == np.uint8
    assert run.limits == ((0.0, 255.0),) * 3
    assert run.class_names == case.run.facts.class_names
    assert {'probabilities', 'log_density', 'sample', 'restore', 'map_scene'} <= {*run.abilities}
    assert 'reconstruct' not in run.abilities
    text = repr(run)
    assert 'drawn landscapes' in text
    assert 'no real images' in text
    assert 'River' in text
    run.config.steps = 99
    assert run.config.steps == 4


def test_scores_are_those_of_the_network(run: OpenedRun, case: TinyRun, images: np.ndarray) -> None:
    """Against the method itself, all images in one batch."""
    functions, unit = scores_of(case.run.method), jnp.asarray(images / np.float32(127.5) - 1)
    keys = keys_of_images(jax.random.key(case.run.config.seed), jnp.asarray(images))
    logits = np.asarray(jax.jit(functions['logits'])(case.state, unit, keys))
    np.testing.assert_allclose(run.logits(images), logits, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(run.probabilities(images), softmax(logits, -1), rtol=1e-3)
    predicted = run.predict(images)
    np.testing.assert_array_equal(predicted.indices, logits.argmax(-1))
    assert list(predicted.names) == [run.class_names[i] for i in logits.argmax(-1)]
    np.testing.assert_allclose(predicted.confidence, softmax(logits, -1).max(-1), rtol=1e-3)
    assert sum(predicted.counts().values()) == len(images)
    in_range = run.log_density(np.asarray(unit), units='network')
    np.testing.assert_allclose(in_range, run.log_density(images), rtol=1e-5)
    slope = run.function('log_density')
    gradient = jax.jit(jax.grad(lambda x: slope(x, jax.random.key(0)).sum()))
    assert np.isfinite(gradient(unit[:8])).all()


def test_numbers_of_an_image_depend_on_itself_alone(
    run: OpenedRun, case: TinyRun, images: np.ndarray
) -> None:
    assert case.run.config.method.input_noise > 0.0
    order = np.random.default_rng(1).permutation(len(images))
    for name in ('logits', 'log_density'):
        ask = getattr(run, name)
        expected = ask(images)
        # But for the last bits: on some CPUs a product of matrices sums by the row's place.
        for chosen in (order, slice(4, 5), slice(11)):
            np.testing.assert_allclose(ask(images[chosen]), expected[chosen], rtol=1e-5, atol=1e-6)


def test_a_network_is_compiled_once_for_any_number(
    run: OpenedRun, images: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    run.log_density(images)
    with jax.log_compiles(), caplog.at_level('WARNING'):
        for num in (1, 5, 8, 13):
            run.log_density(images[:num])
    assert 'Compiling' not in caplog.text


def test_samples_are_those_of_the_command(run: OpenedRun, case: TinyRun) -> None:
    request = generate.Request(3, 2, '', 2, None, None, 7)
    starts = generate.choose_starts(case.run, case.state, request)
    chain = generate.choose_chain(case.run, request)
    expected = draw_samples(case.run, case.state, starts, 7, chain)
    ours = run.sample(3, run.class_names[2], steps=2, seed=7)
    np.testing.assert_array_equal(ours, expected)
    unit = run.sample(3, 2, steps=2, seed=7, units='network')
    np.testing.assert_allclose(unit, ours / 127.5 - 1, atol=0.004)


def test_repairs_are_those_of_the_command_in_the_images_units(
    run: OpenedRun, case: TinyRun, images: np.ndarray
) -> None:
    mask = np.zeros((16, 16), bool)
    mask[5:9, 3:11] = True
    found = run.restore(images[:2], mask, chains=2, steps=2, label='any')
    settings = repair.choose_settings(case.run, 2, 'any', steps=2)
    given = scale_to_unit(np.where(mask[..., None], np.uint8(0), images[:2]))
    masks = np.stack([mask] * 2)
    expected = repair.repair(
        case.run, case.state, given, masks, reference.texture(case.run), settings
    )
    np.testing.assert_array_equal(found.mean[:, ~mask], images[:2, ~mask])
    assert found.mean.dtype == np.uint8
    np.testing.assert_allclose(found.mean, (expected.mean + 1) * 127.5, atol=0.51)
    np.testing.assert_allclose(found.spread, expected.spread * 127.5, rtol=1e-5)
    with pytest.raises(eojax.UserError, match='hold no image'):
        run.restore(images[:0], mask)
    for wrong in (mask & False, mask | True, mask[:9], mask.astype(int)):
        with pytest.raises(eojax.UserError, match='mask'):
            run.restore(images[:2], wrong)
    below = np.ma.array(images[:2], mask=np.repeat(mask[..., None], 3, -1)[None].repeat(2, 0))
    np.testing.assert_array_equal(
        run.restore(below, mask, chains=2, steps=2, label='any').mean, found.mean
    )
    below[0, 0, 0] = np.ma.masked
    with pytest.raises(eojax.UserError, match='masked pixels that masks does not call missing'):
        run.restore(below, mask)


def test_a_single_chain_says_nothing_of_how_sure_it_is(run: OpenedRun, images: np.ndarray) -> None:
    mask = np.zeros((16, 16), bool)
    mask[5:9, 3:11] = True
    for units, given in (('data', images[:1]), ('network', images[:1] / 127.5 - 1)):
        spread = run.restore(given, mask, chains=1, steps=1, label='any', units=units).spread
        assert np.isnan(spread[:, mask]).all()
        assert not spread[:, ~mask].any()


@pytest.mark.parametrize('size', [(10, 10), (16, 24), (37, 40)])
def test_what_a_missing_pixel_had_a_part_in_is_missing(size: tuple[int, int]) -> None:
    """Also where resampling gives it a negative weight: known pixels do not show what it held."""
    masks = np.zeros((1, *size), bool)
    masks[:, 4:6, 5:7] = True
    for dtype in ('uint8', 'uint16', 'float32'):
        raster = Raster(dtype=dtype, limits=None if dtype == 'uint8' else ((0.0, 200.0),) * 3)
        images = np.full((1, *size, 3), 100, dtype)
        filled, _ = making.check_masks(images, masks, raster)
        small = check_array(filled, raster, (16, 16), resize=True)
        missing = making.resized_masks(masks, (16, 16), np.dtype(dtype))
        assert 0.0 < missing.mean() < 0.5
        np.testing.assert_allclose(small[~missing], 100, rtol=1e-6)
    masks[:, ::3, ::3] = True
    with pytest.raises(eojax.UserError, match='leaves nothing of the image at 4 x 4 px'):
        making.resized_masks(masks, (4, 4), np.dtype('uint8'))


def test_what_a_method_cannot_do_is_one_line(run: OpenedRun, images: np.ndarray) -> None:
    with pytest.raises(eojax.UserError, match=r"'jem' cannot reconstruct; these can: .*vae"):
        run.reconstruct(images)
    tiny = tiny_run('supervised')
    supervised = OpenedRun(tiny.run, tiny.state)
    assert 'log_density' not in supervised.abilities
    with pytest.raises(eojax.UserError, match=r'cannot log density; these can: .*jem'):
        supervised.log_density(images)
    with pytest.raises(eojax.UserError, match='cannot sample'):
        supervised.sample(2)
    with pytest.raises(eojax.UserError, match=r"unknown score .*'log_densty'; did you mean"):
        run.score('log_densty', images)
    with pytest.raises(eojax.UserError, match="unknown class 'Sea'; did you mean 'SeaLake'"):
        run.sample(2, 'Sea')
    with pytest.raises(eojax.UserError, match='begin afresh with start=fresh'):
        run.sample(500)
    wrong: dict[str, Any] = {'steps': 1.5, 'label': 1.5, 'seed': 2**32, 'units': 'metres'}
    for name, value in wrong.items():
        with pytest.raises(eojax.UserError, match=f'{name} must '):
            run.sample(1, **{name: value})
    with pytest.raises(eojax.UserError, match=r'num must be a whole number, not 2\.5'):
        run.sample(2.5)  # type: ignore[arg-type]
    with pytest.raises(eojax.UserError, match='no run folder'):
        eojax.open('/nowhere/run')


def test_files_are_read_as_the_runs_own(run: OpenedRun, images: np.ndarray, tmp_path: Path) -> None:
    for number, image in enumerate(images[:3]):
        Image.fromarray(image).save(tmp_path / f'{number}.png')
    np.testing.assert_array_equal(run.read(tmp_path), images[:3])
    np.testing.assert_array_equal(run.read(tmp_path / '1.png'), images[1:2])
    Image.fromarray(images[:2].reshape(32, 16, 3)).save(tmp_path / 'tall.png')
    with pytest.raises(eojax.UserError, match=r'tall\.png'):
        run.read(tmp_path)
    assert run.read(tmp_path, resize=True).shape == (4, 16, 16, 3)


def test_likelihood_is_compared_with_the_training_images(
    run: OpenedRun, case: TinyRun, images: np.ndarray
) -> None:
    found = run.percentile(images)
    training = reference.reference_scores(case.run, case.state, ('log_density',))['log_density']
    expected = [(training <= score).mean() * 100 for score in run.log_density(images)]
    np.testing.assert_allclose(found, expected)


def test_a_scene_is_mapped(run: OpenedRun, tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).integers(1, 256, (40, 50, 3), dtype=np.uint8)
    scene = write_raster(tmp_path / 'place.tif', pixels, ('red', 'green', 'blue'))
    made = run.map_scene(scene, tmp_path / 'map', patch=16)
    assert made.summary['patches'] == 6
    assert set(made.files) >= {'class_map', 'confidence', 'log_density', 'unseen', 'overview'}
    assert all(path.is_file() for path in made.files.values())
    with pytest.raises(eojax.UserError, match='patch must be at least 1'):
        run.map_scene(scene, tmp_path / 'map', patch=0)


def _by_colour(state: Any, images: jax.Array, key: jax.Array) -> jax.Array:
    """Of a pixel alone; and the border of a window says something else."""
    side = images.shape[1]
    inner = jnp.minimum(jnp.arange(side), side - 1 - jnp.arange(side)) >= 2
    inside = (inner[:, None] & inner)[..., None]
    return jnp.pad(20.0 * images, ((0, 0),) * 3 + ((0, 7),), constant_values=-90.0) * inside


@pytest.mark.parametrize(('height', 'width'), [(16, 16), (9, 16), (40, 33)])
def test_pixels_of_images_of_any_size_have_classes(height: int, width: int) -> None:
    tiny = tiny_run('supervised')
    method = tiny.run.method._replace(abilities={'pixel_logits': _by_colour}, window=16)
    run = OpenedRun(tiny.run._replace(method=method, programs={}), tiny.state, batch_size=4)
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    probabilities = run.probabilities(images)
    assert probabilities.shape == (2, height, width, 10)
    np.testing.assert_allclose(probabilities.sum(-1), 1.0, rtol=1e-5)
    predicted, inner = run.predict(images), (slice(None), slice(2, -2), slice(2, -2))
    # Not means over windows of numbers of classes, or of their largest shares.
    np.testing.assert_array_equal(run.score('classes', images), predicted.indices)
    for name in ('confidence', 'max_probability'):
        np.testing.assert_array_equal(run.score(name, images), predicted.confidence)
    if (height, width) == (40, 33):  # every inner pixel lies in the middle of a window
        np.testing.assert_array_equal(predicted.indices[inner], images.argmax(-1)[inner])
    np.testing.assert_array_equal(run.probabilities(images[1:]), probabilities[1:])
    assert run.size is None


def test_scores_of_images_are_of_images_where_pixels_have_classes(images: np.ndarray) -> None:
    tiny = tiny_run('jem')
    density = tiny.run.method.abilities['log_density']
    method = tiny.run.method._replace(
        abilities={'pixel_logits': _by_colour, 'log_density': density}, window=8
    )
    run = OpenedRun(tiny.run._replace(method=method, programs={}), tiny.state, batch_size=4)
    whole = OpenedRun(tiny.run, tiny.state, batch_size=4)
    for name in ('gradient', 'roughness', 'grain'):
        found = run.score(name, images[:3])
        assert found.shape == (3,)
        np.testing.assert_allclose(found, whole.score(name, images[:3]), rtol=1e-4)


def _with_heights(state: Any, images: jax.Array, heights: jax.Array, key: jax.Array) -> jax.Array:
    return jnp.concatenate([images, heights, jnp.zeros((*images.shape[:3], 6))], -1) * 20.0


def test_further_rasters_are_given_by_name() -> None:
    tiny = tiny_run('supervised')
    heights = Raster(('height',), 'float32', ((0.0, 100.0),), 2)
    known = dict(tiny.run.known)
    facts = known['data'].facts
    facts = facts._replace(rasters={**facts.rasters, 'elevation': heights})
    known['data'] = known['data']._replace(facts=facts)
    abilities = {'pixel_logits': _with_heights}
    method = tiny.run.method._replace(
        abilities=abilities, window=16, rasters=('images', 'elevation')
    )
    opened = tiny.run._replace(method=method, known=known, programs={})
    run = OpenedRun(opened, tiny.state, batch_size=4)
    images = np.full((1, 36, 40, 3), 128, np.uint8)
    ground = np.zeros((1, 18, 20, 1), np.float32)
    ground[0, :9] = 100.0
    classes = run.predict(images, rasters={'elevation': ground}).indices
    assert (classes[0, :18] == 3).all()
    assert (classes[0, 18:] < 3).all()
    with pytest.raises(eojax.UserError, match=r"give rasters=\{'elevation': array\}"):
        run.predict(images)
    with pytest.raises(eojax.UserError, match='must be'):
        run.predict(images, rasters={'elevation': ground[:, :9]})
    with pytest.raises(eojax.UserError, match="sees no raster 'slope'"):
        run.predict(images, rasters={'elevation': ground, 'slope': ground})


def _first_band(state: Any, *inputs: jax.Array) -> jax.Array:
    return inputs[0][..., :1].repeat(10, -1)


def _as_they_are(state: Any, *inputs: jax.Array) -> jax.Array:
    return join_rasters(inputs[:-1])


def _further_from_the_middle(state: Any, *inputs: jax.Array) -> jax.Array:
    return 2.0 * join_rasters(inputs[:-1])


def test_a_run_that_sees_no_images_answers_in_the_units_of_what_it_sees() -> None:
    """And one that sees them behind another raster gives them back, and not that one."""
    tiny = tiny_run('supervised')
    heights = Raster(('height',), 'uint16', ((-10.0, 100.0),), 2)
    known = dict(tiny.run.known)
    facts = known['data'].facts
    facts = facts._replace(rasters={**facts.rasters, 'elevation': heights})
    known['data'] = known['data']._replace(facts=facts)
    abilities = {'pixel_logits': _first_band, 'reconstruct': _further_from_the_middle}
    method = tiny.run.method._replace(abilities=abilities, window=16, rasters=('elevation',))
    opened = tiny.run._replace(method=method, known=known, programs={})
    run = OpenedRun(opened, tiny.state, batch_size=4)
    ground = np.zeros((1, 18, 20, 1), np.uint16)
    ground[0, 9:, :, 0] = 90
    assert run.bands == ('height',)
    assert run.limits == ((-10.0, 100.0),)
    assert 'height as uint16 (-10 to 100)' in repr(run)
    # The network's pixels are those of the place: two for each of the raster.
    logits = run.logits(ground)
    assert logits.shape == (1, 36, 40, 10)
    unit = (ground.astype(np.float32) + 10.0) / 55.0 - 1.0
    expected = unit.repeat(2, 1).repeat(2, 2)
    np.testing.assert_allclose(logits[..., :1], expected, atol=1e-5)
    # -10 is none of uint16, in which it would be 65,526.
    np.testing.assert_array_equal(np.unique(run.reconstruct(ground)), [0, 100])
    method = method._replace(
        abilities={'pixel_logits': _first_band, 'reconstruct': _as_they_are},
        rasters=('elevation', 'images'),
    )
    run = OpenedRun(opened._replace(method=method, programs={}), tiny.state, batch_size=4)
    images = np.random.default_rng(0).integers(0, 256, (1, 36, 40, 3), dtype=np.uint8)
    np.testing.assert_array_equal(run.reconstruct(images, rasters={'elevation': ground}), images)


def _of_source(state: Any, images: jax.Array, key: jax.Array) -> jax.Array:
    return jnp.pad(images.mean((1, 2)), ((0, 0), (0, 9)), constant_values=-2.0)


def test_a_network_of_two_domains_answers_for_images_of_its_source() -> None:
    tiny = tiny_run('supervised')
    radar = Raster(('VV',), 'float32', ((-20.0, 0.0),))
    facts = tiny.run.facts._replace(rasters={'images': radar}, size=(8, 8))
    known = {**tiny.run.known, 'source': tiny.run.known['data']._replace(facts=facts)}
    abilities = {'source_logits': _of_source, 'source_embedding': _of_source}
    method = tiny.run.method._replace(abilities=tiny.run.method.abilities | abilities)
    run = OpenedRun(
        tiny.run._replace(method=method, known=known, programs={}), tiny.state, batch_size=4
    )
    decibels = np.full((5, 8, 8, 1), -5.0, np.float32)
    assert 'source' in run.abilities
    assert run.source.bands == ('VV',)
    assert run.source.size == (8, 8)
    np.testing.assert_allclose(run.source.logits(decibels)[:, 0], 0.5)  # from [-20, 0] to [-1, 1]
    assert (run.source.predict(decibels).indices == 0).all()
    with pytest.raises(eojax.UserError, match=r'must be \[N, H, W, 3\]'):
        run.predict(decibels)
    with pytest.raises(eojax.UserError, match='answers for one data set alone'):
        _ = OpenedRun(tiny.run, tiny.state).source


def test_what_is_no_place_is_refused_in_a_line():
    with pytest.raises(eojax.UserError, match=r'the folder of a run, .* not int'):
        eojax.open(3)  # type: ignore[arg-type]


def test_an_exported_file_is_evaluated_without_a_trace_in_the_cache(
    case: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exported, folder = tiny_file(16), tmp_path / 'data'
    images, labels = case.run.dataset.images[:20], case.run.dataset.labels[:20]
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / case.run.facts.class_names[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(image)).save(place / f'{number}.png')
    opened = eojax.open(exported)
    before = sorted(opened.folder.rglob('*'))
    numbers = opened.evaluate(folder)
    assert 'nothing is written: a folder' in capsys.readouterr().out
    assert sorted(opened.folder.rglob('*')) == before
    assert opened.evaluate(folder, tmp_path / 'out') == numbers
    assert (tmp_path / 'out' / 'evaluation.json').is_file()


def test_a_run_that_was_stopped_restores_without_its_data(
    case: TinyRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_data(*_: Any) -> None:
        raise eojax.UserError('no data at /elsewhere')

    monkeypatch.setattr(reference, 'texture', no_data)
    images = np.asarray(case.run.dataset.images[:2])
    masks = np.zeros((2, 16, 16), bool)
    masks[:, 4:9, 4:9] = True
    run = OpenedRun(case.run, case.state, batch_size=8)
    restored = run.restore(images, masks, chains=2, steps=1)
    np.testing.assert_array_equal(restored.mean[~masks], images[~masks])
    assert np.ptp(restored.mean[masks]) > 0
    said = capsys.readouterr().err
    assert said.count('images in the replay buffer: no data at /elsewhere') == 1
