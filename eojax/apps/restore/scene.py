"""Fills missing pixels of a GeoTIFF; the part of `eojax.apps.restore.command` for georeferenced
scenes.

What is missing are the pixels without data, those of `--mask`, or for a comparison those that
`--damage` takes out of at most `--num` patches, evenly spread over the scene. The scene keeps its
size, georeference (coordinate system and transform, control points, RPCs), type, bands, units and
tags, and its known pixels bit for bit.

The scene is repaired in its own pixels, in windows that show as much ground as a training image.
Windows overlap by half: each repairs its middle, so that a missing pixel is seen from all sides.
The texture that chains keep to is that of the scene's own windows of which at least 90% is known
(of the run's training images where there are fewer than 20); the energy is the run's, of the window
resampled to the run's size. Windows of which less than a quarter is known are left as they are, and
counted.

What is written to `--out`: `NAME_restored.tif`; `NAME_spread.tif`, float32, the standard deviation
of the chains in the file's units, one band for each that the run sees, 0 where nothing was missing
and NaN where something was left; `grid.png` of the windows with the most to repair; and
`restoration.json`. Bands that the run does not see stay as they are. A single chain has no spread:
NaN stands where something was missing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from eojax.apps.restore.damage import damage_masks
from eojax.apps.restore.mask_file import check_place, read_mask
from eojax.apps.restore.record import (
    numbers_of,
    save_json,
    say_numbers,
    settings_for_json,
)
from eojax.apps.restore.repair import Repaired, Settings, repair
from eojax.apps.restore.scene_files import STRIP, RepairedFiles
from eojax.data.reading.patches import patch_pixels, patch_places, resample
from eojax.data.reading.raster import Raster, Reading
from eojax.data.value_range import scale_to_unit
from eojax.devices import sharding
from eojax.drawing import figures
from eojax.drawing.pictures import visible_bands
from eojax.errors import UserError
from eojax.evaluation.outliers import spread as spread_evenly
from eojax.evaluation.reference import examples, fit_texture
from eojax.feed.pipeline import to_uint8
from eojax.home import expanded
from eojax.messages import say
from eojax.metrics import restoration
from eojax.metrics.restoration import median_of_known
from eojax.runs.run import Run
from eojax.samplers.starts import StationaryGaussian

_LEAST_KNOWN = 0.25  # of a window
_LEAST_WINDOWS = 20  # for a texture of the scene's own
_TEXTURE_MISSING = 0.1  # of such a window, at most
_TEXTURE_WINDOWS = 1_000
_WINDOWS_AT_ONCE = 32
_GRID_ROWS = 8


class Missing(NamedTuple):
    """The missing pixels of a scene, bool `[height, width]` each.

    Attributes:
      unknown: no value to go by.
      wanted: to be repaired; unknown too.
      places: corners of the patches that were damaged on purpose; empty for what is really missing.
    """

    unknown: np.ndarray
    wanted: np.ndarray
    places: list[tuple[int, int]]


class Place(NamedTuple):
    """A window and its middle, which it repairs: first row and column, and the ends of the middle.

    Attributes:
      row, column: of the window's upper left corner.
      top, left, bottom, right: of the middle, in the scene.
    """

    row: int
    column: int
    top: int
    left: int
    bottom: int
    right: int


class Found(NamedTuple):
    """Repaired pixels of a scene.

    Attributes:
      rows, columns: int `[num]`.
      values: of each method by name, float32 `[num, bands]` in [-1, 1].
      spread: float32 `[num, bands]`.
      shown: windows for the grid: name of the column to uint8 `[rows, patch, patch, 1 or 3]`.
    """

    rows: np.ndarray
    columns: np.ndarray
    values: dict[str, np.ndarray]
    spread: np.ndarray
    shown: dict[str, np.ndarray]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Facts of a GeoTIFF that the user states where the file does not."""
    group = parser.add_argument_group('of a GeoTIFF')
    group.add_argument('--bands', default='', help="its bands for the run's, by number or name")
    group.add_argument('--scale', default='auto', help='auto, l1c, l2a or LOW:HIGH')
    group.add_argument('--offset', type=float, help='what its processing added to all values')
    group.add_argument('--nodata', type=float, help='value of pixels without data')


