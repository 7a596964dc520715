"""Edits the inputs of synthesis and makes the image anew: rising water, other land cover.

    python -m eojax.apps.edit --workdir=runs/geonrw_rgb --workdir=runs/geonrw_sar \\
        --land_cover=cover.tif --raster elevation=dem.tif --flood=45,50,55 --out=flood
    python -m eojax.apps.edit --workdir=runs/geonrw_rgb --land_cover=cover.tif \\
        --raster elevation=dem.tif --replace=forest:agricultural --region=plan.geojson --out=fields

The map and the rasters are as for `eojax.apps.synthesise`. `--flood` takes heights of the water in
the units of the elevation that the run was trained on. All that lies below is flooded, freed of
small perturbations by an erosion (`--element`, `--iterations`), and with `--connected` only what is
joined to water that is there now; its class becomes water, found by its name or said by `--water`,
and its elevation the height of the water (`eojax.apps.edit.changes`). `--replace` puts one class in
place of another. `--region` says where anything may change: a mask as GeoTIFF or PNG, or polygons
of GeoJSON. Several runs, of RGB and of radar, make images of the same edits.

What is written to `--out`; of several runs, images have the name of their raster besides:

`before.tif`: the image of the inputs as they are. `inputs/`: these, on one grid of pixels.
`flood_45/`, ... or `replaced/`: `after.tif`; `change.tif`, 1 where the class became another one, so
  that `before.tif`, `after.tif` and `change.tif` are a labelled pair for change detection; and the
  edited inputs, which outside the change are those before, bit for bit.
`strip.png`: land cover and images before and after. `rising_water.gif` (or `.webp`).
`summary.json`: hectares that are flooded at each height, and the mean absolute change of each image
  where the class changed and where no input did; `--margin` leaves out pixels around the change,
  which a generator sees (`--margin=auto` measures how far it looks).

Masks of the whole map are held in memory, about four bytes a pixel and with `--connected` eight.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eojax.apps.edit.changes import (
    Edit,
    Erosion,
    element_of,
    flood,
    flood_name,
    parse_heights,
    parse_replacements,
    replace,
    survey,
    water_class,
)
from eojax.apps.edit.job import SUMMARY, Generator, Plan, edit_scene, names_of
from eojax.apps.edit.measures import hectares
from eojax.apps.edit.pictures import ANIMATIONS
from eojax.apps.edit.regions import region_mask
from eojax.apps.map_scene.companions import parse_rasters
from eojax.apps.synthesise.command import (
    add_options,
    check_options,
    check_place,
    options_of,
    parse_stretch,
)
from eojax.apps.synthesise.job import Inputs, Options, open_inputs
from eojax.apps.synthesise.network import model_of, rasters_of
from eojax.data.facts import Raster
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.evaluation.scoring import alone
from eojax.messages import say
from eojax.runs.command import open_folder_for_writing, open_trained, run_command, run_parser
from eojax.runs.run import Run
from eojax.runs.trained_on import say_if_drawn

_AUTO = 'auto'


class Opened(NamedTuple):
    """A run, its state and its inputs."""

    run: Run
    state: Any
    inputs: Inputs
    options: Options


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = run_parser(
        'edit',
        'Edits land cover and elevation, and makes the images before and after: rising water, or'
        ' one class in place of another.',
        '--workdir=runs/geonrw --land_cover=cover.tif --raster elevation=dem.tif --flood=45,50'
        ' --out=flood',
        several=True,
    )
    add_options(parser)
    change = parser.add_mutually_exclusive_group(required=True)
    change.add_argument(
        '--flood', default='', metavar='HEIGHT,...',
        help='heights of the water, in the units of the elevation',
    )  # fmt: skip
    change.add_argument(
        '--replace', default='', metavar='FROM:TO,...',
        help='classes in place of others; `any` stands for all of them',
    )  # fmt: skip
    parser.add_argument('--region', type=Path, help='where anything may change: mask or GeoJSON')
    parser.add_argument('--water', default='', help='the class that is water (default: found)')
    parser.add_argument(
        '--elevation', default='elevation', help='the raster of heights (default: elevation)'
    )
    parser.add_argument(
        '--connected', action='store_true', help='flood only what is joined to present water'
    )
    parser.add_argument(
        '--element', default='cross', help='of the erosion: cross, square or disk:RADIUS'
    )
    parser.add_argument(
        '--iterations', type=int, default=1, help='of the erosion; 0 for none (default: 1)'
    )
    parser.add_argument(
        '--margin', default='0', metavar='PIXELS',
        help='around changes that counts as neither inside nor outside; auto: as far as the'
        ' generator looks (default: 0)',
    )  # fmt: skip
    parser.add_argument('--animation', choices=sorted(ANIMATIONS), default='gif')
    run_command(parser, arguments, _check, _edit)


def _check(typed: argparse.Namespace) -> None:
    check_options(typed)
    element_of(typed.element)
    if typed.iterations < 0:
        raise UserError(f'--iterations must not be negative, not {typed.iterations}')
    if typed.margin != _AUTO and not typed.margin.isdigit():
        raise UserError(f'--margin={typed.margin}: expected a number of pixels, or auto')
    if typed.flood:
        parse_heights(typed.flood)
    else:
        parse_replacements(typed.replace)
    open_folder_for_writing(typed.out)
    if typed.flood:
        folders = [flood_name(height) for height in parse_heights(typed.flood)]
    else:
        folders = ['replaced']
    rasters = parse_rasters(typed.raster)
    for folder in (*folders, 'inputs'):
        for name in ('land_cover', *rasters):
            check_place(typed.out / folder / f'{name}.tif', [typed.land_cover, *rasters.values()])


def _edit(typed: argparse.Namespace) -> None:
    if not sharding.is_main_process():
        return  # one scene is the work of one process and its devices
    opened: list[Opened] = []
    try:
        for workdir in typed.workdir:
            opened.append(_open(typed, workdir))
        _check_together(opened, typed)
        plan = _plan(opened[0], typed)
        models = [model_of(*alone(one.run, one.state), typed.batch_size) for one in opened]
        generators = [
            Generator(
                name, model, one.inputs, one.options,
                parse_stretch(typed.stretch, len(model.output.bands)),
            )
            for name, model, one in zip(names_of(models), models, opened, strict=True)
        ]  # fmt: skip
        say(f'the classes of {typed.land_cover} are by {opened[0].inputs.cover.text}')
        edit_scene(generators, plan)
    finally:
        for one in opened:
            one.inputs.close()
    for one in opened:
        say_if_drawn(one.run)
    print(f'the images, {len(plan.edits)} edit(s), strip.png and {SUMMARY} are in {plan.out}')


def _open(typed: argparse.Namespace, workdir: Path) -> Opened:
    """A run and its inputs; what is wrong with these shows before its checkpoint is read."""
    held: list[tuple[Inputs, Options]] = []
    options = options_of(typed)

    def need(run: Run) -> None:
        besides = (typed.elevation,) if typed.flood else ()
        wanted = {*rasters_of(run), *besides}
        # Another run may take what this one does not.
        rasters = {k: v for k, v in options.rasters.items() if k in wanted or _alone(typed)}
        of_run = options._replace(rasters=rasters)
        held.append((open_inputs(run, of_run, besides), of_run))

    try:
        run, state = open_trained(
            workdir, typed.checkpoint, typed.data_root, need, typed.class_folders
        )
    except BaseException:
        for inputs, _ in held:
            inputs.close()
        raise
    return Opened(run, state, *held[0])


def _alone(typed: argparse.Namespace) -> bool:
    return len(typed.workdir) == 1


def _check_together(opened: Sequence[Opened], typed: argparse.Namespace) -> None:
    """Refuses runs that mean different things by the same inputs, and rasters that none takes."""
    first = opened[0].run
    for one in opened[1:]:
        if one.run.facts.class_names != first.facts.class_names:
            raise UserError(f'{first.folder} and {one.run.folder} do not have the same classes')
        if typed.flood and _units(one.run, typed) != _units(first, typed):
            raise UserError(
                f'{first.folder} and {one.run.folder} have seen {typed.elevation} of different'
                ' types, units or limits: edit with one of them at a time'
            )
    taken = {name for one in opened for name in one.options.rasters}
    for name in parse_rasters(typed.raster):
        if name not in taken:
            raise UserError(f'--raster {name}: none of the runs takes it; leave it out')


def _units(run: Run, typed: argparse.Namespace) -> Raster:
    return run.facts.rasters[typed.elevation]


def _plan(one: Opened, typed: argparse.Namespace) -> Plan:
    """The edits that the options ask for."""
    cover = one.inputs.cover
    region = None if typed.region is None else region_mask(typed.region, cover)
    words: dict[str, Any] = {'region': typed.region and str(typed.region.resolve())}
    margin = None if typed.margin == _AUTO else int(typed.margin)
    if typed.replace:
        pairs = parse_replacements(typed.replace)
        edit = replace(cover, pairs, region)
        return Plan([edit], '', typed.out, margin, '', words)
    number = water_class(cover.class_names, typed.water)
    cover.code(number)  # the file must have a value for it
    heights = parse_heights(typed.flood)
    _check_heights(one.run, heights, typed.elevation)
    seen = survey(cover, one.inputs.rasters[typed.elevation], heights, number)
    erosion = Erosion(element_of(typed.element), typed.iterations)
    metres = _units(one.run, typed).unit_metres
    edits = flood(seen, heights, number, erosion, typed.connected, region, metres)
    _say_dry(edits)
    words |= {
        'water': cover.class_names[number],
        'hectares_water_before': hectares(cover, seen.water),
        'element': typed.element,
        'iterations': typed.iterations,
        'connected': typed.connected,
    }
    return Plan(edits, typed.elevation, typed.out, margin, typed.animation, words)


def _say_dry(edits: Sequence[Edit]) -> None:
    for edit in edits:
        if not edit.changed.any():
            say(f'nothing is flooded {edit.title}')


def _check_heights(run: Run, heights: Sequence[float], name: str) -> None:
    """Refuses heights that the elevation cannot have; says which training has not seen."""
    known = run.facts.rasters[name]
    if len(known.bands) != 1:
        raise UserError(
            f'{name} has {len(known.bands)} bands and is no elevation: --elevation=NAME'
        )
    dtype = np.dtype(known.dtype)
    low, high = (known.limits or ((0.0, 255.0),))[0]
    between, metres = f'{low:g} to {high:g}', known.unit_metres
    if metres not in (0.0, 1.0):
        between += f' ({low * metres:g} to {high * metres:g} m)'
    for height in heights:
        if dtype.kind in 'ui' and not (
            height.is_integer() and np.iinfo(dtype).min <= height <= np.iinfo(dtype).max
        ):
            raise UserError(
                f'--flood={height:g}: the run has seen {name} as {dtype}, whole numbers from'
                f' {between}: give the height in its units'
            )
        if not low <= height <= high:
            say(
                f'--flood={height:g} lies beyond the {name} of training, {between}: the generator'
                ' sees the nearer of these'
            )
