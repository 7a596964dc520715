"""The files of a scene's map: cloud-optimised GeoTIFFs, written row by row, and their folder.

GDAL makes cloud-optimised files of finished ones only, so each layer is first a plain tiled GeoTIFF
beside it. Everything is made in a hidden folder beside the files' places and moved there at the
end, the summary last: a summary says that all others are there, and whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from xml.sax.saxutils import escape

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window

from eojax.atomic_file import flush_to_disk, write_atomically
from eojax.data.reading.raster import Raster
from eojax.errors import UserError

SUMMARY = 'summary.json'
BLOCK = 512
_PARTIAL = '.map_scene-'  # begins the name of a folder of unfinished files
_NO_CLASS = 255
_NO_BITS = 2**32 - 1
MOST_BITS = 31  # of an uint32 that all bits together are no data of


class Layer(NamedTuple):
    """One band of a map.

    Attributes:
      name: of its file, without suffix.
      text: what it holds.
      classes: the names of 0, 1, ...; empty for a layer of float32 values.
      colours: of these, `(red, green, blue)` from 0 to 255.
      bits: what bit 0, 1, ... of an uint32 says where it is 1; empty for other layers.
    """

    name: str
    text: str
    classes: tuple[str, ...] = ()
    colours: tuple[tuple[int, int, int], ...] = ()
    bits: tuple[str, ...] = ()

    @property
    def dtype(self) -> str:
        if self.bits:
            return 'uint32'
        return 'uint8' if self.classes else 'float32'

    @property
    def nodata(self) -> float:
        """255, all 32 bits, or NaN, which no value can be mistaken for."""
        if self.bits:
            return _NO_BITS
        return _NO_CLASS if self.classes else float('nan')

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files; GDAL keeps the names of classes beside the GeoTIFF."""
        file = f'{self.name}.tif'
        return (file, f'{file}.aux.xml') if self.classes else (file,)


def check_classes(names: Sequence[str]) -> None:
    """Refuses more classes than a byte tells apart.

    Raises:
      UserError: so many.
    """
    if len(names) > _NO_CLASS:
        raise UserError(f'{len(names)} classes: a class map holds at most {_NO_CLASS}')


