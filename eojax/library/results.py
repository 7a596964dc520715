"""Values that a trained run answers with."""

from __future__ import annotations

import collections
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Predictions(NamedTuple):
    """The most probable class of each image, or of each pixel.

    Attributes:
      indices: int32 `[N]`, or `[N, H, W]` of a run that classifies pixels.
      confidence: float32, of the same shape: the probability of that class.
      class_names: of the run, in the order of the indices.
    """

    indices: np.ndarray
    confidence: np.ndarray
    class_names: tuple[str, ...]

    @property
    def names(self) -> np.ndarray:
        """The classes by name, strings of the shape of `indices`."""
        return np.asarray(self.class_names)[self.indices]

    def counts(self) -> dict[str, int]:
        """How many images, or pixels, have each class that occurs; the most frequent first."""
        counted = collections.Counter(self.indices.ravel().tolist())
        return {self.class_names[index]: num for index, num in counted.most_common()}

    def __repr__(self) -> str:
        counts = self.counts()
        many = ', '.join(f'{name} {num:,}' for name, num in list(counts.items())[:6])
        rest = f', and {len(counts) - 6} more classes' if len(counts) > 6 else ''
        of = 'images' if self.indices.ndim == 1 else 'pixels'
        return f'<Predictions of {self.indices.size:,} {of}: {many}{rest}>'


class Restored(NamedTuple):
    """Images whose missing pixels were filled; the others are those that were given.

    In the units and the type of the run's data set, or in [-1, 1] where these were asked for.

    Attributes:
      mean: `[N, H, W, C]`, of all chains: the repair with the smallest error.
      spread: float32 `[N, H, W, C]`, the standard deviation of the chains, in the same units; 0
        where nothing was missing, NaN where something was and there is one chain alone.
      one_chain: `[N, H, W, C]`, the end of the first chain: as sharp as a sample.
    """

    mean: np.ndarray
    spread: np.ndarray
    one_chain: np.ndarray


class SceneMap(NamedTuple):
    """The map of a scene.

    Attributes:
      folder: that holds it.
      summary: the contents of `summary.json`: `hectares` by class, `share_unseen`, ...
      files: the paths of its layers by name, `class_map`, `confidence`, ..., and `overview`.
    """

    folder: Path
    summary: Mapping[str, Any]
    files: Mapping[str, Path]

    def __repr__(self) -> str:
        areas = {name: area for name, area in (self.summary['hectares'] or {}).items() if area}
        largest = sorted(areas, key=lambda name: -areas[name])[:4]
        text = ', '.join(f'{name} {areas[name]:,.4g} ha' for name in largest)
        return f'<map in {str(self.folder)!r}: {text}>'
