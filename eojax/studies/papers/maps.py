"""Maps of scenes that no run has seen: classes by several runs, and log p(x) as confidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling

from eojax.apps.map_scene.command import check_run
from eojax.apps.map_scene.figures import Overview
from eojax.apps.map_scene.guarantees import NOTHING
from eojax.apps.map_scene.job import map_scene
from eojax.apps.map_scene.model import Model, prepare_model
from eojax.apps.map_scene.overview import overview_of
from eojax.apps.map_scene.scene import Job, Options
from eojax.apps.map_scene.side_by_side import CLASSES, LOG_DENSITY, SCENE, Panel, side_by_side
from eojax.data.reading.raster import DEFAULT_READING
from eojax.drawing.class_colours import Colour, class_colours
from eojax.runs.command import open_trained
from eojax.studies.papers.item import Compared, Outcome, Place, Work
from eojax.studies.papers.runs import Trained

_FILE = 'figure.png'
_OPTIONS = Options(None, None, DEFAULT_READING)


def class_maps(work: Work) -> Outcome:
    """A row for each scene: the scene, its true classes where known, and the map of each run."""
    made = _maps(work)
    rows: dict[str, list[Panel]] = {}
    for place in work.plan.places:
        own = {one: found for (where, one), found in made.items() if where == place}
        first = next(iter(own.values()))
        panels = [Panel('image', SCENE, first)]
        if place.truth is not None:
            panels.append(Panel('ground truth', CLASSES, truth_of(place.truth, first)))
        rows[place.title] = [*panels, *(Panel(one.title, CLASSES, o) for one, o in own.items())]
    side_by_side(rows, _colours(work), work.out / _FILE)
    numbers = [
        Compared(f'{place.title}: {one.title}', f'share_{name}', share)
        for (place, one), found in made.items()
        for name, share in found.shares.items()
    ]
    caption = (
        f'Maps of {_titles(work)}, which no run has seen, patch by patch, by'
        f' {"; ".join(one.title for one in work.plan.runs)}. The paper prints no numbers.'
    )
    return Outcome(caption, numbers, [_FILE])


def with_confidence(work: Work) -> Outcome:
    """The scene, its map, and log p(x)."""
    made = _maps(work)
    rows = {
        place.title: [
            Panel('image', SCENE, found),
            Panel('class map', CLASSES, found),
            Panel('log p(x), unnormalised', LOG_DENSITY, found),
        ]
        for (place, _), found in made.items()
    }
    side_by_side(rows, _colours(work), work.out / _FILE)
    return Outcome(f'{_density_caption(work)}', _density_numbers(made), [_FILE])


def confidence_maps(work: Work) -> Outcome:
    """log p(x) of each scene, beside the scene."""
    made = _maps(work)
    rows = {
        place.title: [
            Panel('image', SCENE, found),
            Panel(f'log p(x), {one.title}', LOG_DENSITY, found),
        ]
        for (place, one), found in made.items()
    }
    side_by_side(rows, {}, work.out / _FILE)
    return Outcome(_density_caption(work), _density_numbers(made), [_FILE])


def _maps(work: Work) -> dict[tuple[Place, Trained], Overview]:
    """The maps of all places by the runs of their data, each made once."""
    made: dict[tuple[Place, Trained], Overview] = {}
    for one in work.plan.runs:
        places = [place for place in work.plan.places if place.trained_on == one.data]
        if not places:
            continue
        run, state = open_trained(work.folder(one))
        check_run(run, {}, NOTHING)
        model = prepare_model(run, state)
        for place in places:
            made[place, one] = _map(work, place, one, model)
    return {
        (place, one): made[place, one]
        for place in work.plan.places
        for one in work.plan.runs
        if (place, one) in made
    }


def _map(work: Work, place: Place, one: Trained, model: Model) -> Overview:
    name = '_'.join(place.title.lower().split())
    out = work.workdir / 'maps' / name / f'{one.series(work.small)}_{one.labels}_labels'
    job = Job(place.path, out)
    out.mkdir(parents=True, exist_ok=True)
    map_scene(job, model, _OPTIONS)
    return overview_of(job, model, _OPTIONS)


def truth_of(path: Path, like: Overview) -> Overview:
    """The true classes of a scene on the grid of its map.

    Args:
      path: of a GeoTIFF in the scene's coordinate system; 0 is unknown, 1 the first class.
      like: the scene; without coordinates, both are taken to show the same ground.
    """
    frame = like.frame
    with rasterio.open(path) as file:
        window = None
        if frame is not None:
            window = file.window(frame.left, frame.bottom, frame.right, frame.top)
        values = file.read(
            1, window=window, out_shape=like.classes.shape, boundless=window is not None,
            fill_value=0, resampling=Resampling.nearest,
        )  # fmt: skip
    return like._replace(classes=values.astype(np.int16) - 1)


def _colours(work: Work) -> dict[str, Colour]:
    """The colours of the classes of the runs, of one data set, by name."""
    run, _ = open_trained(work.folder(work.plan.runs[0]))
    names = run.facts.class_names
    return dict(zip(names, class_colours(names, run.facts.class_colours), strict=True))


def _titles(work: Work) -> str:
    return ', '.join(place.title for place in work.plan.places)


def _density_caption(work: Work) -> str:
    runs = '; '.join(one.title for one in work.plan.runs)
    return (
        f'log p(x), unnormalised, of {_titles(work)}, which the run has not seen, by {runs}: the'
        ' darker the blue the more like the training images; orange is below the 1st percentile of'
        ' theirs. The paper prints no numbers.'
    )


def _density_numbers(made: dict[tuple[Place, Trained], Overview]) -> Sequence[Compared]:
    numbers = []
    for (place, one), found in made.items():
        assert found.log_density is not None
        values = found.log_density[np.isfinite(found.log_density)]
        of = f'{place.title}: {one.title}'
        numbers.append(Compared(of, 'mean_log_density', float(values.mean())))
        if found.threshold is not None:
            share = float((values < found.threshold).mean())
            numbers.append(Compared(of, 'share_below_threshold', share))
    return numbers
