"""From features to plane, regions, tables and files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eojax.apps.representativeness import class_figures, figures
from eojax.apps.representativeness.gathered import Gathered, check_places
from eojax.apps.representativeness.places import BESIDE, LABELLED, TEST, UNLABELLED
from eojax.apps.representativeness.plane import Plane, embed
from eojax.apps.representativeness.regions import (
    Regions,
    Table,
    check_seen,
    halves_iou,
    regions_of,
    table_of,
    union,
)
from eojax.atomic_file import write_atomically
from eojax.messages import say
from eojax.tables import markdown_table

LEAST_IMAGES = 5  # of a place


class Settings(NamedTuple):
    """Of plane and regions.

    Attributes:
      perplexity, components: of t-SNE and of the principal components before it.
      nu, gamma: of the one-class SVMs.
      cells: of the grid along its longer side.
      seed: of the plane.
    """

    perplexity: float = 30.0
    components: int = 50
    nu: float = 0.1
    gamma: float = 2.0
    cells: int = 300
    seed: int = 0


class Judged(NamedTuple):
    """All that is known at the end.

    Attributes:
      numbers: of the places that have a region, in the regions' order.
      halves: `halves_iou` of each of these.
    """

    gathered: Gathered
    plane: Plane
    regions: Regions
    numbers: tuple[int, ...]
    table: Table
    halves: tuple[float | None, ...]


def judge(gathered: Gathered, settings: Settings) -> Judged:
    """The plane, the regions and the tables of gathered features.

    Raises:
      UserError: too few images, or a region that is too small for the grid.
    """
    check_places(gathered, LEAST_IMAGES)
    plane = embed(gathered.features, settings.perplexity, settings.components, settings.seed)
    if plane.perplexity < settings.perplexity:
        say(
            f'{len(plane.points)} images are few for a perplexity of {settings.perplexity:g}:'
            f' {plane.perplexity:.1f} it is'
        )
    numbers = gathered.numbers(LABELLED, UNLABELLED, TEST)
    groups = [plane.points[gathered.place == number] for number in numbers]
    titles = figures.place_titles(gathered)
    names = [titles[number] for number in numbers]
    regions = regions_of(groups, settings.nu, settings.gamma, settings.cells)
    check_seen(regions, names)
    masks = dict(zip(numbers, regions.masks, strict=True))
    test = {titles[n]: masks[n] for n in gathered.numbers(TEST)}
    table = table_of(
        _with_unions(gathered, titles, masks), test | {'all test': union([*test.values()])}
    )
    halves = tuple(
        halves_iou(group, settings.nu, settings.gamma, settings.cells, settings.seed)
        for group in groups
    )
    return Judged(gathered, plane, regions, tuple(numbers), table, halves)


def _with_unions(
    gathered: Gathered, titles: Sequence[str], masks: dict[int, np.ndarray]
) -> dict[str, np.ndarray]:
    """The regions of training places, then of the unions of each part and of all."""
    parts = {part: gathered.numbers(part) for part in (LABELLED, UNLABELLED)}
    rows = {titles[n]: masks[n] for numbers in parts.values() for n in numbers}
    if all(parts.values()):
        rows |= {f'all {p}': union([masks[n] for n in held]) for p, held in parts.items()}
    every = [masks[n] for numbers in parts.values() for n in numbers]
    return rows | {'all training': union(every)}


def summary(judged: Judged, settings: Settings, about: dict[str, Any]) -> dict[str, Any]:
    """The content of `summary.json`."""
    gathered, plane, regions = judged.gathered, judged.plane, judged.regions
    shares = class_figures.class_shares(gathered)
    masks = dict(zip(judged.numbers, regions.masks, strict=True))
    training = union([masks[n] for n in gathered.numbers(LABELLED, UNLABELLED)])
    test = union([masks[n] for n in gathered.numbers(TEST)])
    halves = dict(zip(judged.numbers, judged.halves, strict=True))
    places = {}
    for number, title in enumerate(figures.place_titles(gathered)):
        own = gathered.place == number
        facts: dict[str, Any] = {'part': gathered.places[number][1], 'images': int(own.sum())}
        if number in masks:
            area = float(masks[number].sum()) * regions.grid.cell**2
            facts |= {'area': area, 'halves_iou': halves[number]}
        else:
            points = plane.points[own]
            facts['share_in_training_regions'] = _share(regions.grid.inside(training, points))
            facts['share_in_test_regions'] = _share(regions.grid.inside(test, points))
        places[title] = facts
    table = judged.table
    return {
        **about,
        'settings': {
            'seed': settings.seed,
            'perplexity': plane.perplexity,
            'principal_components': plane.components,
            'kernel': 'rbf',
            'nu': settings.nu,
            'gamma': settings.gamma,
            'grid_cells': list(regions.grid.shape),
        },
        'images': len(gathered.features),
        'features': gathered.features.shape[1],
        'variance_kept': plane.kept,
        'tsne_divergence': plane.divergence,
        'places': places,
        'training': list(table.rows),
        'test': list(table.columns),
        'iou': table.iou.tolist(),
        'iot': table.iot.tolist(),
        'classes': list(gathered.class_names),
        'class_shares': {title: values.tolist() for title, values in shares.items()},
    }


def _share(inside: np.ndarray) -> float:
    return float(inside.mean())


def tables_text(table: Table) -> str:
    """Both tables as Markdown."""
    texts = []
    for name, scores in (('IoU', table.iou), ('IoT', table.iot)):
        rows = [[name, *table.columns]]
        rows += [
            [title, *(f'{value:.3f}' for value in values)]
            for title, values in zip(table.rows, scores, strict=True)
        ]
        texts.append(markdown_table(rows))
    return '\n\n'.join(texts)


def write(judged: Judged, settings: Settings, about: dict[str, Any], out: Path) -> None:
    """Writes all files, each of them whole or not at all, `summary.json` the last."""
    gathered, points, regions = judged.gathered, judged.plane.points, judged.regions
    grid = regions.grid
    for name, scores in (('iou', judged.table.iou), ('iot', judged.table.iot)):
        _write_text(out / f'{name}.csv', _csv(judged.table, scores))
    _write_text(out / 'tables.md', tables_text(judged.table) + '\n')
    figures.overlaps(judged.table, out / 'overlaps.png')
    figures.places(gathered, points, regions, judged.numbers, out / 'places.png')
    figures.split(gathered, points, regions, judged.numbers, out / 'split.png')
    drawn = ['overlaps', 'places', 'split']
    if gathered.thumbnails is not None:
        figures.appearance(gathered, points, out / 'appearance.png')
        drawn.append('appearance')
    if gathered.numbers(BESIDE):
        figures.beside(gathered, points, regions, out / 'beside.png')
        drawn.append('beside')
    shares = class_figures.class_shares(gathered)
    if shares and gathered.class_names:
        class_figures.histograms(gathered, shares, out / 'classes.png')
        class_figures.shares_in_plane(gathered, points, grid, out / 'class_shares.png')
        drawn += ['classes', 'class_shares']
    for name in ('appearance', 'beside', 'classes', 'class_shares'):
        if name not in drawn:  # of an earlier call
            (out / f'{name}.png').unlink(missing_ok=True)
    text = json.dumps(summary(judged, settings, about), indent=2, allow_nan=False)
    _write_text(out / 'summary.json', f'{text}\n')


def _csv(table: Table, scores: np.ndarray) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['training', *table.columns])
    for title, values in zip(table.rows, scores, strict=True):
        writer.writerow([title, *(f'{value:.6f}' for value in values)])
    return text.getvalue()


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda file: file.write(text.encode()))
