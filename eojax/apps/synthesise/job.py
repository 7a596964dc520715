"""The image of one map of land cover: its inputs opened and checked, made, and written."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from tqdm import tqdm

from eojax.apps.map_scene.companions import Companion
from eojax.apps.synthesise.files import Place, kind_of, writing
from eojax.apps.synthesise.land_cover import LandCover
from eojax.apps.synthesise.network import Model, check_run, rasters_of
from eojax.apps.synthesise.seams import Seams
from eojax.apps.synthesise.windows import Beside, Counts, Cover, Kept, grid_of, image_rows
from eojax.errors import UserError
from eojax.messages import say
from eojax.runs.run import Run

# How many times larger or smaller than in training pixels may be on the ground.
_MOST_SCALED = 1.25


class Options(NamedTuple):
    """How images are made.

    Attributes:
      land_cover: path of the map.
      rasters: paths of further rasters by name.
      classes: which class each value of the map is; empty to find out.
      window, overlap: of windows, in pixels; None for the run's own, and a quarter of it.
      any_pixel_size: whether pixels may cover another ground than in training.
      batch_size: windows in one call; None for the run's own.
    """

    land_cover: Path
    rasters: Mapping[str, Path] = {}
    classes: str = ''
    window: int | None = None
    overlap: int | None = None
    any_pixel_size: bool = False
    batch_size: int | None = None


class Inputs(NamedTuple):
    """Opened and checked inputs; close them, or use them in a `with` statement.

    Attributes:
      cover: the map.
      rasters: on its pixels, by name.
      counts: pixels of each class, int64 `[K]`.
    """

    cover: LandCover
    rasters: dict[str, Companion]
    counts: np.ndarray

    def __enter__(self) -> Inputs:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes all files."""
        for one in self.rasters.values():
            one.close()
        self.cover.close()


class Made(NamedTuple):
    """What is known of an image that was written.

    Attributes:
      seconds: that it took.
      counts: of values and windows.
      step_at_borders, step_elsewhere: mean step from pixel to pixel across borders of windows, and
        of all others, in the image's units; None where there are none.
      empty: pixels without data.
      window: height and width of a window.
      overlap: of windows, in pixels.
    """

    seconds: float
    counts: Counts
    step_at_borders: float | None
    step_elsewhere: float | None
    empty: int
    window: tuple[int, int]
    overlap: int

    def summary(self) -> dict[str, Any]:
        """As in `summary.json`."""
        return {
            'window': list(self.window),
            'overlap': self.overlap,
            'windows': self.counts.windows,
            **({} if self.counts.kept is None else {'windows_kept': self.counts.kept}),
            'windows_per_second': round(self.counts.windows / max(self.seconds, 1e-9), 2),
            'seconds': round(self.seconds, 2),
            'pixels_without_data': self.empty,
            'share_beyond_limits': self.counts.shares_beyond(),
            'step_at_window_borders': self.step_at_borders,
            'step_elsewhere': self.step_elsewhere,
        }


def open_inputs(run: Run, options: Options, besides: Sequence[str] = ()) -> Inputs:
    """The inputs of a run, looked through: all that can be wrong with them shows here.

    Args:
      besides: rasters that are needed although the run may not take them.

    Raises:
      UserError: one line that says what does not fit.
    """
    check_run(run)
    _check_names(run, options.rasters, besides)
    cover = LandCover(options.land_cover, run, options.classes)
    rasters: dict[str, Companion] = {}
    try:
        _check_pixel_size(run, cover, options)
        for name in dict.fromkeys((*rasters_of(run), *besides)):
            known = run.facts.rasters[name]
            rasters[name] = Companion(name, options.rasters[name], known, cover)
        return Inputs(cover, rasters, cover.check())
    except BaseException:
        for one in rasters.values():
            one.close()
        cover.close()
        raise


