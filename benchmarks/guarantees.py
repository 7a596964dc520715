"""Measures whether the guarantees of a run hold: sets of classes, areas, answers left open.

    python -m benchmarks.guarantees --workdir=runs/seg_jem_landscapes_small [--level=0.9]
        [--calibration=10,20,40] [--draws=300] [--scene=S2.tif] [--out=FILE.json]

The held-out blocks of ground, those of the validation and of the test part together, are divided by
chance, draw after draw: some are calibrated on, the others are tested. Sets are calibrated with
blocks as units (`eojax.metrics.conformal`), with places as units as if they were exchangeable, and
on the training part. Intervals of areas are computed with blocks and without
(`eojax.metrics.areas`); the reference blocks are drawn from the mapped ground itself, all of the
held-out blocks, or from other ground than is mapped. What is gained by leaving answers open is
measured once, from the validation to the test part, with noise and single colours beside it, and
with a scene of other ground, which is mapped patch by patch.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import softmax

from benchmarks import command, provenance
from benchmarks.command import Numbers, rounded
from eojax.apps.map_scene import job
from eojax.apps.map_scene.guarantees import Wanted
from eojax.apps.map_scene.model import prepare_model
from eojax.apps.map_scene.scene import Job, Options
from eojax.data.reading.raster import DEFAULT_READING
from eojax.errors import UserError, one_line_errors
from eojax.evaluation import evaluators
from eojax.evaluation.evaluation_set import evaluation_set
from eojax.evaluation.evaluators import Measured
from eojax.evaluation.guarantees.evaluator import judge
from eojax.evaluation.guarantees.rules import Asked, calibrate_open, trust
from eojax.evaluation.guarantees.sample import (
    Sample,
    by_pixel,
    density_of,
    sampled,
    validation_sample,
)
from eojax.evaluation.outliers import outlier_sets
from eojax.evaluation.pixels.outlier_windows import outlier_windows
from eojax.evaluation.scoring import score_batches
from eojax.metrics.areas import error_matrices, estimate_areas
from eojax.metrics.conformal import SCORES, block_quantile, class_scores
from eojax.runs.command import open_trained
from eojax.runs.run import Run, with_data
from eojax.tables import plain_table

# Of a block that are kept, so that a draw takes milliseconds.
_PLACES = 500
_OPEN = 0.1
# The kinds of numbers that a draw gives.
Draw = dict[str, float]


class Held(NamedTuple):
    """Labelled places of held-out ground, in the order of their blocks.

    Attributes:
      blocks: int `[num]`, from 0 on.
      labels: int `[num]`.
      predicted: int `[num]`, the most probable class.
      scores: by kind, of all classes, float32 `[num, K]`.
    """

    blocks: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    scores: Mapping[str, np.ndarray]

    def own(self, kind: str) -> np.ndarray:
        """The scores of the true classes, `[num]`."""
        return self.scores[kind][np.arange(len(self.labels)), self.labels]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints the table and writes the record."""
    parser = command.parser('guarantees', __doc__)
    parser.add_argument('--workdir', type=Path, required=True, help='folder of a run')
    parser.add_argument('--data_root', default='', help="where the run's own data lie now")
    parser.add_argument('--level', type=float, default=0.9, help='of the sets')
    parser.add_argument('--calibration', default='10,20,40', help='blocks that are calibrated on')
    parser.add_argument('--scene', type=Path, help='a GeoTIFF that is mapped too')
    parser.add_argument('--draws', type=int, default=300, help='divisions of the blocks')
    options = parser.parse_args(arguments)
    with one_line_errors():
        if not 0.0 < options.level < 1.0:
            raise UserError(f'--level must lie between 0 and 1, not {options.level:g}')
        command.whole_numbers('draws', str(options.draws))
        sizes = command.whole_numbers('calibration', options.calibration)
        commit = command.commit_for(options)
        run, state = open_trained(options.workdir, None, options.data_root)
        run = with_data(run)
        parts = {
            'validation': validation_sample(run, state),
            'test': sample_of(run, state, run.splits.test),
            'train': sample_of(run, state, run.splits.train),
        }
        held = joined([parts['validation'], parts['test']])
        num = int(held.blocks[-1]) + 1
        if max(sizes) > num - 2:
            raise UserError(
                f'--calibration={options.calibration}: of {num} held-out blocks at least 2 must be'
                ' left to test on'
            )
        numbers: Numbers = {
            'held_out_blocks': num,
            'held_out_places': len(held.labels),
            'level': options.level,
            'draws': options.draws,
        }
        learnt = joined([parts['train']])
        for size in sizes:
            command.say(f'{size} blocks to calibrate on')
            numbers |= drawn_numbers(held, learnt, size, options.level, options.draws)
        numbers |= open_numbers(run, state, parts['validation'], parts['test'])
        if options.scene is not None:
            numbers |= scene_numbers(run, state, options.scene, options.level)
        flags = ('workdir', 'data_root', 'level', 'calibration', 'draws', 'scene')
        words = command.spelled('guarantees', options, flags)
        record = provenance.record_of(words, commit, numbers, options.notes)
        print(text(numbers, sizes))
        command.write(options, record)


