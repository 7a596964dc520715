"""The bands of a scene on one grid: a virtual raster of GDAL, of which windows are read.

The grid is that of the finest band, 10 m. Bands of 20 and 60 m are brought to it by bilinear
interpolation between the centres of their pixels: no value lies beyond those that were measured,
which cubic interpolation does not promise. Pixels without data (0 in Sentinel-2's products, the
file's own value, or its mask) take no part in it. Along the border of what a coarse band measured
its outermost pixels are repeated, from half a pixel inside to half a pixel outside; so a pixel has
data only where a band of the finest grid has (`eojax.data.reading.scenes.validity`). What is read
of a window does not depend on the window (`tests/data/reading/bands/test_mosaic.py`), and no band
is ever in memory as a whole.

Files lie where their transforms say; files without any begin at one corner. The grid ends where the
first of them ends, which cuts off less than a pixel of the coarsest, and nothing else: files that
cover other ground are refused.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.enums import MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, MemoryFile
from rasterio.transform import Affine

from eojax.data.reading.bands.files import BandFiles, open_band_files, path_in_archive
from eojax.data.reading.image_files import JPEG_2000_SUFFIXES
from eojax.data.reading.scenes.validity import INTERPOLATED
from eojax.data.reading.sentinel2 import UNITS_PER_REFLECTANCE, Level
from eojax.errors import UserError

# GDAL's names of NumPy's types; int8 and complex ones are of no optical sensor.
_TYPES = {'uint8': 'Byte', 'uint16': 'UInt16', 'int16': 'Int16', 'float32': 'Float32',
          'float64': 'Float64', 'int32': 'Int32', 'uint32': 'UInt32'}  # fmt: skip
# Beside a file lie those of all other scenes: GDAL is not to list them.
_OPTIONS = {'GDAL_DISABLE_READDIR_ON_OPEN': 'TRUE'}
# Of a pixel of the finest band: files whose corners differ by less begin at one point.
_NEAR = 0.01

warnings.filterwarnings('ignore', category=NotGeoreferencedWarning)
# What goes wrong is raised as well.
logging.getLogger('rasterio').setLevel(logging.CRITICAL)


class _File(NamedTuple):
    """The header of a band's file.

    Attributes:
      path: for GDAL.
      height, width: in its own pixels.
      dtype: of its values.
      nodata: the value of pixels without data; None where it says none.
      crs: its coordinate system; None without.
      transform: None where the file has none.
      masked: whether a mask in or beside the file says which pixels hold data.
    """

    path: str
    height: int
    width: int
    dtype: str
    nodata: float | None
    crs: CRS | None
    transform: Affine | None
    masked: bool = False


class _Placed(NamedTuple):
    """Where a file lies on the grid of the finest one, in its pixels: left, top, right, bottom."""

    left: float
    top: float
    right: float
    bottom: float


class Mosaic(NamedTuple):
    """A virtual raster.

    Attributes:
      xml: that rasterio opens in place of a file.
      notes: what the user should know, a line each.
    """

    xml: str
    notes: tuple[str, ...]


def build_mosaic(band_files: BandFiles, bands: Sequence[str] = ()) -> Mosaic:
    """The bands of a scene on one grid, with their names, and as tags what its product says.

    Where a product adds to its values, or multiplies reflectance with another number than 10,000,
    each band has the scale and offset that make reflectance of its values; nothing is applied.

    Args:
      band_files: of the scene.
      bands: those that are wanted, in that order; all where empty. The grid is that of all.

    Raises:
      UserError: a band that is missing or cannot be read, files of other ground, or bands that are
        wanted and of several types.
    """
    title = str(band_files.path)
    wanted = tuple(bands) or tuple(band_files.files)
    missing = [band for band in wanted if band not in band_files.files]
    if missing:
        raise UserError(
            f'{title}: has no file of {", ".join(missing)}; it has {", ".join(band_files.files)}'
        )
    headers = {band: _header(path, band) for band, path in _to_open(band_files, wanted).items()}
    if bands:
        _check_types(title, {band: headers[band] for band in wanted})
    finest = _finest(headers)
    placed = {band: _place(title, file, finest, band) for band, file in headers.items()}
    left, top, right, bottom = _shared(title, headers, placed, finest)
    notes: tuple[str, ...] = ()
    cut = max(finest.width - (right - left), finest.height - (bottom - top))
    if cut:
        notes = (
            f'{title}: its files do not cover quite the same ground: {right - left}x{bottom - top}'
            f' pixels that all of them cover are taken of {finest.width}x{finest.height}',
        )
    lines = [f'<VRTDataset rasterXSize="{right - left}" rasterYSize="{bottom - top}">']
    if finest.crs is not None:
        lines.append(f'<SRS>{escape(finest.crs.to_wkt())}</SRS>')
    if finest.transform is not None:
        moved = (finest.transform @ Affine.translation(left, top)).to_gdal()
        lines.append(f'<GeoTransform>{", ".join(map(repr, moved))}</GeoTransform>')
    lines += _tags(band_files)
    for number, band in enumerate(wanted, 1):
        file, place = headers[band], placed[band]
        where = _Placed(place.left - left, place.top - top, place.right - left, place.bottom - top)
        lines += _band(number, band, file, where, file is finest or _is_whole(file, place))
        lines += [*_line(band_files, band), '</VRTRasterBand>']
    return Mosaic('\n'.join([*lines, '</VRTDataset>']), notes)


def open_mosaic(band_files: BandFiles, bands: Sequence[str] = ()) -> tuple[DatasetReader, Mosaic]:
    """The bands of a scene, opened; see `build_mosaic`.

    Raises:
      UserError: as there.
    """
    mosaic = build_mosaic(band_files, bands)
    with rasterio.Env(**_OPTIONS):
        return rasterio.open(mosaic.xml, driver='VRT'), mosaic


def open_scene_of_bands(path: Path, bands: Sequence[str] = ()) -> tuple[DatasetReader, Mosaic]:
    """The one scene at a path; see `open_band_files` and `build_mosaic`."""
    return open_mosaic(open_band_files(path), bands)


def as_geotiff(path: Path, most: int = 2048) -> bytes:
    """The bands of a small scene as one GeoTIFF, with all that `build_mosaic` says of them.

    Args:
      path: of the scene.
      most: its height and width in pixels at most.

    Raises:
      UserError: as `build_mosaic`; or a larger scene.
    """
    band_files = open_band_files(path)
    opened, _ = open_mosaic(band_files, tuple(band_files.files))
    with opened, MemoryFile() as memory:
        if max(opened.shape) > most:
            raise UserError(
                f'{path}: {opened.width}x{opened.height} pixels, a scene and no image: eojax map'
                ' takes scenes'
            )
        try:
            values = opened.read()
        except (RasterioError, OSError) as error:
            reason = ' '.join(str(error.__cause__ or error).split())
            raise UserError(f'{path}: broken or truncated ({reason})') from None
        placed = {'crs': opened.crs, 'transform': opened.transform, 'nodata': opened.nodata}
        with memory.open(
            driver='GTiff', height=opened.height, width=opened.width, count=opened.count,
            dtype=values.dtype, **placed,
        ) as file:  # fmt: skip
            file.write(values)
            file.descriptions = opened.descriptions
            file.scales, file.offsets = opened.scales, opened.offsets
            file.update_tags(**opened.tags())
            for index in opened.indexes:
                file.update_tags(index, **opened.tags(index))
        return memory.read()


def beside(path: Path, scene: DatasetReader, title: str) -> DatasetReader:
    """A file of one band, such as labels, on the grid of a scene; no value is made of two.

    What lies beyond the file is 0.

    Args:
      path: of the file; of one in an archive with the archive's.
      scene: that it belongs to.
      title: of the file, for messages.

    Raises:
      UserError: it cannot be read, has no place on Earth, or lies elsewhere.
    """
    root, below = path_in_archive(path)
    file = _header(f'/vsizip/{{{root}}}/{below}' if below else str(path), 'labels')
    if file.transform is None or scene.transform == Affine.identity():
        if (file.height, file.width) != scene.shape:
            raise UserError(f'{title}: it and its scene do not say where they lie, and differ')
        place = _Placed(0.0, 0.0, file.width, file.height)
    else:
        grid = _File('', scene.height, scene.width, 'uint16', None, scene.crs, scene.transform)
        place = _place(title, file, grid, 'the file')
    if min(place.right, scene.width) <= max(place.left, 0.0) or (
        min(place.bottom, scene.height) <= max(place.top, 0.0)
    ):
        raise UserError(f'{title}: lies beside its scene, and shows none of it')
    lines = [
        f'<VRTDataset rasterXSize="{scene.width}" rasterYSize="{scene.height}">',
        f'<VRTRasterBand dataType="{_TYPES[file.dtype]}" band="1">',
        *_source(escape(file.path), file, place, ''),
        '</VRTRasterBand></VRTDataset>',
    ]
    with rasterio.Env(**_OPTIONS):
        return rasterio.open('\n'.join(lines), driver='VRT')


def _to_open(band_files: BandFiles, wanted: Sequence[str]) -> Mapping[str, str]:
    """The files of the wanted bands, and of one of 10 m for the grid."""
    fine = next((band for band in ('B04', 'B03', 'B02', 'B08') if band in band_files.files), None)
    if fine is None:
        return band_files.files
    return {band: path for band, path in band_files.files.items() if band in (*wanted, fine)}


def _header(path: str, band: str) -> _File:
    try:
        with rasterio.Env(**_OPTIONS), rasterio.open(path, driver=_driver(path)) as file:
            if file.count != 1:
                raise UserError(f'{path}: {file.count} bands; expected {band} alone')
            if file.dtypes[0] not in _TYPES:
                raise UserError(f'{path}: pixels of type {file.dtypes[0]}')
            placed = file.transform if file.transform != Affine.identity() else None
            return _File(
                path, file.height, file.width, file.dtypes[0], file.nodata, file.crs, placed,
                MaskFlags.per_dataset in file.mask_flag_enums[0],
            )  # fmt: skip
    except (RasterioError, OSError) as error:
        reason = ' '.join(str(error.__cause__ or error).split())
        raise UserError(f'{path}: not a GeoTIFF or JPEG 2000 file ({reason})') from None


def _check_types(title: str, files: Mapping[str, _File]) -> None:
    """Refuses bands of several types: their values do not mean the same."""
    first, *others = files
    for band in others:
        if files[band].dtype != files[first].dtype:
            raise UserError(
                f'{title}: {first} is of type {files[first].dtype} and {band} of'
                f' {files[band].dtype}: write all bands in one type, with values that mean the same'
            )


def _driver(path: str) -> str:
    return 'JP2OpenJPEG' if path.lower().endswith(JPEG_2000_SUFFIXES) else 'GTiff'


def _finest(files: Mapping[str, _File]) -> _File:
    """The file of the smallest pixels; of the most where no file says how large they are."""
    if all(file.transform is not None for file in files.values()):
        return min(files.values(), key=lambda file: abs(file.transform.a))  # type: ignore[union-attr]
    return max(files.values(), key=lambda file: file.height * file.width)


def _place(title: str, file: _File, finest: _File, band: str) -> _Placed:
    """Where a file lies on the finest one's grid.

    Raises:
      UserError: another coordinate system, or pixels that are turned.
    """
    if file.transform is None or finest.transform is None:
        if (file.transform is None) != (finest.transform is None):
            raise UserError(f'{title}: {file.path} says where it lies and {finest.path} does not')
        # Without a place, one pixel of it covers a whole number of the finest ones.
        times = max(1, round(finest.height / file.height))
        return _Placed(0.0, 0.0, float(file.width * times), float(file.height * times))
    if file.crs != finest.crs:
        raise UserError(
            f'{title}: {band} is in the coordinate system {file.crs}, and others are in'
            f' {finest.crs}: they are of two tiles'
        )
    if file.transform.b or file.transform.d:
        raise UserError(f'{file.path}: its rows do not run from west to east; warp it first')
    inverse = ~finest.transform
    left, top = inverse @ (file.transform.c, file.transform.f)
    right, bottom = inverse @ (file.transform @ (file.width, file.height))
    return _Placed(left, top, right, bottom)


def _shared(
    title: str, files: Mapping[str, _File], placed: Mapping[str, _Placed], finest: _File
) -> tuple[int, int, int, int]:
    """The pixels of the finest grid that all files cover: left, top, right, bottom.

    Raises:
      UserError: a file that covers other ground, by more than a pixel of the coarser of the two.
    """
    for band, place in placed.items():
        file = files[band]
        side = max((place.right - place.left) / file.width, 1.0)
        beyond = (
            place.left, place.top, place.right - finest.width, place.bottom - finest.height,
        )  # fmt: skip
        if max(map(abs, beyond)) >= side + _NEAR:
            raise UserError(
                f'{title}: {file.path} ({file.width}x{file.height} pixels) does not cover the'
                f' ground of {finest.path} ({finest.width}x{finest.height}): they are of two scenes'
            )
    left, top = (
        math.ceil(max(getattr(place, side) for place in placed.values()) - _NEAR)
        for side in ('left', 'top')
    )
    right, bottom = (
        math.floor(min(getattr(place, side) for place in placed.values()) + _NEAR)
        for side in ('right', 'bottom')
    )
    return max(left, 0), max(top, 0), min(right, finest.width), min(bottom, finest.height)


def _is_whole(file: _File, place: _Placed) -> bool:
    """Whether its pixels are those of the grid."""
    size = place.right - place.left, place.bottom - place.top
    whole = np.allclose(size, (file.width, file.height), atol=_NEAR)
    return whole and bool(np.allclose(place[:2], np.rint(place[:2]), atol=_NEAR))


def _tags(band_files: BandFiles) -> list[str]:
    """What the product says, as GeoTIFFs of scenes do."""
    metadata, tags = band_files.metadata, {}
    if metadata is not None:
        if metadata.baseline:
            tags['PROCESSING_BASELINE'] = metadata.baseline
        if metadata.level is not None:
            tags['PROCESSING_LEVEL'] = f'Level-{metadata.level.value[1:].upper()}'
        if metadata.level is Level.L2A or metadata.level is Level.L1C:
            tags['PRODUCT_TYPE'] = f'S2MSI{metadata.level.value[1:].upper()}'
    items = (f'<MDI key={quoteattr(key)}>{escape(text)}</MDI>' for key, text in tags.items())
    return ['<Metadata>', *items, '</Metadata>']


def _tag_of_band(file: _File, place: _Placed) -> list[str]:
    """Says of a band of larger pixels than the grid's that it was interpolated."""
    if place.right - place.left <= file.width + _NEAR:
        return []
    return [f'<Metadata><MDI key="{INTERPOLATED}">bilinear</MDI></Metadata>']


