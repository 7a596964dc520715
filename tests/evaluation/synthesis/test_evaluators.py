"""What is measured of synthesised images, against values made by hand or by other libraries."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest
from jax import random
from scipy.stats import wasserstein_distance
from skimage.metrics import structural_similarity
from sklearn.metrics import jaccard_score

from eojax.data.facts import Facts, Raster
from eojax.drawing.synthesis import class_comparison
from eojax.evaluation.evaluation_set import EvaluationBatch
from eojax.evaluation.evaluators import Evaluator, Measured
from eojax.evaluation.published_synthesis import DATA_SETS, GENERATORS, published, published_real
from eojax.evaluation.synthesis.distance import distance
from eojax.evaluation.synthesis.examples import SynthesisExample, read_examples, write_examples
from eojax.evaluation.synthesis.likeness import likeness
from eojax.evaluation.synthesis.radar import backscatter, decibel_limits
from eojax.evaluation.synthesis.segmentation import segmented
from eojax.metrics.generation import Moments, fid
from eojax.models.pixel_blocks import Style
from eojax.models.unet import Encoder, UNet

FACTS = Facts(class_names=('a', 'b', 'c'), label='pixel')
DECIBELS = Raster(('vv_db',), 'float32', ((-20.0, 10.0),))


def _batch(stored: np.ndarray, counted: np.ndarray | None = None) -> EvaluationBatch:
    """A batch of windows with these labels, 255 unknown; all of them count unless said."""
    num, height, width = stored.shape
    counted = np.tile([0, height, 0, width], (num, 1)) if counted is None else counted
    labels = np.full(stored.shape, -1, np.int32)
    for row, (first, end, left, right) in enumerate(counted):
        labels[row, first:end, left:right] = stored[row, first:end, left:right]
    labels[stored == 255] = -1
    corner = np.zeros(num, int)
    return EvaluationBatch({'labels': stored}, labels, np.arange(num), corner, corner, counted)


def _measured(evaluator: Evaluator, *batches: tuple[dict, EvaluationBatch]) -> Measured:
    sums = evaluator.start()
    for outputs, batch in batches:
        sums = evaluator.update(sums, outputs, batch)
    return evaluator.finish(sums)


def _images(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def test_likeness_is_that_of_the_pixels_that_count():
    real, made = _images(0, 3, 16, 16, 3), _images(1, 3, 16, 16, 3)
    stored = np.zeros((3, 16, 16), np.uint8)
    stored[0, 3] = 255  # a pixel of unknown class has colours all the same
    counted = np.array([[0, 16, 0, 16], [0, 16, 4, 16], [0, 0, 0, 0]])
    batches = [
        ({'real': real[i : i + 1], 'synthesised': made[i : i + 1]},
         _batch(stored[i : i + 1], counted[i : i + 1]))
        for i in range(3)
    ]  # fmt: skip
    numbers = _measured(likeness(FACTS), *batches).numbers
    parts = [(real[0] - made[0]).ravel(), (real[1] - made[1])[:, 4:].ravel()]
    difference = np.concatenate(parts).astype(np.float64)
    assert numbers['mae'] == pytest.approx(np.abs(difference).mean() / 2)
    assert numbers['psnr'] == pytest.approx(10 * np.log10(4 / np.square(difference).mean()))
    full = [
        structural_similarity(
            1.0 + a.astype(float), 1.0 + b, data_range=2.0, channel_axis=-1, full=True
        )[1]
        for a, b in zip(real, made, strict=True)
    ]  # fmt: skip
    expected = np.concatenate([full[0].reshape(-1, 3), full[1][:, 4:].reshape(-1, 3)]).mean()
    assert numbers['ssim'] == pytest.approx(expected, abs=1e-6)


def test_equal_images_have_no_error_and_no_endless_ratio():
    real = _images(0, 1, 8, 8, 1)
    batch = ({'real': real, 'synthesised': real}, _batch(np.zeros((1, 8, 8), np.uint8)))
    assert _measured(likeness(FACTS), batch).numbers == {'mae': 0.0, 'ssim': pytest.approx(1.0)}


def test_maps_are_compared_with_the_truth_and_with_each_other():
    generator = np.random.default_rng(3)
    stored = generator.integers(0, 2, (4, 8, 8)).astype(np.uint8)  # nothing is of class c
    stored[:, 0] = 255
    real, made = (generator.integers(0, 2, stored.shape).astype(np.uint8) for _ in range(2))
    made[:, 7] = 2
    batches = [
        ({'classes_real': real[half], 'classes_synthesised': made[half]}, _batch(stored[half]))
        for half in (slice(0, 2), slice(2, 4))
    ]
    numbers = _measured(segmented(FACTS), *batches).numbers
    known = stored != 255
    for prefix, predicted, reference, pixels in (
        ('real_', real, stored, known), ('truth_', made, stored, known),
        ('agreement_', made, real, np.ones_like(known)),  # labels are not asked for
    ):  # fmt: skip
        expected = jaccard_score(reference[pixels], predicted[pixels], average=None, labels=[0, 1])
        assert numbers[f'{prefix}mean_iou'] == pytest.approx(expected.mean())
        assert numbers[f'{prefix}iou_b'] == pytest.approx(expected[1])
        # As in the paper: class c, which does not occur, counts as 0.
        assert numbers[f'{prefix}mean_iou_all'] == pytest.approx(expected.sum() / 3)
        right = (reference == predicted)[pixels].mean()
        assert numbers[f'{prefix}pixel_accuracy'] == pytest.approx(right)
        assert f'{prefix}iou_c' not in numbers


def test_the_distance_is_that_of_all_features_together():
    real, made = _images(0, 11, 7), 0.5 * _images(1, 11, 7) + 0.2
    batches = [
        ({'features_real': real[part], 'features_synthesised': made[part]},
         _batch(np.zeros((1, 2, 2), np.uint8)))
        for part in (slice(0, 4), slice(4, 8), slice(8, 11))
    ]  # fmt: skip
    numbers = _measured(distance(), *batches).numbers
    assert numbers == {
        'frechet_distance': pytest.approx(fid(real, made), rel=1e-9),
        'frechet_features': 7, 'frechet_images': 11,
    }  # fmt: skip
    assert _measured(distance(), (batches[0][0], batches[0][1])).numbers['frechet_images'] == 4


def test_moments_keep_their_digits_where_the_mean_is_large():
    values = 1e6 + _images(2, 60, 3).astype(np.float64)
    moments = Moments.of(values[:7]).plus(Moments.of(values[7:]))
    np.testing.assert_allclose(moments.covariance, np.cov(values, rowvar=False), rtol=1e-6)
    np.testing.assert_allclose(moments.mean, values.mean(0))


def test_encoder_means_are_those_of_the_levels_above_the_bottleneck():
    style = Style('none')
    network = UNet(3, 4, 2, 'max', style)
    images = random.uniform(random.key(0), (2, 8, 8, 3), minval=-1.0)
    variables = jax.jit(network.init)(random.key(1), images)
    means = jax.jit(lambda v: network.apply(v, images, encoder_means=True))(variables)
    encoder, parameters = Encoder(4, 2, 'max', style), variables['params']['encoder']
    encoded = jax.jit(lambda p: encoder.apply({'params': p}, images, False))(parameters)
    expected = np.concatenate([np.asarray(x).mean((1, 2)) for x in encoded.maps[:2]], -1)
    np.testing.assert_allclose(means, expected, atol=1e-6)
    # The paper's network: 64 + 128 + 256 + 512.
    assert sum(64 * 2**level for level in range(4)) == 960


def _speckled(looks: float, mean_db: float, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Backscatter of uniform ground as -1 to 1 stands for -20 to 10 dB: gamma distributed."""
    power = np.random.default_rng(seed).gamma(looks, 10 ** (mean_db / 10) / looks, shape)
    return np.clip((10 * np.log10(power) + 20) / 15 - 1, -1, 1).astype(np.float32)


