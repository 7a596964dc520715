"""Parity with Pillow, operation by operation, and what is drawn."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random
from PIL import Image, ImageEnhance, ImageOps

from eojax.augment import lookup
from eojax.augment.boxes import draw_squares
from eojax.augment.randaugment import (
    OPERATIONS,
    SETS,
    Drawn,
    apply,
    cut_out,
    draw,
    operations_of,
    strong,
)
from eojax.errors import UserError

SIZE = 32


def strong_images(images: Any, key: Array, *options: Any, **named: Any) -> Array:
    """Images by themselves, as a sample without anything else."""
    return strong({'images': images}, key, *options, **named)[0]['images']


strong_once = jax.jit(strong_images, static_argnums=(2, 3), static_argnames='operations')
_apply = jax.jit(apply, static_argnames='interpolation')


def _images(num: int = 12, bands: int = 3, size: int = SIZE, seed: int = 0) -> np.ndarray:
    """uint8: smooth scenes of different contrast and brightness, noise, and flat colours."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    images = []
    for number in range(num):
        waves = np.sin(2 * np.pi * (rng.uniform(0, 2) * x + rng.uniform(0, 2) * y))[..., None]
        low, high = sorted(rng.integers(0, 256, 2))
        scene = low + (high - low) * (0.5 + 0.5 * waves * rng.uniform(0.3, 1, bands))
        images.append(scene + rng.normal(0, 3 * (number % 4), (size, size, bands)))
    images[0] = rng.integers(0, 256, (size, size, bands))
    images[1] = np.broadcast_to(rng.integers(0, 256, bands), (size, size, bands))
    return np.clip(images, 0, 255).astype(np.uint8)


def _pillow(image: np.ndarray, name: str, amount: float) -> np.ndarray:
    picture = Image.fromarray(image)
    width, height = picture.size
    affine = Image.Transform.AFFINE
    results = {
        'identity': lambda: picture,
        'autocontrast': lambda: ImageOps.autocontrast(picture),
        'brightness': lambda: ImageEnhance.Brightness(picture).enhance(amount),
        'colour': lambda: ImageEnhance.Color(picture).enhance(amount),
        'contrast': lambda: ImageEnhance.Contrast(picture).enhance(amount),
        'equalise': lambda: ImageOps.equalize(picture),
        'posterise': lambda: ImageOps.posterize(picture, int(amount)),
        'rotate': lambda: picture.rotate(amount),
        'sharpness': lambda: ImageEnhance.Sharpness(picture).enhance(amount),
        'shear_x': lambda: picture.transform(picture.size, affine, (1, amount, 0, 0, 1, 0)),
        'shear_y': lambda: picture.transform(picture.size, affine, (1, 0, 0, amount, 1, 0)),
        'solarise': lambda: ImageOps.solarize(picture, amount),
        'translate_x': lambda: picture.transform(
            picture.size, affine, (1, 0, amount * width, 0, 1, 0)
        ),
        'translate_y': lambda: picture.transform(
            picture.size, affine, (1, 0, 0, 0, 1, amount * height)
        ),
    }
    return np.asarray(results[name]())


AMOUNTS = {
    'brightness': (0.05, 0.4, 0.95),
    'colour': (0.05, 0.4, 0.95),
    'contrast': (0.05, 0.4, 0.95),
    'sharpness': (0.05, 0.4, 0.95),
    'posterise': (4, 5, 7, 8),
    'solarise': (0, 17, 128, 256),
    'rotate': (-30.0, -5.0, 0.4, 12.0, 29.3),
    'shear_x': (-0.3, 0.11, 0.29),
    'shear_y': (-0.3, 0.11, 0.29),
    'translate_x': (-0.3, 0.13, 0.29),
    'translate_y': (-0.3, 0.13, 0.29),
}
CASES = [(name, amount) for name in OPERATIONS for amount in AMOUNTS.get(name, (0.0,))]
BLENDS = ('brightness', 'colour', 'contrast', 'sharpness')


def _drawn(name: str, amount: float, num: int) -> Drawn:
    operation = np.full(num, OPERATIONS.index(name), np.int32)
    return Drawn(operation, np.full(num, amount, np.float32))


