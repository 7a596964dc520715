"""Pictures made of images, pixel for pixel: grids, the bands that are seen, and their files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from eojax.atomic_file import write_atomically
from eojax.data.facts import Limits
from eojax.data.reading.scenes.band_names import kind
from eojax.data.value_range import scale_to_unit

GAP_PIXELS = 4  # between the images of a grid
REAL_COLUMNS, SAMPLE_COLUMNS = 2, 6  # of the grid of an evaluation
# Names of the red, green and blue band: in plain words, or of Sentinel-2.
VISIBLE = (('red', 'green', 'blue'), ('B04', 'B03', 'B02'))
# The same in the words of files: `Red`, `rouge`, `B4`, `red_665_nm`.
_VISIBLE_KINDS = ('b04', 'b03', 'b02')


def mosaic(images: np.ndarray, factor: int = 1) -> np.ndarray:
    """All images side by side on white, uint8 `[height, width, 3]`, enlarged by a whole factor.

    Args:
      images: uint8 `[rows, columns, height, width, 3]`, or 1 band for grey.
      factor: of the enlargement.
    """
    rows, columns, height, width, _ = images.shape
    cell = (height * factor, width * factor)
    step = (cell[0] + GAP_PIXELS, cell[1] + GAP_PIXELS)
    canvas = np.full(
        (rows * step[0] - GAP_PIXELS, columns * step[1] - GAP_PIXELS, 3), 255, np.uint8
    )
    for row, column in np.ndindex(rows, columns):
        y, x = row * step[0], column * step[1]
        enlarged = images[row, column].repeat(factor, axis=0).repeat(factor, axis=1)
        canvas[y : y + cell[0], x : x + cell[1]] = enlarged
    return canvas


def arrange(images: np.ndarray, columns: int) -> np.ndarray:
    """Images `[num, H, W, C]` as a grid `[rows, columns, H, W, C]`, filled up with white."""
    rows = -(-len(images) // columns)
    grid = np.full((rows * columns, *images.shape[1:]), 255, np.uint8)
    grid[: len(images)] = images
    return grid.reshape(rows, columns, *images.shape[1:])


class ClassImages(NamedTuple):
    """A set of images for a grid by class.

    Attributes:
      images: uint8 `[num, H, W, C]`.
      classes: of these, int `[num]`; None for images of no class, as of a method without classes.
      columns: of the grid.
    """

    images: np.ndarray
    classes: np.ndarray | None
    columns: int


def grid_by_class(sets: Sequence[ClassImages], num_classes: int) -> np.ndarray:
    """A row for each class, the sets side by side: uint8 `[rows, columns of all, H, W, C]`.

    Images stand in the order of their set, samples in that in which they were drawn, not by how
    they look or score: what one sees is what the model makes. A row with too few of them ends in
    white. Images of no class fill one row after the other.
    """
    rows = []
    for label in range(num_classes):
        parts = []
        for images, classes, columns in sets:
            first = label * columns
            own = images[first:] if classes is None else images[classes == label]
            shown = own[:columns]
            blank = np.full((columns - len(shown), *images.shape[1:]), 255, np.uint8)
            parts.append(np.concatenate([shown, blank]))
        rows.append(np.concatenate(parts))
    return np.stack(rows)


def visible_bands(images: np.ndarray, bands: Sequence[str]) -> np.ndarray:
    """The red, green and blue band of images `[..., bands]`, or the first one for grey.

    Of three or more bands without names the first three are taken for these, as is the custom.
    """
    return images[..., shown_indices(bands)]


def visible_indices(bands: Sequence[str]) -> list[int]:
    """Where red, green and blue stand among the bands; empty where they are not all there."""
    for names in VISIBLE:
        if set(names) <= set(bands):
            return [bands.index(name) for name in names]
    kinds = [kind(band) for band in bands]
    if all(kinds.count(one) == 1 for one in _VISIBLE_KINDS):
        return [kinds.index(one) for one in _VISIBLE_KINDS]
    return []


def shown_indices(bands: Sequence[str]) -> list[int]:
    """Where the bands stand that a picture shows, as of `visible_bands`: three, or one for grey."""
    unnamed = len(bands) >= 3 and list(bands[:3]) == ['band 1', 'band 2', 'band 3']
    return visible_indices(bands) or ([0, 1, 2] if unnamed else [0])


def displayed(images: np.ndarray, bands: Sequence[str], limits: Limits | None = None) -> np.ndarray:
    """A data set's images as they are shown: uint8 `[..., 3]`, or `[..., 1]` for grey.

    Args:
      images: `[..., bands]`; uint8 is taken as it is, other types are scaled from their limits to 0
        and 255.
      bands, limits: of the data set.
    """
    seen = visible_bands(images, bands)
    if seen.dtype == np.uint8:
        return seen
    chosen = shown_indices(bands)
    scaled = scale_to_unit(seen, None if limits is None else tuple(limits[i] for i in chosen))
    return np.round((scaled + 1.0) * 127.5).astype(np.uint8)


def save_picture(picture: np.ndarray, path: str | Path) -> None:
    """Writes uint8 `[height, width, 1 or 3]` as a PNG, pixel for pixel."""
    image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: image.save(file, 'PNG'))
