"""A data set with its splits, and no more: what streams draw from."""

from __future__ import annotations

from typing import NamedTuple

from eojax.data.dataset import Dataset
from eojax.data.splits import Splits


class SplitPlaces(NamedTuple):
    """See `eojax.feed.streams.SplitData`."""

    dataset: Dataset
    splits: Splits
