"""A georeferenced scene as a trained network is to see it, read by windows.

Which bands of a GeoTIFF stand for those of a data set, what its values mean, which pixels hold any,
and where on Earth they lie. The pixels come in the data set's own type and units: uint8 for 8-bit
data sets, reflectance at the top of the atmosphere times 10,000 for Sentinel-2's bands
(`eojax.data.reading.sentinel2`). A scene is never read as a whole.
"""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window

from eojax.data.facts import Limits
from eojax.data.reading.raster_values import ALIASES, Stored, find_conversion
from eojax.errors import UserError

SUFFIXES = ('.tif', '.tiff')
# Of GDAL's blocks; its own default is a share of the machine's memory.
_CACHE_MEGABYTES = 128
_EARTH_METRES = 6_371_007.2  # radius of the sphere of the Earth's surface
_COLOURS = {'red': ColorInterp.red, 'green': ColorInterp.green, 'blue': ColorInterp.blue}
_TYPES = ('uint8', 'uint16', 'int16', 'float32', 'float64')

warnings.filterwarnings('ignore', category=NotGeoreferencedWarning)
# What goes wrong is raised as well.
logging.getLogger('rasterio').setLevel(logging.CRITICAL)


class Reading(NamedTuple):
    """How a scene is to be read; the defaults find out.

    Attributes:
      bands: numbers from 1 or names of the file's bands, comma separated, in the order of the data
        set's; empty to find them by their names or colours.
      scale: `auto`; `l1c` or `l2a`, the level of a Sentinel-2 scene; or `LOW:HIGH`, the values that
        become the data set's least and greatest (0 and 255), once or for each band.
      offset: what the processing added to all values; None to find out.
      nodata: the value of pixels without data; None for what the file says, and where it says
        nothing for 0 in all bands, unless the file is 8-bit.
    """

    bands: str = ''
    scale: str = 'auto'
    offset: float | None = None
    nodata: float | None = None


DEFAULT_READING = Reading()


class Part(NamedTuple):
    """A window of a scene.

    Attributes:
      pixels: `[height, width, bands]`, of the data set's type and units.
      valid: bool `[height, width]`, whether a pixel holds data in all bands.
    """

    pixels: np.ndarray
    valid: np.ndarray


