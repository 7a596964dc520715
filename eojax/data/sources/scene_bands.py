"""A source of Sentinel-2 scenes whose bands lie in files of their own, on the finest grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterWindow

from eojax.data.columns import Names, name_at
from eojax.data.dataset import Window, check_window
from eojax.data.facts import IMAGES, PIXEL_LABELS, UNKNOWN, Raster, valid_of
from eojax.data.reading.bands.files import list_bands, open_band_files
from eojax.data.reading.bands.mosaic import beside, open_mosaic
from eojax.data.reading.patches import resample
from eojax.data.reading.sentinel2 import UNITS_PER_REFLECTANCE
from eojax.data.sources.label_values import LabelValues
from eojax.data.sources.open_files import Kept
from eojax.errors import UserError

# Of each thread; a scene has up to thirteen files.
_KEPT_SCENES = 16
_OPTIONS = {'GDAL_DISABLE_READDIR_ON_OPEN': 'EMPTY_DIR'}


class Stacked(NamedTuple):
    """A file with all bands, which stands for those of their own where a folder has none.

    Attributes:
      file: its name in the folder.
      bands: in its order.
    """

    file: str
    bands: tuple[str, ...]


class Stored(NamedTuple):
    """What the stored values of a scene mean: reflectance = (stored - added) / quantification.

    Attributes:
      added: to each of the bands that are read.
      quantification: of a reflectance of 1.
    """

    added: tuple[float, ...]
    quantification: float = UNITS_PER_REFLECTANCE


class SceneSource:
    """Reads windows of scenes; see `eojax.data.dataset.Source`.

    Values are reflectance times 10,000, uint16: what a product's processing added is taken off, and
    what is below 0 then is 0. A pixel that is 0 in all bands that are read holds no data.
    """

    def __init__(
        self,
        root: Path,
        names: Names,
        sizes: tuple[np.ndarray, np.ndarray],
        raster: Raster,
        *,
        stored: Sequence[Stored] = (),
        side: int | None = None,
        labels: Sequence[str] = (),
        values: LabelValues | None = None,
        stacked: Stacked | None = None,
    ) -> None:
        """Reads nothing yet.

        Args:
          root: folder or zip archive.
          names: of the places: their folders or products below the root, `.` for itself.
          sizes: heights and widths of the scenes on the grid.
          raster: the facts of the images.
          stored: of each place; none where all values are reflectance times 10,000.
          side: to which places are resampled, so that all are square; None: none is.
          labels: of each place, the file of its labels below the root, empty where it has none.
          values: of these files.
          stacked: as there; None where there are none.
        """
        self._root, self._names, self._sizes = root, names, sizes
        self._raster, self._stored, self._side = raster, tuple(stored), side
        self._labels, self._values, self._stacked = tuple(labels), values, stacked
        self._open: Kept[DatasetReader] = Kept(_KEPT_SCENES, DatasetReader.close)
        self._open_labels: Kept[DatasetReader] = Kept(_KEPT_SCENES, DatasetReader.close)

    def read(
        self, place: int, window: Window | None, rasters: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """See `Source.read`."""
        name = name_at(self._names, place)
        height, width = (int(column[place]) for column in self._sizes)
        title = f'{self._root}: {name}'
        size = (height, width) if self._side is None else (self._side, self._side)
        wanted = Window(0, 0, *size) if window is None else window
        check_window(wanted, size, title)
        there = Window(0, 0, height, width) if self._side is not None else wanted
        read: dict[str, np.ndarray] = {}
        if IMAGES in rasters or valid_of(IMAGES) in rasters or PIXEL_LABELS in rasters:
            stored = self._values_of(name, there, title)
            valid = (stored != 0).any(-1)
            pixels = self._scaled(place, stored)
            pixels[~valid] = self._raster.empty
            read = {IMAGES: pixels, valid_of(IMAGES): valid}
        if PIXEL_LABELS in rasters:
            labels = self._classes(place, name, there, title)
            read[PIXEL_LABELS] = np.where(read[valid_of(IMAGES)], labels, np.uint8(UNKNOWN))
        if self._side is not None:
            read = {IMAGES: self._resampled(read[IMAGES], wanted)} if IMAGES in read else {}
            read[valid_of(IMAGES)] = np.ones((wanted.height, wanted.width), bool)
        return {entry: read[entry] for entry in rasters}

    def subset(self, indices: np.ndarray) -> SceneSource:
        """See `Source.subset`."""
        names = self._names
        return SceneSource(
            self._root,
            names[indices] if isinstance(names, np.ndarray) else tuple(names[i] for i in indices),
            (self._sizes[0][indices], self._sizes[1][indices]),
            self._raster,
            stored=tuple(self._stored[i] for i in indices) if self._stored else (),
            side=self._side,
            labels=tuple(self._labels[i] for i in indices) if self._labels else (),
            values=self._values,
            stacked=self._stacked,
        )

    def _values_of(self, name: str, window: Window, title: str) -> np.ndarray:
        """A window as it is stored, `[height, width, bands]`."""
        opened = self._open.get(name, lambda: self._opened(name))
        # A file of all bands has them in its own order.
        stacked = opened.driver != 'VRT' and self._stacked is not None
        bands = self._stacked.bands if stacked and self._stacked else self._raster.bands
        numbers = [1 + bands.index(band) for band in self._raster.bands]
        where = RasterWindow(window.column, window.row, window.width, window.height)
        try:
            return np.moveaxis(opened.read(numbers, window=where), 0, -1)
        except (RasterioError, OSError) as error:
            reason = ' '.join(str(error.__cause__ or error).split())
            raise UserError(
                f'{title}: rows {window.row} to {window.row + window.height - 1} cannot be read:'
                f' broken or truncated ({reason})'
            ) from None

    def _opened(self, name: str) -> DatasetReader:
        path = self._root / name
        stack = None if self._stacked is None else self._stacked_file(name)
        if stack is None or self._stacked is None:
            return open_mosaic(open_band_files(path), self._raster.bands)[0]
        try:
            with rasterio.Env(**_OPTIONS):
                opened = rasterio.open(stack, driver='GTiff')
        except (RasterioError, OSError) as error:
            reason = ' '.join(str(error.__cause__ or error).split())
            raise UserError(f'{stack}: not a GeoTIFF that can be read ({reason})') from None
        if opened.count != len(self._stacked.bands):
            raise UserError(
                f'{stack}: {opened.count} bands; expected the {len(self._stacked.bands)}'
                f' {" ".join(self._stacked.bands)}'
            )
        return opened

    def _stacked_file(self, name: str) -> str | None:
        """The file of all bands of a place, for GDAL; None where its bands have their own."""
        assert self._stacked is not None
        path = self._root / name / self._stacked.file
        if self._root.is_dir():
            return str(path) if path.is_file() else None
        return list_bands(self._root / name).files.get(self._stacked.file)

    def _scaled(self, place: int, stored: np.ndarray) -> np.ndarray:
        if not self._stored:
            return _whole(stored)
        line = self._stored[place]
        if not any(line.added) and line.quantification == UNITS_PER_REFLECTANCE:
            return _whole(stored)
        values = stored.astype(np.float32) - np.asarray(line.added, np.float32)
        return _whole(values * np.float32(UNITS_PER_REFLECTANCE / line.quantification))

    def _resampled(self, pixels: np.ndarray, window: Window) -> np.ndarray:
        row, column, height, width = window
        assert self._side is not None
        whole = resample(pixels[None], self._side)[0]
        return whole[row : row + height, column : column + width]

    def _classes(self, place: int, name: str, window: Window, title: str) -> np.ndarray:
        """The classes of a window; unknown beyond the file of labels."""
        file = self._labels[place] if self._labels else ''
        if not file or self._values is None:
            return np.full((window.height, window.width), UNKNOWN, np.uint8)
        scene = self._open.get(name, lambda: self._opened(name))
        opened = self._open_labels.get(
            name, lambda: beside(self._root / file, scene, f'{self._root}: {file}')
        )
        where = RasterWindow(window.column, window.row, window.width, window.height)
        try:
            stored = np.moveaxis(opened.read([1], window=where), 0, -1)
        except (RasterioError, OSError) as error:
            reason = ' '.join(str(error.__cause__ or error).split())
            raise UserError(f'{self._root}: {file}: cannot be read ({reason})') from None
        return self._values.apply(stored, f'{self._root}: {file}', (window.row, window.column))


def _whole(values: np.ndarray) -> np.ndarray:
    """Values as uint16, the nearest that it holds."""
    if values.dtype == np.uint16:
        return values.copy()
    return np.rint(np.nan_to_num(values)).clip(0, 2**16 - 1).astype(np.uint16)