def restore(run: Run, state: Any, settings: Settings, options: argparse.Namespace) -> None:
    """Repairs the scene `options.images`; all processes of a run call it together.

    Raises:
      UserError: a scene that cannot be read or repaired, in one line.
    """
    reading = Reading(options.bands, options.scale, options.offset, options.nodata)
    path = expanded(options.images)
    images, own = run.images, run.facts.own_units
    with Raster(
        path,
        images.bands,
        images.limits,
        reading,
        images.dtype,
        own,
        decibels=images.decibels,
        surface=images.surface,
    ) as raster:
        if sharding.is_main_process():
            for note in raster.notes:
                say(note)
        patch = patch_pixels(run.facts, run.task.image_shape[0], raster.pixel_metres())
        if min(raster.height, raster.width) < patch:
            raise UserError(
                f'{path}: is {raster.height} x {raster.width} pixels, less than one patch of'
                f' {patch} x {patch}'
            )
        missing = find_missing(raster, patch, options)
        places, left = find_places(missing, patch)
        if not places:
            raise UserError(
                f'{path}: everything is missing wherever something is: nothing to go by'
            )
        texture, texture_of = _fit(run, raster, missing.unknown, patch)
        found = _repair(run, state, raster, missing, places, patch, texture, settings)
        if not sharding.is_main_process():
            return
        name, limits = options.out / raster.name, run.images.limits
        files = RepairedFiles(raster, found.rows, found.columns, limits)
        files.write_restored(found.values['model'], Path(f'{name}_restored.tif'))
        left_out = missing.wanted.copy()
        left_out[found.rows, found.columns] = False
        # A single chain says nothing of how sure it is; 0 would say that it is certain.
        spread = found.spread if settings.chains > 1 else np.full_like(found.spread, np.nan)
        files.write_spread(spread, left_out, Path(f'{name}_spread.tif'))
        rows = np.stack(list(found.shown.values()), axis=1)
        figures.image_grid(rows, options.out / 'grid.png', column_labels=list(found.shown))
        told: dict[str, Any] = {
            'scene': str(path),
            'values': raster.scale_text,
            'damage': options.damage,
            'mask': None if options.mask is None else str(options.mask),
            'patch': patch,
            'windows': len(places),
            'pixels_repaired': len(found.rows),
            'pixels_left': left,
            'bands_left': raster.bands_not_read,
            'texture_of': texture_of,
            **settings_for_json(run, settings),
        }
        if missing.places:
            told['methods'] = _numbers(raster, run, missing, found, patch)
        else:
            told['note'] = 'what is missing is not known: nothing to compare the repair with'
        save_json(options.out / 'restoration.json', told)
        say_numbers(told)
        bands = raster.bands_not_read
        others = f'; {bands} band(s) that the run does not see stay as they were' if bands else ''
        say(f'{len(found.rows):,} pixels repaired in {len(places)} windows, {left:,} left{others}')
        print(f'{raster.name}_restored.tif, {raster.name}_spread.tif and grid.png are in'
              f' {options.out}')  # fmt: skip


