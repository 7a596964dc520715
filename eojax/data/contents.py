"""Images known by their pixels, whatever their files are called: a short hash of each.

Where all images lie in memory all of them have one. Of others, which are read and decoded for it,
at most `MOST_READ` of each part, evenly spread, and fewer where they are large; of a large place
the pixels in its middle.
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
from eojax.data.splits import Splits
from eojax.errors import UserError

PARTS = ('train', 'validation', 'test')
MOST_READ = 500
# Pixels that are decoded of a part at most, so that a data set of large tiles opens in seconds.
_PIXELS_READ = 2**27
# Side of the middle of a place that is looked at.
_SIDE = 256


class Contents(NamedTuple):
    """The images of each part of a split by their pixels.

    Attributes:
      hashes: uint64 `[num]` by part, of places evenly spread over it in its order.
      labels: int32 `[num]` by part, the class of each; -1 where it has none or it is unknown.
      labelled: bool `[num]` of the training places, those that may be labelled.
    """

    hashes: Mapping[str, np.ndarray]
    labels: Mapping[str, np.ndarray]
    labelled: np.ndarray

    @property
    def learnt(self) -> np.ndarray:
        """The hashes of images that training or the choice of the best state has seen."""
        return np.concatenate([self.hashes['train'], self.hashes['validation']])


def contents_of(dataset: Dataset, splits: Splits) -> Contents:
    """The contents of each part.

    Raises:
      UserError: an image that cannot be read, by name.
    """
    parts = splits._asdict()
    chosen = {name: _chosen(dataset, parts[name]) for name in PARTS}
    return Contents(
        {name: hashes(dataset, places) for name, places in chosen.items()},
        {name: dataset.labels[places].astype(np.int32) for name, places in chosen.items()},
        np.isin(chosen['train'], splits.labelled),
    )


def in_memory(dataset: Dataset) -> bool:
    """Whether the pixels of all images are at hand."""
    source = dataset.source
    return isinstance(source, ArraySource) and isinstance(source.arrays[IMAGES], np.ndarray)


def _chosen(dataset: Dataset, part: np.ndarray) -> np.ndarray:
    """The places of a part that are looked at."""
    places = dataset.places
    if in_memory(dataset) or not len(part):
        return np.asarray(part)
    sample = part[spread(len(part), MOST_READ)]
    area = places.heights[sample].astype(np.int64) * places.widths[sample]
    num = max(1, min(MOST_READ, int(_PIXELS_READ / max(float(area.mean()), 1.0))))
    return part[spread(len(part), num)]


def hashes(dataset: Dataset, chosen: np.ndarray) -> np.ndarray:
    """A hash of the pixels of each of some places, uint64 `[num]`, of their raster `images`."""
    found = np.empty(len(chosen), np.uint64)
    grid = math.lcm(*(raster.scale for raster in dataset.facts.rasters.values()))
    for row, place in enumerate(np.asarray(chosen).tolist()):
        height, width = int(dataset.places.heights[place]), int(dataset.places.widths[place])
        window = None
        if height > _SIDE and width > _SIDE:
            top, left = ((length - _SIDE) // 2 // grid * grid for length in (height, width))
            side = _SIDE // grid * grid
            window = Window(top, left, side, side) if side else None
        pixels = dataset.source.read(place, window, (IMAGES,))[IMAGES]
        digest = hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=8).digest()
        found[row] = int.from_bytes(digest, 'little')
    return found


def write(path: Path, contents: Mapping[str, Contents]) -> None:
    """Writes the contents of each data set, by the config's group, whole or not at all."""
    arrays: dict[str, np.ndarray] = {}
    for group, one in contents.items():
        arrays |= {f'{group}_{part}': values for part, values in one.hashes.items()}
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
            return Contents(
                {part: file[f'{group}_{part}'].astype(np.uint64) for part in PARTS},
                {part: file[f'{group}_{part}_labels'].astype(np.int32) for part in PARTS},
                file[f'{group}_labelled'].astype(bool),
            )
    except FileNotFoundError:
        return None
    except Exception as error:  # of a damaged archive NumPy raises nearly anything
        raise UserError(
            f'{path} is damaged ({" ".join(str(error).split())}): delete it, and images are known'
            ' by their names alone'
        ) from None