def test_looks_and_backscatter_of_speckle_are_those_it_was_drawn_with():
    facts = FACTS._replace(rasters={**FACTS.rasters, 'sar': DECIBELS})
    stored = np.zeros((6, 64, 64), np.uint8)
    stored[:, :, 32:] = 1
    stored[0, 0] = 2  # class c is nowhere alone: no looks
    half = (6, 64, 32, 1)
    real = np.concatenate([_speckled(4, -8, half, 0), _speckled(9, -2, half, 1)], 2)
    made = np.concatenate([_speckled(16, -8, half, 2), _speckled(9, 0, half, 3)], 2)
    numbers = _measured(
        backscatter(facts, 'sar'), ({'real': real, 'synthesised': made}, _batch(stored))
    ).numbers
    assert numbers['looks_real_a'] == pytest.approx(4, rel=0.1)
    assert numbers['looks_synthesised_a'] == pytest.approx(16, rel=0.1)
    assert numbers['looks_real_b'] == pytest.approx(9, rel=0.1)
    assert 'looks_real_c' not in numbers
    assert numbers['backscatter_distance_b'] == pytest.approx(2.0, abs=0.1)
    for name, value in (('a', 0), ('b', 1)):
        pairs = [x[stored == value][:, 0] * 15 for x in (real, made)]
        expected = wasserstein_distance(*pairs)
        assert numbers[f'backscatter_distance_{name}'] == pytest.approx(expected, abs=0.05)
    assert numbers['mae_db'] == pytest.approx(15 * np.abs(real - made).mean(), rel=1e-5)


