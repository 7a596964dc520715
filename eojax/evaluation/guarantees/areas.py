"""Areas corrected by the errors of a reference sample, and their table."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eojax.atomic_file import write_atomically
from eojax.errors import UserError
from eojax.evaluation.guarantees.rules import OpenRule, SetRule, trust
from eojax.evaluation.guarantees.sample import Sample
from eojax.evaluation.predictions.tables import write_csv
from eojax.metrics.areas import Areas, Estimate, error_matrices, estimate_areas

FILE = 'areas.csv'
SINGLE_BLOCK = (
    'all reference places are of one block of ground, which says nothing of how far blocks differ:'
    ' at least 2 are needed, and better 30'
)
# Below these the variance of a stratum is a guess.
_FEW_PLACES, _FEW_BLOCKS = 30, 10


def strata_of(sample: Sample, rule: SetRule | None, open_rule: OpenRule | None) -> np.ndarray:
    """The stratum of each of a sample, int64 `[num]`: its class on a map, K where left open."""
    probabilities = sample.probabilities
    strata = probabilities.argmax(-1)
    if open_rule is None:
        return strata
    sets = None if rule is None else rule.holds(probabilities, np.random.default_rng(0))
    scores = trust(open_rule.by, probabilities, sample.log_density, sets)
    return np.where(scores < open_rule.threshold, probabilities.shape[1], strata)


def corrected(counts: np.ndarray, one_by_one: bool, map_shares: np.ndarray) -> Areas:
    """The corrected areas by a reference sample.

    Args:
      counts: `eojax.metrics.areas.error_matrices` of the sample, `[B, S, K]`.
      one_by_one: whether each place is a block of its own.
      map_shares: of the strata of the map, `[S]`.

    Raises:
      UserError: the sample is of a single block.
    """
    if len(counts) < 2:
        raise UserError(f'areas: {SINGLE_BLOCK}')
    return estimate_areas(counts.sum(0) if one_by_one else counts, map_shares)


def counts_of(sample: Sample, rule: SetRule | None, open_rule: OpenRule | None) -> np.ndarray:
    """The sample by block, stratum and class, int64 `[B, S, K]`."""
    num = sample.logits.shape[1]
    strata = strata_of(sample, rule, open_rule)
    num_strata = num + (open_rule is not None)
    return error_matrices(strata, sample.labels, sample.blocks, num_strata, num)


def unsampled_text(areas: Areas, names: Sequence[str], map_shares: np.ndarray) -> str | None:
    """A line on map classes of which the reference sample says nothing; None without any."""
    empty = np.flatnonzero(areas.unsampled)
    if not len(empty):
        return None
    shares = np.asarray(map_shares) / np.sum(map_shares)
    listed = ', '.join(f'{names[i]} ({shares[i]:.1%} of the map)' for i in empty.tolist())
    return (
        f'areas: the reference sample has too few places (2, of 2 blocks) where the map says'
        f' {listed}: the intervals are widened by all of that ground'
    )


def few_text(
    counts: np.ndarray, one_by_one: bool, names: Sequence[str], map_shares: np.ndarray
) -> str | None:
    """A line on map classes with so few reference places that intervals are too short; else None.

    A class of which five places were looked at, all right, has a variance of 0.

    Args:
      counts, one_by_one, map_shares: as for `corrected`.
      names: of the strata.
    """
    of_block = counts.sum(-1)
    num = of_block.sum(0) if one_by_one else (of_block > 0).sum(0)
    least, what = (_FEW_PLACES, 'places') if one_by_one else (_FEW_BLOCKS, 'blocks')
    few = np.flatnonzero((num > 0) & (num < least) & (np.asarray(map_shares) > 0))
    if not len(few):
        return None
    listed = ', '.join(f'{names[i]} ({num[i]})' for i in few.tolist())
    return (
        f'areas: the reference sample has fewer than {least} {what} where the map says {listed}:'
        ' the intervals may be too short'
    )


def rows_of(
    areas: Areas, names: Sequence[str], hectares: float | None = None
) -> list[dict[str, Any]]:
    """A row for each class, for JSON and CSV; None where the sample says nothing.

    Args:
      hectares: of all the mapped ground; None where that is not known.
    """
    rows = []
    for number, name in enumerate(names):
        row: dict[str, Any] = {'class': name, 'mapped_share': _plain(areas.mapped[number])}
        row |= _columns('share', areas.shares, number)
        if hectares is not None:
            row['mapped_hectares'] = _plain(areas.mapped[number] * hectares)
            scaled = Estimate(*(values * hectares for values in areas.shares))
            row |= _columns('hectares', scaled, number)
        row |= _columns('users_accuracy', areas.users, number)
        row |= _columns('producers_accuracy', areas.producers, number)
        rows.append(row)
    return rows


def _columns(name: str, estimate: Estimate, number: int) -> dict[str, float | None]:
    value, error, low, high = (_plain(values[number]) for values in estimate)
    return {name: value, f'{name}_error': error, f'{name}_low': low, f'{name}_high': high}


def _plain(value: float) -> float | None:
    return float(f'{float(value):.6g}') if math.isfinite(value) else None


def overall_of(areas: Areas) -> dict[str, float | None]:
    """The overall accuracy of the map, for JSON."""
    names = ('overall_accuracy', 'overall_accuracy_error', 'overall_accuracy_low',
             'overall_accuracy_high')  # fmt: skip
    return {name: _plain(float(value)) for name, value in zip(names, areas.overall, strict=True)}


def write_areas(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes the table as CSV, whole or not at all."""
    text = io.BytesIO()
    write_csv(text, list(rows[0]), rows)
    write_atomically(path, lambda file: file.write(text.getvalue()))
