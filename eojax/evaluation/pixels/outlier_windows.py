"""Windows of what a model of pixels should find unlikely: noise, one colour, other sensors, clouds.

`evaluate.outliers` names folders or archives of images (`eojax.evaluation.outliers`). Of images
that are larger than a window, windows are cut as they are, without resampling: a pixel stays a
pixel. Smaller ones are resampled to the size of one. Pixels without data, of tested places and of
TIFF files that say which these are, are marked. Scenes are cut likewise
(`eojax.evaluation.scene_sets`).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from eojax.data.dataset import Window
from eojax.data.facts import IMAGES, Facts, Raster
from eojax.data.reading.file_formats import FileFormat, format_of
from eojax.data.reading.geotiff import data_mask
from eojax.data.reading.image_files import no_images, open_image_files
from eojax.data.valid_pixels import valid_pixels
from eojax.errors import UserError
from eojax.evaluation.evaluation_set import EvaluationSet
from eojax.evaluation.outliers import TAKEN, images_below, parse_outliers, spread
from eojax.evaluation.scene_sets import find_scene_set, parts_of
from eojax.metrics.out_of_distribution import constant_images, uniform_noise
from eojax.runs.run import Run

# Of the windows of one set: enough for an area under a curve, and read and scored in seconds.
_PIXELS = 2**22
# Of the sets that pixels are ranked beside: a set of images by such a name would be lost.
_TAKEN = (*TAKEN, 'unseen', 'clouds')


class Windows(NamedTuple):
    """Windows of one set.

    Attributes:
      images: `[num, side, side, bands]`, as stored; where there is no data, `Raster.empty`.
      valid: bool `[num, side, side]`, the pixels that hold data.
    """

    images: np.ndarray
    valid: np.ndarray


def window_side(tested: EvaluationSet) -> int:
    """The side of the windows that a data set is tested in; the smaller one of whole places."""
    return tested.window or min(tested.dataset.facts.size or (64, 64))


def outlier_windows(run: Run, side: int) -> dict[str, Windows]:
    """All sets by name.

    Raises:
      UserError: see `parse_outliers`; or an image that cannot be read, by name; or images of which
        none holds data.
    """
    num, bands = _at_most(run, side), len(run.images.bands)
    drawn = {
        'uniform_noise': uniform_noise(num, side, bands),
        'constant': constant_images(num, side, bands),
    }
    sets = {name: Windows(made, np.ones(made.shape[:3], bool)) for name, made in drawn.items()}
    file_format = format_of(run.facts.files)
    for name, path in parse_outliers(run.config.evaluate.outliers, _TAKEN).items():
        found = _windows_of_scenes(path, num, side, run.facts, name)
        if found is None:
            found = _windows_of_files(path, num, side, run.images, file_format)
        sets[name] = found
    return sets


def tested_windows(run: Run, tested: EvaluationSet) -> Windows:
    """Windows of the tested images, evenly spread over the places.

    There are none where every place is smaller than a window.
    """
    side, places, source = window_side(tested), tested.dataset.places, tested.dataset.source
    facts, masks = tested.dataset.facts, []
    large = np.flatnonzero(np.minimum(places.heights, places.widths) >= side)
    generator, windows = np.random.default_rng(0), []
    for number in range(_at_most(run, side) if len(large) else 0):
        place = int(large[number % len(large)])
        row, column = (
            int(generator.integers(int(length) - side + 1))
            for length in (places.heights[place], places.widths[place])
        )
        entries = (IMAGES, *facts.masks((IMAGES,)))
        read = source.read(place, Window(row, column, side, side), entries)
        windows.append(read[IMAGES])
        masks.append(valid_pixels(read, facts, (side, side)))
    if not windows:
        shape = (0, side, side)
        empty = np.zeros((*shape, len(run.images.bands)), run.images.dtype)
        return Windows(empty, np.zeros(shape, bool))
    return Windows(np.stack(windows), np.stack(masks))


def _at_most(run: Run, side: int) -> int:
    """How many windows a set has: as many as the config says, at most four million pixels."""
    return max(min(run.config.evaluate.outlier_images, _PIXELS // side**2), 1)


def _windows_of_scenes(path: Path, num: int, side: int, facts: Facts, title: str) -> Windows | None:
    """Windows of the scenes at a path as they are; None where it holds images."""
    found = find_scene_set(path, facts, side, num, patch=side, tiffs=False)
    if found is None:
        return None
    total = sum(len(scene.places) for scene in found.scenes)
    parts = [
        part
        for _, part in parts_of(found.scenes, facts, spread(total, num), f'reading {title}')
        if part.valid.any()
    ]
    if not parts:
        raise UserError(f'{path}: no window of its scenes holds data')
    valid = np.stack([part.valid for part in parts])
    images = np.stack([part.pixels for part in parts])
    return Windows(np.where(valid[..., None], images, facts.images.empty), valid)


def _windows_of_files(
    path: Path, num: int, side: int, raster: Raster, file_format: FileFormat
) -> Windows:
    path = images_below(path)
    with open_image_files(path) as listing:
        if not listing.files:
            raise no_images(listing)
        files = [listing.files[i] for i in spread(len(listing.files), num)]
        windows: list[np.ndarray] = []
        masks: list[np.ndarray] = []
        for number, name in enumerate(files):
            # An equal share of what is still wanted.
            wanted = -(-(num - len(windows)) // (len(files) - number))
            data = listing.read(name)
            image = file_format.decode(data, name, bands=raster.bands, size=None, resize=None)
            valid = data_mask(data)
            valid = np.ones(image.shape[:2], bool) if valid is None else valid
            if min(image.shape[:2]) < side:
                image = file_format.decode(data, name, bands=raster.bands, size=None, resize=side)
                valid = valid[np.ix_(*(np.arange(side) * n // side for n in valid.shape))]
            for window in _cut(valid, side, wanted):
                masks.append(valid[window])
                windows.append(np.where(masks[-1][..., None], image[window], raster.empty))
    if not windows:
        raise UserError(f'{path}: no window of its images holds data')
    return Windows(np.stack(windows), np.stack(masks))


def _cut(valid: np.ndarray, side: int, num: int) -> list[tuple[slice, slice]]:
    """At most `num` windows of a grid without overlap, evenly spread over those with data."""
    height, width = valid.shape
    corners = [
        (slice(row, row + side), slice(column, column + side))
        for row in range(0, height - side + 1, side)
        for column in range(0, width - side + 1, side)
    ]
    corners = [corner for corner in corners if valid[corner].any()]
    return [corners[i] for i in spread(len(corners), num)] if corners else []
