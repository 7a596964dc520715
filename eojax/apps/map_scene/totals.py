"""Sums over a scene that is mapped: areas, confidence, patches and the time they take."""

from __future__ import annotations

import time

import numpy as np
from tqdm import tqdm

from eojax.apps.map_scene.tiling import Tiling
from eojax.data.reading.raster import Raster
from eojax.devices import sharding


class Totals:
    """Areas and means of a map, added up row by row of its cells.

    Attributes:
      areas: `[classes]`, in hectares.
      whole: of the scene, in hectares.
      known: whether they are hectares: where the unit of the coordinates is not known, pixels are
        counted instead.
    """

    def __init__(self, raster: Raster, tiling: Tiling, num_classes: int) -> None:
        rows = raster.pixel_hectares(np.arange(raster.height))
        self.known = rows is not None
        self._rows = np.ones(raster.height) if rows is None else rows
        # Only where the pixels of a row differ in area.
        self._ground = None if raster.ground is None or raster.ground.by_row else raster.ground
        self._cell, self._top = tiling.cell, 0
        self.areas = np.zeros(num_classes)
        self.whole = float(self._rows.sum() * raster.width)
        self._confidence = self._cells = 0.0

    def add(self, labels: np.ndarray, confidence: np.ndarray, classified: np.ndarray) -> None:
        """The next row of cells.

        Args:
          labels, confidence: of the classified cells: classes, and max p(y|x).
          classified: bool `[cells]`, which these are.
        """
        rows, self._rows = np.split(self._rows, [self._cell])
        if self._ground is None:
            counts = np.bincount(labels, minlength=len(self.areas))
            self.areas += counts * (float(rows.sum()) * self._cell)
        else:
            numbers = np.arange(self._top, self._top + len(rows))
            areas = self._ground.cell_areas(numbers, self._cell, len(classified)) / 1e4
            self.areas += np.bincount(labels, areas[classified], len(self.areas))
        self._top += len(rows)
        self._confidence += float(confidence.sum())
        self._cells += len(labels)

    @property
    def mean_confidence(self) -> float:
        return self._confidence / self._cells


class Course:
    """Counts the patches of a map, with a progress bar and the time that they take.

    Attributes:
      classified: so many patches.
      seconds: from the first strip to the last, once it is stopped.
    """

    def __init__(self, tiling: Tiling, threshold: float | None, title: str) -> None:
        self._bar = tqdm(
            total=None if tiling.by_pixel else tiling.rows * tiling.columns,
            desc=title, unit='patch',
            disable=not sharding.is_main_process(),
        )  # fmt: skip
        self._threshold, self._by_pixel = threshold, tiling.by_pixel
        self._start: float | None = time.perf_counter()
        self.classified = 0
        # Patches, or pixels where each has log p of its own: those compared, those below.
        self._compared = self._unseen = 0
        self.seconds = 0.0

    def watch(self, classified: int, patches: int, log_density: np.ndarray | None = None) -> None:
        """A row of patches is done, of which some were classified."""
        self.classified += classified
        if log_density is not None:
            self.compare(log_density)
        self._bar.update(patches)

    def compare(self, log_density: np.ndarray) -> None:
        """Counts those below the threshold."""
        if self._threshold is not None:
            self._compared += len(log_density)
            self._unseen += int(np.count_nonzero(log_density < self._threshold))

    def stop(self) -> None:
        """Closes the bar and takes the time; stopping again changes nothing."""
        if self._start is not None:
            self.seconds, self._start = time.perf_counter() - self._start, None
            self._bar.close()

    @property
    def share_unseen(self) -> float | None:
        """Of the classified patches or pixels; None for a method without log p(x)."""
        return None if self._threshold is None else self._unseen / self._compared
