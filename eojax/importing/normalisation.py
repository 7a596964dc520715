"""`--mean` and `--std` of an import."""

from __future__ import annotations

import numpy as np

from eojax.errors import UserError


def parse(mean: str, deviation: str, bands: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The numbers of `--mean` and `--std`: one for all bands, or one for each; empty for none.

    Raises:
      UserError: one without the other, no numbers, another number of them than of bands.
    """
    if not mean and not deviation:
        return (), ()
    if not (mean and deviation):
        raise UserError('give both --mean and --std, or neither')
    means, deviations = (
        _numbers(text, name, bands) for text, name in ((mean, '--mean'), (deviation, '--std'))
    )
    if min(deviations) <= 0.0:
        raise UserError(f'--std must be positive, not {min(deviations):g}')
    return means, deviations


def _numbers(text: str, name: str, bands: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(','))
    except ValueError:
        numbers = (np.nan,)
    if not np.isfinite(numbers).all():
        raise UserError(f'{name} must be numbers with commas between, not {text!r}')
    if len(numbers) not in (1, bands):
        raise UserError(f'{name} has {len(numbers)} numbers, and the network {bands} bands')
    return numbers if len(numbers) > 1 else numbers * bands