class Raster:
    """An open scene; close it, or use it in a `with` statement.

    Attributes:
      path, name: of the file; the name is without its suffix.
      height, width: in pixels.
      crs, transform: as in the file; `crs` is None where it has none.
      indexes: the bands that are read, numbered from 1, in the order of the data set's.
      scale_text: what was decided about the values, in words.
      to_stored: from the data set's values `[..., bands]` back to the file's, in float64.
    """

    def __init__(
        self,
        path: str | Path,
        bands: Sequence[str],
        limits: Limits | None = None,
        reading: Reading = DEFAULT_READING,
    ) -> None:
        """Opens a scene for a data set.

        Args:
          path: of a GeoTIFF.
          bands, limits: of the data set.
          reading: how.

        Raises:
          UserError: no GeoTIFF, bands that cannot be found, values of an unknown kind.
        """
        self.path = Path(path)
        self.name = self.path.stem
        self._env = rasterio.Env(GDAL_CACHEMAX=_CACHE_MEGABYTES * 2**20)
        self._env.__enter__()
        try:
            self._file = self._open()
            self.height, self.width = self._file.shape
            self.crs: CRS | None = self._file.crs
            self.transform: Affine = self._file.transform
            self.indexes = self._find_bands(bands, reading.bands)
            self._nodata, self._masked = self._find_nodata(reading.nodata)
            stored = Stored(
                str(self.path),
                self._file.dtypes[self.indexes[0] - 1],
                self._file.tags(),
                self._sample,
            )
            found = find_conversion(stored, bands, limits, reading.scale, reading.offset)
            self._convert, self.scale_text = found.apply, found.text
            self.to_stored = found.invert
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Raster:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; a closed one is closed again without harm."""
        if self._env is not None:
            if hasattr(self, '_file'):
                self._file.close()
            self._env.__exit__(None, None, None)
            self._env = None

    def read(self, row: int, column: int, height: int, width: int) -> Part:
        """A window that lies in the scene; pixels without data are 0.

        Raises:
          UserError: a broken or truncated part of the file.
        """
        values, valid = self._values(Window(column, row, width, height))
        pixels = self._convert(values)
        pixels[~valid] = 0
        return Part(pixels, valid)

    def overview(self, longest: int) -> Part:
        """The whole scene at most `longest` pixels high and wide."""
        share = min(1.0, longest / max(self.height, self.width))
        shape = (max(1, round(self.height * share)), max(1, round(self.width * share)))
        values, valid = self._values(Window(0, 0, self.width, self.height), shape)
        pixels = self._convert(values)
        pixels[~valid] = 0
        return Part(pixels, valid)

    def pixel_metres(self) -> float | None:
        """The side of a pixel on the ground, of a square of its area, at the scene's centre.

        None where the scene has no coordinate system, or one without a known unit.
        """
        hectares = self.pixel_hectares(np.array([self.height / 2]))
        return None if hectares is None else float(np.sqrt(hectares[0] * 1e4))

    def pixel_hectares(self, rows: np.ndarray) -> np.ndarray | None:
        """The area of a pixel of each row; None as for `pixel_metres`.

        In degrees, the area on a sphere; otherwise that of the map projection.
        """
        if self.crs is None:
            return None
        area = abs(self.transform.determinant)
        if self.crs.is_geographic:
            latitudes = self.transform.f + self.transform.e * (np.asarray(rows) + 0.5)
            square = (_EARTH_METRES * math.pi / 180.0) ** 2
            return area * square * np.cos(np.deg2rad(latitudes)) / 1e4
        try:
            factor = self.crs.linear_units_factor[1]
        except RasterioError:
            return None
        return np.full(np.shape(rows), area * factor**2 / 1e4)

    def _open(self) -> Any:
        if not self.path.exists():
            raise UserError(f'no such file: {self.path}')
        try:
            file = rasterio.open(self.path, driver='GTiff')
        except (RasterioError, OSError) as error:
            raise UserError(
                f'{self.path}: not a GeoTIFF that can be read ({_reason(error)})'
            ) from None
        if set(file.dtypes) - set(_TYPES):
            kinds = ', '.join(sorted(set(file.dtypes)))
            file.close()
            raise UserError(f'{self.path}: pixels of type {kinds}; these work: {", ".join(_TYPES)}')
        return file

    def _values(
        self, window: Window, shape: tuple[int, int] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Stored values `[height, width, bands]` and which pixels hold data in all bands."""
        options: dict[str, Any] = {'window': window}
        if shape is not None:
            options |= {'out_shape': (len(self.indexes), *shape), 'resampling': Resampling.nearest}
        try:
            values = self._file.read(self.indexes, **options)
            masks = self._file.read_masks(self.indexes, **options) if self._masked else None
        except (RasterioError, OSError) as error:
            place = f'rows {window.row_off} to {window.row_off + window.height - 1}'
            raise UserError(
                f'{self.path}: {place} cannot be read: broken or truncated ({_reason(error)})'
            ) from None
        valid = np.isfinite(values).all(0)
        if masks is not None:
            valid &= (masks > 0).all(0)
        elif self._nodata is not None:
            # In any band where the value is one that was said; 0 only where all bands have it.
            empty = values == self._nodata
            valid &= ~(empty.any(0) if self._said_nodata else empty.all(0))
        return np.moveaxis(values, 0, -1), valid

    def _find_nodata(self, said: float | None) -> tuple[float | None, bool]:
        """The value of empty pixels, and whether the file's own masks are to be read instead."""
        self._said_nodata = said is not None
        if said is not None:
            return said, False
        flags = [self._file.mask_flag_enums[i - 1] for i in self.indexes]
        if any(MaskFlags.all_valid not in flag for flag in flags):
            return None, True
        return (None if self._file.dtypes[0] == 'uint8' else 0.0), False

    def _find_bands(self, bands: Sequence[str], said: str) -> list[int]:
        names = [_plain(text or '') for text in self._file.descriptions]
        listed = ', '.join(f'{i} {n}'.strip() for i, n in enumerate(names, 1))
        if said:
            indexes = [self._index(part, names, listed) for part in said.split(',')]
            if len(indexes) != len(bands):
                raise UserError(
                    f'--bands={said} names {len(indexes)} band(s); the run was trained on'
                    f' {len(bands)}: {", ".join(bands)}'
                )
            return indexes
        for wanted in (bands, [ALIASES.get(band, band) for band in bands]):
            plain = [_plain(band) for band in wanted]
            if set(plain) <= set(names):
                return [names.index(name) + 1 for name in plain]
        colours = list(self._file.colorinterp)
        interpreted = [_COLOURS.get(band) for band in bands]
        if all(colour in colours for colour in interpreted):
            return [colours.index(colour) + 1 for colour in interpreted]
        alpha = sum(colour is ColorInterp.alpha for colour in colours)
        if self._file.count - alpha == len(bands):
            return list(range(1, len(bands) + 1))
        raise UserError(
            f'{self.path}: has bands {listed}; the run was trained on {", ".join(bands)}:'
            ' say which they are, in that order, with --bands=...'
        )

    def _index(self, text: str, names: list[str], listed: str) -> int:
        """The number of a band that the user named or numbered."""
        text = text.strip()
        if _plain(text) in names:
            return names.index(_plain(text)) + 1
        if text.isdigit() and 1 <= int(text) <= self._file.count:
            return int(text)
        raise UserError(f'{self.path}: no band {text!r}; it has {listed}')

    def _sample(self) -> np.ndarray:
        """Valid pixels `[num, bands]` of small windows all over the scene."""
        side = 32
        found = []
        for row in np.unique(np.linspace(0, max(self.height - side, 0), 12).astype(int)):
            for column in np.unique(np.linspace(0, max(self.width - side, 0), 12).astype(int)):
                height, width = min(side, self.height), min(side, self.width)
                values, valid = self._values(Window(column, row, width, height))
                found.append(values[valid])
        pixels = np.concatenate(found)
        if not len(pixels):
            raise UserError(f'{self.path}: no pixel with data was found in it')
        return pixels


def _plain(name: str) -> str:
    """A band's name without what varies: B4, b04 and B04 are the same."""
    name = name.strip().lower()
    found = re.fullmatch(r'b0?(\d{1,2})(a?)', name)
    return f'b{int(found.group(1)):02d}{found.group(2)}' if found else name


def _reason(error: Exception) -> str:
    return ' '.join(str(error.__cause__ or error).split())
