"""A georeferenced scene as a trained network is to see it, read by windows.

Which bands of a GeoTIFF, or of a Sentinel-2 product whose bands lie in files of their own, stand
for those of a data set, what its values mean, which pixels hold any, and where on Earth they lie.
The pixels come in the data set's own type and units: uint8 for 8-bit data sets, reflectance at the
top of the atmosphere times 10,000 for Sentinel-2's bands (`eojax.data.reading.sentinel2`). A scene
is never read as a whole.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile
from rasterio.transform import Affine, from_gcps
from rasterio.windows import Window

from eojax.data.facts import Limits
from eojax.data.reading.bands.files import may_hold_bands, open_band_files
from eojax.data.reading.bands.mosaic import open_mosaic
from eojax.data.reading.formats.memory_raster import check_layout
from eojax.data.reading.raster_values import Stored, find_conversion
from eojax.data.reading.scenes.band_names import find_bands
from eojax.data.reading.scenes.evidence import other_sensor
from eojax.data.reading.scenes.footprint import Footprint, footprint_of
from eojax.data.reading.scenes.ground import Ground, find_ground, unwrapped
from eojax.data.reading.scenes.validity import Validity, sample_pixels
from eojax.errors import UserError

SUFFIXES = ('.tif', '.tiff')
# Of GDAL's blocks; its own default is a share of the machine's memory.
_CACHE_MEGABYTES = 128
# Of products, whose JPEG 2000 tiles of 1,024 x 1,024 pixels strips cross: a row of those of a few
# bands, which would be decoded again for each strip.
_CACHE_MEGABYTES_OF_BANDS = 512
_MOST_STRETCHED = 1.25  # a pixel's longer side on the ground over its shorter one
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
      path: of the file, product or folder of bands.
      name: of the file, without its suffix, or of the product.
      height, width: in pixels.
      crs, transform: as in the file; `crs` is None where it has none.
      points, points_crs: ground control points and their coordinate system; empty and None without.
      rpcs: rational polynomials of the sensor; None without.
      indexes: the bands that are read, numbered from 1, in the order of the data set's.
      scale_text: what was decided about the values, in words.
      notes: what the user should know about how it is read, a line each.
      ground: how large its pixels are on the Earth; None where that is not known.
      to_stored: from the data set's values `[..., bands]` back to the file's, in float64.
    """

    def __init__(
        self,
        path: str | Path,
        bands: Sequence[str],
        limits: Limits | None = None,
        reading: Reading = DEFAULT_READING,
        dtype: str = 'uint16',
        own_units: bool = False,
        data: bytes | None = None,
        decibels: float = 0.0,
        surface: bool = False,
    ) -> None:
        """Opens a scene for a data set.

        Args:
          path: of a GeoTIFF; or of a product or a folder of bands, also in a zip archive
            (`eojax.data.reading.bands`).
          bands, limits: of the data set.
          reading: how.
          dtype: of the data set's values where it has limits.
          own_units: whether these are as the user's own files store them
            (`eojax.data.facts.Facts.own_units`).
          decibels, surface: as in `eojax.data.facts.Raster`.
          data: the file's content, of one in an archive; `path` is its name then.

        Raises:
          UserError: no GeoTIFF and no bands, bands that cannot be found, values of an unknown kind.
        """
        if reading.offset is not None and not np.isfinite(reading.offset):
            raise UserError(f'--offset={reading.offset}: expected a number such as 0 or -1000')
        self.path = Path(path)
        self.name = self.path.stem
        self._by_bands = data is None and may_hold_bands(self.path)
        cache = _CACHE_MEGABYTES_OF_BANDS if self._by_bands else _CACHE_MEGABYTES
        self._env = rasterio.Env(GDAL_CACHEMAX=cache * 2**20)
        self._env.__enter__()
        self._memory = None if data is None else MemoryFile(data)
        try:
            self._title = str(self.path)
            built: tuple[str, ...] = ()
            self._built = ''
            if self._by_bands:
                self._file, built = self._open_bands()
            else:
                self._file = self._open()
            self.height, self.width = self._file.shape
            self.crs: CRS | None = self._file.crs
            self.transform: Affine = self._file.transform
            self.points, self.points_crs = self._file.gcps
            self.rpcs = self._file.rpcs
            self.indexes, note = self._find_bands(bands, reading.bands)
            kinds = {self._file.dtypes[index - 1] for index in self.indexes}
            if len(kinds) > 1:
                raise UserError(
                    f'{path}: its bands are of the types {", ".join(sorted(kinds))}: write all'
                    ' in one, with values that mean the same'
                )
            self._validity = Validity(self._file, self.indexes, reading.nodata)
            meaning = find_conversion(
                self._stored(),
                bands,
                limits,
                reading.scale,
                reading.offset,
                dtype,
                own_units,
                decibels,
                surface,
            )
            self._convert, self.scale_text = meaning.apply, meaning.text
            self.to_stored = meaning.invert
            self.ground = self._find_ground()
            notes = (*built, note, *meaning.notes, *self._shape_notes())
            self.notes = tuple(text for text in notes if text)
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
            if self._memory is not None:
                self._memory.close()
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

    def opened_again(self) -> Any:
        """Its file, or its bands on one grid, opened once more; to be closed by the caller."""
        return rasterio.open(self._built or self.path)

    def pixel_metres(self) -> float | None:
        """The side of a pixel on the ground, of a square of its area, at the scene's centre.

        None where the scene has no coordinate system, or one without a known unit.
        """
        if self.ground is None:
            return None
        return float(np.sqrt(self.ground.centre))

    def pixel_hectares(self, rows: np.ndarray) -> np.ndarray | None:
        """The mean area of a pixel of each row on the ground; None as for `pixel_metres`."""
        return None if self.ground is None else self.ground.row_areas(rows) / 1e4

    def footprint(self) -> Footprint | None:
        """The ground that it shows, in longitude and latitude; None where nothing says."""
        return footprint_of(self._file)

    @property
    def bands_not_read(self) -> int:
        """How many further bands the file has."""
        return int(self._file.count) - len(set(self.indexes))

    @property
    def by_points(self) -> bool:
        """Whether the scene has no transform, but enough control points to be put in place."""
        return self.crs is None and self.points_crs is not None and len(self.points) >= 3

    @property
    def mask_text(self) -> str:
        """What says which pixels hold no data, in words; empty where nothing in the file does."""
        return self._validity.text

    @property
    def beside_text(self) -> str:
        """Where the scene lies, if files beside it may say so (.tfw, .aux.xml); else empty."""
        if self._by_bands:
            return ''
        beside = {Path(name).name.lower() for name in self._file.files[1:]}
        if not any(not name.endswith(('.msk', '.ovr')) for name in beside):
            return ''
        return f'{self.crs and self.crs.to_wkt()} {tuple(self.transform)[:6]}'

    def _find_ground(self) -> Ground | None:
        """Of a scene that points alone put in place, by the line that fits them best."""
        crs, transform = self.crs, self.transform
        if crs is None and self.by_points:
            crs, transform = self.points_crs, from_gcps(unwrapped(self.points, self.points_crs))
        return find_ground(crs, transform, self.height, self.width)

    def _shape_notes(self) -> list[str]:
        if self.ground is None:
            return []
        high, wide = self.ground.sides
        if max(high, wide) <= _MOST_STRETCHED * min(high, wide):
            return []
        return [
            f'{self.path}: its pixels are {wide:.3g} m wide and {high:.3g} m high on the ground, so'
            ' that shapes are stretched; bring it to square ones first (gdalwarp -t_srs EPSG:...)'
        ]

    def _open_bands(self) -> tuple[Any, tuple[str, ...]]:
        """The bands of a product or folder on one grid, and what there is to say of them."""
        band_files = open_band_files(self.path)
        # The product's name tells its level and its processing.
        self.name, self._title = band_files.name, str(self.path.with_name(band_files.name))
        opened, mosaic = open_mosaic(band_files)
        self._built = mosaic.xml
        return opened, mosaic.notes

    def _open(self) -> Any:
        if self._memory is None and not self.path.exists():
            raise UserError(f'no such file: {self.path}')
        try:
            if self._memory is None:
                file = rasterio.open(self.path, driver='GTiff')
            else:
                file = self._memory.open(driver='GTiff')
        except UnicodeEncodeError:
            raise UserError(f'{self.path}: its name is no UTF-8; rename it') from None
        except (RasterioError, OSError) as error:
            raise UserError(
                f'{self.path}: not a GeoTIFF that can be read ({_reason(error)})'
            ) from None
        try:
            check_layout(file, str(self.path))
        except UserError:
            file.close()
            raise
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
            valid = self._validity.of(values, **options)
        except (RasterioError, OSError) as error:
            place = f'rows {window.row_off} to {window.row_off + window.height - 1}'
            raise UserError(
                f'{self.path}: {place} cannot be read: broken or truncated ({_reason(error)})'
            ) from None
        return np.moveaxis(values, 0, -1), valid

    def _find_bands(self, bands: Sequence[str], said: str) -> tuple[list[int], str]:
        file = self._file
        return find_bands(
            str(self.path), file.descriptions, file.colorinterp, bands, said,
            other_sensor(Path(self._title).name, file.tags()),
        )  # fmt: skip

    def _stored(self) -> Stored:
        """The file's facts about the values of the bands that are read."""
        file, first = self._file, self.indexes[0]
        tags = file.tags() | {
            key: value for key, value in file.tags(first, ns='IMAGE_STRUCTURE').items()
            if key == 'NBITS'
        }  # fmt: skip
        scales, offsets, units, names = (
            tuple(values[index - 1] for index in self.indexes)
            for values in (file.scales, file.offsets, file.units, file.descriptions)
        )
        return Stored(
            self._title, file.dtypes[first - 1], tags, self._sample,
            tuple(name or '' for name in names), scales, offsets,
            tuple(unit or '' for unit in units),
        )  # fmt: skip

    def _sample(self) -> np.ndarray:
        """Valid pixels `[num, bands]` from all over the scene."""
        return sample_pixels(str(self.path), (self.height, self.width), self._values)


def _reason(error: Exception) -> str:
    return ' '.join(str(error.__cause__ or error).split())