def make_image(
    model: Model,
    cover: Cover,
    rasters: Mapping[str, Beside],
    place: Place,
    options: Options,
    path: Path,
    tags: Mapping[str, str] = {},
    kept: Kept | None = None,
) -> Made:
    """Writes the image of a map as a GeoTIFF.

    Args:
      cover, rasters: what the generator sees.
      place: where the image lies.
      path: of the GeoTIFF.
      tags: of it, besides those that say what made it.
      kept: the image from before a change of the inputs, of the same options.

    Raises:
      UserError: a file that cannot be read or written; no pixel with data in all inputs.
    """
    started = time.perf_counter()
    grid = grid_of(place.height, place.width, options.window or model.window, options.overlap)
    seams, counts = Seams(grid), Counts(model.rasters)
    named = {'SYNTHESISED': 'by a generator, not measured', **_origin(model), **tags}
    empty = 0
    bar = tqdm(total=place.height, desc=path.name, unit='row', leave=False)
    with bar, writing(path, place, kind_of(model.output, named)) as file:
        for rows in image_rows(model, cover, rasters, grid, counts, kept):
            file.write(rows.images, rows.valid)
            seams.add(rows.images, rows.valid)
            empty += int(np.count_nonzero(~rows.valid))
            bar.update(len(rows.valid))
        if empty == place.height * place.width:
            raise UserError(f'{options.land_cover}: nowhere do all inputs have data')
    say_beyond(model, counts)
    seconds = time.perf_counter() - started
    window = grid.high, grid.wide
    return Made(seconds, counts, *seams.means(), empty, window, grid.overlap)


def say_beyond(model: Model, counts: Counts) -> None:
    """Says which rasters have values that training did not, and how many."""
    for name, share in counts.shares_beyond().items():
        if share > 0.0:
            pairs = model.run.facts.rasters[name].limits or ()
            ends = ', '.join(f'{low:g} to {high:g}' for low, high in pairs)
            say(
                f'{name}: {counts.beyond[name]:,} values ({share:.1%}) lie beyond those of training'
                f' ({ends}) and are held there'
            )


def small(path: Path, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A GeoTIFF in so many pixels, `[height, width, bands]`, and which of them have data."""
    with rasterio.open(path) as file:
        values = file.read(out_shape=(file.count, height, width))
        valid = file.dataset_mask(out_shape=(height, width)) > 0
    return np.moveaxis(values, 0, -1), valid


def described(run: Run, options: Options, cover: LandCover) -> dict[str, Any]:
    """The part of `summary.json` that says what was made of what."""
    return {
        'land_cover': str(options.land_cover.resolve()),
        'classes_by': cover.text,
        'rasters': {name: str(path.resolve()) for name, path in options.rasters.items()},
        'size': [cover.height, cover.width],
        **described_run(run),
    }


def described_run(run: Run) -> dict[str, Any]:
    """The run in `summary.json`."""
    return {
        'run': str(run.folder.resolve()),
        'step': run.step,
        'trained_on': run.facts.trained_on,
        'synthetic': run.facts.synthetic,
    }


def _origin(model: Model) -> dict[str, str]:
    run = model.run
    return {'run': run.folder.resolve().name, 'step': str(run.step), 'raster': model.target}


def _check_names(run: Run, given: Mapping[str, Path], besides: Sequence[str]) -> None:
    """Refuses rasters that are missing, and those that nobody looks at."""
    needed = tuple(dict.fromkeys((*rasters_of(run), *besides)))
    for name in besides:
        if name not in run.facts.rasters:
            raise UserError(
                f'the data set of {run.folder} has no raster {name!r}, so that nothing says its'
                f' units; it has {", ".join(run.facts.rasters)}'
            )
    missing = [name for name in needed if name not in given]
    if missing:
        way = ' '.join(f'--raster {name}=FILE' for name in missing)
        raise UserError(f'{", ".join(missing)} is needed too: say where it lies by {way}')
    for name in given:
        if name not in needed:
            seen = ', '.join(('land cover', *needed))
            raise UserError(f'--raster {name}: the run takes {seen}; leave it out')


def _check_pixel_size(run: Run, cover: LandCover, options: Options) -> None:
    wanted, metres = run.facts.metres, cover.pixel_metres()
    if wanted is None or metres is None or options.any_pixel_size:
        return
    if max(metres / wanted, wanted / metres) > _MOST_SCALED:
        raise UserError(
            f'--land_cover={options.land_cover}: its pixels are {metres:.3g} m wide and those of'
            f' training {wanted:g} m, so that all shapes would have the wrong size: bring it there'
            f' first (gdalwarp -r near -tr {wanted:g} {wanted:g}), or say --any_pixel_size'
        )
