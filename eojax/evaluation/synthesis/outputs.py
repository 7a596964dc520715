"""Synthesised images of tested places, beside the real ones and what a segmenter makes of both.

One compiled program a batch: the generator, and the segmenter on its image and on the real one. Of
places that are larger than a window there are two: the generator makes windows that overlap, these
are blended on the host, and the segmenter sees windows of the blended image.

Where the target has no data a synthesised image shows as little as the real one, as in training:
else the windows that similarity, textures and the segmenter look at would differ beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from eojax.data.dataset import Dataset
from eojax.data.facts import PIXEL_LABELS, UNKNOWN, UNSEEN, Facts, is_mask, valid_of
from eojax.data.valid_pixels import valid_pixels
from eojax.devices import sharding
from eojax.devices.compiler_options import compiler_options
from eojax.errors import UserError
from eojax.evaluation.evaluation_set import EvaluationBatch, EvaluationSet
from eojax.evaluation.evaluators import Outputs, Stream
from eojax.evaluation.scoring import (
    filled_up,
    image_keys,
    on_host,
    place_batch,
    progress_bar,
    rows_here,
    scaled_raster,
)
from eojax.evaluation.synthesis.segmenter import Segmenter, inputs_of, target_of
from eojax.evaluation.synthesis.whole_places import (
    WholePlaces,
    needs_blending,
    overlapping,
    windows_of,
)
from eojax.methods import METHODS
from eojax.methods.method import ability
from eojax.runs.run import Run

# Of a batch, in [-1, 1], `[n, h, w, bands]`.
REAL, SYNTHESISED = 'real', 'synthesised'
# What the segmenter makes of both: classes uint8 `[n, h, w]`, features float32 `[n, D]`.
CLASSES, FEATURES = 'classes_', 'features_'


def synthesis_set(run: Run, dataset: Dataset) -> EvaluationSet:
    """A data set as a run that synthesises is tested on it: target, inputs, masks and labels.

    Raises:
      UserError: places of several sizes that are to be seen whole.
    """
    options, method, facts = run.config.evaluate, run.method, dataset.facts
    rasters = tuple(dict.fromkeys((target_of(run), *method.rasters)))
    window = options.centre or method.window
    if window is None and facts.size is None:
        raise UserError(
            'places differ in size: set method.evaluation_window, or evaluate.centre, to the side'
            ' of the windows that are evaluated'
        )
    return EvaluationSet(
        dataset,
        (*rasters, *facts.masks(rasters), PIXEL_LABELS),
        window,
        options.batch_size,
        options.window_overlap,
        centre=bool(options.centre),
    )


def seen_labels(batch: EvaluationBatch) -> np.ndarray:
    """The labels of whole windows, int32 `[n, h, w]`; -1 where the class is unknown."""
    stored = batch.rasters[PIXEL_LABELS]
    return np.where((stored == UNKNOWN) | (stored == UNSEEN), -1, stored.astype(np.int32))


def counted_pixels(batch: EvaluationBatch, facts: Facts) -> np.ndarray:
    """The pixels that count in their window and hold data, bool `[n, h, w]`, whatever the class."""
    labels = batch.rasters[PIXEL_LABELS]
    counted = np.zeros(labels.shape, bool)
    assert batch.counted is not None
    for row, (first, end, left, right) in enumerate(batch.counted.tolist()):
        masks = {name: x[row] for name, x in batch.rasters.items() if is_mask(name)}
        inside = (slice(first, end), slice(left, right))
        size = (labels.shape[1], labels.shape[2])
        counted[row][inside] = valid_pixels(masks, facts, size)[inside]
    return counted


def stream_of(segmenter: Segmenter | None) -> Stream:
    """Where evaluators get their outputs from (`eojax.evaluation.evaluators.measure`)."""

    def stream(
        run: Run, names: tuple[str, ...], state: Any, tested: EvaluationSet, title: str = ''
    ) -> Iterable[tuple[Outputs, EvaluationBatch]]:
        return _stream(run, names, state, tested, segmenter, title)

    return stream


def _stream(
    run: Run,
    names: tuple[str, ...],
    state: Any,
    tested: EvaluationSet,
    segmenter: Segmenter | None,
    title: str,
) -> Iterator[tuple[Outputs, EvaluationBatch]]:
    if not needs_blending(tested):
        program = _compiled(run, names, segmenter)
        yield from _computed(run, program, state, segmenter, tested, title)
        return
    generated = _computed(run, _compiled(run, (SYNTHESISED,), None), state, None,
                          overlapping(tested), title)  # fmt: skip
    whole = WholePlaces(
        ((made[SYNTHESISED], batch) for made, batch in generated), overlapping(tested)
    )
    program = _compiled(run, names, segmenter, generates=False)
    yield from _computed(run, program, (), segmenter, tested, '', whole)


def _computed(
    run: Run,
    program: Callable[..., dict[str, Array]],
    state: Any,
    segmenter: Segmenter | None,
    tested: EvaluationSet,
    title: str,
    whole: WholePlaces | None = None,
) -> Iterator[tuple[Outputs, EvaluationBatch]]:
    """The outputs of a program for all batches; the host prepares one while devices compute one.

    Args:
      whole: the images, where the program gets them and makes none.
    """
    judge = None if segmenter is None else segmenter.state
    waiting: tuple[EvaluationBatch, Any] | None = None
    with progress_bar(tested.num if tested.window is None else None, title) as bar:
        for batch in tested.batches(rows_here(run)):
            labels, rasters, held, keys = _placed(run, batch)
            if whole is not None:
                assert tested.window is not None
                made = windows_of(whole, batch, tested.dataset.places, tested.window)
                size = run.config.evaluate.batch_size
                rasters[SYNTHESISED] = place_batch(run, filled_up(made, size))
            outputs = program(state, judge, labels, rasters, held, keys)
            if waiting is not None:
                yield on_host(run, len(waiting[0].place), waiting[1]), waiting[0]
                bar.update(len(waiting[0].place))
            waiting = (batch, outputs)
        if waiting is not None:
            yield on_host(run, len(waiting[0].place), waiting[1]), waiting[0]


def _placed(
    run: Run, batch: EvaluationBatch
) -> tuple[Array, dict[str, Array], Array | None, Array]:
    """Labels, rasters in [-1, 1] by name, where the target has data (None: everywhere), and a key
    for each image, on the run's devices."""
    size, facts = run.config.evaluate.batch_size, run.facts
    labels = place_batch(run, filled_up(seen_labels(batch), size))
    stored = {
        name: place_batch(run, filled_up(batch.rasters[name], size))
        for name in dict.fromkeys((target_of(run), *run.method.rasters))
    }
    rasters = {
        name: scaled_raster(x, facts.rasters[name].limits, facts.rasters[name].scale, False)
        for name, x in stored.items()
    }
    mask, scale = batch.rasters.get(valid_of(target_of(run))), facts.rasters[target_of(run)].scale
    held = None
    if mask is not None:
        held = place_batch(run, filled_up(mask.repeat(scale, 1).repeat(scale, 2), size))
    return labels, rasters, held, image_keys(run, *stored.values())


