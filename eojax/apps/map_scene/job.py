"""The map of one scene: made, with its files and their summary, or found complete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from eojax.apps.map_scene.companions import Companion
from eojax.apps.map_scene.files import LayerFiles, complete, publish, unfinished, written
from eojax.apps.map_scene.guarantees import AREAS_FILES, SetTotals, area_table, summary_of
from eojax.apps.map_scene.model import Model, classes_shown, files_of, layers_of
from eojax.apps.map_scene.overview import draw
from eojax.apps.map_scene.patch_map import CellRow, map_rows
from eojax.apps.map_scene.pixel_map import map_pixels
from eojax.apps.map_scene.scene import Job, Options, companions_of, open_scene, settings_of
from eojax.apps.map_scene.scores import warm_up
from eojax.apps.map_scene.tiling import Tiling
from eojax.apps.map_scene.totals import Course, Totals
from eojax.data.reading.raster import Raster
from eojax.drawing.guarantees import area_intervals
from eojax.errors import UserError
from eojax.evaluation.guarantees.areas import write_areas
from eojax.messages import say

_LAYERS = ('class_map', 'confidence', 'log_density', 'unseen', 'set_size', 'class_set')
# Layers of another method, and what other programs (QGIS) note beside them.
_STALE = tuple(f'{name}{suffix}' for name in _LAYERS for suffix in ('.tif', '.tif.aux.xml'))
_STALE += AREAS_FILES


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


def _make(
    job: Job, model: Model, parts: _Rows, settings: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    """Writes all files but the summary into a folder; returns the summary."""
    raster, tiling = parts.raster, parts.tiling
    warm_up(model.run, model.state, raster)
    guarantees, names = model.guarantees, model.run.facts.class_names
    totals = Totals(raster, tiling, len(classes_shown(model)[0]))
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
    draw(model, raster, totals, course, folder)
    averaged = tiling.stride < tiling.patch
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
    # Rounding of the sum may leave it a little below 0.
    empty = max(round(totals.whole - float(totals.areas.sum()), 4), 0.0)
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