@pytest.mark.parametrize(('name', 'amount'), CASES)
def test_is_what_pillow_makes(name, amount):
    images = _images()
    found = np.asarray(_apply(images, _drawn(name, amount, len(images))))
    expected = np.stack([_pillow(image, name, amount) for image in images])
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected).max() <= (1 if name in BLENDS else 0)


@pytest.mark.parametrize(('name', 'amount'), [('rotate', 17.0), ('shear_x', 0.2)])
def test_bilinear_warps_are_pillows_within_a_level(name, amount):
    images = _images()
    drawn = _drawn(name, amount, len(images))
    found = np.asarray(_apply(images, drawn, interpolation='bilinear')).astype(int)
    for image, got in zip(images, found, strict=True):
        picture = Image.fromarray(image)
        kind = Image.Resampling.BILINEAR
        if name == 'rotate':
            expected = picture.rotate(amount, resample=kind)
        else:
            matrix = (1, amount, 0, 0, 1, 0)
            expected = picture.transform(picture.size, Image.Transform.AFFINE, matrix, kind)
        assert np.abs(got - np.asarray(expected)).max() <= 1


def test_a_batch_of_different_operations_is_each_by_itself():
    images = _images(len(CASES))
    names, amounts = zip(*CASES, strict=True)
    operation = np.array([OPERATIONS.index(name) for name in names], np.int32)
    together = _apply(images, Drawn(operation, np.array(amounts, np.float32)))
    for number, (name, amount) in enumerate(CASES):
        alone = _apply(images[number : number + 1], _drawn(name, amount, 1))[0]
        np.testing.assert_array_equal(together[number], alone)


@pytest.mark.parametrize(('name', 'amount'), CASES)
def test_floats_are_as_bytes_within_a_level(name, amount):
    images = _images()
    drawn = _drawn(name, amount, len(images))
    whole = np.asarray(_apply(images, drawn)).astype(float)
    floats = np.asarray(_apply((images / 127.5 - 1.0).astype(np.float32), drawn))
    assert floats.dtype == np.float32
    assert np.abs(floats).max() <= 1.0 + 1e-6
    # Pillow cuts blends off to whole levels, and rounds the luminance and the mean first.
    assert np.abs((floats + 1.0) * 127.5 - whole).max() <= (2.01 if name in BLENDS else 1e-3)


@pytest.mark.parametrize('bands', [1, 5])
def test_other_numbers_of_bands(bands):
    images = _images(len(OPERATIONS), bands)
    drawn = Drawn(np.arange(len(OPERATIONS)), np.full(len(OPERATIONS), 0.3, np.float32))
    found = np.asarray(_apply(images, drawn))
    assert found.shape == images.shape
    np.testing.assert_array_equal(found[0], images[0])
    # Tables and warps act on each band as they would on it alone.
    for name in ('autocontrast', 'equalise', 'solarise', 'rotate', 'sharpness', 'brightness'):
        number = OPERATIONS.index(name)
        for band in range(bands):
            one = Drawn(drawn.operation[[number]], drawn.amount[[number]])
            alone = _apply(images[[number], :, :, band : band + 1], one)
            np.testing.assert_array_equal(found[number, :, :, band], alone[0, :, :, 0])


def test_counts_by_products_are_those_of_numpy():
    levels = _images().astype(np.int32)
    expected = np.stack(
        [[np.bincount(i[..., band].ravel(), minlength=256) for band in range(3)] for i in levels]
    )
    np.testing.assert_array_equal(lookup.histograms(jnp.asarray(levels)), expected)
    flat = jnp.asarray(levels.reshape(len(levels), -1, 3).swapaxes(1, 2))
    np.testing.assert_array_equal(lookup._multiplied(flat), expected)


def test_stretching_is_pillows_for_all_pairs_of_limits():
    low, high = np.array([(a, b) for a in range(256) for b in range(a, 256)]).T
    counts = np.zeros((len(low), 1, 256), np.int32)
    counts[np.arange(len(low)), 0, low] += 1
    counts[np.arange(len(low)), 0, high] += 1
    found = np.asarray(jax.jit(lookup.autocontrast)(counts))[:, 0]
    for a, b, table in zip(low, high, found, strict=True):
        inside = np.arange(a, b + 1)
        scale = 255.0 / (b - a) if b > a else 1.0
        expected = (inside * scale + -a * scale).astype(int) if b > a else inside
        np.testing.assert_array_equal(table[a : b + 1], expected)


