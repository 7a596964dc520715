"""A map of land cover in a file: GeoTIFF or PNG, of numbers or colours, read by windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window

from eojax.apps.synthesise.class_values import meaning_of
from eojax.data.facts import UNKNOWN
from eojax.data.reading.formats.encoded import TIFF_MAGIC
from eojax.data.reading.formats.memory_raster import check_layout
from eojax.data.reading.scenes.ground import find_ground
from eojax.data.sources.label_values import LabelValues, label_values
from eojax.errors import UserError
from eojax.runs.run import Run

STRIP = 256  # rows that are looked through at a time
_PNG = b'\x89PNG\r\n\x1a\n'
_LOSSY = ('jpeg', 'ycbcr jpeg', 'webp')


class CoverPart(NamedTuple):
    """A window of a map of land cover.

    Attributes:
      labels: int32 `[height, width]`, classes of the run; -1 where the class is unknown.
      valid: bool `[height, width]`, false where the file has no data.
    """

    labels: np.ndarray
    valid: np.ndarray


class LandCover:
    """An open map; close it, or use it in a `with` statement.

    Attributes:
      path: of the file.
      height, width: in pixels.
      crs, transform: as in the file; `crs` is None where it has none.
      points, points_crs: ground control points and their coordinate system; empty and None without.
      rpcs: rational polynomials of a sensor; None without.
      ground: how large its pixels are on the Earth; None where that is not known.
      file: as rasterio opened it.
      bands: of it, that hold numbers or colours.
      text: where the meaning of its values is from, in words.
      class_names: of the run.
    """

    def __init__(self, path: str | Path, run: Run, said: str = '') -> None:
        """Opens it for a run.

        Args:
          said: which class each value is (`eojax.apps.synthesise.class_values`).

        Raises:
          UserError: no such file, one of another kind, or nothing says what its values mean.
        """
        self.path = Path(path)
        self._title = f'--land_cover={path}'
        self.class_names = run.facts.class_names
        if not self.path.is_file():
            raise UserError(f'{self._title}: no such file')
        self.file = self._open()
        try:
            self.bands = self._find_bands()
            self.height, self.width = self.file.shape
            self.crs: CRS | None = self.file.crs
            self.transform: Affine = self.file.transform
            self.points, self.points_crs = self.file.gcps
            self.rpcs = self.file.rpcs
            self.ground = find_ground(self.crs, self.transform, self.height, self.width)
            self.values, self.text = self._meaning(run, said)
            self.values.check_no_data(self.file.nodata, self._title)
        except BaseException:
            self.file.close()
            raise

    def __enter__(self) -> LandCover:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self.file.close()

    def pixel_metres(self) -> float | None:
        """The side of a pixel on the ground at the map's centre; None where it is not known."""
        return None if self.ground is None else float(np.sqrt(self.ground.centre))

    def check(self) -> np.ndarray:
        """Looks at all of it, by strips; returns how many pixels each class has, int64 `[K]`.

        Raises:
          UserError: a value that is no class of the run, by value, row and column; no class at all;
            or a file that is broken.
        """
        counts = np.zeros(1 + len(self.class_names), np.int64)
        for top in range(0, self.height, STRIP):
            part = self.read(top, 0, min(STRIP, self.height - top), self.width)
            counts += np.bincount(part.labels.ravel() + 1, minlength=len(counts))
        counts = counts[1:]
        if not counts.any():
            raise UserError(f'{self._title}: no pixel of it has a class')
        return counts

    def read(self, row: int, column: int, height: int, width: int) -> CoverPart:
        """A window that lies in the map.

        Raises:
          UserError: as `check`.
        """
        return self._classes(*self.stored(row, column, height, width), (row, column))

    def _classes(self, stored: np.ndarray, valid: np.ndarray, corner: tuple[int, int]) -> CoverPart:
        if not valid.any():
            return CoverPart(np.full(valid.shape, -1, np.int32), valid)
        # Where there is no data any value may stand: for the table, one that is there.
        stored = np.where(valid[..., None], stored, stored[valid][0])
        try:
            classes = self.values.apply(stored, self._title, corner)
        except UserError as error:
            raise UserError(
                f'{error} (by {self.text}); say what it is by --classes=VALUE=CLASS,... or'
                ' VALUE=none'
            ) from None
        labels = classes.astype(np.int32)
        labels[~valid | (classes == UNKNOWN)] = -1
        return CoverPart(labels, valid)

    def overview(self, height: int, width: int) -> np.ndarray:
        """The whole map in so many pixels, int32 `[height, width]`, -1 where unknown.

        Of each the class of the pixel in its middle. Smaller versions in the file are no help: most
        programs make them of means, and the mean of two classes is a third one.

        Raises:
          UserError: as `check`.
        """
        rows, columns = (
            (2 * np.arange(num) + 1) * length // (2 * num)
            for num, length in ((height, self.height), (width, self.width))
        )
        return np.stack([self.read(row, 0, 1, self.width).labels[0, columns]
                         for row in rows.tolist()])  # fmt: skip

    def stored(self, row: int, column: int, height: int, width: int) -> tuple[Any, Any]:
        """A window as the file stores it, `[height, width, 1 or 3]`, and where it has data.

        Raises:
          UserError: a file that is broken there.
        """
        window = Window(column, row, width, height)
        try:
            values = self.file.read(self.bands, window=window)
            valid = self.file.dataset_mask(window=window) > 0
        except (RasterioError, OSError) as error:
            reason = ' '.join(str(error.__cause__ or error).split())
            raise UserError(f'{self._title}: broken or truncated ({reason})') from None
        return np.moveaxis(values, 0, -1), valid

    def code(self, number: int) -> np.ndarray:
        """The stored values of a class, `[1 or 3]`, the first one where it has several.

        Raises:
          UserError: the class has no value in files like this one.
        """
        name = self.class_names[number]
        places = np.flatnonzero(self.values.classes == number)
        if not len(places):
            raise UserError(
                f'{self._title}: no value of it stands for {name} (by {self.text}): say'
                f' --classes=VALUE={name},...'
            )
        value = int(self.values.values[places[0]])
        dtype = np.dtype(self.file.dtypes[0])
        if self.values.colours:
            return np.array([value >> 16, value >> 8 & 255, value & 255], dtype)
        if dtype.kind in 'ui' and not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
            raise UserError(f'{self._title}: {dtype} does not hold {value}, which is {name}')
        return np.array([value], dtype)

    def _open(self) -> Any:
        try:
            with open(self.path, 'rb') as file:
                head = file.read(len(_PNG))
            if head != _PNG and not head.startswith(TIFF_MAGIC):
                raise UserError(f'{self._title}: no GeoTIFF and no PNG; others may blur classes')
            return rasterio.open(self.path, driver='PNG' if head == _PNG else 'GTiff')
        except (RasterioError, OSError) as error:
            reason = ' '.join(str(error).split())
            raise UserError(f'{self._title}: cannot be read ({reason})') from None

    def _find_bands(self) -> list[int]:
        """The bands of numbers, or of red, green and blue; an alpha band is a mask."""
        check_layout(self.file, self._title)
        file = self.file
        compression = str(file.profile.get('compress', '')).lower()
        if (
            compression in _LOSSY
            and file.tags(ns='IMAGE_STRUCTURE').get('COMPRESSION_REVERSIBILITY', 'LOSSY')
            != 'LOSSLESS'
        ):
            raise UserError(f'{self._title}: {compression} blurs classes; save it without loss')
        colours = file.colorinterp
        bands = [index for index in file.indexes if colours[index - 1] is not ColorInterp.alpha]
        if len(bands) not in (1, 3):
            raise UserError(
                f'{self._title}: {len(bands)} bands; a map of land cover has one band of numbers,'
                ' or red, green and blue'
            )
        return bands

    def _meaning(self, run: Run, said: str) -> tuple[LabelValues, str]:
        colours = len(self.bands) == 3
        try:
            palette = {} if colours else self.file.colormap(1)
        except ValueError:
            palette = {}
        tags = self.file.tags()
        meaning = meaning_of(run, said, tags, colours, bool(palette), self._title)
        if colours or not meaning.values.colours:
            return meaning.values, meaning.text
        if not palette:
            raise UserError(
                f'{self._title}: one band without a palette, so --classes must give numbers'
            )
        classes = dict(
            zip(meaning.values.values.tolist(), meaning.values.classes.tolist(), strict=True)
        )
        entries: dict[int | str, int | None] = {}
        for entry, (red, green, blue, _) in palette.items():
            number = classes.get(red << 16 | green << 8 | blue)
            if number is not None:
                entries[entry] = None if number == UNKNOWN else number
        if not entries:
            raise UserError(f'{self._title}: no colour of its palette is known by {meaning.text}')
        return label_values(entries), meaning.text
