"""The figures of the study of generators: all of them on the same places, and class by class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eojax.data.facts import Facts
from eojax.drawing.class_colours import class_colours
from eojax.drawing.segmentation import coloured
from eojax.drawing.synthesis import Row as PictureRow
from eojax.drawing.synthesis import class_comparison, legend_of, picture_rows
from eojax.errors import UserError
from eojax.evaluation.synthesis.examples import FILE, SynthesisExample, read_examples
from eojax.evaluation.synthesis.outputs import SYNTHESISED
from eojax.evaluation.synthesis.segmentation import AGREEMENT, IOU, REAL_IMAGES, TRUTH
from eojax.messages import say
from eojax.runs.domains import TARGET
from eojax.runs.known import read_known
from eojax.studies.grid.cells import Row
from eojax.studies.synthesis.generators import SEGMENTER
from eojax.studies.synthesis.table import REAL, classes_of, names_of, real_summary, summary


def draw(rows: Sequence[Row], folder: Path) -> None:
    """Writes `side_by_side.png`, `class_iou_truth.png` and `class_iou_real.png`.

    Those for which there are numbers, of the runs that came to their end.
    """
    finished = [row for row in rows if row['error'] is None and row['config'] != SEGMENTER]
    if not finished:
        return
    for prefix, name in ((TRUTH, 'class_iou_truth'), (AGREEMENT, 'class_iou_real')):
        _draw_classes(finished, prefix, folder / f'{name}.png')
    try:
        facts = read_known(Path(finished[0]['folder']))[TARGET].facts
        side_by_side(finished, facts, folder / 'side_by_side.png')
    except UserError as error:  # the table is there, whatever became of the pictures
        say(f'side_by_side.png is left out: {error}')


def _draw_classes(rows: Sequence[Row], prefix: str, path: Path) -> None:
    """IoU of each class as bars: means over the seeds, and of the real images where they are."""
    values, classes = dict[str, list[float | None]](), classes_of(rows, prefix)
    if prefix == TRUTH:
        keys = [f'{REAL_IMAGES}{IOU}{name}' for name in classes]
        values[REAL] = [_number(real_summary(rows, key)['mean'].iloc[0]) for key in keys]
    means = [summary(rows, f'{prefix}{IOU}{name}')['mean'] for name in classes]
    for number, name in enumerate(names_of(rows)):
        values[name] = [_number(each.iloc[number]) for each in means]
    class_comparison(values, classes, None, path)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def side_by_side(rows: Sequence[Row], facts: Facts, path: Path) -> None:
    """Writes land cover, rasters, the real image and all generators' images of the same places.

    They are of the first seed that the first generator has.

    Raises:
      UserError: examples that cannot be read, or are of different places.
    """
    seed = rows[0]['seed']
    found: dict[str, list[SynthesisExample]] = {
        row['config']: read_examples(Path(row['folder']) / 'evaluation' / FILE)
        for row in rows
        if row['seed'] == seed
    }
    first = max(found.values(), key=lambda examples: len(examples[0].pictures))
    titles = [example.title for example in first]
    for name, examples in found.items():
        if [example.title for example in examples] != titles:
            raise UserError(f'{name} was evaluated on other places')
    colours = class_colours(facts.class_names, facts.class_colours)
    inputs = [title for title in first[0].pictures if title != SYNTHESISED]
    drawn = [
        PictureRow(
            example.title,
            [
                coloured(example.labels, colours),
                *(example.pictures[title] for title in inputs),
                *(examples[number].pictures[SYNTHESISED] for examples in found.values()),
            ],
        )
        for number, example in enumerate(first)
    ]
    legend = legend_of([example.labels for example in first], facts.class_names, colours)
    picture_rows(drawn, ['land cover', *inputs, *found], legend, path)
