"""Makes an image of a map of land cover, of any size, by a run that was trained for synthesis.

    python -m eojax.apps.synthesise --workdir=runs/geonrw --land_cover=cover.tif \\
        --raster elevation=dem.tif --out=image.tif

The map is a GeoTIFF or PNG of numbers or colours; `eojax.apps.synthesise.class_values` says how
their meaning is found, `--classes=1=water,2=trees,9=none` states it. A value that the run does not
know is refused, by value, row and column, before anything is made. Pixels without data, and those
whose class is `none`, are unknown to the generator; where the map or a raster has no data, so has
the image.

Further rasters (`--raster NAME=FILE`) are brought onto the map's pixels, whatever their coordinate
system and resolution; they are in the units that the run was trained on, and values beyond its
limits are held there, counted and said.

Windows as large as in training overlap (`--overlap`, a quarter of the window) and are blended, so
that no seam shows (`eojax.apps.synthesise.windows`). What is written:

`--out`, `image.tif`: the image in the type and the units of the data set that the run was trained
  on, with the map's place on Earth, names of bands, and no data where an input has none.
`image.png`: the inputs and the image side by side. Bands of radar are grey, between the limits of
  the run's data set or `--stretch=LOW:HIGH`.
`image_summary.json`: what it was made of; windows; the share of values beyond the limits; the mean
  step from pixel to pixel across borders of windows, and elsewhere.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eojax.apps.map_scene.companions import parse_rasters
from eojax.apps.map_scene.files import write_summary
from eojax.apps.synthesise import figures
from eojax.apps.synthesise.job import (
    Inputs,
    Made,
    Options,
    described,
    make_image,
    open_inputs,
    small,
)
from eojax.apps.synthesise.network import Model, model_of
from eojax.data.facts import Limits
from eojax.devices import sharding
from eojax.drawing.class_colours import class_colours
from eojax.errors import UserError
from eojax.evaluation.scoring import alone
from eojax.messages import say
from eojax.runs.command import open_folder_for_writing, open_trained, run_command, run_parser
from eojax.runs.run import Run
from eojax.runs.trained_on import say_if_drawn


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = run_parser(
        'synthesise',
        'Makes an image of a map of land cover and further rasters, as a GeoTIFF of any size, with'
        ' a trained generator. The studies that train and compare generators are eojax synthesis.',
        '--workdir=runs/geonrw --land_cover=cover.tif --raster elevation=dem.tif --out=image.tif',
        out=False,
    )
    add_options(parser)
    parser.add_argument('--out', type=Path, required=True, help='the GeoTIFF to write, NAME.tif')
    run_command(parser, arguments, _check, _make)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of whatever makes images of a map."""
    parser.add_argument(
        '--land_cover', type=Path, required=True, help='the map: GeoTIFF or PNG, numbers or colours'
    )
    parser.add_argument(
        '--classes', default='', metavar='VALUE=CLASS,...',
        help='which class of the run each number or #rrggbb of the map is, `none` for no class;'
        ' or `numbers` for those of the run (default: found)',
    )  # fmt: skip
    parser.add_argument(
        '--raster', action='append', default=[],
        help='NAME=FILE, a further raster that the run takes; repeat',
    )  # fmt: skip
    parser.add_argument(
        '--window', type=int, help="side of windows in pixels (default: training's)"
    )
    parser.add_argument(
        '--overlap', type=int, help='of windows, in pixels (default: a quarter of the window)'
    )
    parser.add_argument('--batch_size', type=int, help="windows in one call (default: the run's)")
    parser.add_argument(
        '--any_pixel_size', action='store_true',
        help='take the map as it is although its pixels cover another ground than in training',
    )  # fmt: skip
    parser.add_argument(
        '--stretch', default='', metavar='LOW:HIGH',
        help="values that are black and white in pictures (default: the data set's limits)",
    )  # fmt: skip


def options_of(typed: argparse.Namespace) -> Options:
    """How images are made, of checked options."""
    return Options(
        typed.land_cover, parse_rasters(typed.raster), typed.classes, typed.window, typed.overlap,
        typed.any_pixel_size, typed.batch_size,
    )  # fmt: skip


def check_options(typed: argparse.Namespace) -> None:
    """Refuses options that make no sense, before anything is read.

    Raises:
      UserError: one line that names the option.
    """
    for name, least in (('window', 1), ('overlap', 0), ('batch_size', 1)):
        value = getattr(typed, name)
        if value is not None and value < least:
            raise UserError(f'--{name} must be at least {least}, not {value}')
    parse_rasters(typed.raster)
    parse_stretch(typed.stretch, 1)


