"""Fills missing pixels with a trained run, beside two classical methods.

    python -m eojax.apps.restore --workdir=runs/jem_eurosat --damage=centre --out=repaired
    python -m eojax.apps.restore --workdir=runs/jem_eurosat --images=S2.tif --out=repaired

`--images` is an image file, a folder or zip archive of images (taken at the run's size), a GeoTIFF,
a `.SAFE` product or a folder of bands (taken as they are: `eojax.apps.restore.scene`), or `test`,
the run's own test split. What is missing says `--damage` (done on purpose, so that the repair can
be compared with what was there), `--mask` (a file of the images' size), or in a GeoTIFF its pixels
without data. Several chains run for each image: their mean is the repair, their standard deviation
its uncertainty, pixel by pixel.

What is written to `--out`, for images that are no GeoTIFF:

`restored_0000.png` ... the mean, `damaged_0000.png`, and `spread_0000.png` (grey, 255 is the
  largest spread of all images, `spread_white` in the JSON).
`grid.png`: damaged, one chain, mean, spread, biharmonic, median and true, of the first 16.
`restoration.npz`: `damaged`, `restored`, `one_chain`, `biharmonic`, `median` and, where it is
  known, `true`, uint8 `[N, H, W, C]`; `masks` bool `[N, H, W]`; `spread` float32 in grey levels.
`restoration.json`: settings, and for `model` (the mean), `model_one_chain`, `start` (the texture
  of all training images alone, without the model), `biharmonic` and `median`: PSNR and SSIM over
  the missing pixels, the mean over images (`psnr`, `ssim`), of all pixels together
  (`psnr_pooled`), and `per_image`; `rms_error` of the mean and `rms_spread` of the chains in grey
  levels, nearly the same where the uncertainty is right; of a single chain, which has no spread,
  `rms_spread` is null.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eojax.apps.restore import repair, scene
from eojax.apps.restore.damage import DAMAGES, damage_masks, damaged
from eojax.apps.restore.mask_file import read_mask
from eojax.apps.restore.record import (
    numbers_of,
    save_json,
    say_numbers,
    settings_for_json,
)
from eojax.apps.restore.repair import Repaired, Settings, choose_settings
from eojax.atomic_file import write_atomically
from eojax.data.reading.bands.files import may_hold_bands
from eojax.data.reading.file_formats import format_of
from eojax.data.reading.raster import SUFFIXES
from eojax.data.reading.scene_paths import is_scene_of_bands
from eojax.data.value_range import scale_to_unit
from eojax.devices import sharding
from eojax.drawing import figures
from eojax.drawing.pictures import save_picture, visible_bands
from eojax.errors import UserError, unknown_name
from eojax.evaluation.outliers import read_images, spread
from eojax.feed.pipeline import to_uint8
from eojax.home import expanded
from eojax.messages import counted
from eojax.methods import METHODS
from eojax.methods.method import ability
from eojax.metrics import restoration
from eojax.runs.command import (
    check_seed,
    open_folder_for_writing,
    open_trained,
    run_command,
    run_parser,
)
from eojax.runs.run import Run, with_data

_GRID_AT_MOST = 16


class Case(NamedTuple):
    """Images with missing pixels.

    Attributes:
      names: for people.
      images: float32 `[N, H, W, C]` in [-1, 1], as they were before the damage.
      shown: uint8, with the damage.
      masks: bool `[N, H, W]`, true where missing.
      known: whether what is missing is known.
    """

    names: list[str]
    images: np.ndarray
    shown: np.ndarray
    masks: np.ndarray
    known: bool


def read_case(run: Run, options: argparse.Namespace) -> Case:
    """The images of `--images` with the damage of `--damage` or `--mask`.

    Raises:
      UserError: no images, or a mask that does not fit.
    """
    size = run.task.image_shape[0]
    if options.images == 'test':
        run = with_data(run)
        dataset = run.dataset
        chosen = run.splits.test[spread(len(run.splits.test), options.num)]
        stored = dataset.images[chosen]
        names = [dataset.names[i] for i in chosen]
    else:
        path = expanded(options.images)
        file_format = format_of(run.facts.files)
        if path.is_file() and path.suffix.lower() != '.zip':
            decoded = file_format.decode(
                path.read_bytes(), str(path), bands=run.images.bands, size=None, resize=size
            )
            stored, names = decoded[None], [path.name]
        else:
            progress = sharding.is_main_process()
            stored = read_images(path, options.num, size, run.images.bands, progress, file_format)
            names = [f'{path.name} {number}' for number in range(len(stored))]
    images = scale_to_unit(np.asarray(stored), run.images.limits)
    if options.damage is None:
        masks = read_mask(options.mask, size, size)[None].repeat(len(images), 0)
    else:
        masks = damage_masks(options.damage, len(images), size, size, options.share, options.seed)
    shown = damaged(to_uint8(images), masks, options.damage or '', options.seed)
    return Case(names, images, shown, masks, options.damage is not None)


def compare(case: Case, found: Repaired) -> dict[str, np.ndarray]:
    """The repairs by each method, uint8 `[N, H, W, C]`, by its name in the JSON."""
    made = {
        'model': found.mean,
        'model_one_chain': found.one,
        'start': found.start,
        'biharmonic': restoration.biharmonic(case.images, case.masks),
        'median': restoration.median_of_known(case.images, case.masks),
    }
    return {name: to_uint8(images) for name, images in made.items()}


def write(
    run: Run, case: Case, found: Repaired, made: Mapping[str, np.ndarray], out: Path
) -> dict[str, float]:
    """Writes pictures and arrays, each of them whole or not at all; returns what they need said."""
    bands, levels = run.images.bands, found.spread * np.float32(127.5)
    white = float(levels.max()) or 1.0
    grey = np.round(255.0 * levels.mean(-1, keepdims=True) / white).astype(np.uint8)
    seen = {name: visible_bands(images, bands) for name, images in made.items()}
    shown = visible_bands(case.shown, bands)
    digits = max(4, len(str(len(shown) - 1)))
    for number in range(len(shown)):
        for name, images in (('restored', seen['model']), ('damaged', shown), ('spread', grey)):
            save_picture(images[number], out / f'{name}_{number:0{digits}d}.png')
    true = to_uint8(case.images)
    columns = {
        'damaged': shown,
        'one chain': seen['model_one_chain'],
        'mean': seen['model'],
        f'spread, white: {white:.0f} of 255': grey.repeat(shown.shape[-1], -1),
        'biharmonic': seen['biharmonic'],
        'median': seen['median'],
    }
    if case.known:
        columns['true'] = visible_bands(true, bands)
    rows = np.stack([images[:_GRID_AT_MOST] for images in columns.values()], axis=1)
    figures.image_grid(rows, out / 'grid.png', column_labels=list(columns))
    arrays: dict[str, Any] = {
        'damaged': case.shown,
        'restored': made['model'],
        'one_chain': made['model_one_chain'],
        'biharmonic': made['biharmonic'],
        'median': made['median'],
        'masks': case.masks,
        'spread': levels,
        'names': np.asarray(case.names),
    }
    if case.known:
        arrays['true'] = true
    write_atomically(out / 'restoration.npz', lambda file: np.savez(file, **arrays))
    return {'spread_white': white}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = run_parser(
        'restore',
        'Fills missing pixels with a trained run, with their uncertainty, beside biharmonic'
        ' inpainting and a median filter.',
        '--workdir=runs/jem_eurosat --damage=centre --out=repaired',
    )
    parser.add_argument(
        '--images', default='test',
        help="image, folder, zip archive, GeoTIFF, .SAFE product, folder of bands, or test"
        " (default): the run's test split",
    )  # fmt: skip
    missing = parser.add_mutually_exclusive_group()
    missing.add_argument('--damage', help=f'done on purpose: {", ".join(DAMAGES)}')
    missing.add_argument('--mask', type=Path, help='PNG, TIFF or npy: nonzero pixels are missing')
    parser.add_argument('--share', type=float, help='of the pixels, for --damage')
    parser.add_argument('--num', type=int, default=16, help='images at most (default: 16)')
    parser.add_argument('--chains', type=int, default=8, help='for each image (default: 8)')
    parser.add_argument('--steps', type=int, help='of each chain')
    parser.add_argument(
        '--class', dest='name', default='auto',
        help="class that chains follow; auto (default): the model's own guess; any: none",
    )  # fmt: skip
    parser.add_argument(
        '--sampler', default='texture', choices=('texture', 'langevin'),
        help="texture and model (default), or the model alone by the run's own Langevin steps",
    )  # fmt: skip
    parser.add_argument('--seed', type=int, default=0, help='of damage and chains')
    scene.add_options(parser)
    run_command(parser, arguments, _check, _restore)


def _is_scene(options: argparse.Namespace) -> bool:
    """Whether `--images` is a GeoTIFF, or a scene of bands, that is to keep its size."""
    path = expanded(options.images)
    if options.images != 'test' and may_hold_bands(path):
        return is_scene_of_bands(path)
    return path.suffix.lower() in SUFFIXES


def _check(options: argparse.Namespace) -> None:
    if options.damage is not None and options.damage not in DAMAGES:
        raise unknown_name('damage', options.damage, DAMAGES)
    for name in ('num', 'chains', 'steps'):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f'--{name} must be at least 1, not {value}')
    if options.share is not None and options.damage is None:
        raise UserError('--share goes with --damage')
    check_seed(options.seed)
    if options.images != 'test' and not expanded(options.images).exists():
        raise UserError(f'--images={options.images}: no such file or folder')
    if not _is_scene(options) and options.damage is None and options.mask is None:
        raise UserError(
            f'nothing is missing: say --mask=FILE or --damage={"|".join(DAMAGES)}'
            ' (a GeoTIFF tells by its pixels without data)'
        )
    open_folder_for_writing(options.out)


def settings_of(run: Run, options: argparse.Namespace) -> Settings:
    """How to repair, from the command line.

    Raises:
      UserError: a class that the run does not have.
    """
    return choose_settings(
        run, options.chains, options.name, options.sampler, options.steps, options.seed
    )


def _restore(options: argparse.Namespace) -> None:
    def can_restore(run: Run) -> None:
        ability(run.method, 'restore', run.config.method.name, METHODS)
        settings_of(run, options)

    run, state = open_trained(
        options.workdir, options.checkpoint, options.data_root, can_restore, options.class_folders
    )
    settings = settings_of(run, options)
    if _is_scene(options):
        scene.restore(run, state, settings, options)
        return
    case = read_case(run, options)
    texture = repair.texture_of(run, state)
    found = repair.repair(run, state, case.images, case.masks, texture, settings, 'repairing')
    if not sharding.is_main_process():
        return
    made = compare(case, found)
    told: dict[str, Any] = {
        'images': len(case.images),
        'damage': options.damage,
        'mask': None if options.mask is None else str(options.mask),
        'share': float(case.masks.mean()),
        **settings_for_json(run, settings),
        **write(run, case, found, made, options.out),
        'names': case.names,
    }
    if case.known:
        told['methods'] = numbers_of(made, to_uint8(case.images), case.masks)
        errors = (found.mean - case.images)[case.masks] * 127.5
        told['rms_error'] = float(np.sqrt(np.square(errors).mean()))
        spreads = found.spread[case.masks] * 127.5
        told['rms_spread'] = (
            float(np.sqrt(np.square(spreads).mean())) if settings.chains > 1 else None
        )
    else:
        told['note'] = 'what is missing is not known: nothing to compare the repair with'
    save_json(options.out / 'restoration.json', told)
    say_numbers(told)
    many = counted(len(case.images), 'image')
    print(f'{many}, grid.png, restoration.json and .npz are in {options.out}')