def test_bands_of_radar_are_measured_each():
    raster = Raster(('vv_db', 'vh_db'), 'float32', ((-20.0, 10.0), (-30.0, 0.0)))
    facts = FACTS._replace(rasters={**FACTS.rasters, 'sar': raster})
    real, made = (
        np.concatenate([_speckled(4, -5, (2, 32, 32, 1), seed) for seed in pair], -1)
        for pair in ((0, 1), (2, 3))
    )
    batch = ({'real': real, 'synthesised': made}, _batch(np.zeros((2, 32, 32), np.uint8)))
    numbers = _measured(backscatter(facts, 'sar'), batch).numbers
    assert {'looks_real_vv_db_a', 'looks_real_vh_db', 'backscatter_distance_vh_db_a'} <= {*numbers}
    assert 'looks_real' not in numbers


def test_decibels_are_known_by_their_bands():
    np.testing.assert_array_equal(decibel_limits(DECIBELS), [[-20, 10]])
    stored = Raster(('vv_db',), 'uint16', ((7500.0, 10500.0),))
    np.testing.assert_allclose(decibel_limits(stored), [[-25, 5]])
    # The unit of signed whole numbers is not known: whole decibels, or hundredths.
    assert decibel_limits(Raster(('vv_db',), 'int16', ((-20.0, 10.0),))) is None
    assert decibel_limits(Raster()) is None
    assert decibel_limits(Raster(('surface',), 'int16', ((0.0, 1.0),))) is None


def test_examples_come_back_from_their_file(tmp_path: Path):
    labels = np.array([[0, -1], [2, 1]], np.int32)
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    example = SynthesisExample(
        'plain_0\n12', labels, {'real image': picture, 'synthesised': picture}
    )
    write_examples(tmp_path / 'examples.npz', [example])
    (again,) = read_examples(tmp_path / 'examples.npz')
    assert again.title == example.title
    assert [*again.pictures] == [*example.pictures]
    np.testing.assert_array_equal(again.labels, labels)
    np.testing.assert_array_equal(again.pictures['synthesised'], picture)


def test_no_class_no_figure(tmp_path: Path):
    class_comparison({'real': [None]}, ['a'], np.zeros(1), tmp_path / 'x.png')
    assert not (tmp_path / 'x.png').exists()
    class_comparison({'real': [0.4], 'made': [None]}, ['a'], np.ones(1), tmp_path / 'x.png')
    assert (tmp_path / 'x.png').stat().st_size > 1000


def test_the_papers_numbers_are_those_of_table_3():
    for data in DATA_SETS:
        assert published_real(data) is not None
        each = {name: published(data, name) for name in GENERATORS}
        assert None not in each.values()
    fusion = published('geonrw', 'fusion')
    assert fusion is not None
    assert (fusion.agreement, fusion.distance) == ((0.2326, 0.7692), 0.0078)
    # Fusion is best of all on GeoNRW where maps of real images are the reference.
    best = {max(GENERATORS, key=lambda g: published('geonrw', g).agreement[i]) for i in (0, 1)}
    assert best == {'fusion'}
    assert published('landscape_pairs', 'fusion') is None
