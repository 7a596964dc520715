"""GeoTIFFs on the pixels of a map of land cover, written from the top, cloud-optimised at the end.

Where inputs lack data an image is NaN, or of whole numbers masked: a mask in the file, so that no
value is lost for it. A file has its name once it is complete.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from eojax.apps.map_scene.files import BLOCK, written
from eojax.data import facts
from eojax.drawing.class_colours import Colour
from eojax.drawing.pictures import shown_indices

_COLOURS = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


class Place(Protocol):
    """Where a file lies: that of a map of land cover."""

    height: int
    width: int
    crs: Any
    transform: Any
    points: Any
    points_crs: Any
    rpcs: Any


class Kind(NamedTuple):
    """The bands of a file.

    Attributes:
      bands: their names.
      dtype: of all.
      nodata: the value of pixels without data; None for a mask in the file, where one is needed.
      visible: whether the first three bands are red, green and blue.
      palette: a colour by value, of one band of uint8.
      classes: whether values are classes, by number or colour, of which there is no mean.
      tags: of the file.
      unit: of the values; empty where it is not known.
    """

    bands: tuple[str, ...]
    dtype: str
    nodata: float | None = None
    visible: bool = False
    palette: Mapping[int, Colour] = {}
    tags: Mapping[str, str] = {}
    unit: str = ''
    classes: bool = False


def kind_of(raster: facts.Raster, tags: Mapping[str, str]) -> Kind:
    """The bands of a file that holds a raster."""
    nodata = float('nan') if np.dtype(raster.dtype).kind == 'f' else None
    visible = raster.dtype == 'uint8' and shown_indices(raster.bands) == [0, 1, 2]
    unit = 'dB' if raster.decibels else ''
    return Kind(raster.bands, raster.dtype, nodata, visible, tags=tags, unit=unit)


class RasterFile:
    """A GeoTIFF in the making; `writing` opens one."""

    def __init__(self, plain: Path, place: Place, kind: Kind) -> None:
        self._kind, self._width = kind, place.width
        profile: dict[str, Any] = {
            'driver': 'GTiff', 'height': place.height, 'width': place.width,
            'count': len(kind.bands), 'dtype': kind.dtype, 'nodata': kind.nodata,
            'tiled': True, 'blockxsize': BLOCK, 'blockysize': BLOCK, 'compress': 'deflate',
            'zlevel': 1, 'bigtiff': 'if_safer',
        }  # fmt: skip
        by_points = place.crs is None and place.points
        if not by_points:
            profile |= {'crs': place.crs, 'transform': place.transform}
        if kind.visible:
            profile['photometric'] = 'RGB'
        self.file = rasterio.open(plain, 'w', **profile)
        if by_points:
            self.file.gcps = (place.points, place.points_crs)
        if place.rpcs is not None:
            self.file.rpcs = place.rpcs
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []
        self._top = self._held = 0
        self.masked = False

    def write(self, values: np.ndarray, valid: np.ndarray) -> None:
        """The next rows.

        Args:
          values: `[rows, width, bands]`.
          valid: bool `[rows, width]`.
        """
        self._parts.append((values, valid))
        self._held += len(values)
        if self._held >= BLOCK:
            self._flush(self._held // BLOCK * BLOCK)

    def finish(self) -> None:
        """Writes what is left, and names and tags."""
        if self._held:
            self._flush(self._held)
        if self._kind.palette:
            colours = {value: (*colour, 255) for value, colour in self._kind.palette.items()}
            self.file.write_colormap(1, colours)
        if self._kind.visible:
            extra = (ColorInterp.undefined,) * (len(self._kind.bands) - 3)
            self.file.colorinterp = (*_COLOURS, *extra)
        self.file.descriptions = self._kind.bands
        if self._kind.unit:
            self.file.units = (self._kind.unit,) * len(self._kind.bands)
        self.file.update_tags(**self._kind.tags)

    def _flush(self, rows: int) -> None:
        """Writes whole rows of blocks, and keeps the rest."""
        values = np.concatenate([part[0] for part in self._parts])
        valid = np.concatenate([part[1] for part in self._parts])
        self._parts = [(values[rows:], valid[rows:])] if len(values) > rows else []
        self._held = len(values) - rows
        values, valid = values[:rows], valid[:rows]
        window = Window(0, self._top, self._width, rows)
        if not valid.all():
            empty = self._kind.nodata or 0
            values = np.where(valid[..., None], values, np.array(empty, values.dtype))
        if self._kind.nodata is None and (self.masked or not valid.all()):
            if not self.masked:
                self._unmask_rows_above()
            self.file.write_mask(valid, window=window)
            self.masked = True
        self.file.write(np.moveaxis(values, -1, 0), window=window)
        self._top += rows

    def _unmask_rows_above(self) -> None:
        """Writes the mask of what was written before any pixel lacked data."""
        block = np.ones((BLOCK, self._width), bool)
        for top in range(0, self._top, BLOCK):
            self.file.write_mask(block, window=Window(0, top, self._width, BLOCK))


@contextlib.contextmanager
def writing(path: Path, place: Place, kind: Kind) -> Iterator[RasterFile]:
    """A GeoTIFF to write to, cloud-optimised and at its place once the block ends.

    Raises:
      UserError: the disk is full, or the folder cannot be written to.
    """
    plain, made = (path.with_name(f'.{path.name}.{os.getpid()}.{i}.tif') for i in (0, 1))
    try:
        with written(path.parent), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
            file = RasterFile(plain, place, kind)
            try:
                yield file
                file.finish()
            finally:
                file.file.close()
            discrete = bool(kind.palette) or kind.classes
            # The bands of a colour must come from one pixel.
            of_classes = 'MODE' if len(kind.bands) == 1 else 'NEAREST'
            rasterio.shutil.copy(
                plain, made, driver='COG', blocksize=BLOCK, compress='deflate',
                predictor='no' if discrete else 'yes',
                overview_resampling=of_classes if discrete else 'AVERAGE', bigtiff='if_safer',
            )  # fmt: skip
            os.replace(made, path)
    finally:
        for partial in (plain, made):
            partial.unlink(missing_ok=True)
