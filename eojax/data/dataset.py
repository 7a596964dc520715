"""What every data set is once it has been read: arrays, names and units, and nothing else."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Dataset(NamedTuple):
    """Labelled images in memory.

    Attributes:
      images: uint8 `[num, height, width, bands]`, values 0 to 255.
      labels: int32 `[num]`, indices into `class_names`.
      names: `[num]` stable, unique names (`River/River_12.jpg`), sorted; splits depend on them
        alone.
      class_names: in alphabetical order, unless the data set's own order is a standard.
      bands: a name for each band (`('red', 'green', 'blue')`).
    """

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    class_names: tuple[str, ...]
    bands: tuple[str, ...] = ('red', 'green', 'blue')

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def subset(self, indices: np.ndarray) -> Dataset:
        """The images at `indices`, in that order."""
        return self._replace(
            images=self.images[indices],
            labels=self.labels[indices],
            names=tuple(self.names[i] for i in indices),
        )
