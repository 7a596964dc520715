"""Numbers in few signs, for places where there is little room."""

from __future__ import annotations

import math


def whole_percent(share: float) -> str:
    """A share in whole per cent; neither 0% nor 100% where it is not exactly that.

    Args:
      share: 0 to 1.
    """
    if 0.0 < share < 0.005:
        return '<1%'
    if 0.995 <= share < 1.0:
        return '>99%'
    return f'{share:.0%}'


def kid_in_words(kid: float) -> str:
    """A kernel inception distance: three digits, and three decimals at least.

    It is often in the thousandths, and may be below 0: its estimate is unbiased.
    """
    if not math.isfinite(kid):
        return str(kid)
    decimals = 3 if kid == 0 else min(max(3, 2 - math.floor(math.log10(abs(kid)))), 6)
    return f'{kid:.{decimals}f}'


def count_in_words(count: int) -> str:
    """A count in at most four signs or so: 950, 1.2k, 13k, 4.0M."""
    for size, sign in ((1_000_000, 'M'), (1_000, 'k')):
        if count >= size:
            return f'{count / size:.{int(count < 10 * size)}f}{sign}'
    return str(count)