def parse_stretch(text: str, bands: int) -> Limits | None:
    """The values that are black and white, the same for all bands; None for the empty text.

    Raises:
      UserError: another form.
    """
    if not text:
        return None
    low, _, high = text.partition(':')
    try:
        pair = float(low), float(high)
    except ValueError:
        pair = np.nan, np.nan
    if not (pair[0] < pair[1] and np.isfinite(pair).all()):
        raise UserError(f'--stretch={text}: expected LOW:HIGH, such as -25:5')
    return (pair,) * bands


def check_place(path: Path, inputs: Sequence[Path], option: str = '--out') -> None:
    """Refuses to write over an input.

    Raises:
      UserError: one line that names it.
    """
    if any(path.resolve() == one.resolve() for one in inputs):
        raise UserError(f'{option}={path} is an input; choose another')


def _check(typed: argparse.Namespace) -> None:
    check_options(typed)
    if typed.out.suffix.lower() not in ('.tif', '.tiff'):
        raise UserError(f'--out={typed.out}: an image is a GeoTIFF: name it {typed.out.stem}.tif')
    given = [typed.land_cover, *parse_rasters(typed.raster).values()]
    for path in files_of(typed.out):
        check_place(path, given)
    open_folder_for_writing(typed.out.parent)


def files_of(out: Path) -> tuple[Path, Path, Path]:
    """The image, the picture and the summary."""
    return out, out.with_suffix('.png'), out.with_name(f'{out.stem}_summary.json')


def _make(typed: argparse.Namespace) -> None:
    if not sharding.is_main_process():
        return  # one scene is the work of one process and its devices
    options, opened = options_of(typed), list[Inputs]()

    def need(run: Run) -> None:
        opened.append(open_inputs(run, options))

    try:
        run, state = open_trained(
            typed.workdir, typed.checkpoint, typed.data_root, need, typed.class_folders
        )
        model = model_of(*alone(run, state), options.batch_size)
        synthesise_scene(model, opened[0], options, typed.out, typed.stretch)
    finally:
        for inputs in opened:
            inputs.close()
    say_if_drawn(run)


def synthesise_scene(
    model: Model, inputs: Inputs, options: Options, out: Path, stretch: str = ''
) -> dict[str, Any]:
    """Writes the image, its picture and its summary; returns the summary.

    Raises:
      UserError: see `make_image`.
    """
    run, cover = model.run, inputs.cover
    say(f'the classes of {options.land_cover} are by {cover.text}')
    if not model.sees_labels:
        say('this generator does not look at land cover: the map gives the pixels alone')
    image, picture, summary_file = files_of(out)
    summary_file.unlink(missing_ok=True)  # an older one would vouch for the new image
    made = make_image(model, cover, inputs.rasters, cover, options, image)
    _draw(model, inputs, image, picture, parse_stretch(stretch, len(model.output.bands)))
    shares = (inputs.counts / inputs.counts.sum()).round(6).tolist()
    summary = {
        **described(run, options, cover),
        'image': str(image.resolve()),
        'raster': model.target,
        'bands': list(model.output.bands),
        'dtype': model.output.dtype,
        'class_shares': dict(zip(run.facts.class_names, shares, strict=True)),
        **made.summary(),
    }
    write_summary(summary_file, summary)
    print(_line(model, made, cover.height, cover.width, out), flush=True)
    return summary


def _line(model: Model, made: Made, height: int, width: int, out: Path) -> str:
    text = f'{out}: {width} x {height} pixels of {model.target} in {made.counts.windows} windows'
    if made.step_at_borders is not None and made.step_elsewhere is not None:
        text += (
            f'; mean step at their borders {made.step_at_borders:.3g}, elsewhere'
            f' {made.step_elsewhere:.3g}'
        )
    return text


def _draw(model: Model, inputs: Inputs, image: Path, out: Path, stretch: Limits | None) -> None:
    """Writes the inputs and the image side by side."""
    run, cover = model.run, inputs.cover
    size = figures.small_size(cover.height, cover.width)
    names = run.facts.class_names
    colours = class_colours(names, run.facts.class_colours)
    labels = cover.overview(*size)
    panels = [figures.cover_panel('land cover', labels, colours)]
    for name, raster in inputs.rasters.items():
        part = raster.overview(*size)
        for band, title in enumerate(run.facts.rasters[name].bands[:1]):
            text = name if title == name else f'{name}, {title}'
            panels.append(figures.raster_panel(text, part.pixels[..., band], part.valid))
    for band_name, picture in figures.shown(*small(image, *size), model.output, stretch):
        text = f'{model.target}, synthesised{f", {band_name}" if band_name else ""}'
        panels.append(figures.Panel(text, picture))
    title = (
        f'{cover.path.name}  ({run.folder.resolve().name}, step {run.step:,}; trained on'
        f' {run.facts.trained_on})'
    )
    figures.panel_grid(title, [panels], figures.legend_of([labels], names, colours), out)
