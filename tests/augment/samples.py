"""Samples whose rasters say which pixel they are, so that whatever moves apart is seen."""

from __future__ import annotations

from typing import Any

import numpy as np

CLASSES = 5


def positions(num: int, height: int, width: int) -> np.ndarray:
    """int16 `[num, height, width, 3]`: number, row and column of each pixel, counted from 1."""
    return np.stack(np.mgrid[1 : num + 1, 1 : height + 1, 1 : width + 1], -1).astype(np.int16)


def class_of(place: Any) -> np.ndarray:
    """The class of pixels, from their number, row and column; -1, unknown, for a few."""
    number, row, column = np.moveaxis(np.asarray(place).astype(np.int64), -1, 0)
    return (number * 5 + row * 7 + column * 3 + row * column) % (CLASSES + 1) - 1


def is_valid(place: Any) -> np.ndarray:
    _, row, column = np.moveaxis(np.asarray(place).astype(np.int64), -1, 0)
    return (row + 2 * column) % 7 != 0


def sample_of(num: int, height: int, width: int, images: Any = None) -> dict[str, np.ndarray]:
    """A sample with everything that one can have; all of it follows from `place`."""
    place = positions(num, height, width)
    _, row, column = np.moveaxis(place, -1, 0)
    if images is None:
        images = np.stack([row, column, class_of(place) + 1], -1).astype(np.uint8)
    return {
        'images': images,
        'place': place,
        'elevation': (1000.5 * row + column)[..., None].astype(np.float32),
        'sar': (np.stack([row, column], -1).astype(np.uint16) * 257),
        'labels': class_of(place).astype(np.int32),
        'truth': class_of(place).astype(np.int8),
        'valid': is_valid(place),
        'index': np.arange(num, dtype=np.int32) + 100,
    }


def assert_follows(sample: Any, seen: np.ndarray) -> None:
    """Everything in a sample fits its raster `place` where a pixel is seen, and is empty elsewhere.

    Args:
      seen: bool `[num, height, width]`.
    """
    place = np.asarray(sample['place'])
    number, row, column = np.moveaxis(place, -1, 0)
    for name in ('labels', 'truth'):
        np.testing.assert_array_equal(sample[name], np.where(seen, class_of(place), -1))
    np.testing.assert_array_equal(sample['valid'], seen & is_valid(place))
    elevation = np.where(seen, 1000.5 * row + column, 0.0)
    np.testing.assert_array_equal(np.asarray(sample['elevation'])[..., 0], elevation)
    sar = np.where(seen[..., None], place[..., 1:].astype(np.uint16) * 257, 0)
    np.testing.assert_array_equal(sample['sar'], sar)
    assert (number[seen] == np.nonzero(seen)[0] + 1).all()
    assert not place[~seen].any()
    np.testing.assert_array_equal(sample['index'], np.arange(len(place)) + 100)