class LayerFiles:
    """The layers of a scene's map in the making; use it in a `with` statement.

    Rows come from the top; what was never written is nodata. `finish` makes the files; without it,
    none of them is whole. Where they cannot be written, rasterio or the operating system raises
    (`written` says what).
    """

    def __init__(
        self, folder: Path, raster: Raster, layers: Sequence[Layer], tags: Mapping[str, str]
    ) -> None:
        """Opens them.

        Args:
          folder: for the files; best one that nobody looks into before they are finished.
          raster: the scene, whose shape and place on Earth they have: coordinate system and
            transform, or ground control points; RPCs too.
          tags: of all files.
        """
        self._folder, self._tags = folder, tags
        self._layers = {layer.name: layer for layer in layers}
        self._height, self._width = raster.height, raster.width
        self._buffers = {
            name: np.full((BLOCK, self._width), layer.nodata, layer.dtype)
            for name, layer in self._layers.items()
        }
        self._top = self._filled = 0
        profile = {
            'driver': 'GTiff', 'height': raster.height, 'width': raster.width, 'count': 1,
            'tiled': True, 'blockxsize': BLOCK, 'blockysize': BLOCK, 'compress': 'deflate',
            'zlevel': 1, 'bigtiff': 'if_safer',
        }  # fmt: skip
        if not raster.by_points:
            profile |= {'crs': raster.crs, 'transform': raster.transform}
        self._files = {
            name: rasterio.open(
                self._plain(name), 'w', dtype=layer.dtype, nodata=layer.nodata, **profile
            )
            for name, layer in self._layers.items()
        }
        for file in self._files.values():
            if raster.by_points:
                file.gcps = (raster.points, raster.points_crs)
            if raster.rpcs is not None:
                file.rpcs = raster.rpcs
        self._present = dict.fromkeys(self._layers, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files.values():
            # What went wrong is on its way already, or was told by `finish`.
            with contextlib.suppress(RasterioError, OSError):
                file.close()

    def write(self, values: Mapping[str, np.ndarray], present: np.ndarray, height: int) -> None:
        """The next row of cells of `height` x `height` pixels.

        Args:
          values: by layer, `[cells]` from the left.
          present: bool `[cells]`, which of them are not nodata.
        """
        lines = {
            name: np.where(present, line, self._layers[name].nodata).repeat(height)
            for name, line in values.items()
        }
        while height:
            taken = min(height, BLOCK - self._filled)
            for name, line in lines.items():
                self._buffers[name][self._filled : self._filled + taken, : len(line)] = line
            self._filled += taken
            height -= taken
            if self._filled == BLOCK:
                self._flush()

    def finish(self) -> None:
        """Makes the cloud-optimised files, and reads them again to see that they are whole."""
        while self._top < self._height:
            self._filled = BLOCK
            self._flush()
        for name, layer in self._layers.items():
            file = self._files[name]
            self._describe(file, layer)
            file.close()
            self._optimise(layer)
            self._plain(name).unlink()

    def _plain(self, name: str) -> Path:
        return self._folder / f'{name}.plain.tif'

    def _flush(self) -> None:
        """Writes the buffer, a row of whole blocks."""
        height = min(self._filled, self._height - self._top)
        window = Window(0, self._top, self._width, height)
        for name, buffer in self._buffers.items():
            self._files[name].write(buffer[:height], 1, window=window)
            self._present[name] += _count(buffer[:height])
            buffer.fill(self._layers[name].nodata)
        self._top, self._filled = self._top + height, 0

    def _describe(self, file: rasterio.io.DatasetWriter, layer: Layer) -> None:
        file.set_band_description(1, layer.text)
        names = {f'CLASS_{number}': name for number, name in enumerate(layer.classes)}
        bits = {f'BIT_{number}': name for number, name in enumerate(layer.bits)}
        file.update_tags(**self._tags, **names, **bits)
        if layer.classes:
            colours = {number: (*colour, 255) for number, colour in enumerate(layer.colours)}
            file.write_colormap(1, colours | {_NO_CLASS: (0, 0, 0, 0)})

    def _optimise(self, layer: Layer) -> None:
        path = self._folder / f'{layer.name}.tif'
        discrete = bool(layer.classes or layer.bits)
        way = Resampling.mode if discrete else Resampling.average
        rasterio.shutil.copy(
            self._plain(layer.name), path, driver='COG', blocksize=BLOCK, compress='deflate',
            predictor='no' if discrete else 'yes', overview_resampling=way.name.upper(),
            bigtiff='if_safer',
        )  # fmt: skip
        if layer.classes:
            listed = ''.join(f'<Category>{escape(name)}</Category>' for name in layer.classes)
            path.with_name(f'{path.name}.aux.xml').write_text(
                '<PAMDataset><PAMRasterBand band="1"><CategoryNames>'
                f'{listed}</CategoryNames></PAMRasterBand></PAMDataset>\n',
                encoding='utf-8',
            )
        self._check(layer.name, path)

    def _check(self, name: str, path: Path) -> None:
        """Reads all of a file and counts: of a full disk GDAL may say nothing before."""
        with rasterio.open(path) as file:
            levels = range(len(file.overviews(1)))
            found = sum(_count(file.read(1, window=w)) for _, w in file.block_windows(1))
        if found != self._present[name]:
            raise OSError(f'{path.name} is not complete')
        for level in levels:
            with rasterio.open(path, overview_level=level) as image:
                for _, window in image.block_windows(1):
                    image.read(1, window=window)


def _count(values: np.ndarray) -> int:
    """Pixels that are not nodata."""
    whole = {'u1': _NO_CLASS, 'u4': _NO_BITS}.get(values.dtype.str[1:])
    empty = np.isnan(values) if whole is None else values == whole
    return values.size - int(np.count_nonzero(empty))


def complete(out: Path, settings: Mapping[str, Any], files: Sequence[str]) -> dict[str, Any] | None:
    """The summary of a map of these settings whose files are all there, if there is one."""
    try:
        summary = json.loads((out / SUMMARY).read_text(encoding='utf-8'))
        same = summary['settings'] == settings
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return summary if same and all((out / name).is_file() for name in files) else None


@contextlib.contextmanager
def unfinished(out: Path) -> Iterator[Path]:
    """A hidden folder in `out` for files in the making; it is gone at the end.

    Those of killed commands are removed first.
    """
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob(f'{_PARTIAL}*'):
        shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=out))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(
    folder: Path,
    out: Path,
    files: Sequence[str],
    summary: Mapping[str, Any],
    stale: Sequence[str] = (),
) -> None:
    """Moves the files to their places, the summary last; what is `stale` there is removed."""
    for name in files:
        with open(folder / name, 'rb') as file:
            flush_to_disk(file)
    # An older summary would vouch for the new files.
    for name in (SUMMARY, *stale):
        (out / name).unlink(missing_ok=True)
    for name in files:
        os.replace(folder / name, out / name)
    write_summary(out / SUMMARY, summary)


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Writes JSON, whole or not at all."""
    text = json.dumps(summary, indent=2, allow_nan=False)
    write_atomically(path, lambda file: file.write(f'{text}\n'.encode()))


@contextlib.contextmanager
def written(folder: Path) -> Iterator[None]:
    """Names the folder in which GDAL or the operating system refuses to write."""
    try:
        yield
    except (RasterioError, OSError, *_GDAL_ERRORS) as error:
        reason = getattr(error, 'strerror', None) or error.__cause__ or error
        raise UserError(
            f'{folder} cannot be written to (is the disk full?): {_one_line(reason)}'
        ) from error


def _one_line(reason: object) -> str:
    return ' '.join(str(reason).split())


def _gdal_errors() -> tuple[type[Exception], ...]:
    # The base class of what rasterio.shutil raises has no public name of its own.
    from rasterio._err import CPLE_BaseError

    return (CPLE_BaseError,)


_GDAL_ERRORS = _gdal_errors()
