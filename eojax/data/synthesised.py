"""Synthesised images in place of the real ones of some training places.

`data.synthesised` names a folder that `eojax.studies.synthesis` made with a generator: places that
a network shall learn from are read with their own labels and rasters, and with the image that was
synthesised of these. With `data.synthesised_use='beside'` all other places have their real images;
with 'alone' they are not labelled, so that a supervised network sees synthesised images and no
others. Test and validation places are real in any case.

The folder: `places.json`, an object with `raster` (which one was synthesised), `names` of the
places, `run` and `step` (by whom); and `<i>.npy`, the raster of the place `names[i]`, as stored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eojax.atomic_file import write_atomically
from eojax.data.columns import name_at
from eojax.data.dataset import ArraySource, Dataset, Source, Window, check_window
from eojax.data.splits import Splits
from eojax.errors import UserError
from eojax.home import expanded

KEY, USE_KEY = 'data.synthesised', 'data.synthesised_use'
BESIDE, ALONE = 'beside', 'alone'
FILE = 'places.json'


class SynthesisedImages(NamedTuple):
    """What a folder of synthesised images holds.

    Attributes:
      folder: where they lie.
      raster: which one they are.
      names: of their places.
    """

    folder: Path
    raster: str
    names: tuple[str, ...]

    def load(self, number: int) -> np.ndarray:
        """The image of a place `[h, w, bands]`, mapped from its file.

        Raises:
          UserError: it cannot be read.
        """
        path = self.folder / f'{number}.npy'
        try:
            image: np.ndarray = np.load(path, mmap_mode='r', allow_pickle=False)
        except (OSError, ValueError) as error:
            raise UserError(f'{path} cannot be read: {error}; make the images again') from error
        return image


def write_image(folder: Path, number: int, image: np.ndarray) -> None:
    """Writes the image of a place, `[h, w, bands]`, as stored."""
    write_atomically(folder / f'{number}.npy', lambda file: np.save(file, image))


def write_places(images: SynthesisedImages, run: str, step: int) -> None:
    """Writes `places.json`, last of all: a folder without it is not complete."""
    plain = {'raster': images.raster, 'run': run, 'step': step, 'names': images.names}
    text = json.dumps(plain, indent=1) + '\n'
    write_atomically(images.folder / FILE, lambda file: file.write(text.encode()))


def read_images(folder: str | Path) -> SynthesisedImages:
    """The contents of a folder; no image is read.

    Raises:
      UserError: it is none, or damaged.
    """
    path = expanded(str(folder))
    try:
        plain: dict[str, Any] = json.loads((path / FILE).read_bytes())
        names = plain['names']
        if not isinstance(names, list) or len(set(names)) < len(names):
            raise ValueError('names must be different')
        return SynthesisedImages(path, str(plain['raster']), tuple(map(str, names)))
    except OSError as error:
        raise UserError(
            f'{KEY}={folder} holds no {FILE}: it must be a folder of synthesised images'
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f'{KEY}: {path / FILE} is damaged: {error!r}') from error


def with_images(dataset: Dataset, images: SynthesisedImages) -> Dataset:
    """The data set with these images in place of the real ones.

    Raises:
      UserError: labels that are not per pixel; a place or raster that there is not; an image of
        another shape or type.
    """
    facts, places = dataset.facts, dataset.places
    if facts.label != 'pixel':
        raise UserError(f'{KEY}: this data set has no class for each pixel; leave it out')
    if images.raster not in facts.rasters:
        raise UserError(f'{KEY}: this data set has no raster {images.raster!r}')
    numbers = {name_at(places.names, i): i for i in range(places.num)}
    of_place = {}
    for number, name in enumerate(images.names):
        if name not in numbers:
            raise UserError(f'{KEY}: this data set has no place {name!r}')
        place = numbers[name]
        image, raster = images.load(number), facts.rasters[images.raster]
        shape = facts.shape(images.raster, int(places.heights[place]), int(places.widths[place]))
        if image.shape != shape or str(image.dtype) != raster.dtype:
            raise UserError(
                f'{KEY}: {images.folder / str(number)}.npy is {image.dtype} {image.shape}, and'
                f' {name} has {raster.dtype} {shape}: make the images again'
            )
        of_place[place] = number
    return dataset._replace(source=_with_images(dataset.source, images, of_place))


def _with_images(source: Source, images: SynthesisedImages, of_place: Mapping[int, int]) -> Source:
    if isinstance(source, ArraySource) and isinstance(source.arrays[images.raster], np.ndarray):
        array = np.array(source.arrays[images.raster])
        for place, number in of_place.items():
            array[place] = images.load(number)
        return ArraySource({**source.arrays, images.raster: array})
    return _SynthesisedSource(source, images, of_place)


class _SynthesisedSource:
    """A source of which some places have another image in one raster."""

    def __init__(
        self, source: Source, images: SynthesisedImages, of_place: Mapping[int, int]
    ) -> None:
        """Takes the numbers of images by those of places."""
        self._source, self._images, self._of_place = source, images, dict(of_place)

    def read(
        self, place: int, window: Window | None, rasters: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """See `Source.read`."""
        number, name = self._of_place.get(place), self._images.raster
        if number is None or name not in rasters:
            return self._source.read(place, window, rasters)
        image = self._images.load(number)
        others = [raster for raster in rasters if raster != name]
        read = self._source.read(place, window, others) if others else {}
        if window is not None:
            check_window(window, image.shape[:2], f'place {place}')
            row, column, height, width = window
            image = image[row : row + height, column : column + width]
        return {**read, name: np.array(image)}

    def subset(self, indices: np.ndarray) -> Source:
        """See `Source.subset`."""
        kept = {
            position: self._of_place[place]
            for position, place in enumerate(np.asarray(indices).tolist())
            if place in self._of_place
        }
        return _SynthesisedSource(self._source.subset(indices), self._images, kept)


def chosen_splits(dataset: Dataset, splits: Splits, images: SynthesisedImages, use: str) -> Splits:
    """The splits, with synthesised places alone labelled where `use` says so.

    Raises:
      UserError: a synthesised place that is held out, or none that is labelled.
    """
    names = set(images.names)

    def made(part: np.ndarray) -> np.ndarray:
        return np.array([name_at(dataset.places.names, i) in names for i in part.tolist()], bool)

    for part in ('validation', 'test'):
        held = int(made(getattr(splits, part)).sum())
        if held:
            raise UserError(
                f'{KEY}={images.folder} has images of {held} {part} places of this split: make them'
                ' with the same data, seed and split'
            )
    if use != ALONE:
        return splits
    kept = made(splits.labelled)
    if not kept.any():
        raise UserError(f'{KEY}={images.folder} has no image of a labelled training place')
    labelled = splits.labelled[kept]
    unlabelled = splits.train[~np.isin(splits.train, labelled)]
    return splits._replace(labelled=labelled, unlabelled=unlabelled)
