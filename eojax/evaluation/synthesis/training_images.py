"""Synthesised images of training places that a generator has not learnt from.

The generator of a run was trained on its labelled training places. Of the others, whose labels and
rasters are there too, it makes the images that their real ones are replaced by
(`eojax.data.synthesised`): as if nobody had taken these.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from eojax.data.columns import name_at
from eojax.data.dataset import Dataset
from eojax.data.facts import Raster
from eojax.data.synthesised import FILE, SynthesisedImages, write_image, write_places
from eojax.data.value_range import scale_from_unit
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.evaluation.synthesis.outputs import SYNTHESISED, stream_of, synthesis_set
from eojax.evaluation.synthesis.segmenter import target_of
from eojax.runs.command import open_trained
from eojax.runs.run import Run, with_data


def images_file(folder: Path) -> Path:
    """The file of a run's folder that is there once all images are."""
    return folder / 'synthesised' / FILE


def write_training_images(folder: Path) -> None:
    """Makes the images of all unlabelled training places of a trained run, in its folder.

    All processes of the run call it together.

    Raises:
      UserError: no such run, a run that cannot synthesise, or one without such places.
    """
    run, state = open_trained(folder)
    run = with_data(run)
    places = run.splits.unlabelled
    if not len(places):
        raise UserError(
            f'{folder}: all training places were labelled, and none is left to synthesise: lower'
            ' data.labelled_share'
        )
    dataset = run.dataset.subset(places)
    out = images_file(folder).parent
    names = tuple(name_at(dataset.places.names, i) for i in range(dataset.places.num))
    out.mkdir(parents=True, exist_ok=True)
    for number, image in synthesised(run, state, dataset):
        if sharding.is_main_process():
            write_image(out, number, stored_image(image, dataset.facts.rasters[target_of(run)]))
    if sharding.is_main_process():
        write_places(SynthesisedImages(out, target_of(run), names), str(folder), run.step)


def synthesised(run: Run, state: Any, dataset: Dataset) -> Iterator[tuple[int, np.ndarray]]:
    """Each place's number and its image, float32 `[h, w, bands]` in [-1, 1], put together."""
    config = run.config.copy_and_resolve_references()
    config.evaluate.centre = 0
    tested = synthesis_set(run._replace(config=config), dataset)
    heights, widths = dataset.places.heights, dataset.places.widths
    begun: dict[int, np.ndarray] = {}
    for outputs, batch in stream_of(None)(run, (SYNTHESISED,), state, tested, 'synthesising'):
        made = outputs[SYNTHESISED]
        assert batch.counted is not None
        for row, place in enumerate(batch.place.tolist()):
            for done in [number for number in begun if number < place]:
                yield done, begun.pop(done)
            size = (int(heights[place]), int(widths[place]), made.shape[-1])
            image = begun.setdefault(place, np.zeros(size, np.float32))
            first, end, left, right = batch.counted[row].tolist()
            down, across = int(batch.rows[row]), int(batch.columns[row])
            here = (slice(down + first, down + end), slice(across + left, across + right))
            image[here] = made[row, first:end, left:right]
    yield from begun.items()


def stored_image(image: np.ndarray, raster: Raster) -> np.ndarray:
    """An image in [-1, 1] in the type and units of its raster; a pixel for each of its own."""
    values = scale_from_unit(np.clip(image[:: raster.scale, :: raster.scale], -1, 1), raster.limits)
    dtype = np.dtype(raster.dtype)
    return (np.rint(values) if dtype.kind in 'ui' else values).astype(dtype)