def find_missing(raster: Raster, patch: int, options: argparse.Namespace) -> Missing:
    """The pixels to repair.

    Raises:
      UserError: nothing, or a mask that does not fit.
    """
    shape = (raster.height, raster.width)
    empty = np.concatenate(
        [
            ~raster.read(row, 0, min(STRIP, raster.height - row), raster.width).valid
            for row in range(0, raster.height, STRIP)
        ]
    )
    if options.mask is not None:
        mask = read_mask(options.mask, *shape)
        check_place(options.mask, raster.path, raster.transform)
        return Missing(mask | empty, mask, [])
    if options.damage is None:
        if not empty.any():
            raise UserError(
                f'{raster.path}: nothing is missing, every pixel holds data; say --nodata=VALUE,'
                ' --mask=FILE or --damage=KIND'
            )
        return Missing(empty, empty, [])
    whole = [
        (row, column)
        for row, column in patch_places(*shape, patch, patch)
        if not empty[row : row + patch, column : column + patch].any()
    ]
    if not whole:
        raise UserError(f'{raster.path}: no patch of {patch} x {patch} pixels is complete')
    chosen = [whole[i] for i in spread_evenly(len(whole), options.num)]
    masks = damage_masks(options.damage, len(chosen), patch, patch, options.share, options.seed)
    wanted = np.zeros(shape, bool)
    for (row, column), mask in zip(chosen, masks, strict=True):
        wanted[row : row + patch, column : column + patch] = mask
    return Missing(wanted | empty, wanted, chosen)


