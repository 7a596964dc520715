"""The map of one scene: made, with its files and their summary, or found complete."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np
import rasterio
from rasterio.enums import Resampling

from eojax.apps.map_scene import figures
from eojax.apps.map_scene.companions import Companion, open_companions
from eojax.apps.map_scene.coordinates import frame_of
from eojax.apps.map_scene.files import (
    Layer,
    LayerFiles,
    check_classes,
    complete,
    publish,
    unfinished,
    written,
)
from eojax.apps.map_scene.guarantees import (
    AREAS_FILES,
    NOT_KNOWN_COLOUR,
    NOTHING,
    Guarantees,
    SetTotals,
    Wanted,
    area_table,
    calibrate,
    check_classes_for,
    summary_of,
)
from eojax.apps.map_scene.patch_map import CellRow, map_rows
from eojax.apps.map_scene.pixel_map import map_pixels
from eojax.apps.map_scene.reference_places import check_places
from eojax.apps.map_scene.scores import classifies_pixels, learned_density, warm_up
from eojax.apps.map_scene.tiling import Tiling, find_tiling
from eojax.apps.map_scene.totals import Course, Totals
from eojax.data.reading.bands.files import stamp_of
from eojax.data.reading.raster import Raster, Reading
from eojax.devices import sharding
from eojax.drawing.class_colours import Colour, class_colours
from eojax.drawing.guarantees import area_intervals
from eojax.drawing.pictures import displayed
from eojax.errors import UserError
from eojax.evaluation.guarantees.areas import write_areas
from eojax.evaluation.guarantees.rules import NOT_KNOWN
from eojax.evaluation.reference import reference_pixels, reference_scores
from eojax.evaluation.scoring import alone
from eojax.messages import say
from eojax.runs.run import Run

PICTURE = 'overview.png'
_LAYERS = ('class_map', 'confidence', 'log_density', 'unseen', 'set_size', 'class_set')
# Layers of another method, and what other programs (QGIS) note beside them.
_STALE = tuple(f'{name}{suffix}' for name in _LAYERS for suffix in ('.tif', '.tif.aux.xml'))
_STALE += AREAS_FILES
PERCENTILE = 1.0  # of the training set's log p(x): below it a place counts as unseen, by default
_OVERVIEW_PIXELS = 900


class Job(NamedTuple):
    """A scene to be mapped.

    Attributes:
      scene: path of the GeoTIFF, product or folder of bands.
      out: folder of its map.
    """

    scene: Path
    out: Path


class Model(NamedTuple):
    """The parts that map scenes.

    Attributes:
      run, state: on the devices of this process.
      threshold: a percentile of log p(x) of the training set, or of its pixels for methods that
        classify these; None for a method without it, and where nothing says it.
      checksum: of the state: another training has another one.
      percentile: which one.
      guarantees: that maps give; none by default.
    """

    run: Run
    state: Any
    threshold: float | None
    checksum: str
    percentile: float = PERCENTILE
    guarantees: Guarantees = Guarantees()

    @property
    def threshold_text(self) -> str:
        """The threshold's meaning, in words."""
        ending = {1.0: 'st', 2.0: 'nd', 3.0: 'rd'}.get(self.percentile, 'th')
        pixels = "'s pixels" if classifies_pixels(self.run) else ''
        return f'the {self.percentile:g}{ending} percentile of the training set{pixels}'


class Options(NamedTuple):
    """How scenes are mapped.

    Attributes:
      patch, stride: in pixels; None as in `patch_map.find_tiling`.
      reading: how scenes are read.
      rasters: the files of further rasters, by name (`eojax.apps.map_scene.companions`).
    """

    patch: int | None
    stride: int | None
    reading: Reading
    rasters: Mapping[str, Path] = MappingProxyType({})


def prepare_model(
    run: Run, state: Any, percentile: float = PERCENTILE, wanted: Wanted = NOTHING
) -> Model:
    """The run and its state with what its own data say; all processes call it together.

    Args:
      percentile: of log p(x) of the training set, below which a place counts as unseen.
      wanted: the guarantees that are asked of maps.

    Raises:
      UserError: guarantees that cannot be calibrated.
    """
    threshold = _threshold(run, state, percentile) if learned_density(run) else None
    guarantees = calibrate(run, state, wanted)
    if sharding.is_main_process():
        for note in guarantees.notes:
            say(note)
    run, state = alone(run, state)
    return Model(run, state, threshold, _checksum(run, state), percentile, guarantees)


