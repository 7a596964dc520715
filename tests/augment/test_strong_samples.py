"""The geometry of strong views: all of a sample follows it, and pseudo-labels can."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest
from jax import random
from PIL import Image

from eojax.augment import randaugment
from eojax.augment.randaugment import OPERATIONS, SETS, draw, strong
from eojax.augment.warp import Warped, warp
from eojax.errors import UserError
from tests.augment.samples import assert_follows, class_of, positions, sample_of

NUM, SIZE = 30, 24
_strong = jax.jit(strong, static_argnames=('passes', 'cutout_share', 'interpolation', 'operations'))


def by_pillow(classes: np.ndarray, warped: Warped, covers: bool = True) -> np.ndarray:
    """Class maps warped by Pillow with the nearest pixel, one matrix after the other."""
    moved = np.empty_like(classes)
    for i, image in enumerate(classes):
        picture = Image.fromarray(image.astype(np.int32))
        for matrices in np.asarray(warped.matrices, np.float64):
            affine = tuple(matrices[i].reshape(6).tolist())
            picture = picture.transform(picture.size, Image.Transform.AFFINE, affine, fillcolor=-1)
        moved[i] = np.asarray(picture)
        if covers:
            box = warped.covered
            assert box is not None
            top, left = int(box.top[i]), int(box.left[i])
            rows = slice(max(top, 0), max(top + int(box.height[i]), 0))
            moved[i, rows, max(left, 0) : max(left + int(box.width[i]), 0)] = -1
    return moved


def test_all_of_a_sample_follows_each_operation(monkeypatch):
    draws = [draw(random.key(i), 3, (name,)) for i, name in enumerate(OPERATIONS)]
    drawn = jax.tree.map(lambda *parts: np.concatenate(parts), *draws)
    monkeypatch.setattr(randaugment, 'draw', lambda key, num, operations: drawn)
    sample = sample_of(len(drawn.operation), SIZE, SIZE)
    view, warped = jax.jit(lambda *given: strong(*given, passes=1))(sample, random.key(0))
    assert set(view) == set(sample)
    seen = np.asarray(view['place']).any(-1)
    assert_follows(view, seen)
    for key, before in sample.items():
        assert view[key].dtype == before.dtype, key
    np.testing.assert_array_equal(view['labels'], by_pillow(sample['labels'], warped))
    moved = np.asarray(warped.matrices[0]) != np.eye(2, 3)
    for operation, warps, image, place, labels, shown in zip(
        drawn.operation, moved, view['images'], view['place'], view['labels'], seen, strict=True
    ):
        name = OPERATIONS[operation]
        assert warps.any() == (name in SETS['geometric'] and name != 'identity'), name
        if name in SETS['geometric']:  # then the images say themselves which pixels they show
            assert set(np.unique(np.asarray(image)[~shown])) <= {0, 127}, name
            levels = np.asarray(image)[shown].astype(int)
            np.testing.assert_array_equal(levels[:, :2], np.asarray(place)[shown][:, 1:])
            np.testing.assert_array_equal(levels[:, 2] - 1, np.asarray(labels)[shown])


@pytest.mark.parametrize(('size', 'interpolation'), [((20, 33), 'nearest'), ((24, 24), 'bilinear')])
def test_pseudo_labels_follow_all_operations_together(size, interpolation):
    sample = sample_of(NUM, *size, images=np.zeros((NUM, *size, 3), np.float32))
    view, warped = _strong(sample, random.key(1), passes=3, interpolation=interpolation)
    follow = jax.jit(lambda warped, maps: warped.apply(maps))  # the geometry passes programs
    labels = follow(warped, {'labels': sample['labels']})
    np.testing.assert_array_equal(labels['labels'], view['labels'])
    np.testing.assert_array_equal(labels['labels'], by_pillow(sample['labels'], warped))
    probabilities = np.eye(5, dtype=np.float32)[np.maximum(sample['labels'], 0)]
    carried = follow(warped, {'probabilities': probabilities})
    seen = np.asarray(carried['valid'])
    np.testing.assert_array_equal(seen, np.asarray(view['place']).any(-1))
    assert 0.4 < seen.mean() < 0.9
    np.testing.assert_array_equal(np.asarray(carried['probabilities']).sum(-1), seen)
    np.testing.assert_array_equal(
        np.asarray(carried['probabilities']).argmax(-1)[seen],
        np.maximum(np.asarray(view['labels'])[seen], 0),
    )


def test_what_lies_below_the_square_can_be_kept():
    labels = class_of(positions(NUM, SIZE, SIZE)).astype(np.int32)
    sample = {'images': np.zeros((NUM, SIZE, SIZE, 3), np.float32)}
    _, warped = _strong(sample, random.key(2))
    kept = dataclasses.replace(warped, covered=None).apply({'labels': labels})
    np.testing.assert_array_equal(kept['labels'], by_pillow(labels, warped, covers=False))
    assert (np.asarray(kept['labels']) != by_pillow(labels, warped)).any()


def test_colour_touches_images_alone():
    sample = sample_of(NUM, SIZE, SIZE)
    colour = tuple(name for name in OPERATIONS if name not in SETS['geometric'])
    view, _ = _strong(sample, random.key(3), cutout_share=0.0, operations=colour)
    for name in set(sample) - {'images'}:
        np.testing.assert_array_equal(view[name], sample[name], err_msg=name)
    assert (np.asarray(view['images']) != sample['images']).any((1, 2, 3)).mean() > 0.8


def test_images_are_as_without_the_rest_of_the_sample():
    sample = sample_of(NUM, SIZE, SIZE)
    images = sample['images'] / np.float32(127.5) - 1
    view, warped = _strong({**sample, 'images': images}, random.key(4))
    alone, same = _strong({'images': images}, random.key(4))
    np.testing.assert_array_equal(view['images'], alone['images'])
    assert set(alone) == {'images', 'valid'}
    jax.tree.map(np.testing.assert_array_equal, warped, same)


def test_no_passes_leave_the_square():
    sample = sample_of(NUM, SIZE, SIZE)
    view, _ = _strong(sample, random.key(5), passes=0)
    seen = np.asarray(view['place']).any(-1)
    assert_follows(view, seen)
    np.testing.assert_array_equal(view['place'][seen], sample['place'][seen])
    assert (~seen).sum((1, 2)).max() == (SIZE // 2) ** 2


def refusals() -> list[tuple[Any, str]]:
    image = np.zeros((2, 8, 8, 1), np.uint8)
    matrices = np.zeros((2, 2, 3), np.float32)
    warped = Warped((8, 8), matrices[None])
    half = {'labels': np.zeros((2, 4, 4), np.int32)}
    unsigned = {'labels': np.zeros((2, 8, 8), np.uint8)}
    rasters = {'images': image, 'elevation': np.zeros((2, 4, 4, 1), np.float32)}
    wide = np.zeros((1, 1, 2**14 + 1, 1), bool)
    return [
        (lambda: warped.apply(half), 'labels is 4 x 4 px, and not 8 x 8 px'),
        (lambda: warped.apply({'labels': np.zeros(3, int)}), 'labels has 3 places, and not 2'),
        (lambda: warped.apply(unsigned), 'labels are uint8, which cannot hold -1'),
        (lambda: strong(rasters, random.key(0)), 'elevation is 4 x 4 px'),
        (lambda: warp(image[0], matrices), r'images \[N, h, w, bands\]'),
        (lambda: warp(image, matrices[:1]), '2 images need matrices'),
        (lambda: warp(image, matrices, 'cubic'), 'unknown interpolation'),
        (lambda: warp(image, matrices, fill=-1), 'uint8 cannot hold the fill -1'),
        (lambda: warp(wide, matrices[:1]), 'at most 16384 px a side'),
    ]


@pytest.mark.parametrize(('refused', 'message'), refusals())
def test_mistakes_are_refused_in_one_line(refused, message):
    with pytest.raises(UserError, match=message) as caught:
        refused()
    assert '\n' not in str(caught.value)
