"""Synthesised radar images beside real ones: backscatter and speckle of each class.

No score for SAR has been published with the paper on synthesis; these are what radar people ask:

- the distribution of backscatter in dB of the pixels of each class, real and synthesised, and the
  Wasserstein-1 distance between both: how many dB the values would have to be moved, on average;
- the equivalent number of looks, mean^2 / variance of the intensity where the ground is uniform: in
  squares of 8 x 8 pixels of one class, the median of all such squares. It says how strong speckle
  is. A generator that paints smooth surfaces has far more looks than the radar.

Both kinds of image are seen in the limits of the generator's range, beyond which real values are
clipped too. Histograms have bins of 1/300 of that range.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eojax.data.facts import Facts, Raster
from eojax.drawing.synthesis import ClassHistogram, backscatter_histograms
from eojax.evaluation.evaluation_set import EvaluationBatch
from eojax.evaluation.evaluators import Evaluator, Measured, Outputs
from eojax.evaluation.synthesis.outputs import REAL, SYNTHESISED, counted_pixels

_BINS = 300
_SIDE = 8  # of the squares in which speckle is measured
_LEAST_SQUARES = 5  # of a class, else it has no number of looks
# Of the decimal logarithm of the number of looks.
_LOOKS = np.linspace(-2.0, 6.0, 801)
_KINDS = (REAL, SYNTHESISED)
_DECIBELS = '_db'
# How drawn radar is stored: whole hundredths of a dB above this.
_STORED_FROM, _STORED_STEP = -100.0, 0.01


def decibel_limits(raster: Raster) -> np.ndarray | None:
    """The decibels that -1 and +1 stand for, float64 `[bands, 2]`; None where it is no backscatter.

    Bands are in dB where their names end in `_db`: as they are, of types with a point, and of whole
    numbers without a sign in hundredths above -100 dB. What others count in is not known.
    """
    if raster.limits is None or not all(band.endswith(_DECIBELS) for band in raster.bands):
        return None
    limits, kind = np.asarray(raster.limits, np.float64), np.dtype(raster.dtype).kind
    if kind == 'i':
        return None
    return _STORED_FROM + _STORED_STEP * limits if kind == 'u' else limits


class _Sums(NamedTuple):
    """Counts of both kinds of image, int64.

    Attributes:
      backscatter: pixels by kind, band, class and bin, `[2, bands, K, bins]`.
      looks: squares by kind, band, class and bin of their number of looks, likewise.
      error: summed |difference| in dB, of `values`.
    """

    backscatter: np.ndarray
    looks: np.ndarray
    error: float = 0.0
    values: int = 0


def backscatter(facts: Facts, target: str) -> Evaluator:
    """Backscatter and looks of each class; `backscatter.png`.

    `mae_db`: mean absolute error in dB, over all pixels with data;
    `backscatter_distance`, `backscatter_distance_<class>`: Wasserstein-1 distance in dB, the mean
      over the classes and of each;
    `looks_real`, `looks_synthesised`, and of each class `looks_real_<class>`: equivalent number of
      looks.
    With several bands the band's name stands before the class's, `looks_real_vv_db_water`, and
    there is no number of all bands together but `mae_db`.

    Args:
      target: the raster that is synthesised, in dB (`decibel_limits`).
    """
    raster = facts.rasters[target]
    limits, num = decibel_limits(raster), facts.num_classes
    assert limits is not None
    scale = (limits[:, 1] - limits[:, 0]) / 2.0

    def start() -> _Sums:
        bands = len(raster.bands)
        return _Sums(
            np.zeros((2, bands, num, _BINS), np.int64),
            np.zeros((2, bands, num, len(_LOOKS) - 1), np.int64),
        )

    def update(sums: _Sums, outputs: Outputs, batch: EvaluationBatch) -> _Sums:
        counted = counted_pixels(batch, facts)
        difference = np.abs(outputs[SYNTHESISED].astype(np.float64) - outputs[REAL])[counted]
        for kind, name in enumerate(_KINDS):
            for band, (low, high) in enumerate(limits.tolist()):
                unit = outputs[name][..., band]
                sums.backscatter[kind, band] += _pixels(unit, batch.labels, num)
                power = 10.0 ** ((low + (unit.astype(np.float64) + 1.0) / 2.0 * (high - low)) / 10)
                sums.looks[kind, band] += _squares(power, batch.labels, num)
        error = sums.error + float((difference * scale).sum())
        return sums._replace(error=error, values=sums.values + difference.size)

    def finish(sums: _Sums) -> Measured:
        if not sums.values:
            return Measured({})
        numbers = {'mae_db': sums.error / sums.values}
        for band, name in enumerate(raster.bands):
            prefix = f'_{name}' if len(raster.bands) > 1 else ''
            width = 2.0 * scale[band] / _BINS
            numbers |= _distances(sums.backscatter[:, band], width, facts.class_names, prefix)
            numbers |= _looks_numbers(sums.looks[:, band], facts.class_names, prefix)

        def draw(out: Path) -> None:
            panels = [*_panels(sums, limits, raster.bands, facts.class_names)]
            if panels:
                backscatter_histograms(panels, out / 'backscatter.png')

        return Measured(numbers, draw)

    return Evaluator(_KINDS, start, update, finish)


def _pixels(unit: np.ndarray, labels: np.ndarray, num: int) -> np.ndarray:
    """Pixels by class and bin, `[K, bins]`, of values in [-1, 1]."""
    known = labels >= 0
    bins = np.clip(((unit[known] + 1.0) / 2.0 * _BINS).astype(np.int64), 0, _BINS - 1)
    cells = labels[known].astype(np.int64) * _BINS + bins
    return np.bincount(cells, minlength=num * _BINS).reshape(num, _BINS)


def _squares(power: np.ndarray, labels: np.ndarray, num: int) -> np.ndarray:
    """Squares of one class by class and bin of their number of looks, `[K, bins]`.

    Args:
      power: intensity, `[n, h, w]`.
    """
    rows, columns = (length // _SIDE for length in labels.shape[1:])

    def squares(values: np.ndarray) -> np.ndarray:
        cut = values[:, : rows * _SIDE, : columns * _SIDE]
        parts = cut.reshape(len(values), rows, _SIDE, columns, _SIDE)
        return parts.transpose(0, 1, 3, 2, 4).reshape(-1, _SIDE**2)

    classes = squares(labels)
    pure = (classes[:, 0] >= 0) & (classes == classes[:, :1]).all(1)
    values = squares(power)[pure]
    looks = values.mean(1) ** 2 / np.maximum(values.var(1, ddof=1), 1e-30)
    bins = np.digitize(np.log10(looks), _LOOKS[1:-1])
    cells = classes[pure, 0].astype(np.int64) * (len(_LOOKS) - 1) + bins
    return np.bincount(cells, minlength=num * (len(_LOOKS) - 1)).reshape(num, -1)


def _distances(
    counts: np.ndarray, width: float, names: Sequence[str], prefix: str
) -> dict[str, float]:
    """Of pixels `[2, K, bins]`; `width` of a bin in dB."""
    found = {}
    for name, (real, made) in zip(names, counts.transpose(1, 0, 2), strict=True):
        if real.sum():
            shares = [np.cumsum(part) / part.sum() for part in (real, made)]
            found[name] = float(np.abs(shares[0] - shares[1]).sum() * width)
    if not found:
        return {}
    key = f'backscatter_distance{prefix}'
    mean = float(np.mean([*found.values()]))
    return {key: mean, **{f'{key}_{name}': value for name, value in found.items()}}


def _looks_numbers(counts: np.ndarray, names: Sequence[str], prefix: str) -> dict[str, float]:
    """Of squares `[2, K, bins]`."""
    numbers: dict[str, float] = {}
    for kind, of_kind in zip(_KINDS, counts, strict=True):
        parts = {'': of_kind.sum(0), **{f'_{n}': c for n, c in zip(names, of_kind, strict=True)}}
        numbers |= {
            f'looks_{kind}{prefix}{name}': _median(each)
            for name, each in parts.items()
            if each.sum() >= _LEAST_SQUARES
        }
    return numbers


def _median(counts: np.ndarray) -> float:
    """The median number of looks of counted squares, within a bin by its middle."""
    middle = (_LOOKS[:-1] + _LOOKS[1:]) / 2.0
    place = int(np.searchsorted(np.cumsum(counts), (counts.sum() + 1) // 2))
    return float(10.0 ** middle[place])


def _panels(
    sums: _Sums, limits: np.ndarray, bands: Sequence[str], names: Sequence[str]
) -> Iterator[ClassHistogram]:
    """One for each class and band that there are pixels of; three bins become one."""
    for band, title in enumerate(bands):
        edges = np.linspace(limits[band, 0], limits[band, 1], _BINS // 3 + 1)
        for number, name in enumerate(names):
            real, made = sums.backscatter[:, band, number].reshape(2, -1, 3).sum(-1)
            if real.sum():
                looks = [
                    _median(each) if each.sum() >= _LEAST_SQUARES else None
                    for each in sums.looks[:, band, number]
                ]
                of_band = f', {title}' if len(bands) > 1 else ''
                yield ClassHistogram(f'{name}{of_band}', edges, real, made, looks[0], looks[1])
