"""Rasters, class maps and masks of a sample move together, and back."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from jax import random

from eojax.augment import AUGMENTATIONS
from eojax.augment.geometric import Move, draw_shift
from eojax.errors import UserError
from tests.augment.samples import assert_follows, class_of, positions, sample_of

NUM, SIZE = 40, 24
NAMES = sorted(AUGMENTATIONS)


def by_numpy(array: np.ndarray, move: Move) -> np.ndarray:
    """The array moved, image by image, as the fields of the move say."""
    reach = (10, 10)
    moved = []
    for i, image in enumerate(array):
        if move.left_right is not None and move.left_right[i]:
            image = np.fliplr(image)
        if move.upside_down is not None and move.upside_down[i]:
            image = np.flipud(image)
        if move.transposed is not None and move.transposed[i]:
            image = image.swapaxes(0, 1)
        if move.down is not None and move.right is not None:
            height, width = image.shape[:2]
            pads = (reach, reach) + ((0, 0),) * (image.ndim - 2)
            padded = np.pad(image, pads, mode='reflect')
            top, left = 10 + int(move.down[i]), 10 + int(move.right[i])
            image = padded[top : top + height, left : left + width]
        moved.append(image)
    return np.stack(moved)


@pytest.mark.parametrize('name', NAMES)
def test_all_of_a_sample_is_moved_by_the_same_draw(name):
    sample = sample_of(NUM, SIZE, SIZE)
    moved, move = jax.jit(AUGMENTATIONS[name])(sample, random.key(0))
    assert set(moved) == set(sample)
    assert_follows(moved, np.ones((NUM, SIZE, SIZE), bool))
    for key, before in sample.items():
        assert moved[key].dtype == before.dtype, key
        expected = before if before.ndim == 1 else by_numpy(before, move)
        np.testing.assert_array_equal(moved[key], expected, err_msg=key)
    if name != 'none':
        assert (np.asarray(moved['place']) != sample['place']).any((1, 2, 3)).mean() > 0.6


def test_a_mirror_leaves_what_is_up_where_it_is():
    places = np.broadcast_to(np.arange(32.0)[:, None, None], (200, 32, 32, 1))
    sample = {'place': np.concatenate([places, places.swapaxes(1, 2)], -1)}
    moved, move = AUGMENTATIONS['mirror_shift'](sample, random.key(3))
    assert move.upside_down is None
    assert move.transposed is None
    down, across = np.moveaxis(np.asarray(moved['place'])[:, 8:24, 8:24], -1, 0)
    assert (np.diff(down, axis=1) == 1).all()
    mirrored = (np.diff(across, axis=2) == -1).all((1, 2))
    assert ((np.diff(across, axis=2) == 1).all((1, 2)) | mirrored).all()
    assert 0.35 < mirrored.mean() < 0.65


@pytest.mark.parametrize('name', ['none', 'flips', 'flips_shift', 'mirror_shift'])
def test_images_that_are_not_square(name):
    sample = sample_of(NUM, 16, 31)
    moved, move = jax.jit(AUGMENTATIONS[name])(sample, random.key(1))
    assert_follows(moved, np.ones((NUM, 16, 31), bool))
    np.testing.assert_array_equal(moved['sar'], by_numpy(sample['sar'], move))
    undone = jax.jit(lambda sample, move: move.undo(sample))(moved, move)
    seen = np.asarray(undone['place']).any(-1)
    assert_follows(undone, seen)
    np.testing.assert_array_equal(undone['place'][seen], sample['place'][seen])


@pytest.mark.parametrize('name', NAMES)
def test_what_was_moved_is_brought_back(name):
    sample = sample_of(NUM, SIZE, SIZE)
    moved, move = jax.jit(AUGMENTATIONS[name])(sample, random.key(2))
    undone = jax.jit(lambda sample, move: move.undo(sample))(moved, move)  # a move passes programs
    lost = np.zeros((NUM, SIZE, SIZE), bool)
    if name.endswith('_shift'):
        # A pixel is lost if, where it went, the shift pushed it over the border.
        rows, columns = np.mgrid[:SIZE, :SIZE]
        for i in range(NUM):
            row, column = rows, columns
            turned = move.upside_down is not None and move.upside_down[i]
            row = SIZE - 1 - row if turned else row
            column = SIZE - 1 - column if move.left_right[i] else column
            if move.transposed is not None and move.transposed[i]:
                row, column = column, row
            row, column = row - int(move.down[i]), column - int(move.right[i])
            lost[i] = (row < 0) | (row >= SIZE) | (column < 0) | (column >= SIZE)
        assert 0.05 < lost.mean() < 0.25
    assert_follows(undone, ~lost)
    np.testing.assert_array_equal(
        undone['place'], np.where(lost[..., None], 0, positions(NUM, SIZE, SIZE))
    )


def test_maps_without_a_mask_get_one_where_something_is_lost():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), (3, 6, 6)).astype(np.float32)
    move = Move((6, 6), down=np.array([0, 2, -1]), right=np.array([0, -1, 3]))
    undone = move.undo({'probabilities': probabilities})
    expected = np.zeros_like(probabilities)
    expected[0] = probabilities[0]
    expected[1, 2:, :5] = probabilities[1, :4, 1:]
    expected[2, :5, 3:] = probabilities[2, 1:, :3]
    np.testing.assert_array_equal(undone['probabilities'], expected)
    np.testing.assert_array_equal(undone['valid'], expected.sum(-1) > 0.5)
    turned = Move((6, 6), transposed=np.array([True, False, True]))
    assert set(turned.undo({'probabilities': probabilities})) == {'probabilities'}


@pytest.mark.parametrize('amount', [23, -23, 24, 60, -71])
def test_shifts_of_any_length_reflect_as_numpy_does(amount):
    place = positions(1, SIZE, SIZE)
    move = Move((SIZE, SIZE), down=np.array([amount]), right=np.array([0]))
    padded = np.pad(place[0], ((100, 100), (0, 0), (0, 0)), mode='reflect')
    expected = padded[100 + amount : 100 + amount + SIZE]
    np.testing.assert_array_equal(move.apply({'place': place})['place'][0], expected)


def test_a_line_of_one_pixel_stays():
    place = positions(4, 1, 9)
    moved, _ = AUGMENTATIONS['flips_shift']({'place': place}, random.key(0))
    assert (np.asarray(moved['place'])[..., 1] == 1).all()


def test_pseudo_labels_of_a_weak_view_are_carried_to_another():
    """Back to the place, then the way of the other view: known pixels have their classes."""
    sample = {'place': positions(NUM, SIZE, SIZE)}
    weak, move = AUGMENTATIONS['dihedral_shift'](sample, random.key(3))
    other, way = AUGMENTATIONS['dihedral_shift'](sample, random.key(4))
    guessed = {'labels': class_of(weak['place']).astype(np.int32)}  # a network that errs nowhere
    carried = way.apply(move.undo(guessed))
    valid = np.asarray(carried['valid'])
    assert 0.7 < valid.mean() < 1.0
    expected = np.where(valid, class_of(other['place']), -1)
    np.testing.assert_array_equal(carried['labels'], expected)


SQUARE = {'images': np.zeros((2, 8, 8, 3), np.uint8)}


@pytest.mark.parametrize(
    ('entries', 'message'),
    [
        ({'elevation': np.zeros((2, 4, 4, 1))}, 'elevation is 4 x 4 px, and not 8 x 8 px'),
        ({'labels': np.zeros((2, 16, 8), np.int32)}, 'labels is 16 x 8 px'),
        ({'sar': np.zeros((3, 8, 8, 2))}, 'sar has 3 places, and not 2'),
        ({'index': np.zeros(3, np.int32)}, 'index has 3 places, and not 2'),
        ({'labels': np.zeros((2, 8, 8))}, 'labels must be integers .* not float64'),
        ({'labels': np.zeros((2, 8, 8, 1), np.int32)}, 'labels must be integers'),
        ({'valid': np.zeros((2, 8, 8), np.uint8)}, 'valid must be bool .* not uint8'),
        ({'valid': np.zeros(2, bool)}, 'valid must be bool'),
        ({'edges': np.zeros((2, 8, 8))}, 'edges must be a raster'),
        ({'sar': np.zeros((2, 8, 8, 0))}, 'sar must be a raster'),
    ],
)
def test_what_cannot_move_as_one_is_refused_by_name(entries, message):
    sample = {**SQUARE, **entries}
    with pytest.raises(UserError, match=message) as caught:
        AUGMENTATIONS['flips'](sample, random.key(0))
    assert '\n' not in str(caught.value)
    move = AUGMENTATIONS['flips'].draw(random.key(0), 2, 8, 8)
    for carry in (move.apply, move.undo):
        with pytest.raises(UserError, match=message):
            carry(sample)


def test_what_no_move_can_be_drawn_for_is_refused():
    with pytest.raises(UserError, match='need square images, not 8 x 9 px'):
        AUGMENTATIONS['dihedral']({'images': np.zeros((2, 8, 9, 3))}, random.key(0))
    turned = Move((8, 9), transposed=np.array([True, False]))
    for carry in (turned.apply, turned.undo):
        with pytest.raises(UserError, match='need square images, not 8 x 9 px'):
            carry({'images': np.zeros((2, 8, 9, 3))})
    with pytest.raises(UserError, match='a sample of index has no raster'):
        AUGMENTATIONS['flips']({'index': np.arange(3)}, random.key(0))
    with pytest.raises(UserError, match=r'must lie in \[0, 1\], not 1.5'):
        draw_shift(random.key(0), 2, 8, 8, 1.5)


def test_classes_that_cannot_be_unknown_are_refused_where_they_would_become_so():
    sample = {'labels': np.full((2, 8, 8), 255, np.uint8)}
    move = draw_shift(random.key(0), 2, 8, 8)
    assert (np.asarray(move.apply(sample)['labels']) == 255).all()
    with pytest.raises(UserError, match='labels are uint8, which cannot hold -1'):
        move.undo(sample)