def test_draws_are_uniform_and_within_their_ranges():
    drawn = draw(random.key(0), 28_000)
    operation, amount = np.asarray(drawn.operation), np.asarray(drawn.amount)
    counts = np.bincount(operation, minlength=len(OPERATIONS))
    assert np.abs(counts - 2000).max() < 4.5 * np.sqrt(2000)
    for number, name in enumerate(OPERATIONS):
        values = amount[operation == number]
        allowed = AMOUNTS.get(name, (0.0,))
        most = max(np.abs(allowed))
        assert values.min() >= (-most if min(allowed) < 0 else min(allowed))
        assert values.max() <= most
    turned = amount[operation == OPERATIONS.index('rotate')]
    assert abs(turned.mean()) < 1.5
    assert turned.min() < -28
    assert turned.max() > 28
    bits = amount[operation == OPERATIONS.index('posterise')].astype(int)
    assert set(bits) == {4, 5, 6, 7}


def covered_square(images: Array, key: Array) -> Array:
    return cut_out(images, draw_squares(key, *images.shape[:3], 0.5))


def test_a_square_of_half_the_side_is_cut_out():
    images = np.full((3000, SIZE, SIZE, 2), 10, np.uint8)
    cut = np.asarray(jax.jit(covered_square)(images, random.key(1)))
    covered = (cut == 127).all(-1)
    assert (covered == (cut == 127).any(-1)).all()
    assert set(np.unique(cut)) == {10, 127}
    rows, columns = covered.any(2).sum(1), covered.any(1).sum(1)
    np.testing.assert_array_equal(covered.sum((1, 2)), rows * columns)  # rectangles
    assert rows.max() == columns.max() == SIZE // 2
    assert rows.min() == columns.min() == SIZE // 4
    # The middle of the image is covered where the centre is within a quarter of the side of it.
    assert covered[:, SIZE // 2, SIZE // 2].mean() == pytest.approx(0.25, abs=0.035)


def test_the_sides_of_drawn_squares_are_uniform_up_to_the_share():
    squares = draw_squares(random.key(2), 4000, 40, 60, 0.5, drawn=True)
    np.testing.assert_array_equal(squares.height, squares.width)
    sides = np.asarray(squares.height)
    assert sides.min() == 0
    assert sides.max() == 20
    # Inner sides get a twentieth each, the ends half of that.
    counts = np.bincount(sides) / len(sides)
    np.testing.assert_allclose(counts[1:-1], 1 / 20, atol=0.015)
    np.testing.assert_allclose(counts[[0, -1]], 1 / 40, atol=0.01)
    middles = np.asarray(squares.top) + sides // 2
    assert (middles.min(), middles.max()) == (0, 39)


def test_strong_depends_on_its_key_alone_and_changes_most_images():
    images = _images(64)[2:]
    one, again, other = (
        np.asarray(jax.jit(strong_images)(images, random.key(seed))) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any((1, 2, 3)).mean() > 0.9
    assert one.dtype == np.uint8
    floats = jax.jit(strong_images)((images / 127.5 - 1.0).astype(np.float32), random.key(0))
    assert np.abs(floats).max() <= 1.0 + 1e-6


def test_nothing_is_computed_by_branch():
    images = _images(4)
    program = jax.make_jaxpr(strong_images)(images, random.key(0))
    names = {equation.primitive.name for equation in program.jaxpr.eqns}
    assert not names & {'cond', 'while', 'scan'}


def test_unknown_interpolation_is_refused():
    with pytest.raises(UserError, match='unknown interpolation'):
        apply(_images(2), _drawn('identity', 0.0, 2), 'cubic')


def test_only_the_operations_asked_for_are_drawn():
    drawn = draw(random.key(3), 2000, SETS['geometric'])
    counts = np.bincount(np.asarray(drawn.operation), minlength=len(OPERATIONS))
    for number, name in enumerate(OPERATIONS):
        expected = 2000 / 6 if name in SETS['geometric'] else 0
        assert abs(counts[number] - expected) < 80, name
    same = draw(random.key(3), 50), draw(random.key(3), 50, SETS['all'])
    np.testing.assert_array_equal(same[0].operation, same[1].operation)


def test_geometric_operations_make_no_new_spectra():
    images = _images(8, 3)
    changed = np.asarray(strong_once(images, random.key(1), 2, 0.0, operations=SETS['geometric']))
    grey = {(127, 127, 127), (0, 0, 0), (128, 128, 128)}  # what comes in from beyond the border
    for before, after in zip(images, changed, strict=True):
        known = {tuple(p) for p in np.asarray(before).reshape(-1, 3).tolist()} | grey
        assert {tuple(p) for p in after.reshape(-1, 3).tolist()} <= known


@pytest.mark.parametrize(
    ('text', 'expected'),
    [('all', OPERATIONS), ('rotate', ('rotate',)), ('rotate, colour', ('rotate', 'colour'))],
)
def test_sets_and_lists_of_operations(text, expected):
    assert operations_of(text) == expected


@pytest.mark.parametrize(
    ('text', 'message'), [('rotat', "did you mean 'rotate'"), ('rotate,rotate', 'named twice')]
)
def test_unknown_operations_are_refused(text, message):
    with pytest.raises(UserError, match=message):
        operations_of(text)


def test_strong_is_its_passes_and_a_square_each_by_its_part_of_the_key():
    images = _images(9)
    keys = random.split(random.key(11), 4)
    expected = jnp.asarray(images)
    for key in keys[:3]:
        expected = _apply(expected, draw(key, len(images)))
    key_row, key_column = random.split(keys[3])
    side = SIZE // 4
    tops = np.asarray(random.randint(key_row, (len(images),), 0, SIZE)) - side // 2
    lefts = np.asarray(random.randint(key_column, (len(images),), 0, SIZE)) - side // 2
    expected = np.array(expected)
    for image, top, left in zip(expected, tops, lefts, strict=True):
        image[max(top, 0) : top + side, max(left, 0) : left + side] = 127
    np.testing.assert_array_equal(strong_once(images, random.key(11), 3, 0.25), expected)


@pytest.mark.parametrize(
    ('images', 'message'),
    [
        (np.zeros((2, 8, 8, 3), np.uint16), r'floats in \[-1, 1\], not uint16'),
        (np.zeros((2, 8, 8, 3), np.int16), 'not int16'),
        (np.zeros((2, 8, 8, 3), bool), 'not bool'),
        (np.full((2, 8, 8, 3), 1200.0, np.float32), r'lie in \[1200, 1200\]: scale them'),
        (np.full((2, 8, 8, 3), np.nan, np.float32), r'lie in \[nan, nan\]'),
        (np.zeros((8, 8, 3), np.float32), 'must be a raster'),
        (np.zeros((2, 8, 8, 0), np.float32), 'must be a raster'),
    ],
)
def test_images_of_other_types_ranges_and_ranks_are_refused(images, message):
    with pytest.raises(UserError, match=message):
        strong_images(images, random.key(0))


def test_types_are_refused_in_compiled_code_and_by_every_part_too():
    images, few = np.zeros((2, 8, 8, 3), np.uint16), np.zeros((3, 8, 8, 3), np.uint8)
    drawn = _drawn('identity', 0.0, 2)
    for refused, message in (
        (lambda: jax.jit(strong_images)(images, random.key(0)), 'not uint16'),
        (lambda: apply(images, drawn), 'not uint16'),
        (lambda: apply(few, drawn), '3 images need as many'),
        (lambda: cut_out(images, draw_squares(random.key(0), 2, 8, 8, 0.5)), 'not uint16'),
        (lambda: strong_images(few, random.key(0), -1), 'must not be negative'),
        (lambda: strong_images(few, random.key(0), 2, 1.5), r'lie in \[0, 1\], not 1.5'),
        (lambda: draw(random.key(0), 2, ()), 'at least one operation'),
        (lambda: draw(random.key(0), 2, ('rotat',)), "did you mean 'rotate'"),
        (lambda: strong({'elevation': few}, random.key(0)), 'needs the raster images'),
        (lambda: lookup.histograms(few), 'levels must be int32'),
        (lambda: lookup.look_up(few.astype(np.int32), np.zeros((3, 1, 256))), 'tables must be'),
    ):
        with pytest.raises(UserError, match=message):
            refused()
