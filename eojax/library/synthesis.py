"""Images of arrays of land cover and rasters, by a run that was trained for synthesis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eojax.apps.synthesise.land_cover import CoverPart
from eojax.apps.synthesise.network import Model, Windows, stored, synthesise, unit
from eojax.apps.synthesise.windows import Counts, grid_of, image_rows
from eojax.data.reading.raster import Part
from eojax.errors import unknown_name
from eojax.library.arrays import WrongArray, check_array, check_mask


class _Labels:
    """A map of classes in memory."""

    def __init__(self, labels: np.ndarray) -> None:
        self._labels = labels
        self.height, self.width = labels.shape

    def read(self, row: int, column: int, height: int, width: int) -> CoverPart:
        """As `eojax.apps.synthesise.land_cover.LandCover.read`."""
        part = self._labels[row : row + height, column : column + width]
        return CoverPart(part, np.ones(part.shape, bool))


class _Values:
    """A raster in memory, at the resolution of the map."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def read(self, row: int, column: int, height: int, width: int) -> Part:
        """As `eojax.apps.map_scene.companions.Companion.read`."""
        part = self._values[row : row + height, column : column + width]
        return Part(part, np.ones(part.shape[:2], bool))


def synthesise_arrays(
    model: Model, labels: Any, rasters: Mapping[str, Any], overlap: int | None
) -> np.ndarray:
    """Images `[N, H, W, bands]`; args and errors as `eojax.OpenedRun.synthesise`."""
    given = _checked_rasters(model, rasters)
    classes = _checked_labels(model, labels, given)
    num, height, width = classes.shape
    grid = grid_of(height, width, model.window, overlap)
    if (grid.high, grid.wide) == (height, width):
        return _whole(model, classes, given)
    images = np.empty((num, height, width, len(model.output.bands)), model.output.dtype)
    for number in range(num):
        beside = {name: _Values(values[number]) for name, values in given.items()}
        counts = Counts(model.rasters)
        parts = image_rows(model, _Labels(classes[number]), beside, grid, counts)
        images[number] = np.concatenate([part.images for part in parts])
    return images


def _whole(model: Model, classes: np.ndarray, rasters: Mapping[str, np.ndarray]) -> np.ndarray:
    """Images that are no larger than a window, some at a time."""
    size, known = min(model.batch_size, len(classes)), model.run.facts.rasters
    batches = (
        Windows(
            classes[start : start + size],
            tuple(
                np.stack([unit(one, known[name]) for one in rasters[name][start : start + size]])
                for name in model.rasters
            ),
        )
        for start in range(0, len(classes), size)
    )
    made = synthesise(model._replace(batch_size=size), batches)
    return np.concatenate([stored(images, model.output) for images in made])


def _checked_rasters(model: Model, rasters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The rasters `[N, H, W, bands]` that the generator takes, at the resolution of the map."""
    for name in rasters:
        if name not in model.rasters:
            taken = ', '.join(model.rasters) or 'none: land cover alone'
            raise WrongArray(f'the run takes no raster {name!r}; it takes {taken}')
    missing = [name for name in model.rasters if name not in rasters]
    if missing:
        example = ', '.join(f'{name}=array' for name in missing)
        raise WrongArray(f'the run takes {", ".join(model.rasters)} too: give {example}')
    known = model.run.facts.rasters
    checked = {}
    for name in model.rasters:
        check_mask(rasters[name], name)
        values = np.asarray(rasters[name])
        if values.ndim == 3 and len(known[name].bands) == 1:
            values = values[..., None]
        values = check_array(values, known[name], None, name=name)
        scale = known[name].scale
        checked[name] = values.repeat(scale, 1).repeat(scale, 2) if scale > 1 else values
    return checked


def _checked_labels(model: Model, labels: Any, rasters: Mapping[str, np.ndarray]) -> np.ndarray:
    """Classes int32 `[N, H, W]`, -1 where they are unknown."""
    sizes = {name: values.shape[:3] for name, values in rasters.items()}
    if labels is None:
        if model.sees_labels or not sizes:
            raise WrongArray('labels are needed: this generator looks at land cover')
        return np.full(next(iter(sizes.values())), -1, np.int32)
    names = model.run.facts.class_names
    check_mask(labels, 'labels')
    values = np.asarray(labels)
    if values.ndim != 3 or not values.size:
        one = ': one map is labels[None]' if values.ndim == 2 else ''
        raise WrongArray(f'labels must be [N, H, W], not {list(values.shape)}{one}')
    for name, size in sizes.items():
        if size != values.shape:
            raise WrongArray(
                f'{name} covers {list(size)} pixels, and labels {list(values.shape)}: they must be'
                ' of the same ground'
            )
    if values.dtype.kind in 'UO':
        return _numbers(values, names)
    if values.dtype.kind not in 'iu':
        raise WrongArray(f'labels must be whole numbers or names of classes, not {values.dtype}')
    wrong = (values < -1) | (values >= len(names))
    if wrong.any():
        number, row, column = np.argwhere(wrong)[0].tolist()
        raise WrongArray(
            f'labels[{number}] holds {values[number, row, column]} in row {row}, column {column};'
            f' classes are 0 to {len(names) - 1}, and -1 where the class is unknown'
        )
    return values.astype(np.int32)


def _numbers(values: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """The numbers of classes that are given by name; `unknown` and the empty name are -1."""
    listed, places = np.unique(values.astype(str), return_inverse=True)
    numbers = []
    for name in listed.tolist():
        if name not in (*names, '', 'unknown'):
            raise unknown_name('class in labels', name, (*names, 'unknown'))
        numbers.append(names.index(name) if name in names else -1)
    return np.array(numbers, np.int32)[places].reshape(values.shape)