def sample_of(run: Run, state: Any, chosen: np.ndarray) -> Sample:
    """The sample of a part of the run's data."""
    tested = evaluation_set(run, run.dataset.subset(chosen))
    held: list[Sample] = []

    def take(sample: Sample) -> Measured:
        held.append(sample)
        return Measured({})

    evaluators.measure(run, state, tested, [sampled(run, tested, take)], 'scoring')
    return held[0]


def joined(samples: Sequence[Sample], seed: int = 0) -> Held:
    """Samples of different ground as one, at most `_PLACES` of each block, drawn by chance.

    Blocks of different samples are different ones, whatever their numbers are.
    """
    random = np.random.default_rng(seed)
    numbers = np.concatenate(
        [sample.blocks.astype(np.int64) + (n << 32) for n, sample in enumerate(samples)]
    )
    logits = np.concatenate([sample.logits for sample in samples])
    labels = np.concatenate([sample.labels for sample in samples])
    _, blocks = np.unique(numbers, return_inverse=True)
    # In a random order within each block; of these the first ones.
    order = np.lexsort((random.random(len(blocks)), blocks))
    starts = np.searchsorted(blocks[order], blocks[order])
    kept = order[np.arange(len(order)) - starts < _PLACES]
    p = softmax(logits[kept].astype(np.float64), axis=-1)
    uniform = random.random(len(kept))
    scores = {kind: class_scores(p, kind, uniform).astype(np.float32) for kind in SCORES}
    return Held(blocks[kept], labels[kept], p.argmax(-1), scores)


def drawn_numbers(held: Held, learnt: Held, size: int, level: float, draws: int) -> Numbers:
    """The means over draws of what each kind of set and of interval reaches.

    Args:
      held: the held-out ground.
      learnt: the ground that was trained on.
      size: blocks that are calibrated on.
      level: of the sets.
    """
    random = np.random.default_rng(size)
    num = int(held.blocks[-1]) + 1
    of_learnt = {kind: block_quantile(learnt.own(kind), learnt.blocks, level) for kind in SCORES}
    classes = held.scores['lac'].shape[1]
    counts = error_matrices(held.predicted, held.labels, held.blocks, classes, classes)
    taken: dict[str, list[float]] = {}
    for _ in range(draws):
        chosen = np.zeros(num, bool)
        chosen[random.choice(num, size, replace=False)] = True
        for name, value in (
            *set_draw(held, chosen, level, of_learnt).items(),
            *area_draw(counts, chosen).items(),
        ):
            taken.setdefault(name, []).append(value)
    numbers: Numbers = {}
    for name, values in taken.items():
        numbers[f'{name}_of_{size}'] = rounded(float(np.mean(values)))
        if name.endswith('_coverage'):
            numbers[f'{name}_short_of_{size}'] = rounded(float(np.mean(np.asarray(values) < level)))
            numbers[f'{name}_error_of_{size}'] = rounded(
                float(np.std(values, ddof=1) / np.sqrt(draws))
            )
    return numbers


def set_draw(held: Held, chosen: np.ndarray, level: float, of_learnt: Mapping[str, float]) -> Draw:
    """Coverage, on average over the tested blocks, and mean size of sets, by unit and kind."""
    tested = ~chosen[held.blocks]
    per_block = np.bincount(held.blocks[tested], minlength=len(chosen))
    numbers: Draw = {}
    for kind in SCORES:
        own, every = held.own(kind), held.scores[kind][tested]
        kept, of_kept = own[~tested], held.blocks[~tested]
        limits = {
            'blocks': block_quantile(kept, of_kept, level),
            'places': block_quantile(kept, np.arange(len(kept)), level),
            'training': of_learnt[kind],
        }
        for unit, limit in limits.items():
            covered = np.bincount(
                held.blocks[tested], weights=own[tested] <= limit, minlength=len(chosen)
            )
            shares = covered[~chosen] / per_block[~chosen]
            numbers[f'{kind}_by_{unit}_coverage'] = float(shares.mean())
            numbers[f'{kind}_by_{unit}_size'] = float((every <= limit).sum() / len(every))
    return numbers


def area_draw(counts: np.ndarray, chosen: np.ndarray) -> Draw:
    """Errors of areas, and how often intervals hold the truth, over the classes that there are.

    Args:
      counts: of all held-out ground by block, stratum and class, `[B, S, K]`.
      chosen: bool `[B]`, the blocks of the reference sample.
    """
    numbers: Draw = {}
    for ground, mapped in (('same', counts), ('other', counts[~chosen])):
        total = mapped.sum(0)
        truth, strata = total.sum(0) / total.sum(), total.sum(1)
        there = truth > 0
        reference = counts[chosen]
        ways = {'blocks': reference, 'places': reference.sum(0)}
        for way, given in ways.items():
            areas = estimate_areas(given, strata)
            low, high = areas.shares.low[there], areas.shares.high[there]
            inside = (low <= truth[there]) & (truth[there] <= high)
            numbers[f'areas_{ground}_ground_by_{way}_inside'] = float(inside.mean())
            numbers[f'areas_{ground}_ground_by_{way}_width'] = float((high - low).mean())
        numbers[f'areas_{ground}_ground_mapped_error'] = float(
            np.abs(areas.mapped - truth)[there].mean()
        )
        numbers[f'areas_{ground}_ground_error'] = float(
            np.abs(areas.shares.value - truth)[there].mean()
        )
    return numbers


