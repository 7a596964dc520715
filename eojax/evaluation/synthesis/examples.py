"""Some tested places with what was synthesised of them, beside land cover, rasters and truth.

Which places, and which part of large ones, is drawn from a seed and spread over cities; no score
enters the choice. `synthesis.png` shows them; `synthesis_examples.npz` keeps them, so that several
runs can be shown side by side (`eojax.studies.synthesis`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eojax.atomic_file import write_atomically
from eojax.data.facts import IMAGES, PIXEL_LABELS, UNKNOWN, UNSEEN, Facts, Raster
from eojax.data.valid_pixels import repeated
from eojax.data.value_range import scale_from_unit
from eojax.drawing.class_colours import class_colours
from eojax.drawing.pictures import displayed, visible_indices
from eojax.drawing.segmentation import coloured
from eojax.drawing.synthesis import Row, legend_of, picture_rows
from eojax.errors import UserError
from eojax.evaluation.evaluation_set import EvaluationBatch, EvaluationSet
from eojax.evaluation.evaluators import Evaluator, Measured, Outputs
from eojax.evaluation.pixels.examples import EXAMPLES, Shown, choose, paste, title_of
from eojax.evaluation.synthesis.outputs import SYNTHESISED

FILE = 'synthesis_examples.npz'
_LAND_COVER, _TRUTH = 'land cover', 'real image'


class SynthesisExample(NamedTuple):
    """A part of a place, as it is drawn.

    Attributes:
      title: of the place.
      labels: int32 `[h, w]`, -1 where the class is unknown.
      pictures: uint8 `[h, w, 3]`, or 1 band for grey, by their titles: rasters, the real image, and
        last what was synthesised.
    """

    title: str
    labels: np.ndarray
    pictures: Mapping[str, np.ndarray]


def synthesis_examples(tested: EvaluationSet, target: str, seed: int = 0) -> Evaluator:
    """The figure and the file of some places.

    Args:
      target: the raster that is synthesised.
      seed: of the choice.
    """
    facts = tested.dataset.facts
    bands = len(facts.rasters[target].bands)

    def start() -> list[Shown]:
        chosen = choose(tested._replace(rasters=(target,)), EXAMPLES, seed)
        return [
            Shown(
                place,
                window,
                np.full((window.height, window.width), -1, np.int32),
                {SYNTHESISED: np.zeros((window.height, window.width, bands), np.float32)},
            )
            for place, window in chosen
        ]

    def update(shown: list[Shown], outputs: Outputs, batch: EvaluationBatch) -> list[Shown]:
        for part in shown:
            for row in np.flatnonzero(batch.place == part.place):
                paste(part, outputs, batch, int(row))
        return shown

    def finish(shown: list[Shown]) -> Measured:
        def draw(out: Path) -> None:
            examples = [_example(tested, target, part) for part in shown]
            write_examples(out / FILE, examples)
            draw_examples(examples, facts, out / 'synthesis.png')

        return Measured({}, draw)

    return Evaluator((SYNTHESISED,), start, update, finish)


def _example(tested: EvaluationSet, target: str, part: Shown) -> SynthesisExample:
    dataset, window = tested.dataset, part.window
    facts = dataset.facts
    inputs = [name for name in tested.rasters if name in facts.rasters and name != target]
    read = dataset.source.read(part.place, window, (target, *inputs, PIXEL_LABELS))
    stored = read[PIXEL_LABELS]
    labels = np.where((stored == UNKNOWN) | (stored == UNSEEN), -1, stored.astype(np.int32))
    pictures = {
        name: repeated(_picture(read[name], facts.rasters[name], name), facts.rasters[name].scale)
        for name in (*inputs, target)
    }
    pictures[_TRUTH] = pictures.pop(target)
    made = part.scores[SYNTHESISED]
    pictures[SYNTHESISED] = _from_unit(made, facts.rasters[target])
    return SynthesisExample(title_of(dataset, part.place), labels, pictures)


def _picture(pixels: np.ndarray, raster: Raster, name: str) -> np.ndarray:
    """A raster as a picture: images and radar by their limits, others over their own range.

    So elevation is seen where a place is flat.
    """
    if name == IMAGES or visible_indices(raster.bands) or raster.bands[0].endswith('_db'):
        return displayed(pixels, raster.bands, raster.limits)
    values = pixels[..., :1].astype(np.float64)
    low, high = np.percentile(values, [1, 99])
    return np.round(255.0 * np.clip((values - low) / max(high - low, 1e-9), 0, 1)).astype(np.uint8)


def _from_unit(made: np.ndarray, raster: Raster) -> np.ndarray:
    """Values in [-1, 1] as a picture, as the stored ones of the raster are shown."""
    if raster.dtype == 'uint8':
        levels = np.round(scale_from_unit(made)).astype(np.uint8)
        return displayed(levels, raster.bands)
    return displayed(made, raster.bands, ((-1.0, 1.0),) * len(raster.bands))


def draw_examples(examples: Sequence[SynthesisExample], facts: Facts, path: Path) -> None:
    """Writes a row for each place: land cover, rasters, real image, synthesised image."""
    colours = class_colours(facts.class_names, facts.class_colours)
    rows = [Row(e.title, (coloured(e.labels, colours), *e.pictures.values())) for e in examples]
    titles = [_LAND_COVER, *examples[0].pictures]
    legend = legend_of([e.labels for e in examples], facts.class_names, colours)
    picture_rows(rows, titles, legend, path)


def write_examples(path: Path, examples: Sequence[SynthesisExample]) -> None:
    """Writes the examples to a file of NumPy arrays."""
    arrays: dict[str, np.ndarray] = {'titles': np.array([e.title for e in examples])}
    for number, example in enumerate(examples):
        arrays[f'{number}/labels'] = example.labels
        arrays |= {f'{number}/{title}': p for title, p in example.pictures.items()}
    write_atomically(path, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]


def read_examples(path: Path) -> list[SynthesisExample]:
    """The examples that `write_examples` wrote.

    Raises:
      UserError: the file is absent or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            titles = [str(title) for title in file['titles']]
            examples = []
            for number, title in enumerate(titles):
                names = [k for k in file.files if k.startswith(f'{number}/')]
                pictures = {k.partition('/')[2]: file[k] for k in names}
                labels = pictures.pop('labels')
                examples.append(SynthesisExample(title, labels, pictures))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f'{path} cannot be read: evaluate the run again ({error})') from error
    return examples
