"""Edits of one map: the edited inputs, the images before and after, pictures and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eojax.apps.edit.changes import Edit, EditedCover, EditedRaster
from eojax.apps.edit.measures import change_of, hectares, receptive_range
from eojax.apps.edit.pictures import ANIMATIONS, FRAME_PIXELS, animation
from eojax.apps.map_scene.files import write_summary
from eojax.apps.synthesise import figures
from eojax.apps.synthesise.files import Kind, kind_of, writing
from eojax.apps.synthesise.job import (
    Inputs,
    Made,
    Options,
    described,
    described_run,
    make_image,
    small,
)
from eojax.apps.synthesise.land_cover import STRIP, LandCover
from eojax.apps.synthesise.network import Model
from eojax.apps.synthesise.windows import Beside, Kept
from eojax.data import facts
from eojax.data.facts import Limits
from eojax.drawing.class_colours import class_colours
from eojax.messages import say

SUMMARY, STRIP_PICTURE = 'summary.json', 'strip.png'
_FILM = 'rising_water'
_STRIP_PIXELS = 500


class Generator(NamedTuple):
    """A run and its inputs, beside others that make images of the same map.

    Attributes:
      name: of its images: empty where it is the only one, else that of the raster or of the run.
      model, inputs: of the run.
      options: how its images are made.
      stretch: values that are black and white in pictures; None for the limits of its data set.
    """

    name: str
    model: Model
    inputs: Inputs
    options: Options
    stretch: Limits | None

    def file(self, word: str) -> str:
        """The name of an image of it."""
        return f'{word}_{self.name}.tif' if self.name else f'{word}.tif'


class Plan(NamedTuple):
    """The edits, and where they go.

    Attributes:
      edits: in the order of their pictures.
      elevation: the raster whose values change with them; empty where none does.
      out: folder.
      margin: pixels around a change that count neither as changed nor as unchanged; None to measure
        how far each generator looks.
      animated: suffix of the animated file; empty for none.
      words: more for the summary.
    """

    edits: Sequence[Edit]
    elevation: str
    out: Path
    margin: int | None
    animated: str
    words: Mapping[str, Any]


def names_of(models: Sequence[Model]) -> list[str]:
    """A name for the images of each generator, all different; empty where there is only one."""
    if len(models) == 1:
        return ['']
    names = [model.target for model in models]
    if len(set(names)) < len(names):
        names = [model.run.folder.resolve().name for model in models]
    if len(set(names)) < len(names):
        names = [f'{name}_{number}' for number, name in enumerate(names, 1)]
    return names


def edit_scene(generators: Sequence[Generator], plan: Plan) -> dict[str, Any]:
    """Makes and writes all that belongs to some edits; returns the summary.

    Raises:
      UserError: see `eojax.apps.synthesise.job.make_image`.
    """
    first, out = generators[0], plan.out
    cover = first.inputs.cover
    (out / SUMMARY).unlink(missing_ok=True)  # an older one would vouch for the new files
    for suffix in ANIMATIONS:
        for film in out.glob(f'{_FILM}*.{suffix}'):  # of other floods
            film.unlink()
    _write_inputs(cover, cover, generators, plan, None, out / 'inputs')
    made = {one.file('before'): _make(one, plan, None, out / one.file('before'))
            for one in generators}  # fmt: skip
    margins = [_margin(one, plan) for one in generators]
    results: list[dict[str, Any]] = []
    for edit in plan.edits:
        folder = out / edit.name
        folder.mkdir(exist_ok=True)
        _write_inputs(EditedCover(cover, edit), cover, generators, plan, edit, folder)
        _write_mask(edit.changed, cover, folder / 'change.tif')
        images = {}
        for one, margin in zip(generators, margins, strict=True):
            after = folder / one.file('after')
            made[f'{edit.name}/{after.name}'] = _make(one, plan, edit, after)
            before = out / one.file('before')
            change = change_of(before, after, edit.changed, edit.mask, margin)
            images[one.name or one.model.target] = {
                'mean_change_inside': change.inside,
                'mean_change_outside': change.outside,
            }
        results.append(_numbers(edit, cover, images))
        _say(results[-1])
    _draw_strip(generators, plan, results)
    if plan.animated:
        for one in generators:
            _animate(one, plan, results)
    summary = {
        **described(first.model.run, first.options, cover),
        'runs': [
            {**described_run(one.model.run), 'raster': one.model.target, 'margin': margin}
            for one, margin in zip(generators, margins, strict=True)
        ],
        **plan.words,
        'edits': results,
        'images': {name: one.summary() for name, one in made.items()},
    }
    write_summary(out / SUMMARY, summary)
    return summary


def _make(one: Generator, plan: Plan, edit: Edit | None, path: Path) -> Made:
    cover, rasters = one.inputs.cover, dict[str, Beside](one.inputs.rasters)
    if edit is None:
        return make_image(one.model, cover, rasters, cover, one.options, path)
    if plan.elevation:
        rasters[plan.elevation] = EditedRaster(rasters[plan.elevation], edit)
    tags = {'EDIT': edit.title}
    edited = EditedCover(cover, edit)
    kept = Kept(plan.out / one.file('before'), edit.mask)
    return make_image(one.model, edited, rasters, cover, one.options, path, tags, kept)


def _margin(one: Generator, plan: Plan) -> int:
    if plan.margin is not None:
        return plan.margin
    side = one.options.window or one.model.window
    margin = receptive_range(one.model, side)
    say(f'{one.model.run.folder}: the generator looks {margin} pixels far, in windows of {side}')
    return margin


def _numbers(edit: Edit, cover: LandCover, images: dict[str, Any]) -> dict[str, Any]:
    area, wet = hectares(cover, edit.changed), edit.level is not None
    word = 'flooded' if wet else 'changed'
    return {
        'name': edit.name,
        'edit': edit.title,
        **({'height': edit.level} if wet else {}),
        f'hectares_{word}': None if area is None else round(area, 4),
        f'pixels_{word}': int(np.count_nonzero(edit.changed)),
        'images': images,
    }


def _say(result: Mapping[str, Any]) -> None:
    changes = '; '.join(
        f'mean change of {name} {_number(one["mean_change_inside"])} inside,'
        f' {_number(one["mean_change_outside"])} outside'
        for name, one in result['images'].items()
    )
    print(f'{result["edit"]}: {area_text(result)}; {changes}', flush=True)


def area_text(result: Mapping[str, Any]) -> str:
    """The changed area of an edit, in hectares where these are known."""
    word = 'flooded' if 'height' in result else 'changed'
    area = result[f'hectares_{word}']
    if area is None:
        return f'{result[f"pixels_{word}"]:,} pixels {word}'
    return f'{area:,.0f} ha {word}' if area >= 1000.0 else f'{area:.4g} ha {word}'


def _number(value: float | None) -> str:
    return 'nothing' if value is None else f'{value:.3g}'


def _write_inputs(
    cover: LandCover | EditedCover,
    place: LandCover,
    generators: Sequence[Generator],
    plan: Plan,
    edit: Edit | None,
    folder: Path,
) -> None:
    """The map as its file stores it, and the rasters that it was edited with, on its pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    with writing(folder / 'land_cover.tif', place, _kind_of_cover(place)) as file:
        for top in range(0, place.height, STRIP):
            values, valid = cover.stored(top, 0, min(STRIP, place.height - top), place.width)
            file.write(values, valid)
    rasters = {name: (raster, one.model.run.facts.rasters[name])
               for one in reversed(generators) for name, raster in one.inputs.rasters.items()
               if edit is None or name == plan.elevation}  # fmt: skip
    for name, (raster, known) in rasters.items():
        reader: Beside = raster if edit is None else EditedRaster(raster, edit)
        _write_raster(reader, known, place, folder / f'{name}.tif')


