"""JPEG, PNG and the like, which are decoded as a whole, of which windows are then cut."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eojax.data.reading.formats.encoded import most_bands, read_encoded, size_of
from eojax.data.reading.image_files import PICTURE_SUFFIXES, FileReader
from eojax.data.sources.open_files import Kept
from eojax.errors import UserError

SUFFIXES = PICTURE_SUFFIXES
_COLOURS = ('red', 'green', 'blue')
_BANDS = {1: ('grey',), 2: ('grey', 'alpha'), 3: _COLOURS, 4: (*_COLOURS, 'alpha')}
# Decoded images that a thread keeps: windows of one image are often read one after the other.
_KEPT_IMAGES = 4


class WholeImages:
    """Reads the pixels of image files below a folder or in a zip archive; it pickles as the path.

    Attributes:
      root: the folder or archive.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._read = FileReader(root)
        self._decoded: Kept[np.ndarray] = Kept(_KEPT_IMAGES)

    def __reduce__(self) -> tuple[type[WholeImages], tuple[Path]]:
        return WholeImages, (self.root,)

    def pixels(self, file: str, palette: bool = False) -> np.ndarray:
        """All pixels of a file as stored, `[height, width, bands]`; not to be written to.

        Args:
          file: relative to the root.
          palette: whether an image with a palette is read as the numbers of its entries, and one
            of 1 bit as bool; else as their colours, and as 0 and 255.

        Raises:
          UserError: it cannot be read, by name.
        """
        return self._decoded.get((file, palette), lambda: self._decode(file, palette))

    def size(self, file: str) -> tuple[int, int]:
        """Height and width, of which no pixel is decoded."""
        return size_of(self._read(file), f'{self.root}: {file}', turn=False)

    def num_bands(self, file: str) -> int:
        """How many bands a file has at most, a palette those of its colours; no pixel is read."""
        return most_bands(self._read(file), f'{self.root}: {file}')

    def bands(self, file: str) -> tuple[tuple[str, ...], str]:
        """The names of the bands, and the type of their pixels.

        Raises:
          UserError: it cannot be read, by name.
        """
        pixels = self.pixels(file)
        return _BANDS[pixels.shape[-1]], str(pixels.dtype)

    def _decode(self, file: str, palette: bool) -> np.ndarray:
        title = f'{self.root}: {file}'
        # Not turned as EXIF says: a mask of the same ground holds no such word.
        pixels = read_encoded(self._read(file), title, palette=palette, turn=False).pixels
        if pixels.dtype == np.bool_ and not palette:
            return pixels.astype(np.uint8) * np.uint8(255)
        return pixels


def hides(count: int, numbers: Sequence[int]) -> bool:
    """Whether an image has a band of opacity that is not among those that are wanted.

    Args:
      count: of the bands that it has.
      numbers: of those that are wanted, from 0.
    """
    return 'alpha' in _BANDS.get(count, ()) and _BANDS[count].index('alpha') not in numbers


def band_numbers(bands: Sequence[str], count: int, title: str) -> list[int]:
    """The numbers from 0 of bands by their names or numbers from 1.

    Args:
      bands: those that are wanted.
      count: of the bands that the file has.
      title: of the file, for messages.

    Raises:
      UserError: one that the file does not have.
    """
    names = _BANDS.get(count, ())
    numbers = []
    for band in bands:
        if band.isdigit() and 1 <= int(band) <= count:
            numbers.append(int(band) - 1)
        elif band.lower() in names:
            numbers.append(names.index(band.lower()))
        else:
            raise UserError(f'{title}: no band {band!r}; it has {count}: {", ".join(names)}')
    return numbers
