"""The rasters and windows that a method for pixels sees, in training and in evaluation.

Networks see the rasters of `method.rasters`, side by side: the colours alone, or the elevation too
(`images,elevation`). Windows of training have the side `method.window`. Evaluation sees windows of
the side `method.evaluation_window`, side by side; where it is 0, whole places if all are equally
large and no side is above 1,024 px; else windows of 512 px, so that large tiles need no more memory
than these; and windows as in training where places differ in size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from jax import Array
from ml_collections import ConfigDict

from eojax.data.facts import IMAGES, Facts
from eojax.errors import UserError
from eojax.feed.streams import Stream
from eojax.methods.options import AUGMENT, AVERAGE_DECAY
from eojax.option import NOT_NEGATIVE, Option, at_least, such

# Places are evaluated whole up to this side, larger ones in windows of the other.
_WHOLE_UP_TO, _OF_LARGE_PLACES = 1024, 512


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(','))


def _all_different(text: str) -> bool:
    names = _names(text)
    return all(names) and len(set(names)) == len(names)


# Of the config group `method`.
OPTIONS: dict[str, Option] = {
    'rasters': Option(
        IMAGES,
        'rasters that the network sees, side by side',
        such('different names with a comma between', _all_different),
    ),
    'window': Option(64, 'side of the windows of training', at_least(1), 'pixels'),
    'evaluation_window': Option(
        0,
        'side of the windows of evaluation; 0: whole places, where they are small',
        NOT_NEGATIVE,
        'pixels',
    ),
    'augment': AUGMENT.but('dihedral'),
    'average_decay': AVERAGE_DECAY,
}


class Windows(NamedTuple):
    """The windows of a method.

    Attributes:
      rasters: their names, in the order in which the network takes them.
      bands: of all rasters together.
      side: of a window of training, in pixels.
      evaluation: the side of those of evaluation; None for whole places.
      augment: of training.
    """

    rasters: tuple[str, ...]
    bands: int
    side: int
    evaluation: int | None
    augment: str

    def stream(self, part: str, batch_size: int) -> Stream:
        """A stream of windows from a part of the training data (`eojax.feed.streams.PARTS`)."""
        return Stream(part, batch_size, self.augment, rasters=self.rasters, window=self.side)

    def streams(self, batch_size: int, unlabelled_ratio: int) -> dict[str, Stream]:
        """Those of a semi-supervised method: `labelled` windows, and `unlabelled` ones of all
        training places, the labelled places among them."""
        return {
            'labelled': self.stream('labelled', batch_size),
            'unlabelled': self.stream('train', unlabelled_ratio * batch_size),
        }

    def inputs(self, drawn: Mapping[str, Array]) -> tuple[Array, ...]:
        """The network's inputs, each float32 `[N, h, w, bands]`, of what a stream drew."""
        return tuple(drawn[name] for name in self.rasters)


def windows_of(options: ConfigDict, facts: Facts) -> Windows:
    """The windows of a checked config group `method`.

    Raises:
      UserError: data without a raster that is asked for; windows that cut pixels of one.
    """
    rasters = _names(options.rasters)
    for name in rasters:
        if name not in facts.rasters:
            raise UserError(
                f'method.rasters: {name!r} is no raster of {facts.title or facts.name}'
                f' (it has {", ".join(facts.rasters)})'
            )
    grid = math.lcm(*(facts.rasters[name].scale for name in rasters))
    if options.evaluation_window % grid:
        raise UserError(
            f'method.evaluation_window={options.evaluation_window} must be a multiple of {grid}, as'
            f' a pixel of one of the rasters {", ".join(rasters)} covers so many'
        )
    bands = sum(len(facts.rasters[name].bands) for name in rasters)
    evaluation = options.evaluation_window or _evaluation_window(options.window, facts, grid)
    return Windows(rasters, bands, options.window, evaluation, options.augment)


def _evaluation_window(side: int, facts: Facts, grid: int) -> int | None:
    """Of `Windows.evaluation`, where the config leaves it open."""
    if facts.size is None:
        return side
    if max(facts.size) <= _WHOLE_UP_TO:
        return None
    return max(side, _OF_LARGE_PLACES // grid * grid)
