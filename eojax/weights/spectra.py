"""Spectral filters of real images in a quarter of their memory, for files.

A filter is a complex matrix for each frequency (`eojax.samplers.starts`). It is Hermitian, and that
of the negative frequency is its conjugate: half the frequencies, and of each matrix its upper half,
say all. Both hold up to the rounding of 64 bits.
"""

from __future__ import annotations

import numpy as np

# Of the largest value; whatever is less symmetric is kept as it is.
_TOLERANCE = 1e-12


def packed(filters: np.ndarray) -> np.ndarray | None:
    """Float32 `[classes, H, W // 2 + 1, bands, bands]`: real parts of the upper halves and below
    them, transposed, the imaginary ones.

    Args:
      filters: complex64 `[classes, H, W, bands, bands]`.

    Returns:
      None for an array that is nothing of the kind.
    """
    if filters.dtype != np.complex64 or filters.ndim != 5 or filters.shape[3] != filters.shape[4]:
        return None
    half = filters[:, :, : filters.shape[2] // 2 + 1]
    small: np.ndarray = np.where(_upper(half), half.real, half.swapaxes(3, 4).imag)
    difference = np.abs(unpacked(small, filters.shape[2]) - filters).max(initial=0.0)
    close = difference <= _TOLERANCE * np.abs(filters).max(initial=0.0)
    return np.ascontiguousarray(small, np.float32) if close else None


def unpacked(small: np.ndarray, width: int) -> np.ndarray:
    """The filters again, complex64 `[classes, H, width, bands, bands]`."""
    other = small.swapaxes(3, 4)
    diagonal = np.eye(small.shape[3], dtype=bool)
    # What lies above the diagonal is a real part, what lies below it the imaginary one.
    real = np.where(_upper(small), small, other)
    imaginary = np.where(diagonal, 0, np.where(_upper(small), other, -small))
    half = (real + 1j * imaginary).astype(np.complex64)
    rest = half[:, :, 1 : (width + 1) // 2]
    mirrored = np.roll(rest[:, ::-1], 1, axis=1)[:, :, ::-1].conj()
    return np.concatenate([half, mirrored], axis=2)


def _upper(array: np.ndarray) -> np.ndarray:
    """Which entries of the matrices lie on the diagonal or above it."""
    return np.triu(np.ones(array.shape[3:], bool))