def _write_raster(reader: Beside, known: facts.Raster, place: LandCover, path: Path) -> None:
    with writing(path, place, kind_of(known, {})) as file:
        for top in range(0, place.height, STRIP):
            part = reader.read(top, 0, min(STRIP, place.height - top), place.width)
            file.write(part.pixels, part.valid)


def _write_mask(mask: np.ndarray, place: LandCover, path: Path) -> None:
    palette = {0: (0, 0, 0), 1: (255, 255, 255)}
    with writing(path, place, Kind(('change',), 'uint8', palette=palette)) as file:
        for top in range(0, place.height, STRIP):
            rows = mask[top : top + STRIP]
            file.write(rows[..., None].astype(np.uint8), np.ones(rows.shape, bool))


def _kind_of_cover(cover: LandCover) -> Kind:
    """The kind of the map's own file."""
    file, bands = cover.file, cover.bands
    palette: dict[int, Any] = {}
    if len(bands) == 1 and file.dtypes[0] == 'uint8':
        try:
            palette = {value: colour[:3] for value, colour in file.colormap(bands[0]).items()}
        except ValueError:
            palette = {}
    names = tuple(file.descriptions[band - 1] or '' for band in bands)
    tags = {key: value for key, value in file.tags().items() if key.startswith('CLASS_')}
    visible = len(bands) == 3 and file.dtypes[0] == 'uint8'
    dtype = file.dtypes[bands[0] - 1]
    return Kind(names, dtype, file.nodata, visible, palette, tags, classes=True)


