"""The evaluator of guarantees: calibrated on the validation part, judged on the tested one.

The numbers, with `evaluate.coverage` (`eojax.metrics.conformal`):

`set_level`, `set_threshold`: what was asked, and the threshold of the score that follows;
`set_coverage`, `set_coverage_low`, `set_coverage_high`: how often a set holds the true class, on
  average over blocks of ground, and the 95 % interval of that; `set_coverage_all` of all places;
`set_coverage_of_<Class>`: of the places of a class, for which nothing is guaranteed;
`set_mean_size`, `set_share_one`, `set_share_empty`: classes in a set, and the share of sets with
  one class and with none;
`calibration_blocks`, `test_blocks`.

With `evaluate.areas` (`eojax.metrics.areas`), as shares of the tested ground:

`area_mapped_of_<Class>`, `area_of_`, `area_low_of_`, `area_high_of_` and `area_true_of_<Class>`: as
  the map counts it, corrected by the errors in the validation part, its interval, and what is true;
`area_mapped_error`, `area_error`: the mean over classes of how far the two are from what is true;
`area_inside`: the share of classes whose interval holds what is true. `areas.csv` has all of them.

With `evaluate.not_known` (`eojax.metrics.selective`):

`not_known_threshold`, `not_known_share`, `not_known_error`, `answered_error`: what is left open of
  the tested part, and the error rate in it and in the rest;
`aurc_<score>`, `error_at_<100|90|80|70>_<score>`: of each score that there is.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eojax.devices import sharding
from eojax.drawing import guarantees as drawing
from eojax.errors import UserError
from eojax.evaluation.evaluation_set import EvaluationSet
from eojax.evaluation.evaluators import Evaluator, Measured
from eojax.evaluation.guarantees import areas as area_tables
from eojax.evaluation.guarantees.rules import (
    NOT_KNOWN,
    TRUST,
    Asked,
    OpenRule,
    SetRule,
    asked_in,
    calibrate_open,
    calibrate_sets,
    too_few_blocks,
    trust,
)
from eojax.evaluation.guarantees.sample import Sample, by_pixel, sampled, validation_sample
from eojax.messages import say
from eojax.metrics.areas import Areas
from eojax.metrics.conformal import BlockShares, shares_of_blocks
from eojax.metrics.selective import COVERAGES, area_under, risk_at, risks
from eojax.runs.opening import state_evaluated
from eojax.runs.run import Run


class Judged(NamedTuple):
    """The guarantees of a run, and what became of them on another sample.

    Attributes:
      numbers: finite, by their keys.
      sets: how often sets hold the true class; None where there are none.
      sizes: of the sets, int `[num]`.
      areas: corrected; None where they were not asked for, or could not be had.
      truth: the true shares of the classes, float64 `[K]`.
      curves: risks by score (`eojax.metrics.selective.risks`); empty where nothing is left open.
      rule, open_rule: that were calibrated.
    """

    numbers: dict[str, float]
    sets: BlockShares | None = None
    sizes: np.ndarray | None = None
    areas: Areas | None = None
    truth: np.ndarray | None = None
    curves: dict[str, np.ndarray] | None = None
    rule: SetRule | None = None
    open_rule: OpenRule | None = None


def guarantees(run: Run, state: Any, tested: EvaluationSet) -> Evaluator:
    """What the run guarantees, of `evaluate.coverage`, `.areas` and `.not_known`."""
    asked, names = asked_in(run.config.evaluate), run.facts.class_names

    def take(sample: Sample) -> Measured:
        held = validation_sample(run, state)
        if sharding.is_main_process():
            for line in notes_of(run, held):
                say(line)
        judged = judge(asked, held, sample, names)
        unit = 'pixels' if by_pixel(run) else 'images'
        return Measured(judged.numbers, lambda out: draw(judged, run, unit, out))

    return sampled(run, tested, take)


def notes_of(run: Run, held: Sample) -> list[str]:
    """What a reader must know of the sample that was calibrated on."""
    notes = []
    if state_evaluated(run) == 'best':
        notes.append(
            'the state was chosen by the validation part, which is calibrated on as well: what'
            ' holds may be a little less than what is said'
        )
    if held.grouped:
        return notes
    kind = 'tile' if by_pixel(run) else 'image'
    return [
        *notes,
        f'the data set says no blocks of ground: each {kind} counts as a block of its own, which'
        ' holds as far as they lie apart',
    ]


def judge(asked: Asked, held: Sample, tested: Sample, names: tuple[str, ...]) -> Judged:
    """Calibrates on one sample and measures on another.

    Args:
      names: of the classes.
    """
    rule = calibrate_sets(held, asked.coverage, asked.set_score) if asked.coverage else None
    line = None if rule is None else too_few_blocks(rule, held)
    if line is not None and sharding.is_main_process():
        say(f'{line}: all sets hold all classes')
    judged = Judged({}, rule=rule)
    if rule is not None:
        judged = _sets(judged, rule, tested, names)
    if asked.not_known:
        judged = _open(judged, asked, held, tested)
    if asked.areas:
        judged = _areas(judged, held, tested, names)
    return judged


def _sets(judged: Judged, rule: SetRule, tested: Sample, names: tuple[str, ...]) -> Judged:
    sets = rule.holds(tested.probabilities, np.random.default_rng(1))
    covered = np.take_along_axis(sets, tested.labels[:, None].astype(np.int64), -1)[:, 0]
    shares, sizes = shares_of_blocks(covered, tested.blocks), sets.sum(-1)
    numbers = {
        'set_level': rule.level,
        **({'set_threshold': rule.threshold} if math.isfinite(rule.threshold) else {}),
        'set_coverage': shares.mean,
        'set_coverage_low': shares.low,
        'set_coverage_high': shares.high,
        'set_coverage_all': shares.pooled,
        'set_mean_size': float(sizes.mean()),
        'set_share_one': float((sizes == 1).mean()),
        'set_share_empty': float((sizes == 0).mean()),
        'calibration_blocks': rule.blocks,
        'test_blocks': len(shares.blocks),
    }
    for number, name in enumerate(names):
        here = tested.labels == number
        if here.any():
            numbers[f'set_coverage_of_{name}'] = float(covered[here].mean())
    return judged._replace(numbers={**judged.numbers, **numbers}, sets=shares, sizes=sizes)


def _open(judged: Judged, asked: Asked, held: Sample, tested: Sample) -> Judged:
    rule = calibrate_open(held, asked.not_known, asked.not_known_by, judged.rule)
    probabilities = tested.probabilities
    wrong = probabilities.argmax(-1) != tested.labels
    sets = (
        None if judged.rule is None else judged.rule.holds(probabilities, np.random.default_rng(1))
    )
    there = {'confidence': True, 'log_density': tested.log_density is not None,
             'set_size': sets is not None}  # fmt: skip
    scores = {by: trust(by, probabilities, tested.log_density, sets) for by in TRUST if there[by]}
    left = scores[rule.by] < rule.threshold
    numbers = {'not_known_threshold': rule.threshold, 'not_known_share': float(left.mean())}
    if left.any():
        numbers['not_known_error'] = float(wrong[left].mean())
    if not left.all():
        numbers['answered_error'] = float(wrong[~left].mean())
    curves = {by: risks(values, wrong) for by, values in scores.items()}
    for by, curve in curves.items():
        numbers[f'aurc_{by}'] = area_under(curve)
        for coverage in COVERAGES:
            numbers[f'error_at_{coverage:.0%}_{by}'.replace('%', '')] = risk_at(curve, coverage)
    return judged._replace(numbers={**judged.numbers, **numbers}, curves=curves, open_rule=rule)


def _areas(judged: Judged, held: Sample, tested: Sample, names: tuple[str, ...]) -> Judged:
    num = len(names)
    strata = num + (judged.open_rule is not None)
    mapped = area_tables.strata_of(tested, judged.rule, judged.open_rule)
    map_shares = np.bincount(mapped, minlength=strata) / len(mapped)
    counts = area_tables.counts_of(held, judged.rule, judged.open_rule)
    try:
        areas = area_tables.corrected(counts, held.one_by_one, map_shares)
    except UserError as error:
        if sharding.is_main_process():
            say(str(error))
        return judged
    shown = [*names, NOT_KNOWN]
    for line in (
        area_tables.unsampled_text(areas, shown, map_shares),
        area_tables.few_text(counts, held.one_by_one, shown, map_shares),
    ):
        if line is not None and sharding.is_main_process():
            say(line)
    truth = np.bincount(tested.labels, minlength=num) / len(tested.labels)
    inside = (areas.shares.low <= truth) & (truth <= areas.shares.high)
    numbers = {
        'area_mapped_error': float(np.abs(areas.mapped - truth).mean()),
        'area_error': float(np.abs(areas.shares.value - truth).mean()),
        'area_inside': float(inside.mean()),
    }
    for number, name in enumerate(names):
        numbers |= {
            f'area_mapped_of_{name}': float(areas.mapped[number]),
            f'area_of_{name}': float(areas.shares.value[number]),
            f'area_low_of_{name}': float(areas.shares.low[number]),
            f'area_high_of_{name}': float(areas.shares.high[number]),
            f'area_true_of_{name}': float(truth[number]),
        }
    return judged._replace(numbers={**judged.numbers, **numbers}, areas=areas, truth=truth)


def draw(judged: Judged, run: Run, unit: str, out: Path) -> None:
    """Writes `sets.png`, `areas.png`, `areas.csv` and `risk_coverage.png`, of what there is."""
    names = run.facts.class_names
    if judged.sets is not None and judged.sizes is not None and judged.rule is not None:
        drawing.set_coverage(
            judged.sets, judged.rule.level, np.bincount(judged.sizes, minlength=len(names) + 1),
            unit, out / 'sets.png',
        )  # fmt: skip
    if judged.areas is not None:
        rows = area_tables.rows_of(judged.areas, names)
        if judged.truth is not None:
            for row, true in zip(rows, judged.truth, strict=True):
                row['true_share'] = float(true)
        area_tables.write_areas(out / area_tables.FILE, rows)
        drawing.area_intervals(judged.areas, names, out / 'areas.png', judged.truth)
    if judged.curves:
        drawing.risk_coverage(judged.curves, out / 'risk_coverage.png')
