"""The values that become -1 and +1: percentiles of the training images alone, or as you say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eojax.data.columns import spread
from eojax.data.facts import Limits
from eojax.data.reading.lazy_images import LazyImages
from eojax.errors import UserError

KEY, AUTO = 'data.limits', 'auto'
# Of each band: nearly all of what is measured lies between, and the rest is cut.
PERCENTILES = (0.1, 99.9)
# What is looked at, at most: images, and pixels in all.
_IMAGES, _PIXELS = 2000, 2_000_000
# A value that so many pixels share in all bands, far below all others, was not measured.
_CONSTANT = 0.01


def parse(text: str, bands: Sequence[str], dtype: str) -> Limits | None:
    """The limits of `data.limits`: `auto`, or `LOW:HIGH` once or for each band.

    Args:
      text: of the option.
      bands, dtype: of the data set.

    Returns:
      None where they are to be fitted, and for 8 bits, whose limits are 0 and 255.

    Raises:
      UserError: no pairs of numbers, lower one first, or another number of them than of bands.
    """
    if text.strip() in ('', AUTO):
        return None
    if dtype == 'uint8':
        raise UserError(f'{KEY}: the images are uint8, of which 0 becomes -1 and 255 is 1')
    pairs = [_pair(part) for part in text.split(',')]
    if len(pairs) not in (1, len(bands)):
        raise UserError(
            f'{KEY} has {len(pairs)} pairs; expected one, or one for each of {len(bands)} band(s):'
            f' {", ".join(bands)}'
        )
    return tuple(pairs) if len(pairs) > 1 else tuple(pairs) * len(bands)


def _pair(text: str) -> tuple[float, float]:
    low, _, high = text.partition(':')
    try:
        pair = float(low), float(high)
    except ValueError:
        pair = np.nan, np.nan
    if not (pair[0] < pair[1] and np.isfinite(pair).all()):
        raise UserError(f'{KEY}: {text.strip()!r} is neither {AUTO} nor LOW:HIGH')
    return pair


def fit(images: LazyImages, train: np.ndarray, bands: Sequence[str], title: str) -> Limits:
    """Percentiles of each band over the pixels with data of training images.

    Args:
      images: float32 with NaN where a pixel holds no data.
      train: numbers of the training images; at most 2,000 of them, evenly spread, are read.
      bands: their names, for messages.
      title: of the data set, for messages.

    Raises:
      UserError: values that no sensor measures, which nothing declares to be no data.
    """
    chosen = train[spread(len(train), min(len(train), _IMAGES))]
    each = max(1, _PIXELS // len(chosen))
    kept = []
    for number in chosen:
        pixels = images[int(number)].reshape(-1, len(bands))
        pixels = pixels[np.isfinite(pixels).all(-1)]
        kept.append(pixels[:: max(1, -(-len(pixels) // each))])
    sample = np.concatenate(kept)
    _check_constant(sample, title)
    low, high = np.percentile(sample.astype(np.float64), PERCENTILES, axis=0)
    limits = []
    for number in range(len(bands)):
        least, most = (float(f'{value:.6g}') for value in (low[number], high[number]))
        # A band of one value says nothing; it becomes the middle of the range.
        limits.append((least, most) if least < most else (least - 0.5, least + 0.5))
    return tuple(limits)


def _check_constant(sample: np.ndarray, title: str) -> None:
    """Refuses a constant in all bands that lies far below or above everything else."""
    same = sample[(sample == sample[:, :1]).all(-1), 0]
    values, counts = np.unique(same, return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        others = sample[(sample != value).any(-1)]
        if count <= _CONSTANT * len(sample) or not len(others):
            continue
        low, high = np.percentile(others, [1, 99])
        span = max(float(high - low), 1e-6)
        # Below zero where nothing else is: as far as a quarter of their span says enough.
        below = span / 4.0 if value < 0.0 <= low else span
        if value < low - below or value > high + 4.0 * span:
            raise UserError(
                f'{title}: {count / len(sample):.0%} of the pixels of its training images are'
                f' {value:g} in all bands, far from all others ({low:g} to {high:g}): say'
                f' data.nodata={value:g} if that means no data, or give {KEY}=LOW:HIGH'
            )
