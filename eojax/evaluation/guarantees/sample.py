"""Labelled images or pixels of a part of the data, with what the network says of them.

Sets of classes, areas and thresholds are calibrated on the validation part, and judged on the test
part. Of images all are taken; of pixels a sample that is drawn by chance, each pixel of known class
as likely as any other. They belong to blocks of ground: the groups of the data set, such as cities
or regions; where it has none, each image or tile is a block of its own.

The sample of the validation part is kept in the run's folder, `reference/validation_step_N.npz`, so
that maps need no data afterwards. What an evaluation by windows of another overlap says of it has a
file of its own, `validation_step_N_overlap_0.5.npz`: what is tested and what is calibrated on must
be scored alike.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.special import softmax

from eojax.config.written import get
from eojax.data.dataset import Places
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.evaluation import evaluators
from eojax.evaluation.evaluation_set import EvaluationBatch, EvaluationSet, evaluation_set
from eojax.evaluation.evaluators import Evaluator, Measured, Outputs
from eojax.evaluation.reference import FINGERPRINT, fingerprint, read_kept, write_kept
from eojax.methods import METHODS
from eojax.methods.method import ability
from eojax.runs.run import Run, with_data

# Of a part's pixels that are kept, about.
_PIXELS = 400_000


class Sample(NamedTuple):
    """Labelled images or pixels.

    Attributes:
      logits: float32 `[num, K]`.
      labels: int32 `[num]`, their classes.
      blocks: int32 `[num]`, numbers of the blocks of ground that they are of.
      grouped: whether the data set says the blocks; else each image or tile is one.
      log_density: log p(x), float32 `[num]`, of methods that learn it.
    """

    logits: np.ndarray
    labels: np.ndarray
    blocks: np.ndarray
    grouped: bool
    log_density: np.ndarray | None

    @property
    def probabilities(self) -> np.ndarray:
        """p(y|x), float64 `[num, K]`."""
        return softmax(self.logits.astype(np.float64), axis=-1)

    @property
    def num_blocks(self) -> int:
        """Blocks that hold any of them."""
        return len(np.unique(self.blocks))

    @property
    def one_by_one(self) -> bool:
        """Whether each is a block of its own."""
        return self.num_blocks == len(self.labels)


class _Part(NamedTuple):
    logits: np.ndarray
    labels: np.ndarray
    place: np.ndarray
    log_density: np.ndarray | None


def by_pixel(run: Run) -> bool:
    """Whether the run's method classifies pixels."""
    return 'pixel_logits' in run.method.abilities


def density_of(run: Run) -> str | None:
    """The name of log p(x) among the scores of a method that learns it; None of others."""
    name = 'pixel_log_density' if by_pixel(run) else 'log_density'
    return name if name in run.method.abilities else None


def sampled(run: Run, tested: EvaluationSet, take: Any) -> Evaluator:
    """An evaluator that keeps the labelled images, or a sample of the pixels, that it is shown.

    Args:
      take: makes of the sample the numbers and figures, `Sample -> Measured`.
    """
    logits, density = 'pixel_logits' if by_pixel(run) else 'logits', density_of(run)
    places = tested.dataset.places
    area = float((places.heights.astype(np.float64) * places.widths).sum())
    share = min(1.0, _PIXELS / max(area, 1.0))

    def update(parts: list[_Part], outputs: Outputs, batch: EvaluationBatch) -> list[_Part]:
        known = batch.labels >= 0
        if known.ndim > 1:
            known = _some(known, share, batch)
        log_density = None if density is None else outputs[density][known]
        row = np.nonzero(known)[0]
        labels = batch.labels[known].astype(np.int32)
        return [*parts, _Part(outputs[logits][known], labels, batch.place[row], log_density)]

    def finish(parts: list[_Part]) -> Measured:
        return take(_joined(parts, places))

    return Evaluator((logits, *(() if density is None else (density,))), list, update, finish)


def _some(known: np.ndarray, share: float, batch: EvaluationBatch) -> np.ndarray:
    """About that share of the known pixels of each window, drawn by its own place in the data."""
    if share >= 1.0:
        return known
    chosen = np.zeros_like(known)
    for number, window in enumerate(known):
        corner = (int(batch.place[number]), int(batch.rows[number]), int(batch.columns[number]))
        random = np.random.default_rng(corner)
        pixels = np.flatnonzero(window)
        num = int(len(pixels) * share + random.random())
        drawn = random.choice(pixels, min(num, len(pixels)), replace=False)
        chosen[number].reshape(-1)[drawn] = True
    return chosen


