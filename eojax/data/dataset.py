"""A data set: its facts, its places, and a source that reads their pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from eojax.data.columns import Names
from eojax.data.facts import IMAGES, Facts, Limits, Raster
from eojax.data.reading.lazy_images import Images, LazyImages
from eojax.errors import UserError

# What `Places.parts` holds.
TRAIN, VALIDATION, TEST = 0, 1, 2


class Window(NamedTuple):
    """A rectangle of a place, in its pixels; row 0 and column 0 are the upper left corner."""

    row: int
    column: int
    height: int
    width: int


class Places(NamedTuple):
    """The facts of each image or tile: columns, one entry a place.

    Attributes:
      names: `[num]` stable, unique names (`River/River_12.jpg`), sorted; splits depend on them
        alone. Text, or one array of text or UTF-8 (`eojax.data.columns`).
      heights, widths: int32 `[num]`, in pixels of the finest raster.
      labels: int32 `[num]`, indices into the facts' `class_names`; -1 where it is not known, and
        everywhere where labels are per pixel.
      groups: int32 `[num]`, such as a city or a block of ground: a split never cuts one. None
        where each place stands for itself. `Facts.group_names` may name them.
      parts: int8 `[num]`, 0 train, 1 validation, 2 test, where the split is published or follows
        from places; None where it is drawn (`eojax.data.splits`). Validation or test images that
        nobody has published are drawn from the training part.
      annotated: bool `[num]`, whether a place has labels of pixels at all; None where all have, or
        where labels are per image.
    """

    names: Names
    heights: np.ndarray
    widths: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None = None
    parts: np.ndarray | None = None
    annotated: np.ndarray | None = None

    @property
    def num(self) -> int:
        """How many there are."""
        return len(self.labels)

    def subset(self, indices: np.ndarray) -> Places:
        """The places at `indices`, in that order."""
        return Places(
            self.names[indices]
            if isinstance(self.names, np.ndarray)
            else tuple(self.names[i] for i in indices),
            self.heights[indices],
            self.widths[indices],
            self.labels[indices],
            None if self.groups is None else self.groups[indices],
            None if self.parts is None else self.parts[indices],
            None if self.annotated is None else self.annotated[indices],
        )


class Source(Protocol):
    """Reads the pixels of places; it pickles, so that worker processes can have it."""

    def read(
        self, place: int, window: Window | None, rasters: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """A window of a place, or all of it, as stored.

        Args:
          place: its number.
          window: multiples of each raster's scale; the whole place where None.
          rasters: the names of those that are wanted. `labels` is uint8 `[h, w]`, 255 where the
            class of a pixel is unknown; masks (`eojax.data.facts.valid_of`), of rasters whose
            pixels may be without data, are bool `[h / scale, w / scale]`; all others are
            `[h / scale, w / scale, bands]`, and hold `Raster.empty` in pixels without data.

        Raises:
          UserError: a file that cannot be read, by name; pixels beyond the place.
        """

    def subset(self, indices: np.ndarray) -> Source:
        """A source of the places at `indices`, in that order; nothing is read."""


class ArraySource(NamedTuple):
    """Rasters of equally large places: arrays in memory, or what is decoded when it is indexed.

    Attributes:
      arrays: `[num, height / scale, width / scale, bands]` by raster, `labels` `[num, h, w]`, masks
        `[num, height / scale, width / scale]`.
    """

    arrays: Mapping[str, Images]

    def read(
        self, place: int, window: Window | None, rasters: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """See `Source.read`."""
        read = {name: np.asarray(self.arrays[name][place]) for name in rasters}
        if window is None:
            return read
        # Of the finest raster, which need not be among those that are read.
        height, width = max(array.shape[1:3] for array in self.arrays.values())
        check_window(window, (height, width), f'place {place}')
        return {name: _cut(pixels, window, height // len(pixels)) for name, pixels in read.items()}

    def subset(self, indices: np.ndarray) -> ArraySource:
        """See `Source.subset`."""
        return ArraySource(
            {
                name: array[indices] if isinstance(array, np.ndarray) else array.subset(indices)
                for name, array in self.arrays.items()
            }
        )


def check_window(window: Window, size: tuple[int, int], title: str) -> None:
    """Refuses a window that does not lie in a place.

    Args:
      size: height and width of the place.
      title: of the place, for the message.

    Raises:
      UserError: one line with both.
    """
    row, column, height, width = window
    inside = 0 <= row <= row + height <= size[0] and 0 <= column <= column + width <= size[1]
    if not (inside and height and width):
        raise UserError(
            f'{title}: rows {row} to {row + height - 1}, columns {column} to {column + width - 1}'
            f' do not lie in its {size[1]}x{size[0]} pixels'
        )


def _cut(pixels: np.ndarray, window: Window, scale: int) -> np.ndarray:
    rows = slice(window.row // scale, (window.row + window.height) // scale)
    columns = slice(window.column // scale, (window.column + window.width) // scale)
    return pixels[rows, columns]


class _WholeImages(NamedTuple):
    """Reads the raster `images` of whole places, by their numbers, for `LazyImages`."""

    source: Source
    path: Path

    def __call__(self, name: int) -> np.ndarray:
        return self.source.read(int(name), None, (IMAGES,))[IMAGES]


def _as_read(pixels: np.ndarray, title: str) -> np.ndarray:
    return pixels


class Dataset(NamedTuple):
    """Places, what is known of all of them together, and how their pixels are read.

    Attributes:
      facts: classes, rasters, metres per pixel, licence, ...
      places: names, sizes, labels, groups and parts.
      source: of the pixels.
    """

    facts: Facts
    places: Places
    source: Source

    @property
    def images(self) -> Images:
        """All of the raster `images` `[num, height, width, bands]`, where places are equally large.

        uint8, values 0 to 255, or another type in the units that the data set's file states.
        `LazyImages` where they are too large for the memory.
        """
        if isinstance(self.source, ArraySource):
            return self.source.arrays[IMAGES]
        if self.facts.size is None:
            raise TypeError('the places of this data set differ in size: they are read by windows')
        reader = _WholeImages(self.source, Path(self.facts.title or self.facts.name))
        return LazyImages(reader.path, range(self.places.num), _as_read, reader)

    @property
    def labels(self) -> np.ndarray:
        return self.places.labels

    @property
    def names(self) -> Names:
        return self.places.names

    @property
    def parts(self) -> np.ndarray | None:
        return self.places.parts

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.facts.class_names

    @property
    def num_classes(self) -> int:
        return len(self.facts.class_names)

    @property
    def bands(self) -> tuple[str, ...]:
        """Of the raster `images`."""
        return self.facts.images.bands

    @property
    def limits(self) -> Limits | None:
        """Of the raster `images`."""
        return self.facts.images.limits

    def subset(self, indices: np.ndarray) -> Dataset:
        """The places at `indices`, in that order; those on disk stay there."""
        return Dataset(self.facts, self.places.subset(indices), self.source.subset(indices))

    def with_labels(self, labels: np.ndarray) -> Dataset:
        """The data set with other labels, int32 `[num]`."""
        return self._replace(places=self.places._replace(labels=labels))

    def with_facts(self, **changes: object) -> Dataset:
        """The data set with some of its facts replaced."""
        return self._replace(facts=self.facts._replace(**changes))  # type: ignore[arg-type]

    def with_limits(self, limits: Limits | None) -> Dataset:
        """The data set with other limits of the raster `images`."""
        images = self.facts.images._replace(limits=limits)
        return self.with_facts(rasters={**self.facts.rasters, IMAGES: images})


def image_dataset(
    images: Images,
    labels: np.ndarray,
    names: Names,
    class_names: Sequence[str],
    bands: Sequence[str] = ('red', 'green', 'blue'),
    limits: Limits | None = None,
    parts: np.ndarray | None = None,
) -> Dataset:
    """A data set of equally large images with one class each.

    Args:
      images: `[num, height, width, bands]`, in memory or read when they are indexed.
      labels, names, parts: as in `Places`.
      class_names, bands, limits: as in `Facts` and `Raster`.
    """
    num, height, width, _ = images.shape
    raster = Raster(tuple(bands), str(np.dtype(images.dtype)), limits)
    facts = Facts(class_names=tuple(class_names), rasters={IMAGES: raster}, size=(height, width))
    sizes = (np.full(num, height, np.int32), np.full(num, width, np.int32))
    names = names if isinstance(names, np.ndarray) else tuple(names)
    places = Places(names, *sizes, labels, None, parts)
    return Dataset(facts, places, ArraySource({IMAGES: images}))
