"""Random draws for a batch of images in which every image has a generator of its own.

An image is then the same whatever stands beside it in the batch, and the arithmetic is still done
on whole batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np


class Chance:
    """One random generator an image; every draw returns float32 with the batch axis first.

    Args:
      seeds: one seed an image, anything that `numpy.random.default_rng` takes.
    """

    def __init__(self, seeds: Iterable[int | list[int]]) -> None:
        self._generators = [np.random.default_rng(seed) for seed in seeds]

    def part(self, rows: np.ndarray) -> Chance:
        """The generators of the images `rows`; draws from the part advance them here as well."""
        part = Chance(())
        part._generators = [self._generators[row] for row in rows]
        return part

    def __len__(self) -> int:
        return len(self._generators)

    def _draw(
        self, shape: tuple[int, ...], fill: Callable[[np.random.Generator, np.ndarray], object]
    ) -> np.ndarray:
        out = np.empty((len(self), *shape), np.float32)
        for generator, row in zip(self._generators, out, strict=True):
            fill(generator, row)
        return out

    def uniform(self, low: float, high: float, *shape: int) -> np.ndarray:
        """Uniform draws in `[low, high)`, `[N, *shape]`."""
        unit = self._draw(shape or (1,), lambda g, row: g.random(dtype=np.float32, out=row))
        return (low + (high - low) * unit).reshape((len(self), *shape))

    def normal(self, *shape: int) -> np.ndarray:
        """Standard normal draws, `[N, *shape]`."""
        return self._draw(
            shape or (1,), lambda g, row: g.standard_normal(dtype=np.float32, out=row)
        ).reshape((len(self), *shape))

    def image(self, low: float, high: float) -> np.ndarray:
        """One uniform draw an image, `[N, 1, 1]`, ready to meet layers of `[N, H, W]`."""
        return self.uniform(low, high, 1, 1)

    def happens(self, probability: float | np.ndarray) -> np.ndarray:
        """1 with the given probability and else 0, one draw an image, float32 `[N, 1, 1]`."""
        return (self.image(0.0, 1.0) < probability).astype(np.float32)

    def seeds(self) -> np.ndarray:
        """A seed for later draws, int64 `[N]`."""
        return np.array([g.integers(2**62) for g in self._generators], np.int64)
