"""Maps whole scenes with a trained run: land cover, confidence and how likely each place is.

    python -m eojax.apps.map_scene --workdir=runs/jem_eurosat --scene=S2.tif --out=map

A scene is a GeoTIFF, a `.SAFE` product of Sentinel-2 (zipped or not), or a folder of its bands in
files of their own (`eojax.data.reading.bands`). It is read by windows, so that its size does not
matter. Square patches of as much
ground as a training image shows (`--patch`) are classified, side by side or overlapping
(`--stride`); where they overlap their p(y|x) and log p(x) are averaged. Patches with a pixel
without data, and borders that no whole patch covers, are not classified.

The network has to see the values that it was trained on (`--scale`,
`eojax.data.reading.sentinel2`). EuroSAT's 8-bit images show reflectance at the top of the
atmosphere (level 1C) from 0 to 0.275 as 0 to 255; scenes of level 1C are scaled so, those of level
2A are first brought to level 1C by a clear atmosphere, 8-bit scenes are taken as they are. Tags,
names, band names, scale and offset of bands, and dark pixels are the evidence for this; where they
disagree, or say nothing of 16-bit values, the scene is refused with a line that asks.

A method that classifies pixels is run on overlapping windows, whose p(y|x) and log p are averaged
in each pixel so that no seam shows (`eojax.apps.map_scene.pixel_map`); no border is left out, and
only pixels without data are not classified. Where it sees more than images, the files of the other
rasters are named (`--raster elevation=dem.tif`, `eojax.apps.map_scene.companions`).

What is written to `--out`, or for several scenes to a folder in it named as the scene:

`class_map.tif`: uint8, the most probable class, with colours and names; 255 is no data.
`confidence.tif`: float32, max p(y|x); NaN is no data.
`log_density.tif`: float32, log p(x), unnormalised, of methods that learn it.
`unseen.tif`: uint8, 1 where log p(x) is below a percentile of the training set (`--percentile`, the
  1st), or of the pixels of its windows; 255 is no data. Left out, with a line, where neither the
  run's folder nor its data say that percentile, as of a run that was stopped.
What the map guarantees, calibrated on the run's validation part:

`--coverage=LEVEL`: a set of classes for each place, which holds the true one for so many of the
  places of new ground (`eojax.metrics.conformal`). `set_size.tif`: uint8, how many classes;
  `class_set.tif`: uint32, bit k for class k, all bits for no data; of at most 31 classes.
`--not_known=SHARE`: one class more, `not known`, where max p(y|x) (or `--not_known_by`) is below
  that share of the validation part; it is counted apart.
`--areas`: the areas of classes corrected by the map's errors, with 95 % intervals
  (`eojax.metrics.areas`), in `areas.csv`, `areas.png` and `summary.json`; by the validation part,
  or by `--reference=FILE` of labelled places of the scene
  (`eojax.apps.map_scene.reference_places`).

`overview.png`: scene, map, confidence and log p(x) side by side.
`summary.json`: `hectares` by class, `hectares_unclassified`, `share_unseen`, `patches`, ...; last.

All GeoTIFFs are cloud-optimised, with the scene's shape, coordinate system and transform (or
control points). A scene whose map is there, of the same file, run and options, is not made again.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint import multihost

from eojax.apps.map_scene.companions import check_rasters, parse_rasters
from eojax.apps.map_scene.files import SUMMARY, check_classes, write_summary
from eojax.apps.map_scene.guarantees import (
    NOTHING,
    REFERENCE_BLOCK,
    Guarantees,
    Wanted,
    check_classes_for,
)
from eojax.apps.map_scene.job import map_scene
from eojax.apps.map_scene.model import PERCENTILE, Model, prepare_model
from eojax.apps.map_scene.reference_places import check_reference
from eojax.apps.map_scene.scene import Job, Options, companions_of, open_scene
from eojax.apps.map_scene.scores import classifies_pixels, learned_density
from eojax.data.reading.raster import Reading
from eojax.data.reading.scene_paths import is_one_scene, name_of, scenes_at
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.evaluation.guarantees.rules import Asked, check_asked
from eojax.messages import say
from eojax.methods import METHODS
from eojax.methods.method import ability
from eojax.runs.command import open_folder_for_writing, open_trained, run_command, run_parser
from eojax.runs.run import Run
from eojax.runs.trained_on import say_if_drawn

# Until the slowest of the processes has mapped its scenes.
_PATIENCE_SECONDS = 30 * 24 * 3600


def find_jobs(scenes: Sequence[Path], out: Path) -> list[Job]:
    """All scenes of `--scene` and the folders of their maps.

    Raises:
      UserError: no such scene, a folder without any, or two of the same name.
    """
    found = [(scene, path) for path in scenes for scene in scenes_at(path, '--scene')]
    if len(scenes) == 1 and is_one_scene(scenes[0]):
        return [Job(found[0][0], out)]
    by_name: dict[str, Path] = {}
    jobs = []
    for scene, path in found:
        name = name_of(scene, path)
        same = by_name.setdefault(name, scene)
        if same is not scene:
            raise UserError(
                f'{same} and {scene} have the same name, and so would their maps: rename one'
            )
        jobs.append(Job(scene, out / name))
    return jobs


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = run_parser(
        'map_scene',
        'Maps whole scenes with a trained run: classes, confidence, log p(x) and unseen places as'
        ' GeoTIFFs that open on top of the scene, overview.png and summary.json.',
        '--workdir=runs/jem_eurosat --scene=S2.tif --out=map',
    )
    parser.add_argument(
        '--scene', type=Path, action='append', required=True,
        help='a GeoTIFF, a .SAFE product (zipped or not), a folder of bands (..._B02.tif), or a'
        ' folder of such scenes; repeat',
    )  # fmt: skip
    parser.add_argument(
        '--patch', type=int,
        help='side of a patch in pixels (default: as much ground as a training image)',
    )  # fmt: skip
    parser.add_argument(
        '--stride', type=int,
        help='pixels from patch to patch, a divisor of the patch (default: the patch, side by'
        ' side); smaller ones average overlapping patches and leave narrower borders unclassified',
    )  # fmt: skip
    parser.add_argument('--bands', default='', help="numbers or names, in the order of the run's")
    parser.add_argument(
        '--scale', default='auto', help='auto, l1c, l2a or LOW:HIGH (default: auto)'
    )
    parser.add_argument(
        '--offset', type=float, help='that was added to all values (default: found)'
    )
    parser.add_argument('--nodata', type=float, help="of empty pixels (default: the file's)")
    parser.add_argument(
        '--raster', action='append', default=[],
        help='NAME=FILE, a GeoTIFF of a further raster that the run sees; repeat',
    )  # fmt: skip
    parser.add_argument(
        '--percentile', type=float, default=PERCENTILE,
        help='of log p(x) of the training set, below which a place is unseen (default: 1)',
    )  # fmt: skip
    _add_guarantees(parser)
    run_command(parser, arguments, _check, _map)


def _add_guarantees(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--coverage', type=float, default=0.0, metavar='LEVEL',
        help='give sets of classes that hold the true one for this share of places, such as 0.9',
    )  # fmt: skip
    parser.add_argument(
        '--set_score', default='lac', help='of these sets: lac, the smallest ones, or aps'
    )
    parser.add_argument(
        '--not_known', type=float, default=0.0, metavar='SHARE',
        help='leave open what is less to be trusted than this share of the validation part',
    )  # fmt: skip
    parser.add_argument(
        '--not_known_by', default='confidence', help='confidence, log_density or set_size'
    )
    parser.add_argument(
        '--areas', action='store_true',
        help="correct the areas of classes by the map's errors, with 95%% intervals",
    )  # fmt: skip
    parser.add_argument(
        '--reference', type=Path,
        help='labelled places of the scene for --areas: points (.csv, .geojson) or a label raster'
        " (.tif); else the run's validation part",
    )  # fmt: skip
    parser.add_argument(
        '--reference_block', type=int, default=REFERENCE_BLOCK, metavar='PIXELS',
        help='side of the squares of a label raster that count as one block (default: 128)',
    )  # fmt: skip


def wanted_of(
    asked: Asked, reference: Path | None, block: int, scenes: int = 1, prefix: str = '--'
) -> Wanted:
    """The guarantees that are asked of maps, checked.

    Args:
      scenes: how many are mapped.
      prefix: of the options, for messages.

    Raises:
      UserError: options that make no sense.
    """
    check_asked(asked, prefix)
    if block < 1:
        raise UserError(f'{prefix}reference_block must be at least 1, not {block}')
    if reference is not None:
        check_reference(reference)
        if scenes > 1:
            raise UserError(
                f'{prefix}reference={reference} is of one scene, and {scenes} are to be mapped: map'
                ' them one by one'
            )
    return Wanted(asked, reference, block)


def _wanted(options: argparse.Namespace) -> Wanted:
    asked = Asked(
        options.coverage, options.set_score, options.not_known, options.not_known_by, options.areas
    )
    scenes = len(find_jobs(options.scene, options.out))
    return wanted_of(asked, options.reference, options.reference_block, scenes)


def _check(options: argparse.Namespace) -> None:
    """Refuses options that make no sense, and a folder that cannot be written to."""
    for name in ('patch', 'stride'):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f'--{name} must be at least 1, not {value}')
    if not 0.0 < options.percentile < 100.0:
        raise UserError(f'--percentile must lie between 0 and 100, not {options.percentile:g}')
    parse_rasters(options.raster)
    _wanted(options)
    open_folder_for_writing(options.out)


def check_run(
    run: Run, rasters: Mapping[str, Path], wanted: Wanted = NOTHING, prefix: str = '--'
) -> None:
    """Refuses a run that cannot map scenes with these files of further rasters.

    Args:
      wanted: the guarantees that are asked.
      prefix: of their options, for messages.

    Raises:
      UserError: a method without classes, rasters that are missing or not seen, or guarantees that
        the method cannot give.
    """
    check_rasters(run, rasters)
    check_asked(wanted.asked, prefix, learned_density(run))
    check_classes_for(wanted, run.facts.class_names)
    if not classifies_pixels(run):
        ability(run.method, 'logits', run.config.method.name, METHODS)
    check_classes(run.facts.class_names)


def _map(options: argparse.Namespace) -> None:
    wanted = _wanted(options)
    can_map = functools.partial(check_run, rasters=parse_rasters(options.raster), wanted=wanted)
    run, state = open_trained(
        options.workdir, options.checkpoint, options.data_root, can_map, options.class_folders
    )
    jobs = find_jobs(options.scene, options.out)
    if not learned_density(run) and sharding.is_main_process():
        say(
            f'method {run.config.method.name!r} has learned no p(x): no log_density.tif, no'
            ' unseen.tif and no share_unseen'
        )
    reading = Reading(options.bands, options.scale, options.offset, options.nodata)
    how = Options(options.patch, options.stride, reading, parse_rasters(options.raster))
    own = jobs[jax.process_index() :: jax.process_count()]
    # All are opened before anything is scored, so that what is wrong with one shows at once.
    unready = Model(
        run, state, 0.0 if learned_density(run) else None, '', options.percentile,
        Guarantees(wanted),
    )  # fmt: skip
    for job in own:
        raster, _ = open_scene(job, unready, how)
        with raster, companions_of(unready, raster, how):
            for note in raster.notes:
                say(note)
        open_folder_for_writing(job.out)
    model = prepare_model(run, state, options.percentile, wanted)
    for job in own:
        _tell(job, map_scene(job, model, how))
    say_if_drawn(run)
    if jax.process_count() > 1:
        # Not a sum over all devices, which would not wait for days.
        everyone = set(range(jax.process_count()))
        multihost.sync_global_processes(
            'scenes mapped', timeout=_PATIENCE_SECONDS, processes=everyone
        )
    if sharding.is_main_process() and jobs[0].out != options.out:
        write_summary(options.out / SUMMARY, {'scenes': [_summary(job) for job in jobs]})


def _summary(job: Job) -> dict[str, Any]:
    try:
        return json.loads((job.out / SUMMARY).read_text(encoding='utf-8'))
    except OSError as error:
        raise UserError(
            f'{job.out / SUMMARY} cannot be read ({error.strerror}): --out must lie on storage'
            ' that all processes share'
        ) from None


def _hectares(area: float) -> str:
    return f'{area:,.0f}' if area >= 100.0 else f'{area:.3g}'


def _tell(job: Job, summary: dict[str, Any]) -> None:
    areas = summary['hectares'] or {}
    largest = sorted((name for name in areas if areas[name]), key=lambda name: -areas[name])[:3]
    text = ', '.join(f'{name} {_hectares(areas[name])} ha' for name in largest)
    unseen = f'; {summary["share_unseen"]:.1%} unseen' if 'share_unseen' in summary else ''
    if 'not_known' in summary:
        unseen += f'; {summary["not_known"]["share"]:.1%} not known'
    empty = summary['hectares_unclassified'] or 0.0
    left_open = summary.get('not_known', {}).get('hectares') or 0.0
    whole = sum(areas.values()) + left_open + empty
    # The other shares are of what is classified.
    if empty > 5e-4 * whole:
        unseen += f'; {empty / whole:.1%} of the scene not classified'
    print(f'{job.scene.name}: {text}{unseen}; the map is in {job.out}', flush=True)