def find_places(missing: Missing, patch: int) -> tuple[list[Place], int]:
    """Windows whose middles cover what can be repaired once, and how many pixels cannot."""
    height, width = missing.wanted.shape
    step, margin = max(1, patch // 2), patch // 4
    places, left = [], 0
    for top in range(0, height, step):
        for start in range(0, width, step):
            bottom, right = min(top + step, height), min(start + step, width)
            wanted = missing.wanted[top:bottom, start:right].sum()
            if not wanted:
                continue
            row = min(max(top - margin, 0), height - patch)
            column = min(max(start - margin, 0), width - patch)
            unknown = missing.unknown[row : row + patch, column : column + patch]
            if 1.0 - unknown.mean() < _LEAST_KNOWN:
                left += int(wanted)
                continue
            places.append(Place(row, column, top, start, bottom, right))
    return places, left


def _fit(
    run: Run, raster: Raster, unknown: np.ndarray, patch: int
) -> tuple[StationaryGaussian, str]:
    """The texture of the scene's windows, or of the training images, and which of them."""
    near = [
        (row, column)
        for row, column in patch_places(raster.height, raster.width, patch, max(1, patch // 2))
        if unknown[row : row + patch, column : column + patch].mean() <= _TEXTURE_MISSING
    ]
    if len(near) >= _LEAST_WINDOWS:
        chosen = [near[i] for i in spread_evenly(len(near), _TEXTURE_WINDOWS)]
        windows = np.stack(
            [raster.read(row, column, patch, patch).pixels for row, column in chosen]
        )
        masks = [unknown[row : row + patch, column : column + patch] for row, column in chosen]
        windows = median_of_known(windows, np.stack(masks))
        return fit_texture(run, windows), f'{len(chosen)} windows of the scene'
    images = resample(examples(run).images, patch)
    return fit_texture(run, images), f'{len(images)} training images'


def _repair(
    run: Run,
    state: Any,
    raster: Raster,
    missing: Missing,
    places: list[Place],
    patch: int,
    texture: StationaryGaussian,
    settings: Settings,
) -> Found:
    """Repairs window by window, some at a time, and keeps of each its middle."""
    weights = [missing.wanted[p.top : p.bottom, p.left : p.right].sum() for p in places]
    grid = set(np.argsort(weights, kind='stable')[::-1][:_GRID_ROWS].tolist())
    rows, columns, spreads = [], [], []
    values: dict[str, list[np.ndarray]] = {}
    shown: dict[str, list[np.ndarray]] = {}
    bar = tqdm(
        total=len(places), desc='repairing', unit='window', leave=False,
        disable=not sharding.is_main_process(),
    )  # fmt: skip
    with bar:
        for begin in range(0, len(places), _WINDOWS_AT_ONCE):
            some = places[begin : begin + _WINDOWS_AT_ONCE]
            images, masks = _read(run, raster, missing, some, patch)
            found = repair(run, state, images, masks, texture, settings, first=begin)
            compared = bool(missing.places)
            made = _methods(images, masks, found, compared)
            for number, place in enumerate(some):
                inside = np.argwhere(
                    missing.wanted[place.top : place.bottom, place.left : place.right]
                )
                at = inside + np.array([place.top, place.left])
                rows.append(at[:, 0])
                columns.append(at[:, 1])
                row, column = at[:, 0] - place.row, at[:, 1] - place.column
                for name, array in made.items():
                    values.setdefault(name, []).append(array[number, row, column])
                spreads.append(found.spread[number, row, column])
                if begin + number in grid:
                    _show(run, images, masks, found, number, compared, shown)
            bar.update(len(some))
    return Found(
        np.concatenate(rows),
        np.concatenate(columns),
        {name: np.concatenate(parts) for name, parts in values.items()},
        np.concatenate(spreads),
        {name: np.stack(images) for name, images in shown.items()},
    )


def _read(
    run: Run, raster: Raster, missing: Missing, places: list[Place], patch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Windows float32 `[num, patch, patch, bands]` in [-1, 1] and what is unknown of them."""
    parts = [raster.read(p.row, p.column, patch, patch).pixels for p in places]
    masks = [missing.unknown[p.row : p.row + patch, p.column : p.column + patch] for p in places]
    return scale_to_unit(np.stack(parts), run.images.limits), np.stack(masks)


def _methods(
    images: np.ndarray, masks: np.ndarray, found: Repaired, compared: bool
) -> dict[str, np.ndarray]:
    """The repaired windows of each method, by its name in the JSON."""
    made = {'model': found.mean}
    if compared:
        made |= {
            'model_one_chain': found.one,
            'start': found.start,
            'biharmonic': restoration.biharmonic(images, masks),
            'median': restoration.median_of_known(images, masks),
        }
    return made


def _show(
    run: Run,
    images: np.ndarray,
    masks: np.ndarray,
    found: Repaired,
    number: int,
    compared: bool,
    shown: dict[str, list[np.ndarray]],
) -> None:
    """Adds a window to the columns of the grid."""
    image, mask = images[number], masks[number]
    alone = (image[None], mask[None])
    columns = {
        'damaged': np.where(mask[..., None], np.float32(-1.0), image),
        'one chain': found.one[number],
        'mean': found.mean[number],
        'biharmonic': restoration.biharmonic(*alone)[0],
        'median': restoration.median_of_known(*alone)[0],
    } | ({'true': image} if compared else {})
    for name, column in columns.items():
        seen = visible_bands(to_uint8(column), run.images.bands)
        shown.setdefault(name, []).append(seen)
        if name == 'mean':  # each window's own scale: what is uncertain in it
            level = found.spread[number].mean(-1, keepdims=True)
            grey = np.round(255.0 * level / max(float(level.max()), 1e-6)).astype(np.uint8)
            shown.setdefault('spread, white: the most', []).append(grey.repeat(seen.shape[-1], -1))


def _numbers(
    raster: Raster, run: Run, missing: Missing, found: Found, patch: int
) -> dict[str, Any]:
    """PSNR and SSIM of the damaged patches, each reassembled from the windows that repaired it.

    Those of which nothing was repaired, as too little around was known, are left out.
    """
    limits = run.images.limits
    where = np.full(missing.wanted.shape, -1, np.int64)
    where[found.rows, found.columns] = np.arange(len(found.rows))
    numbers = np.stack([where[r : r + patch, c : c + patch] for r, c in missing.places])
    repaired = np.flatnonzero((numbers >= 0).any((1, 2)))
    numbers, places = numbers[repaired], [missing.places[i] for i in repaired]
    true = np.stack(
        [to_uint8(scale_to_unit(raster.read(*place, patch, patch).pixels, limits))
         for place in places]
    )  # fmt: skip
    masks = numbers >= 0
    made = {}
    for name, values in found.values.items():
        made[name] = true.copy()
        made[name][masks] = to_uint8(values)[numbers[masks]]
    return numbers_of(made, true, masks)
