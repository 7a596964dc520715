"""How long the rows are that accelerators gather images by."""

from __future__ import annotations

import math
from collections.abc import Sequence

# Values of a row at most: of longer ones XLA gathers halves on TPUs, each from a copy of all.
_LONGEST = 2**14


def rows_of_an_image(shape: Sequence[int]) -> int:
    """Into how many rows an image goes.

    As few as keep a row to 2^14 values and go evenly into its lines of pixels; a row for each line
    where none does.

    Args:
      shape: of the image, `(H, W, C)`, or `(H, W)` of labels.
    """
    values, lines = math.prod(shape), shape[0]
    fitting = (n for n in range(1, lines) if lines % n == 0 and values // n <= _LONGEST)
    return next(fitting, lines)