def _compiled(
    run: Run, names: tuple[str, ...], segmenter: Segmenter | None, generates: bool = True
) -> Callable[..., dict[str, Array]]:
    """A program with these outputs; it is kept with the run.

    One that was made for more of them serves too: it takes longer to compile than to compute.
    """
    place = None if segmenter is None else (segmenter.run.folder, segmenter.run.step)
    for kept in run.programs:
        same = kept[0] == 'synthesis' and kept[2:] == (place, run.mesh, generates)
        if same and {*names} <= {*kept[1]}:
            return run.programs[kept]
    known = ('synthesis', names, place, run.mesh, generates)
    run.programs[known] = jax.jit(
        _program(run, names, segmenter, generates),
        out_shardings=sharding.replicated(run.mesh),
        compiler_options=compiler_options(),
    )
    return run.programs[known]


def _program(
    run: Run, names: tuple[str, ...], segmenter: Segmenter | None, generates: bool
) -> Callable[..., dict[str, Array]]:
    synthesise = ability(run.method, 'synthesise', run.config.method.name, METHODS)
    target, inputs = target_of(run), inputs_of(run)

    def program(
        state: Any,
        judge: Any,
        labels: Array,
        rasters: dict[str, Array],
        held: Array | None,
        keys: Array,
    ) -> dict[str, Array]:
        if generates:
            shown = tuple(rasters[name] for name in inputs)
            made = synthesise(state, labels, shown, keys)
        else:
            made = rasters[SYNTHESISED]
        if held is not None:
            made = jnp.where(held[..., None], made, rasters[target])
        images = {REAL: rasters[target], SYNTHESISED: made}
        outputs = dict(images)
        for kind, image in images.items():
            if f'{CLASSES}{kind}' in names:
                assert segmenter is not None
                logits = segmenter.run.method.abilities['pixel_logits'](judge, image, keys)
                outputs[f'{CLASSES}{kind}'] = logits.argmax(-1).astype(jnp.uint8)
            if f'{FEATURES}{kind}' in names:
                assert segmenter is not None
                describe = segmenter.run.method.abilities['encoder_features']
                outputs[f'{FEATURES}{kind}'] = describe(judge, image, keys)
        return {name: outputs[name] for name in names}

    return program
