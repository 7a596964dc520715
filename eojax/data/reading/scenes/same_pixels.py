"""Whether two files have their pixels at the same places."""

from __future__ import annotations

from rasterio.transform import Affine


def same_pixels(first: Affine, second: Affine, height: int, width: int, tolerance: float) -> bool:
    """Whether no pixel of an image lies elsewhere by the one transform than by the other.

    Three corners are compared: sides of pixels that differ by little are far apart at the end.

    Args:
      first, second: from columns and rows to places, neither without an area.
      height, width: of the image.
      tolerance: by which places may differ, in pixels along each axis.
    """
    for corner in ((0, 0), (width, 0), (0, height)):
        column, row = ~second @ (first @ corner)
        if max(abs(column - corner[0]), abs(row - corner[1])) > tolerance:
            return False
    return True