def _joined(parts: list[_Part], places: Places) -> Sample:
    if not sum(len(part.labels) for part in parts):
        raise UserError('none of the images or pixels has a known class: nothing can be calibrated')
    place = np.concatenate([part.place for part in parts])
    blocks = place if places.groups is None else np.asarray(places.groups)[place]
    return Sample(
        np.concatenate([part.logits for part in parts]),
        np.concatenate([part.labels for part in parts]),
        blocks.astype(np.int32),
        places.groups is not None,
        None
        if parts[0].log_density is None
        else np.concatenate([x for part in parts if (x := part.log_density) is not None]),
    )


def check_validation(run: Run) -> None:
    """Refuses a run that nothing can be calibrated on, as it is known without its data.

    Raises:
      UserError: the run's method has no classes, or the run no validation part.
    """
    if not by_pixel(run):
        ability(run.method, 'logits', run.config.method.name, METHODS)
    if not run.known['data'].counts['validation']:
        raise UserError(
            f'{run.folder}: the run has no validation part (data.validation_fraction was 0), and'
            ' nothing else to calibrate sets, areas and thresholds on'
        )


def _whole(kept: dict[str, np.ndarray], run: Run) -> bool:
    """Whether all that a sample needs was kept, of as many places each, and of known classes."""
    names = ('labels', 'blocks', *(() if density_of(run) is None else ('log_density',)))
    if not {'logits', 'grouped', *names} <= kept.keys():
        return False
    num, classes = len(kept['logits']), run.task.num_classes
    shapes = kept['logits'].shape == (num, classes) and num > 0
    if not (shapes and all(kept[name].shape == (num,) for name in names)):
        return False
    labels = kept['labels']
    return bool(np.isfinite(kept['logits']).all() and labels.min() >= 0 and labels.max() < classes)


def validation_sample(run: Run, state: Any) -> Sample:
    """The sample of the run's validation part; all processes of the run call it together.

    What the run's folder keeps of this very state is not computed again.

    Raises:
      UserError: the run has no validation part, or one without labels; or nothing is kept and the
        data are not there.
    """
    check_validation(run)
    path = run.folder / 'reference' / f'{kept_name(run)}.npz'
    mark = fingerprint(run, state)
    # Several processes, which may see a shared folder at different times, all compute it.
    kept = read_kept(path, mark) if jax.process_count() == 1 else {}
    if _whole(kept, run):
        return Sample(
            kept['logits'], kept['labels'], kept['blocks'], bool(kept['grouped']),
            kept.get('log_density'),
        )  # fmt: skip
    run = with_data(run)
    tested = evaluation_set(run, run.dataset.subset(run.splits.validation))
    held: list[Sample] = []

    def take(sample: Sample) -> Measured:
        held.append(sample)
        return Measured({})

    title = 'validation images'
    evaluators.measure(run, state, tested, [sampled(run, tested, take)], title)
    sample = held[0]
    if sharding.is_main_process():
        write_kept(path, {**arrays_of(sample), FINGERPRINT: mark})
    return sample


def kept_name(run: Run) -> str:
    """The name of the kept sample in `reference/`, without suffix."""
    name, overlap = f'validation_step_{run.step}', run.config.evaluate.window_overlap
    if not by_pixel(run) or overlap == _own_overlap(run):
        return name
    return f'{name}_overlap_{overlap:g}'


def _own_overlap(run: Run) -> float:
    """The overlap of windows that the run was trained with, whatever is asked for now."""
    file = run.folder / 'config.json'
    written = json.loads(file.read_text(encoding='utf-8')) if file.is_file() else {}
    own = get(written, 'evaluate.window_overlap')
    return float(run.config.evaluate.window_overlap if own is None else own)


def arrays_of(sample: Sample) -> dict[str, np.ndarray]:
    """A sample as it is kept, by name."""
    return {name: np.asarray(x) for name, x in sample._asdict().items() if x is not None}


def thinned(sample: Sample, num: int) -> Sample:
    """At most so many of a sample, drawn by chance, the same ones each time."""
    if len(sample.labels) <= num:
        return sample
    chosen = np.sort(np.random.default_rng(0).choice(len(sample.labels), num, replace=False))
    density = None if sample.log_density is None else sample.log_density[chosen]
    logits, labels, blocks = (x[chosen] for x in (sample.logits, sample.labels, sample.blocks))
    return Sample(logits, labels, blocks, sample.grouped, density)
