"""The files of a repaired scene: a copy with the repaired pixels, and the spread of the chains.

All that the scene's file says is kept: its place (coordinate system and transform, ground control
points, RPCs), names, units, scale and offset of bands, colours, masks, and tags of all namespaces.
Statistics alone are left out, since they are of other pixels.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.windows import Window

from eojax.data.facts import Limits
from eojax.data.reading.raster import Raster
from eojax.data.value_range import scale_from_unit

STRIP = 256  # lines read at once
_LOSSLESS = ('deflate', 'lzw', 'zstd', 'packbits')
# Namespaces that GDAL fills itself.
_OF_GDAL = ('', 'IMAGE_STRUCTURE', 'DERIVED_SUBDATASETS', 'SUBDATASETS', 'RPC', 'GEOLOCATION')


class RepairedFiles:
    """Writes the files of a scene whose pixels were repaired."""

    def __init__(
        self, raster: Raster, rows: np.ndarray, columns: np.ndarray, limits: Limits | None
    ) -> None:
        """Prepares.

        Args:
          raster: the scene, open.
          rows, columns: int `[num]`, of the repaired pixels.
          limits: of the run's data set.
        """
        self._raster, self._limits = raster, limits
        self._order = np.argsort(rows, kind='stable')
        self._rows, self._columns = rows[self._order], columns[self._order]

    def write_restored(self, values: np.ndarray, path: Path) -> None:
        """A copy of the scene with the repaired pixels in the bands that the run sees.

        Args:
          values: float32 `[num, bands]` in [-1, 1], of the pixels.
        """
        raster = self._raster
        values = raster.to_stored(scale_from_unit(values, self._limits))[self._order]
        with raster.opened_again() as source:
            profile = {**source.profile, 'driver': 'GTiff'}
            if source.driver != 'GTiff':
                # GDAL's blocks of a product are not those of a GeoTIFF.
                profile |= {'tiled': False, 'compress': 'deflate', 'bigtiff': 'if_safer'}
                del profile['blockxsize'], profile['blockysize']
            if str(profile.get('compress', 'none')).lower() not in ('none', *_LOSSLESS):
                profile |= {'compress': 'deflate'}
                profile.pop('photometric', None)
            alpha = [i for i, c in enumerate(source.colorinterp) if c is ColorInterp.alpha]
            per_dataset = MaskFlags.per_dataset in source.mask_flag_enums[raster.indexes[0] - 1]
            seen = [i - 1 for i in raster.indexes]
            values = _fit_type(values, source, raster)
            with _written_whole(path, profile) as target:
                _keep_place(source, target)
                for window, row, column, here in self._strips():
                    block = source.read(window=window)
                    for number, band in enumerate(seen):
                        block[band, row, column] = values[here, number]
                    for band in alpha:
                        block[band, row, column] = _opaque(block.dtype)
                    target.write(block, window=window)
                    if per_dataset and not alpha:
                        mask = source.dataset_mask(window=window)
                        mask[row, column] = 255
                        target.write_mask(mask, window=window)
                _keep_words(source, target)

    def write_spread(self, spread: np.ndarray, left: np.ndarray, path: Path) -> None:
        """The standard deviation of the chains in the file's units.

        Args:
          spread: float32 `[num, bands]`, of the pixels.
          left: bool `[height, width]`, which missing pixels were not repaired.
        """
        raster, half = self._raster, np.float32(1.0 / 127.5)
        zero, one = (
            raster.to_stored(
                scale_from_unit(np.full((1, len(raster.indexes)), level, np.float32), self._limits)
            )
            for level in (0.0, half)
        )
        values = (spread / half * np.abs(one - zero)).astype(np.float32)[self._order]
        profile: dict[str, Any] = {
            'driver': 'GTiff', 'dtype': 'float32', 'nodata': float('nan'), 'compress': 'deflate',
            'height': raster.height, 'width': raster.width, 'count': len(raster.indexes),
            'crs': raster.crs, 'transform': raster.transform, 'bigtiff': 'if_safer',
        }  # fmt: skip
        with raster.opened_again() as source, _written_whole(path, profile) as target:
            _keep_place(source, target)
            for window, row, column, here in self._strips():
                block = np.zeros((len(raster.indexes), window.height, window.width), np.float32)
                block[:, left[window.row_off : window.row_off + window.height]] = np.nan
                block[:, row, column] = values[here].T
                target.write(block, window=window)
            chosen = [i - 1 for i in raster.indexes]
            target.descriptions, target.units, target.scales = (
                tuple(kept[i] for i in chosen)
                for kept in (source.descriptions, _units(source), source.scales)
            )

    def _strips(self) -> Iterator[tuple[Window, np.ndarray, np.ndarray, slice]]:
        """Strips of the scene; the repaired pixels in each, in its own rows; and their numbers."""
        height, width = self._raster.height, self._raster.width
        for top in range(0, height, STRIP):
            window = Window(0, top, width, min(STRIP, height - top))
            first, last = np.searchsorted(self._rows, [top, top + window.height])
            here = slice(int(first), int(last))
            yield window, self._rows[here] - top, self._columns[here], here


def _keep_place(source: Any, target: Any) -> None:
    """Control points and RPCs; before pixels are written, since they belong to the file's head."""
    points, crs = source.gcps
    if points and crs is not None:
        target.gcps = (points, crs)
    if source.rpcs is not None:
        target.rpcs = source.rpcs


def _keep_words(source: Any, target: Any) -> None:
    """Names, units, scales, colours and tags."""
    target.descriptions, target.units = source.descriptions, _units(source)
    target.colorinterp = source.colorinterp
    target.scales, target.offsets = source.scales, source.offsets
    points, _ = source.gcps
    for band in (0, *range(1, source.count + 1)):
        tags = source.tags(band)
        kept = {k: v for k, v in tags.items() if not k.startswith('STATISTICS_')}
        if points and band == 0:
            # GDAL would move control points by a pixel; where they are is what it says already.
            kept.pop('AREA_OR_POINT', None)
        target.update_tags(band, **kept)
        for space in source.tag_namespaces(band):
            # XML is not made of keys and values.
            if space not in _OF_GDAL and not space.lower().startswith('xml:'):
                target.update_tags(band, ns=space, **source.tags(band, ns=space))


def _units(source: Any) -> tuple[str, ...]:
    return tuple(unit or '' for unit in source.units)


def _opaque(dtype: np.dtype) -> Any:
    return np.iinfo(dtype).max if dtype.kind in 'ui' else 1.0


def _fit_type(values: np.ndarray, source: Any, raster: Raster) -> np.ndarray:
    """Values of the file's type; none is the one that says that there are no data."""
    dtype = np.dtype(source.dtypes[raster.indexes[0] - 1])
    if dtype.kind == 'f':
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    whole = np.clip(np.rint(values), limits.min, limits.max)
    empty = 0.0 if source.nodata is None and dtype != np.uint8 else source.nodata
    if empty is not None:
        whole[whole == empty] = empty + 1 if empty < limits.max else empty - 1
    return whole.astype(dtype)


@contextlib.contextmanager
def _written_whole(path: Path, profile: dict[str, Any]) -> Iterator[Any]:
    """A GeoTIFF to write to, which has its name once it is complete."""
    partial = path.with_name(f'.{path.name}.{os.getpid()}.tif')
    try:
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(partial, 'w', **profile) as target,
        ):
            yield target
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
