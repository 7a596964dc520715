"""What every data set is once it has been read: images, names and units, and nothing else."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eojax.data.reading.lazy_images import Images

# Per band the values that become -1 and +1.
Limits = tuple[tuple[float, float], ...]


class Dataset(NamedTuple):
    """Labelled images, in memory or on disk.

    Attributes:
      images: `[num, height, width, bands]`: uint8, values 0 to 255, or uint16 in the units that the
        data set's file states. `LazyImages` where they are too large for the memory.
      labels: int32 `[num]`, indices into `class_names`.
      names: `[num]` stable, unique names (`River/River_12.jpg`), sorted; splits depend on them
        alone.
      class_names: in alphabetical order, unless the data set's own order is a standard.
      bands: a name for each band (`('red', 'green', 'blue')`).
      limits: for each band the values that become -1 and +1; None for uint8, 0 and 255. They hold
        for uint16 alone: uint8 images of any origin are already scaled for display.
      parts: int8 `[num]`, 0 train, 1 validation, 2 test, where the split is published or follows
        from places; None where it is drawn (`eojax.data.splits`). Validation or test images that
        nobody has published are drawn from the training part.
    """

    images: Images
    labels: np.ndarray
    names: tuple[str, ...]
    class_names: tuple[str, ...]
    bands: tuple[str, ...] = ('red', 'green', 'blue')
    limits: Limits | None = None
    parts: np.ndarray | None = None

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def subset(self, indices: np.ndarray) -> Dataset:
        """The images at `indices`, in that order; those on disk stay there."""
        images = self.images
        return self._replace(
            images=images[indices] if isinstance(images, np.ndarray) else images.subset(indices),
            labels=self.labels[indices],
            names=tuple(self.names[i] for i in indices),
            parts=None if self.parts is None else self.parts[indices],
        )


def scale_to_unit(images: np.ndarray, limits: Limits | None = None) -> np.ndarray:
    """Stored values to float32 [-1, 1] on the host, as the training does on the devices.

    Args:
      images: `[..., bands]`; uint8 is 0 to 255 whatever the limits are, any other type is in the
        data set's units.
      limits: of the data set; values beyond them are clipped.

    Raises:
      ValueError: another type than uint8 without limits.
    """
    if images.dtype == np.uint8:
        return images.astype(np.float32) / 127.5 - 1.0
    if limits is None:
        raise ValueError(f'images of type {images.dtype} need limits')
    low, high = np.asarray(limits, np.float32).T
    scaled = (images.astype(np.float32) - low) * (np.float32(2.0) / (high - low)) - np.float32(1.0)
    return np.clip(scaled, -1.0, 1.0)
