"""Further rasters of a scene's ground, for networks that see more than images.

Each is a GeoTIFF of its own (`--raster elevation=dem.tif`). Whatever its coordinate system and
resolution, GDAL brings it onto the scene's pixels as it is read, window by window, by bilinear
interpolation. Its values must be those that the run was trained on: they are not scaled, and a file
whose values cannot be these is refused, as is one that says that its heights are in other units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from eojax.data import facts
from eojax.data.reading.raster import Part
from eojax.data.reading.scenes.ground import PROJECTION_ERRORS
from eojax.data.reading.scenes.same_pixels import same_pixels
from eojax.data.reading.scenes.validity import stands_in_all_bands
from eojax.data.value_range import stand_for_no_data
from eojax.errors import UserError
from eojax.runs.run import Run

_SAMPLE = 256  # pixels along each side of the grid at which values are looked at
_MOST_SCALED = 0.01  # by which units of heights may differ
_MOST_OUTSIDE = 0.5  # share of them that may lie beyond the limits of training
# Metres that heights of 1 are, by the units that files name.
_METRES = {
    **dict.fromkeys(('m', 'metre', 'metres', 'meter', 'meters'), 1.0),
    **dict.fromkeys(('dm', 'decimetre', 'decimetres', 'decimeter', 'decimeters'), 0.1),
    **dict.fromkeys(('cm', 'centimetre', 'centimetres', 'centimeter', 'centimeters'), 0.01),
    **dict.fromkeys(
        ('ft', 'foot', 'feet', 'international foot', 'international feet', 'us-ft', 'ftus',
         'us_survey_foot', 'us survey foot', 'us survey feet'), 0.3048
    ),
}  # fmt: skip
_SAME = 1e-2  # of a pixel: grids that nowhere differ by more are the same


class Grid(Protocol):
    """The pixels that a raster is brought onto: of a scene, or of a map of land cover.

    Attributes:
      path: of its file.
      height, width: in pixels.
      crs, transform: where they lie; `crs` is None where nothing says.
      points: ground control points, of a file that they alone put in place.
    """

    path: Path
    height: int
    width: int
    crs: CRS | None
    transform: Affine
    points: Sequence[Any]


class Companion:
    """A raster beside a scene, read on the scene's pixels; close it when done.

    Attributes:
      name: of the raster in the run's facts.
      path: of the file.
    """

    def __init__(self, name: str, path: Path, known: facts.Raster, scene: Grid) -> None:
        """Opens it.

        Args:
          known: the facts of the raster that the run was trained on.
          scene: whose pixels it is brought onto; where these lie nowhere on Earth, the file must
            have as many of them.

        Raises:
          UserError: no such file, other bands or types, values that cannot be those of training, or
            ground that the scene does not show.
        """
        self.name, self.path, self._known = name, path, known
        self._title = f'--raster {name}={path}'
        try:
            self._file = rasterio.open(path)
        except (RasterioError, OSError) as error:
            raise UserError(f'{self._title}: cannot be read ({error})') from None
        try:
            self._check_kind()
            self._alpha: int | None = None
            self._warped = self._brought_onto(scene)
            self._check_values(scene)
        except BaseException:
            self._file.close()
            raise

    def _brought_onto(self, scene: Grid) -> Any:
        """The file, read on the pixels of a scene."""
        if scene.crs is None and scene.points:
            raise UserError(
                f'{self._title}: {scene.path} is placed by control points alone; bring both onto'
                ' the ground first (gdalwarp -t_srs EPSG:...)'
            )
        if scene.crs is None:
            if self._file.shape != (scene.height, scene.width):
                raise UserError(
                    f'{self._title}: is {self._file.width} x {self._file.height} pixels, and'
                    f' {scene.path}, which lies nowhere on Earth, {scene.width} x {scene.height}'
                )
            return self._file
        if self._file.crs is None:
            raise UserError(f'{self._title}: has no coordinate system, so it lies nowhere on Earth')
        size = scene.height, scene.width
        same = self._file.shape == size and same_pixels(
            self._file.transform, scene.transform, *size, _SAME
        )
        if same and self._file.crs == scene.crs:
            return self._file
        # Without a value for no data, a further band says where the file has any.
        alpha = self._file.nodata is None
        try:
            warped = WarpedVRT(
                self._file, crs=scene.crs, transform=scene.transform, width=scene.width,
                height=scene.height, resampling=Resampling.bilinear, add_alpha=alpha,
            )  # fmt: skip
        except PROJECTION_ERRORS as error:
            # Some files name their system so that no program knows it, as FLAIR's masks do.
            if same:
                return self._file
            raise UserError(
                f'{self._title}: no way from its coordinate system to that of {scene.path}'
                f' ({" ".join(str(error).split())[:120]} ...)'
            ) from None
        self._alpha = warped.count if alpha else None
        return warped

    def close(self) -> None:
        """Closes the file."""
        self._warped.close()
        self._file.close()

    def read(self, row: int, column: int, height: int, width: int) -> Part:
        """A window of the scene: values in the type of training, and where there are any."""
        return self._read(Window(column, row, width, height))

    def overview(self, height: int, width: int) -> Part:
        """All of the scene's ground in so many pixels."""
        whole = Window(0, 0, self._warped.width, self._warped.height)
        return self._read(whole, (height, width))

    def _read(self, window: Window, shape: tuple[int, int] | None = None) -> Part:
        options: dict[str, Any] = {'window': window}
        bands = list(range(1, len(self._known.bands) + 1))
        if shape is not None:
            options |= {'out_shape': (len(bands), *shape), 'resampling': Resampling.nearest}
        try:
            values = self._warped.read(bands, **options)
            if self._alpha is None:
                masks = self._warped.read_masks(bands, **options)
            else:
                masks = self._warped.read([self._alpha], **options)
        except (RasterioError, OSError) as error:
            raise UserError(f'{self._title}: broken or truncated ({error})') from None
        # A value that can be measured is one for no data where all bands have it, as in training.
        held = masks > 0
        empty = self._file.nodata
        together = empty is not None and stands_in_all_bands(empty, self._file.dtypes[0])
        valid = (held.any(0) if together else held.all(0)) & np.isfinite(values).all(0)
        pixels = self._physical(np.moveaxis(values, 0, -1))
        # As in training: the network sees them around the pixels that it classifies.
        pixels[~valid] = self._known.empty
        return Part(pixels, valid)

    def _physical(self, values: np.ndarray) -> np.ndarray:
        """Stored values `[..., bands]` by the file's scale and offset, in the type of training.

        Radar that training has read as amplitudes or powers becomes decibels, unless the file says
        that it holds these.
        """
        dtype = np.dtype(self._known.dtype)
        if self._scaled:
            values = values * np.array(self._file.scales) + np.array(self._file.offsets)
        if self._linear:
            return facts.decibels_of(values, self._known)
        if self._scaled and dtype.kind in 'ui':
            values = np.clip(np.rint(values), np.iinfo(dtype).min, np.iinfo(dtype).max)
        return values.astype(dtype)

    def _check_kind(self) -> None:
        bands, known = self._known.bands, np.dtype(self._known.dtype)
        if self._file.count != len(bands):
            raise UserError(
                f'{self._title}: has {self._file.count} band(s); the run was trained on'
                f' {len(bands)}: {", ".join(bands)} (gdal_translate -b NUMBER takes one out)'
            )
        self._scaled = {*self._file.scales} != {1.0} or {*self._file.offsets} != {0.0}
        dtype = np.dtype(self._file.dtypes[0])
        words = [*self._file.descriptions, *self._file.units]
        in_decibels = any('db' in (word or '').lower() for word in words)
        self._linear = self._known.decibels != 0.0 and not in_decibels
        self._check_height_unit()
        if self._scaled or self._linear:
            return
        if not np.can_cast(dtype, known) and not (known.kind == dtype.kind == 'f'):
            raise UserError(
                f'{self._title}: holds {dtype} values; the run was trained on {known}'
                f'{self._range()}: bring it to the type and units of training first'
            )

    def _check_height_unit(self) -> None:
        wanted = self._known.unit_metres
        for unit in self._file.units if wanted else ():
            metres = _METRES.get((unit or '').strip().lower(), wanted)
            if abs(metres / wanted - 1.0) > _MOST_SCALED:
                raise UserError(
                    f'{self._title}: says that its heights are in {unit}; those of training are in'
                    f' units of {wanted:g} m{self._range()}: bring it to these first'
                )

    def _range(self) -> str:
        limits = self._known.limits
        return f', from {limits[0][0]:g} to {limits[0][1]:g}' if limits else ''

    def _check_values(self, scene: Grid) -> None:
        """Looks at pixels all over the scene."""
        shape = (min(_SAMPLE, scene.height), min(_SAMPLE, scene.width))
        part = self.overview(*shape)
        if not part.valid.any():
            raise UserError(f'{self._title}: shows nothing of the ground of {scene.path}')
        if self._known.limits is None:
            return
        low, high = np.array(self._known.limits).T
        values = part.pixels[part.valid]
        for value in stand_for_no_data(values, low):
            raise UserError(
                f'{self._title}: holds {value:g}, which is no measurement, and does not say that it'
                f' stands for no data: gdal_edit.py -a_nodata {value:g} FILE says it'
            )
        if ((values < low) | (values > high)).mean() > _MOST_OUTSIDE:
            raise UserError(
                f'{self._title}: most values lie between {np.percentile(values, 5):g} and'
                f' {np.percentile(values, 95):g}, and those of training{self._range()[1:]}: bring'
                ' it to the units of training first'
            )


