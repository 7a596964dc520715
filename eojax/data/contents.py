"""Images known by their pixels, whatever their files are called: a short hash of each.

Where all images lie in memory all of them have one. Others are read and decoded for it. Of those
that have a class and are learnt from, all are, up to `_PIXELS_LEARNT` of a part: whoever evaluates
on another folder relies on them. Of all others at most `MOST_READ` of each part, evenly spread, and
fewer where they are large. Of a large place the pixels in its middle count.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eojax.atomic_file import write_atomically
from eojax.data.columns import spread
from eojax.data.dataset import ArraySource, Dataset, Window
from eojax.data.facts import IMAGES
from eojax.data.reading.decode import IMAGES_PER_TASK, in_threads
from eojax.data.splits import Splits
from eojax.errors import UserError

PARTS = ('train', 'validation', 'test')
MOST_READ = 500
# Pixels that are decoded of a part at most, so that a data set of large tiles opens in seconds.
_PIXELS_READ = 2**27
# The same of a part that is learnt from, once in a run's life: 130 000 images of 256 pixels, which
# are read in a minute or two by two cores.
_PIXELS_LEARNT = 2**33
# Side of the middle of a place that is looked at.
_SIDE = 256


class Contents(NamedTuple):
    """The images of each part of a split by their pixels.

    Attributes:
      hashes: uint64 `[num]` by part, of places evenly spread over it in its order.
      labels: int32 `[num]` by part, the class of each; -1 where it has none or it is unknown. None
        in files of earlier versions.
      labelled: bool `[num]` of the training places, those that may be labelled; None likewise.
    """

    hashes: Mapping[str, np.ndarray]
    labels: Mapping[str, np.ndarray] | None = None
    labelled: np.ndarray | None = None

    @property
    def learnt(self) -> np.ndarray:
        """The hashes of images that training or the choice of the best state has seen."""
        return np.concatenate([self.hashes['train'], self.hashes['validation']])


def contents_of(dataset: Dataset, splits: Splits, progress: bool = False) -> Contents:
    """The contents of each part.

    Args:
      progress: show a bar on stderr where many images are read.

    Raises:
      UserError: an image that cannot be read, by name.
    """
    chosen = {}
    for name in PARTS:
        part = np.asarray(getattr(splits, name))
        chosen[name] = part[spread(len(part), _most_kept(dataset, part, name != 'test'))]
    places = np.concatenate([*chosen.values()])
    every = hashes(dataset, places, progress and not in_memory(dataset))
    ends = np.cumsum([len(chosen[name]) for name in PARTS])[:-1]
    return Contents(
        dict(zip(PARTS, np.split(every, ends), strict=True)),
        {name: dataset.labels[places].astype(np.int32) for name, places in chosen.items()},
        np.isin(chosen['train'], splits.labelled),
    )


def in_memory(dataset: Dataset) -> bool:
    """Whether the pixels of all images are at hand."""
    source = dataset.source
    return isinstance(source, ArraySource) and isinstance(source.arrays[IMAGES], np.ndarray)


def _most_kept(dataset: Dataset, part: np.ndarray, learnt: bool) -> int:
    """How many places of a part get a hash when a run begins."""
    if learnt and dataset.facts.label == 'image' and len(part) and not in_memory(dataset):
        return max(1, min(len(part), int(_PIXELS_LEARNT / _mean_area(dataset, part))))
    return most_read(dataset, part)


def most_read(dataset: Dataset, part: np.ndarray) -> int:
    """How many of some places are looked at when a run is opened: all that lie in memory."""
    if in_memory(dataset) or not len(part):
        return len(part)
    return max(1, min(MOST_READ, len(part), int(_PIXELS_READ / _mean_area(dataset, part))))


def _mean_area(dataset: Dataset, part: np.ndarray) -> float:
    """Pixels of a place, as some of them have it."""
    sample = part[spread(len(part), MOST_READ)]
    heights, widths = dataset.places.heights[sample], dataset.places.widths[sample]
    return max(float((heights.astype(np.int64) * widths).mean()), 1.0)


def hashes(dataset: Dataset, chosen: np.ndarray, progress: bool = False) -> np.ndarray:
    """A hash of the pixels of each of some places, uint64 `[num]`, of their raster `images`.

    Several threads read them.

    Args:
      progress: show a bar on stderr where they are many.

    Raises:
      UserError: an image that cannot be read, by name.
    """
    chosen = np.asarray(chosen)
    result = np.empty(len(chosen), np.uint64)
    grid = math.lcm(*(raster.scale for raster in dataset.facts.rasters.values()))

    def fill(start: int) -> int:
        part = chosen[start : start + IMAGES_PER_TASK].tolist()
        result[start : start + len(part)] = [_hash(dataset, place, grid) for place in part]
        return len(part)

    starts = range(0, len(chosen), IMAGES_PER_TASK)
    in_threads(
        fill, starts, len(chosen), 'hashes of the images', progress and len(chosen) > MOST_READ
    )
    return result


def _hash(dataset: Dataset, place: int, grid: int) -> int:
    height, width = int(dataset.places.heights[place]), int(dataset.places.widths[place])
    window = None
    if height > _SIDE and width > _SIDE:
        top, left = ((length - _SIDE) // 2 // grid * grid for length in (height, width))
        side = _SIDE // grid * grid
        window = Window(top, left, side, side) if side else None
    pixels = np.ascontiguousarray(dataset.source.read(place, window, (IMAGES,))[IMAGES])
    digest = hashlib.blake2b(pixels.reshape(-1).view(np.uint8).data, digest_size=8).digest()
    return int.from_bytes(digest, 'little')


def write(path: Path, contents: Mapping[str, Contents]) -> None:
    """Writes the contents of each data set, by the config's group, whole or not at all."""
    arrays: dict[str, np.ndarray] = {}
    for group, one in contents.items():
        arrays |= {f'{group}_{part}': values for part, values in one.hashes.items()}
        if one.labels is not None and one.labelled is not None:
            arrays |= {f'{group}_{part}_labels': values for part, values in one.labels.items()}
            arrays[f'{group}_labelled'] = one.labelled
    write_atomically(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


def read(path: Path, group: str) -> Contents | None:
    """The contents of a group that `write` wrote; None where there are none.

    Raises:
      UserError: the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if f'{group}_{PARTS[0]}' not in file:
                return None
            values = {part: file[f'{group}_{part}'].astype(np.uint64) for part in PARTS}
            if f'{group}_labelled' not in file:
                return Contents(values)
            labels = {part: file[f'{group}_{part}_labels'].astype(np.int32) for part in PARTS}
            return Contents(values, labels, file[f'{group}_labelled'].astype(bool))
    except FileNotFoundError:
        return None
    except Exception:  # of a damaged archive NumPy raises nearly anything, and advises to unpickle
        raise UserError(
            f'{path} is damaged: delete it, and images are known by their names alone'
        ) from None
