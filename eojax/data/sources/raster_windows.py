"""GeoTIFF and JPEG 2000 files, of which windows are read by rasterio without the rest."""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from rasterio.enums import MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterWindow

from eojax.data.dataset import Window
from eojax.data.reading.formats.memory_raster import check_layout
from eojax.data.reading.image_files import JPEG_2000_SUFFIXES, TIFF_SUFFIXES
from eojax.data.reading.listing.archive import names_for_gdal, open_zip
from eojax.data.reading.listing.names import stored_path
from eojax.data.reading.scenes.validity import Validity
from eojax.data.sources.open_files import Kept
from eojax.errors import UserError

# By suffix, GDAL's name of the format.
_DRIVERS = {
    **dict.fromkeys(TIFF_SUFFIXES, 'GTiff'),
    **dict.fromkeys(JPEG_2000_SUFFIXES, 'JP2OpenJPEG'),
}
SUFFIXES = tuple(_DRIVERS)
# Of each thread.
_KEPT_FILES = 64
# Without it GDAL lists the file's folder, which may hold a million others.
_OPTIONS = {'GDAL_DISABLE_READDIR_ON_OPEN': 'TRUE'}

warnings.filterwarnings('ignore', category=NotGeoreferencedWarning)
# What goes wrong is raised as well.
logging.getLogger('rasterio').setLevel(logging.CRITICAL)


# Scales and offsets of a file's bands.
Line = tuple[tuple[float, ...], tuple[float, ...]]


class Part(NamedTuple):
    """A window of a file.

    Attributes:
      pixels: as stored, `[height, width, bands]`.
      valid: bool `[height, width]`, whether a pixel holds data, as
        `eojax.data.reading.scenes.validity` has it; None where all do.
    """

    pixels: np.ndarray
    valid: np.ndarray | None


class RasterWindows:
    """Reads windows of raster files below a folder or in a zip archive; it pickles as the path.

    Attributes:
      root: the folder or archive.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: Kept[DatasetReader] = Kept(_KEPT_FILES, DatasetReader.close)

    def __reduce__(self) -> tuple[type[RasterWindows], tuple[Path]]:
        return RasterWindows, (self.root,)

    def size(self, file: str) -> tuple[int, int]:
        """Height and width."""
        return self._file(file).shape

    def bands(self, file: str) -> tuple[tuple[str, ...], str]:
        """The names of the bands, empty where they have none, and the type of their pixels.

        Raises:
          UserError: it cannot be read, or its bands have different types.
        """
        types = sorted(set(self._file(file).dtypes))
        if len(types) > 1:
            raise UserError(f'{self.root}: {file}: bands of the types {", ".join(types)}')
        return self.names(file), types[0]

    def names(self, file: str) -> tuple[str, ...]:
        """The names of the bands, empty where they have none."""
        return tuple((text or '').strip() for text in self._file(file).descriptions)

    def may_lack_data(self, file: str, bands: Sequence[str]) -> bool:
        """Whether a pixel of these bands may be without data: of the file's mask, or no number."""
        opened = self._file(file)
        indexes = _indexes(opened, bands, f'{self.root}: {file}')
        floats = any(np.dtype(opened.dtypes[index - 1]).kind in 'fc' for index in indexes)
        return floats or _is_masked(opened, indexes)

    def line(self, file: str) -> Line:
        """Scale and offset of each band, which a file may say; values are read as stored."""
        opened = self._file(file)
        return tuple(opened.scales), tuple(opened.offsets)

    def no_data(self, file: str) -> float | None:
        """The value that a file says stands for no data; None where it says none."""
        return self._file(file).nodata

    def read(
        self,
        file: str,
        window: Window,
        bands: Sequence[str],
        dtype: str | None,
    ) -> Part:
        """A window as it is stored.

        Args:
          file: relative to the root.
          window: of the file.
          bands: names or numbers from 1 of those that are wanted, in that order; all where empty.
          dtype: that the file must have; None where any will do.

        Raises:
          UserError: it cannot be read, or holds another type or other bands; by name.
        """
        opened, title = self._file(file), f'{self.root}: {file}'
        indexes = _indexes(opened, bands, title)
        types = sorted({opened.dtypes[index - 1] for index in indexes})
        if dtype is not None and types != [dtype]:
            raise UserError(f'{title}: pixels of type {", ".join(types)}; expected {dtype}')
        where = RasterWindow(window.column, window.row, window.width, window.height)
        try:
            pixels = opened.read(indexes, window=where)
            valid = None
            if _is_masked(opened, indexes):
                valid = Validity(opened, indexes, None).of(pixels, window=where)
            elif pixels.dtype.kind == 'f':
                valid = np.isfinite(pixels).all(0)
        except (RasterioError, OSError) as error:
            reason = ' '.join(str(error.__cause__ or error).split())
            raise UserError(
                f'{title}: rows {window.row} to {window.row + window.height - 1} cannot be read:'
                f' broken or truncated ({reason})'
            ) from None
        return Part(np.moveaxis(pixels, 0, -1), None if valid is None or valid.all() else valid)

    def _file(self, file: str) -> DatasetReader:
        return self._files.get(file, lambda: self._open(file))

    def _in_archive(self, file: str) -> str:
        """The name of a member as GDAL has it, which knows one spelling of non-English letters."""
        return file if file.isascii() else self._archive_names.get(file, file)

    @functools.cached_property
    def _archive_names(self) -> dict[str, str]:
        with open_zip(self.root) as archive:
            return names_for_gdal(self.root, archive)

    def _open(self, file: str) -> DatasetReader:
        title = f'{self.root}: {file}'
        path = str(stored_path(self.root, file))
        if not self.root.is_dir():
            path = f'/vsizip/{self.root}/{self._in_archive(file)}'
        try:
            with rasterio.Env(**_OPTIONS):
                opened = rasterio.open(path, driver=_DRIVERS[Path(file).suffix.lower()])
        except UnicodeEncodeError:
            raise UserError(f'{title}: its name on the disk is no UTF-8; rename it') from None
        except (RasterioError, OSError) as error:
            if not (self.root.exists() and (path.startswith('/vsi') or Path(path).exists())):
                raise UserError(f'no such file: {path}') from None
            reason = ' '.join(str(error.__cause__ or error).split())
            raise UserError(f'{title}: not a GeoTIFF or JPEG 2000 file ({reason})') from None
        check_layout(opened, title)
        return opened


def _is_masked(file: DatasetReader, indexes: Sequence[int]) -> bool:
    return any(MaskFlags.all_valid not in file.mask_flag_enums[index - 1] for index in indexes)


def _indexes(file: DatasetReader, bands: Sequence[str], title: str) -> list[int]:
    """The numbers, from 1, of the bands that are wanted."""
    if not bands:
        return list(range(1, file.count + 1))
    names = [(text or '').strip().lower() for text in file.descriptions]
    indexes = []
    for band in bands:
        if band.isdigit() and 1 <= int(band) <= file.count:
            indexes.append(int(band))
        elif band.lower() in names:
            indexes.append(names.index(band.lower()) + 1)
        else:
            listed = ', '.join(f'{i} {name}'.strip() for i, name in enumerate(names, 1))
            raise UserError(f'{title}: no band {band!r}; it has {listed}')
    return indexes