def _line(band_files: BandFiles, band: str) -> list[str]:
    """The scale and offset of a band, where values are not reflectance times 10,000 already."""
    metadata = band_files.metadata
    if metadata is None:
        return []
    if metadata.quantification == UNITS_PER_REFLECTANCE and not any(metadata.added.values()):
        return []
    added = metadata.added.get(band, 0.0)
    return [
        f'<Scale>{1.0 / metadata.quantification!r}</Scale>',
        f'<Offset>{-added / metadata.quantification!r}</Offset>',
    ]


def _band(number: int, name: str, file: _File, place: _Placed, whole: bool) -> list[str]:
    """A band without its end."""
    nodata = file.nodata
    if nodata is None and (file.masked or np.dtype(file.dtype).kind in 'ui'):
        nodata = 0.0 if np.dtype(file.dtype).kind in 'ui' else math.nan
    source, dtype, way = escape(file.path), _TYPES[file.dtype], ''
    empty = [] if nodata is None else [f'<NoDataValue>{nodata!r}</NoDataValue>']
    if not whole:
        # Within it, that some pixels hold no data is known to the interpolation.
        inner = [
            f'<VRTDataset rasterXSize="{file.width}" rasterYSize="{file.height}">',
            f'<VRTRasterBand dataType="{dtype}" band="1">', *empty,
            *_source(source, file, _Placed(0, 0, file.width, file.height), '', file.masked),
            '</VRTRasterBand></VRTDataset>',
        ]  # fmt: skip
        source, way = escape(''.join(inner)), ' resampling="bilinear"'
    return [
        f'<VRTRasterBand dataType="{dtype}" band="{number}">',
        f'<Description>{name}</Description>', *_tag_of_band(file, place), *empty,
        *_source(source, file, place, way, file.masked and whole),
    ]  # fmt: skip


def _source(source: str, file: _File, place: _Placed, way: str, by_mask: bool = False) -> list[str]:
    width, height = place.right - place.left, place.bottom - place.top
    kind = 'ComplexSource' if by_mask else 'SimpleSource'
    return [
        f'<{kind}{way}><SourceFilename relativeToVRT="0">{source}</SourceFilename>',
        '<SourceBand>1</SourceBand>',
        f'<SrcRect xOff="0" yOff="0" xSize="{file.width}" ySize="{file.height}"/>',
        f'<DstRect xOff="{place.left!r}" yOff="{place.top!r}" xSize="{width!r}"'
        f' ySize="{height!r}"/>',
        *(['<UseMaskBand>true</UseMaskBand>'] if by_mask else []),
        f'</{kind}>',
    ]