def _draw_strip(
    generators: Sequence[Generator], plan: Plan, results: Sequence[Mapping[str, Any]]
) -> None:
    """Fig. 9 of the paper: before and after each edit, land cover above the images."""
    first = generators[0]
    cover, run = first.inputs.cover, first.model.run
    size = figures.small_size(cover.height, cover.width, _STRIP_PIXELS)
    names = run.facts.class_names
    colours = class_colours(names, run.facts.class_colours)
    folders = [plan.out / 'inputs', *(plan.out / edit.name for edit in plan.edits)]
    labels = []
    for folder in folders:
        with LandCover(folder / 'land_cover.tif', run, first.options.classes) as edited:
            labels.append(edited.overview(*size))
    titles = ['before', *(f'{one["edit"]}: {area_text(one)}' for one in results)]
    rows = [
        [
            figures.cover_panel(title, one, colours)
            for title, one in zip(titles, labels, strict=True)
        ]
    ]
    for one in generators:
        rows += _image_rows(one, plan, size)
    title = (
        f'{cover.path.name}  ({", ".join(g.model.run.folder.resolve().name for g in generators)};'
        f' trained on {run.facts.trained_on})'
    )
    legend = figures.legend_of(labels, names, colours)
    figures.panel_grid(title, rows, legend, plan.out / STRIP_PICTURE)


def _pictures(one: Generator, plan: Plan, size: tuple[int, int]) -> list[list[Any]]:
    """The images before and after each edit, as they are shown."""
    paths = [
        plan.out / one.file('before'),
        *(plan.out / edit.name / one.file('after') for edit in plan.edits),
    ]
    output = one.model.output
    return [figures.shown(*small(path, *size), output, one.stretch) for path in paths]


def _image_rows(one: Generator, plan: Plan, size: tuple[int, int]) -> list[list[figures.Panel]]:
    """A row of panels for each picture of an image."""
    columns = _pictures(one, plan, size)
    rows = []
    for number, (name, _) in enumerate(columns[0]):
        text = f'{one.model.target}{f", {name}" if name else ""}'
        rows.append([figures.Panel(text, column[number][1]) for column in columns])
    return rows


def _animate(one: Generator, plan: Plan, results: Sequence[Mapping[str, Any]]) -> None:
    """A frame before and one for each height."""
    cover = one.inputs.cover
    size = figures.small_size(cover.height, cover.width, FRAME_PIXELS)
    frames = [pictures[0][1] for pictures in _pictures(one, plan, size)]
    captions = ['before', *(f'{edit["edit"]}: {area_text(edit)}' for edit in results)]
    name = f'{_FILM}_{one.name}' if one.name else _FILM
    animation(frames, captions, plan.out / f'{name}.{plan.animated}')