def _threshold(run: Run, state: Any, percentile: float) -> float | None:
    """A percentile of log p(x) of the training set; None, and a line, where it is not to be had.

    A run that has not come to its end keeps none, and its data may lie elsewhere.
    """
    try:
        if classifies_pixels(run):
            training = reference_pixels(run, state)
        else:
            training = reference_scores(run, state, ('log_density',))['log_density']
    except UserError as error:
        if sharding.is_main_process():
            say(f'no unseen.tif, as nothing says which log p(x) is low: {error}')
        return None
    return float(np.percentile(training, percentile))


def _checksum(run: Run, state: Any) -> str:
    """Of all numbers that were trained, and so of the checkpoint."""
    kept = {name: value for name, value in state._asdict().items() if name not in run.method.split}
    total = 0
    for leaf in jax.tree.leaves(kept):
        if not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            total = zlib.crc32(np.ascontiguousarray(leaf).tobytes(), total)
    return f'{total:08x}'


def open_scene(job: Job, model: Model, options: Options) -> tuple[Raster, Tiling]:
    """The scene, to be closed by the caller, and its patches.

    Raises:
      UserError: a scene that cannot be mapped, or one whose map would overwrite it.
    """
    if any(job.scene.resolve() == (job.out / name).resolve() for name in files_of(model)):
        raise UserError(f'{job.scene}: its map would overwrite it; choose another --out')
    images = model.run.images
    raster = Raster(
        job.scene, images.bands, images.limits, options.reading, images.dtype,
        model.run.facts.own_units, decibels=images.decibels,surface=images.surface,
    )  # fmt: skip
    try:
        wanted = model.guarantees.wanted
        if wanted.reference is not None:
            check_places(wanted.reference, raster, model.run.facts.class_names, wanted.block)
        return raster, find_tiling(raster, model.run, options.patch, options.stride)
    except BaseException:
        raster.close()
        raise


@contextlib.contextmanager
def companions_of(model: Model, raster: Raster, options: Options) -> Iterator[list[Companion]]:
    """The further rasters of an open scene, opened."""
    opened = open_companions(model.run, options.rasters, raster)
    try:
        yield opened
    finally:
        for one in opened:
            one.close()


def layers_of(model: Model) -> list[Layer]:
    """The layers of a map by a run."""
    names = model.run.facts.class_names
    check_classes(names)
    check_classes_for(model.guarantees.wanted, names)
    shown, colours = _classes_shown(model)
    layers = [
        Layer('class_map', 'most probable class', shown, colours),
        Layer('confidence', 'max p(y|x)'),
    ]
    if learned_density(model.run):
        layers.append(Layer('log_density', 'log p(x), unnormalised'))
    if model.threshold is not None:
        # Grey and orange.
        text = f'log p(x) below {model.threshold:.4f}, {model.threshold_text}'
        colours = ((217, 217, 217), (213, 94, 0))
        layers.append(Layer('unseen', text, ('like training', 'unseen'), colours))
    return layers + model.guarantees.layers(names)


def _classes_shown(model: Model) -> tuple[tuple[str, ...], tuple[Colour, ...]]:
    """The classes of a map and their colours; what is left open is one more."""
    facts = model.run.facts
    colours = class_colours(facts.class_names, facts.class_colours)
    if model.guarantees.open_rule is None:
        return facts.class_names, colours
    return (*facts.class_names, NOT_KNOWN), (*colours, NOT_KNOWN_COLOUR)


def settings_of(
    job: Job, model: Model, raster: Raster, tiling: Tiling, options: Options
) -> dict[str, Any]:
    """All that a map depends on: a map of the same settings need not be made again."""
    (num_bytes, modified), run, reading = stamp_of(job.scene), model.run, options.reading
    others = {
        name: [str(path.resolve()), *_stamp(path), *_mask_beside(path)]
        for name, path in sorted(options.rasters.items())
    }
    return {
        'scene': str(job.scene.resolve()),
        'scene_bytes': num_bytes,
        'scene_modified_ns': modified,
        'run': str(run.folder.resolve()),
        'step': model.run.step,
        'checksum': model.checksum,
        'patch': tiling.patch,
        'stride': tiling.stride,
        'bands': raster.indexes,
        'scale': raster.scale_text,
        'nodata': None if reading.nodata is None else str(reading.nodata),
        'batch_size': run.config.evaluate.batch_size,
        'unseen_threshold': model.threshold,
        **_place_and_mask(raster),
        **({'rasters': others} if others else {}),
        **({'blended': True} if tiling.by_pixel else {}),
        **({'guarantees': kept} if (kept := model.guarantees.settings()) else {}),
    }


