"""The region of the plane that a place takes, and how much of it two places share.

"Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
2022), section 2.4.1: a one-class SVM for each place (Schoelkopf et al., 2001), and with S1 the
region of training and S2 that of test places

    IoU(S1, S2) = |S1 and S2| / |S1 or S2|,    IoT(S1, S2) = |S1 and S2| / |S2|

A union of places is the union of their regions, as in Fig. 2.13.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from eojax.errors import UserError

# Where each region ends is looked for this many times, each time further out.
_ATTEMPTS = 12


class Grid(NamedTuple):
    """Square cells on which areas are measured.

    Attributes:
      low: x and y of the lower left corner.
      cell: side of a cell.
      shape: rows, along y, and columns, along x.
    """

    low: tuple[float, float]
    cell: float
    shape: tuple[int, int]

    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        """x of the columns and y of the rows."""
        rows, columns = self.shape
        x = self.low[0] + self.cell * (np.arange(columns) + 0.5)
        return x, self.low[1] + self.cell * (np.arange(rows) + 0.5)

    def inside(self, mask: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Whether points `[N, 2]` lie in a region, bool `[N]`; none does beyond the grid."""
        index = np.floor((points - np.array(self.low)) / self.cell).astype(np.int64)
        held = ((index >= 0) & (index < np.array(self.shape[::-1]))).all(1)
        column, row = np.clip(index, 0, np.array(self.shape[::-1]) - 1).T
        return held & mask[row, column]


class Regions(NamedTuple):
    """Regions on one grid.

    Attributes:
      decisions: float32 `[rows, columns]` of each, the SVM's decision: not negative inside.
    """

    grid: Grid
    decisions: tuple[np.ndarray, ...]

    @property
    def masks(self) -> tuple[np.ndarray, ...]:
        """Which cells each region holds, by their centres."""
        return tuple(decision >= 0.0 for decision in self.decisions)


class Table(NamedTuple):
    """Scores between training and test places.

    Attributes:
      rows, columns: titles; the last ones are of unions.
      iou, iot: float64 `[rows, columns]`.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    iou: np.ndarray
    iot: np.ndarray


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """|S1 and S2| / |S1 or S2| of two masks."""
    return float((first & second).sum() / (first | second).sum())


def iot(first: np.ndarray, second: np.ndarray) -> float:
    """|S1 and S2| / |S2| of two masks."""
    return float((first & second).sum() / second.sum())


def regions_of(groups: Sequence[np.ndarray], nu: float, gamma: float, cells: int) -> Regions:
    """The region of each group of points, on a grid that holds all of every region.

    Args:
      groups: `[n, 2]` each.
      nu: share of a group's points that may lie outside.
      gamma: of the kernel exp(-gamma d^2).
      cells: of the grid along its longer side.
    """
    from sklearn.svm import OneClassSVM  # slow to import: only where it is used

    machines = [OneClassSVM(kernel='rbf', nu=nu, gamma=gamma).fit(points) for points in groups]
    every = np.concatenate(groups)
    margin = 2.0 / math.sqrt(2.0 * gamma)
    for _ in range(_ATTEMPTS):
        low, high = every.min(0) - margin, every.max(0) + margin
        cell = float((high - low).max()) / cells
        columns, rows = (max(1, math.ceil(length / cell - 1e-9)) for length in high - low)
        grid = Grid((float(low[0]), float(low[1])), cell, (rows, columns))
        x, y = grid.centres()
        where = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
        decisions = tuple(
            machine.decision_function(where).reshape(grid.shape).astype(np.float32)
            for machine in machines
        )
        if not any(_touches_border(decision >= 0.0) for decision in decisions):
            break
        margin *= 1.5
    return Regions(grid, decisions)


def check_seen(regions: Regions, titles: Sequence[str]) -> None:
    """Refuses regions without a cell: images so far apart that the kernel joins none of them.

    Args:
      titles: of the regions.

    Raises:
      UserError: one line with the place.
    """
    for title, mask in zip(titles, regions.masks, strict=True):
        if not mask.any():
            raise UserError(
                f'the images of {title} lie so far apart that its region has no area: lower'
                ' --gamma, or give more images of it'
            )


def _touches_border(mask: np.ndarray) -> bool:
    return bool(mask[[0, -1]].any() or mask[:, [0, -1]].any())


def union(masks: Sequence[np.ndarray]) -> np.ndarray:
    """The cells of any of the masks."""
    return np.logical_or.reduce(masks)


def table_of(rows: Mapping[str, np.ndarray], columns: Mapping[str, np.ndarray]) -> Table:
    """IoU and IoT of every pair.

    Args:
      rows, columns: masks of training and of test, unions among them, by title.
    """
    scores = [
        np.array([[score(one, two) for two in columns.values()] for one in rows.values()])
        for score in (iou, iot)
    ]
    return Table(tuple(rows), tuple(columns), *scores)


def halves_iou(points: np.ndarray, nu: float, gamma: float, cells: int, seed: int) -> float | None:
    """The IoU of two halves of one place, drawn at random: as high as places can be expected to be.

    It grows with the number of images; where it is low, all scores of the place are. None where a
    half has too few images for a region.
    """
    order = np.random.default_rng(seed).permutation(len(points))
    halves = [points[order[::2]], points[order[1::2]]]
    masks = regions_of(halves, nu, gamma, cells).masks
    return iou(*masks) if all(mask.any() for mask in masks) else None
