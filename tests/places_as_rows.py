"""Places as the rows that devices hold them in."""

from __future__ import annotations

from typing import Any

from eojax.feed.rows import Rows, described


def as_rows(places: Any, windows: bool = False) -> Rows:
    """Places `[N, h, w, C]` or `[N, h, w]` as rows; the same memory where they are on the host."""
    num, *shape = places.shape
    wanted = described(num, tuple(shape), places.dtype, windows)
    return Rows(places.reshape(wanted.values.shape), wanted.shape)