def _place_and_mask(raster: Raster) -> dict[str, Any]:
    """The settings that the files beside a scene may change, and how its ground is measured."""
    mask = _mask_beside(raster.path)
    by_grid = raster.ground is None or raster.ground.by_grid
    return {
        **({'mask_beside': mask} if mask else {}),
        **({'masked_by': raster.mask_text} if raster.mask_text else {}),
        **({} if by_grid else {'ground': 'ellipsoid'}),
        **({'beside': raster.beside_text} if raster.beside_text else {}),
    }


def _mask_beside(path: Path) -> list[int]:
    """Size and time of the mask that GDAL reads from a file of its own; empty without one."""
    beside = path.with_name(f'{path.name}.msk')
    return _stamp(beside) if beside.is_file() else []


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def map_scene(job: Job, model: Model, options: Options) -> dict[str, Any]:
    """Maps one scene, or finds its map complete; returns what is in its `summary.json`.

    Raises:
      UserError: see `open_scene`; no patch without missing pixels; files that cannot be written.
    """
    raster, tiling = open_scene(job, model, options)
    with raster:
        settings = settings_of(job, model, raster, tiling, options)
        done = complete(job.out, settings, files_of(model))
        if done is not None:
            say(f'{job.scene}: its map in {job.out} is complete')
            return done
        with (
            companions_of(model, raster, options) as others,
            written(job.out),
            unfinished(job.out) as folder,
        ):
            rows = _Rows(raster, tiling, others)
            summary = _make(job, model, rows, settings, folder)
            publish(folder, job.out, files_of(model), summary, _STALE)
    return summary


class _Rows(NamedTuple):
    """The parts that the rows of a map are made of, besides the model.

    Attributes:
      raster: the scene.
      tiling: its patches or windows.
      others: the rasters beside it.
    """

    raster: Raster
    tiling: Tiling
    others: list[Companion]

    def of(self, model: Model, course: Course) -> Iterator[CellRow]:
        """The rows, as they are computed; the course is told of patches."""
        run, state, raster, tiling = model.run, model.state, self.raster, self.tiling
        if tiling.by_pixel:
            return map_pixels(run, state, raster, tiling, course.watch, self.others)
        return map_rows(run, state, raster, tiling, course.watch)


def files_of(model: Model) -> list[str]:
    tables = AREAS_FILES if model.guarantees.wanted.areas else ()
    return [*(name for layer in layers_of(model) for name in layer.files), PICTURE, *tables]


