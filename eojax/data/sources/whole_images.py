"""JPEG and PNG files, which are decoded as a whole, of which windows are then cut."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from eojax.data.reading.image_files import FileReader
from eojax.data.sources.open_files import Kept
from eojax.errors import UserError

SUFFIXES = ('.jpg', '.jpeg', '.png')
_FORMATS = ('JPEG', 'PNG')
_BANDS = {1: ('grey',), 3: ('red', 'green', 'blue'), 4: ('red', 'green', 'blue', 'alpha')}
_TYPES = {'1': np.uint8, 'L': np.uint8, 'RGB': np.uint8, 'RGBA': np.uint8, 'I;16': np.uint16}
# Decoded images that a thread keeps: windows of one image are often read one after the other.
_KEPT_IMAGES = 4
# Decoded; a larger one is a mistake or a decompression bomb.
_MAX_BYTES = 2**30


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
          palette: whether an image with a palette is read as the numbers of its entries; else as
            their colours.

        Raises:
          UserError: it cannot be read, by name.
        """
        return self._decoded.get((file, palette), lambda: self._decode(file, palette))

    def size(self, file: str) -> tuple[int, int]:
        """Height and width, of which no pixel is decoded."""
        with self._open(file) as image:
            return image.height, image.width

    def num_bands(self, file: str) -> int:
        """How many bands a file has, of which no pixel is decoded; a palette counts as colours."""
        with self._open(file) as image:
            return 3 if image.mode == 'P' else len(image.getbands())

    def bands(self, file: str) -> tuple[tuple[str, ...], str]:
        """The names of the bands, and the type of their pixels.

        Raises:
          UserError: it cannot be read, by name.
        """
        pixels = self.pixels(file)
        return _BANDS[pixels.shape[-1]], str(pixels.dtype)

    def _decode(self, file: str, palette: bool) -> np.ndarray:
        title = f'{self.root}: {file}'
        with self._open(file) as image:
            if image.mode == 'P' and not palette:
                image = image.convert('RGB')
            elif image.mode == '1':
                image = image.convert('L')
            if image.mode != 'P' and image.mode not in _TYPES:
                raise UserError(f'{title}: pixels of type {image.mode!r}; 8 or 16 bits a band work')
            try:
                pixels = np.asarray(image)
            except Exception as error:  # damaged content makes the decoders raise nearly anything
                reason = ' '.join(str(error).split()) or type(error).__name__
                raise UserError(f'{title}: broken image ({reason})') from None
        return pixels.reshape(*pixels.shape[:2], -1)

    def _open(self, file: str) -> Image.Image:
        title = f'{self.root}: {file}'
        try:
            image: Image.Image = Image.open(io.BytesIO(self._read(file)), formats=_FORMATS)
        except UserError:
            raise
        except Exception as error:
            reason = (
                'not a JPEG or PNG image'
                if type(error).__name__ == 'UnidentifiedImageError'
                else f'broken image ({" ".join(str(error).split())})'
            )
            raise UserError(f'{title}: {reason}') from None
        if image.width * image.height * 4 > _MAX_BYTES:
            raise UserError(f'{title}: {image.width}x{image.height} pixels are too many')
        return image


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
