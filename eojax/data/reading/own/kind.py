"""The kind of an image file: its bands, their type, its size, and the ground that a pixel shows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader, MemoryFile

from eojax.data.reading.formats.encoded import (
    TIFF_MAGIC,
    read_encoded,
    without_opaque_alpha,
)
from eojax.data.reading.formats.memory_raster import check_layout
from eojax.data.reading.scenes.band_names import plain
from eojax.data.reading.scenes.ground import find_ground
from eojax.errors import UserError

# Types that are read; floats of 64 bits become such of 32.
TYPES = ('uint8', 'uint16', 'int16', 'float32')
_READ_AS = {'float64': 'float32', 'bool': 'uint8'}
_COLOURS = {
    ColorInterp.red: 'red',
    ColorInterp.green: 'green',
    ColorInterp.blue: 'blue',
    ColorInterp.gray: 'grey',
}
_PICTURES = {1: ('grey',), 3: ('red', 'green', 'blue')}


class Kind(NamedTuple):
    """The kind of a file, and so of a data set whose files are all alike.

    Attributes:
      bands: a name for each band that measures something, in the file's order: as the file calls
        it, its colour, or `band 1`.
      dtype: of the values, one of `TYPES`.
      size: height and width in pixels.
      metres: the side of a pixel on the ground; None where the file does not say.
      title: of the file, for messages.
    """

    bands: tuple[str, ...]
    dtype: str
    size: tuple[int, int]
    metres: float | None
    title: str

    @property
    def text(self) -> str:
        """Bands and type in words."""
        return f'{len(self.bands)} band(s) of {self.dtype}'


def kind_of_image(data: bytes, title: str, alpha: bool = False) -> Kind:
    """The kind of a file.

    Args:
      data: its content.
      title: its name, for messages.
      alpha: whether a band that the format takes for opacity is a measurement, as GDAL calls the
        fourth band of 8 bits whatever it shows.

    Raises:
      UserError: it is broken, or of a type that is not read.
    """
    if data.startswith(TIFF_MAGIC):
        with opened(data, title) as file:
            _check_type(sorted(set(file.dtypes)), title)
            names = band_names(file, alpha)
            dtype = file.dtypes[0]
            ground = find_ground(file.crs, file.transform, file.height, file.width)
            metres = None if ground is None else float(np.sqrt(ground.centre))
            return Kind(names, _READ_AS.get(dtype, dtype), file.shape, metres, title)
    encoded = without_opaque_alpha(read_encoded(data, title))
    pixels = encoded.pixels
    _check_type([str(pixels.dtype)], title)
    count = pixels.shape[-1] - (encoded.alpha and not alpha)
    names = _PICTURES.get(count, tuple(f'band {i}' for i in range(1, count + 1)))
    dtype = str(pixels.dtype)
    return Kind(names, _READ_AS.get(dtype, dtype), pixels.shape[:2], None, title)


def band_names(file: DatasetReader, alpha: bool = False) -> tuple[str, ...]:
    """A name for each band of an open TIFF that measures something.

    Args:
      alpha: as in `kind_of_image`; a band of opacity that has a name is a measurement anyway.
    """
    said = [(text or '').strip() for text in file.descriptions]
    kept = [
        i
        for i, colour in enumerate(file.colorinterp)
        if alpha or said[i] or colour is not ColorInterp.alpha
    ]
    names = [said[i] or f'band {i + 1}' for i in kept]
    if not any(said):
        colours = [_COLOURS.get(file.colorinterp[i], '') for i in kept]
        if all(colours) and len(set(colours)) == len(colours):
            names = colours
    # Of two bands of one name neither could be asked for.
    counts = {name: names.count(name) for name in names}
    return tuple(
        name if counts[name] == 1 else f'band {i + 1}' for i, name in zip(kept, names, strict=True)
    )


def are_named(bands: Sequence[str]) -> bool:
    """Whether the names say more than a number."""
    return not all(plain(band).startswith('band_') for band in bands)


def chosen_bands(bands: Sequence[str], text: str, title: str) -> tuple[str, ...]:
    """The bands of `data.bands`: `all`, or names or numbers from 1 in the order wanted.

    Raises:
      UserError: a band that there is not, or twice.
    """
    if text.strip() in ('', 'all'):
        return tuple(bands)
    known = [plain(band) for band in bands]
    chosen: list[str] = []
    for part in map(str.strip, text.split(',')):
        if plain(part) in known:
            band = bands[known.index(plain(part))]
        elif part.isdigit() and 1 <= int(part) <= len(bands):
            band = bands[int(part) - 1]
        else:
            listed = ', '.join(f'{i} {band}' for i, band in enumerate(bands, 1))
            raise UserError(f'data.bands: no band {part!r} in {title}; it has {listed}')
        if band in chosen:
            raise UserError(f'data.bands: {part} is in it twice')
        chosen.append(band)
    return tuple(chosen)


@contextlib.contextmanager
def opened(data: bytes, title: str) -> Iterator[DatasetReader]:
    """A TIFF with its place on Earth, from its content.

    Raises:
      UserError: broken or truncated, also while it is read; several images in one file.
    """
    name = ''
    try:
        with MemoryFile(data) as memory:
            name = memory.name
            with memory.open(driver='GTiff') as file:
                check_layout(file, title)
                yield file
    except (RasterioError, OSError, ValueError) as error:
        reason = ' '.join(str(error.__cause__ or error).split()).replace(name, 'the file')
        raise UserError(f'{title}: broken or truncated image ({reason})') from None


def _check_type(types: Sequence[str], title: str) -> None:
    if len(types) > 1:
        raise UserError(f'{title}: bands of the types {", ".join(types)}; they must be of one')
    if types[0] not in (*TYPES, *_READ_AS):
        raise UserError(f'{title}: pixels of type {types[0]}; these work: {", ".join(TYPES)}')