def _make(
    job: Job, model: Model, parts: _Rows, settings: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    """Writes all files but the summary into a folder; returns the summary."""
    raster, tiling = parts.raster, parts.tiling
    warm_up(model.run, model.state, raster)
    guarantees, names = model.guarantees, model.run.facts.class_names
    totals = Totals(raster, tiling, len(_classes_shown(model)[0]))
    sets = SetTotals(len(names))
    course = Course(tiling, model.threshold, raster.name)
    run = model.run.folder.resolve().name
    tags = {'scene': job.scene.name, 'run': run, 'step': settings['step']}
    try:
        with LayerFiles(folder, raster, layers_of(model), tags) as files:
            for number, row in enumerate(parts.of(model, course)):
                chosen = row.classified
                labels, values = guarantees.judge(row, number)
                totals.add(labels[chosen], row.confidence[chosen], chosen)
                if 'set_size' in values:
                    sets.add(values['set_size'][chosen])
                values |= {'class_map': labels, 'confidence': row.confidence}
                if row.log_density is not None:
                    values['log_density'] = row.log_density
                if row.log_density is not None and model.threshold is not None:
                    values['unseen'] = row.log_density < model.threshold
                    if tiling.by_pixel:
                        course.compare(row.log_density[row.classified])
                files.write(values, row.classified, tiling.cell)
            course.stop()
            if not course.classified:
                if tiling.by_pixel:
                    raise UserError(f'{job.scene}: no pixel of it has data')
                raise UserError(
                    f'{job.scene}: no patch of {tiling.patch}x{tiling.patch} pixels has data in'
                    ' all of them; --patch=PIXELS takes smaller ones'
                )
            files.finish()
    finally:
        course.stop()
    table = area_table(
        guarantees, raster, folder / 'class_map.tif', names, totals.areas, totals.known
    )
    if table is not None:
        write_areas(folder / AREAS_FILES[0], table.rows)
        area_intervals(table.areas, names, folder / AREAS_FILES[1])
    _draw(model, raster, totals, course, folder)
    averaged = not tiling.by_pixel and tiling.overlap > 1
    return {
        **_summary(model, raster, tiling, settings, totals, course),
        **summary_of(guarantees, totals.areas, totals.known, sets, table, averaged),
        'settings': dict(settings),
    }


def _summary(
    model: Model,
    raster: Raster,
    tiling: Tiling,
    settings: Mapping[str, Any],
    totals: Totals,
    course: Course,
) -> dict[str, Any]:
    names = model.run.facts.class_names
    areas = totals.areas[: len(names)].round(4).tolist()
    empty = round(totals.whole - float(totals.areas.sum()), 4)
    density = {'share_unseen': course.share_unseen, 'unseen_threshold': model.threshold}
    return {
        'scene': settings['scene'],
        'run': settings['run'],
        'step': settings['step'],
        'trained_on': model.run.facts.trained_on,
        'synthetic': model.run.facts.synthetic,
        'hectares': dict(zip(names, areas, strict=True)) if totals.known else None,
        'hectares_unclassified': empty if totals.known else None,
        'patches': course.classified,
        'patches_per_second': round(course.classified / course.seconds, 1),
        'seconds': round(course.seconds, 2),
        **(density if model.threshold is not None else {}),
        'mean_confidence': totals.mean_confidence,
        'patch': tiling.patch,
        'stride': tiling.stride,
        'bands': raster.indexes,
        'scale': raster.scale_text,
        'notes': list(raster.notes),
    }


def _draw(model: Model, raster: Raster, totals: Totals, course: Course, folder: Path) -> None:
    """Writes the figure from the finished layers."""
    names, colours = _classes_shown(model)
    shares = dict(zip(names, totals.areas / totals.whole, strict=True))
    overview = _overview(model, raster, shares, course.share_unseen, folder)
    figures.scene_map(overview, names, colours, folder / PICTURE)


def overview_of(job: Job, model: Model, options: Options) -> figures.Overview:
    """A scene and its map that is made, small enough for a figure.

    The shares of classes are those of the figure's pixels.

    Raises:
      UserError: see `open_scene`.
    """
    raster, _ = open_scene(job, model, options)
    with raster:
        found = _overview(model, raster, {}, None, job.out)
    counted = found.classes[found.classes >= 0]
    names = _classes_shown(model)[0]
    counts = np.bincount(counted, minlength=len(names)) / max(found.classes.size, 1)
    return found._replace(shares=dict(zip(names, counts.tolist(), strict=True)))


def _overview(
    model: Model,
    raster: Raster,
    shares: Mapping[str, float],
    share_unseen: float | None,
    folder: Path,
) -> figures.Overview:
    """The finished layers, which have smaller versions of themselves, and the scene."""
    part = raster.overview(_OVERVIEW_PIXELS)
    run, shape, images = model.run, part.valid.shape, model.run.images
    sizes = None
    if model.guarantees.rule is not None:
        held = _reduced(folder / 'set_size.tif', shape, Resampling.nearest).astype(np.int16)
        sizes = np.where(held == 255, -1, held)
    classes = _reduced(folder / 'class_map.tif', shape, Resampling.nearest).astype(np.int16)
    density = None
    if learned_density(run):
        density = _reduced(folder / 'log_density.tif', shape, Resampling.average)
    # Across, as the bar of the scale lies.
    metres = None if raster.ground is None else raster.ground.sides[1]
    return figures.Overview(
        f'{raster.name}  ({run.folder.resolve().name}, step {run.step:,};'
        f' trained on {run.facts.trained_on})',
        displayed(part.pixels, images.bands, images.limits),
        part.valid,
        np.where(classes == 255, -1, classes),
        _reduced(folder / 'confidence.tif', shape, Resampling.average),
        density,
        model.threshold,
        model.threshold_text,
        share_unseen,
        shares,
        None if metres is None else metres * raster.width / shape[1],
        frame_of(raster.crs, raster.transform, raster.height, raster.width),
        None if model.guarantees.open_rule is None else len(run.facts.class_names),
        sizes,
        0.0 if model.guarantees.rule is None else model.guarantees.rule.level,
    )


def _reduced(path: Path, shape: tuple[int, int], way: Resampling) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1, out_shape=shape, resampling=way)