def open_numbers(run: Run, state: Any, held: Sample, tested: Sample) -> Numbers:
    """What is gained by leaving a tenth open, and how much of other images is left open then."""
    names = run.facts.class_names
    learned = held.log_density is not None
    numbers: Numbers = {}
    for by in ('confidence', *(('log_density',) if learned else ())):
        found = judge(Asked(not_known=_OPEN, not_known_by=by), held, tested, names).numbers
        for key in ('not_known_share', 'not_known_error', 'answered_error'):
            numbers[f'{key}_by_{by}'] = rounded(found[key])
        for key in found:
            if key.endswith(f'_{by}') and key.startswith(('aurc', 'error_at')):
                numbers[key] = rounded(found[key])
        limit = calibrate_open(held, _OPEN, by, None).threshold
        for title, scores in outlier_scores(run, state, by):
            numbers[f'not_known_share_of_{title}_by_{by}'] = rounded(float(np.mean(scores < limit)))
    return numbers


def scene_numbers(run: Run, state: Any, scene: Path, level: float) -> Numbers:
    """What the map of a scene leaves open, and how large its sets are, by each score."""
    numbers: Numbers = {}
    reading = Options(None, None, DEFAULT_READING)
    for by in ('confidence', *(('log_density',) if density_of(run) else ())):
        for kind in SCORES if by == 'confidence' else ('lac',):
            wanted = Wanted(Asked(level, kind, _OPEN, by))
            model = prepare_model(run, state, wanted=wanted)
            with tempfile.TemporaryDirectory() as folder:
                summary = job.map_scene(Job(scene, Path(folder)), model, reading)
            numbers[f'scene_not_known_share_by_{by}'] = rounded(summary['not_known']['share'])
            if by == 'confidence':
                for key in ('mean_size', 'share_one', 'share_empty'):
                    numbers[f'scene_{kind}_{key}'] = rounded(summary['sets'][key])
    return numbers


def outlier_scores(run: Run, state: Any, by: str) -> Iterator[tuple[str, np.ndarray]]:
    """How far other images, or their pixels, are trusted, set by set."""
    density = density_of(run)
    logits = 'pixel_logits' if by_pixel(run) else 'logits'
    names = (logits, *(() if density is None else (density,)))
    if by_pixel(run):
        side = run.method.window or min(run.facts.size or (64, 64))
        sets = {name: windows.images for name, windows in outlier_windows(run, side).items()}
    else:
        sets = outlier_sets(run.config.evaluate, run.task.image_shape[0], False, run.facts)
    size = run.config.evaluate.batch_size
    for title, images in sets.items():
        batches = (images[start : start + size] for start in range(0, len(images), size))
        scores = []
        for outputs in score_batches(run, names, state, batches):
            p = softmax(outputs[logits].astype(np.float64), axis=-1)
            flat = None if density is None else outputs[density].ravel()
            scores.append(trust(by, p.reshape(-1, p.shape[-1]), flat))
        yield title, np.concatenate(scores)


def text(numbers: Numbers, sizes: Sequence[int]) -> str:
    """The main numbers, for people."""
    rows = []
    for size in sizes:
        for kind in SCORES:
            for unit in ('blocks', 'places', 'training'):
                name = f'{kind}_by_{unit}'
                cells = [
                    numbers[f'{name}_{key}_of_{size}']
                    for key in ('coverage', 'coverage_short', 'size')
                ]
                rows.append([str(size), kind, unit, *(f'{cell:.3f}' for cell in cells)])
    titles = ['blocks', 'score', 'calibrated by', 'coverage', 'draws that fall short', 'size']
    areas = []
    for size in sizes:
        for ground in ('same', 'other'):
            keys = ('mapped_error', 'error', 'by_blocks_inside', 'by_places_inside')
            cells = [numbers[f'areas_{ground}_ground_{key}_of_{size}'] for key in keys]
            areas.append([str(size), ground, *(f'{cell:.4f}' for cell in cells)])
    second = ['blocks', 'ground', 'error of counts', 'corrected', 'inside by blocks', 'by places']
    rest = [
        f'  {key}  {value:.4f}' for key, value in numbers.items()
        if not key.rpartition('_')[2].isdigit() or key.startswith('error_at')
    ]  # fmt: skip
    tables = [*plain_table([titles, *rows]), '', *plain_table([second, *areas])]
    return '\n'.join([*tables, '', *rest])


if __name__ == '__main__':
    main()
