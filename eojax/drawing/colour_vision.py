"""How far colours look apart, to people who see all colours and to those who do not.

Four pairs of eyes: without a defect, and without red, green or blue cones. The last three are
simulated by the matrices of G. M. Machado, M. M. Oliveira and L. A. F. Fernandes, "A
Physiologically-Based Model for Simulation of Color Vision Deficiency", IEEE TVCG 15(6), 2009, at
severity 1. Distances are CIEDE2000: about 1 can just be seen side by side, and from about 8 on
patches on a map are told apart without effort.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Colour = tuple[int, int, int]

# On linear red, green and blue.
_EYES = np.array([
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
     [-0.003882, -0.048116, 1.051998]],
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
     [-0.011820, 0.042940, 0.968881]],
    [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
     [0.004733, 0.691367, 0.303900]],
])  # fmt: skip
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colours: np.ndarray) -> np.ndarray:
    """CIELAB (D65) of colours, as eyes without a defect see them.

    Args:
      colours: red, green and blue `[num, 3]`, 0 to 255.

    Returns:
      Lightness 0 to 100, and the two axes of colour, float64 `[num, 3]`.
    """
    return seen(colours)[0]


def seen(colours: np.ndarray) -> np.ndarray:
    """CIELAB (D65) of colours as each of the four pairs of eyes sees them.

    Args:
      colours: red, green and blue `[num, 3]`, 0 to 255.

    Returns:
      float64 `[4, num, 3]`.
    """
    values = np.asarray(colours, np.float64) / 255.0
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    shown = np.clip(np.einsum('eij,nj->eni', _EYES, linear), 0.0, 1.0)
    share = shown @ _TO_XYZ.T / _TO_XYZ.sum(1)
    bent = np.where(share > 216 / 24389, np.cbrt(share), (24389 / 27 * share + 16) / 116)
    x, y, z = np.moveaxis(bent, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def distances(colours: np.ndarray, other: np.ndarray) -> np.ndarray:
    """CIEDE2000 of colours from another one, to the eyes that see the least of it.

    Args:
      colours: as `seen` returns them, `[4, num, 3]`.
      other: one colour of that kind, `[4, 1, 3]`.

    Returns:
      float64 `[num]`.
    """
    # Imported where it is needed: it takes half a second, which no start-up should.
    from skimage.color import deltaE_ciede2000

    return np.asarray(deltaE_ciede2000(colours, other)).min(0)


def least_distance(colours: Sequence[Colour]) -> float:
    """The smallest distance of two of the colours, infinite where there are less than two."""
    looks = seen(np.array(colours).reshape(-1, 3))
    others = [distances(looks[:, i + 1 :], looks[:, i : i + 1]) for i in range(len(colours) - 1)]
    return float(min((row.min() for row in others), default=np.inf))