def parse_rasters(texts: Sequence[str]) -> dict[str, Path]:
    """The files of `NAME=FILE`, by name.

    Raises:
      UserError: another form, a name twice, or no such file.
    """
    parsed: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition('=')
        if not (name and equals and path):
            raise UserError(f'--raster {text}: expected NAME=FILE, such as elevation=dem.tif')
        if name in parsed:
            raise UserError(f'--raster {name} is given twice')
        if not Path(path).is_file():
            raise UserError(f'--raster {name}={path}: no such file')
        parsed[name] = Path(path)
    return parsed


def check_rasters(run: Run, given: Mapping[str, Path]) -> None:
    """Refuses a run whose rasters are not all there, and rasters that it does not see.

    Raises:
      UserError: one line that says which.
    """
    needed = [name for name in run.method.rasters if name != facts.IMAGES]
    if facts.IMAGES not in run.method.rasters:
        raise UserError(f'the run sees {", ".join(needed)} and no images: no scene can be mapped')
    missing = [name for name in needed if name not in given]
    if missing:
        say = ' '.join(f'--raster {name}=FILE' for name in missing)
        raise UserError(f'the run needs {", ".join(missing)} too: say where it lies by {say}')
    for name in given:
        if name not in needed:
            raise UserError(
                f'--raster {name}: the run sees {", ".join(run.method.rasters)}; leave it out'
            )


def open_companions(run: Run, given: Mapping[str, Path], scene: Grid) -> list[Companion]:
    """The rasters beside a scene, in the order in which the run sees them; the caller closes them.

    Raises:
      UserError: see `check_rasters` and `Companion`.
    """
    check_rasters(run, given)
    opened: list[Companion] = []
    try:
        for name in run.method.rasters:
            if name != facts.IMAGES:
                opened.append(Companion(name, given[name], run.facts.rasters[name], scene))
    except BaseException:
        for one in opened:
            one.close()
        raise
    return opened
