"""Guarantees of a map: sets of classes, ground that is left open, areas that are corrected.

All are calibrated before a scene is opened, on the run's validation part
(`eojax.evaluation.guarantees`); areas may be corrected by labelled places of the scene itself
(`eojax.apps.map_scene.reference_places`). A map is made row by row, and so are they.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eojax.apps.map_scene.files import MOST_BITS, Layer
from eojax.apps.map_scene.patch_map import CellRow
from eojax.apps.map_scene.reference_places import Places, count_places
from eojax.data.reading.raster import Raster
from eojax.drawing.class_colours import Colour
from eojax.drawing.guarantees import size_colours
from eojax.errors import UserError
from eojax.evaluation.guarantees.areas import (
    FILE,
    corrected,
    counts_of,
    few_text,
    overall_of,
    rows_of,
    unsampled_text,
)
from eojax.evaluation.guarantees.evaluator import notes_of
from eojax.evaluation.guarantees.rules import (
    NOT_KNOWN,
    Asked,
    OpenRule,
    SetRule,
    calibrate_open,
    calibrate_sets,
    too_few_blocks,
    trust,
)
from eojax.evaluation.guarantees.sample import validation_sample
from eojax.messages import say
from eojax.metrics.areas import Areas
from eojax.runs.run import Run

AREAS_FILES = (FILE, 'areas.png')
NOT_KNOWN_COLOUR: Colour = (120, 120, 120)
REFERENCE_BLOCK = 128
_OF_VALIDATION = (
    "areas are corrected by the errors in the run's validation part: the intervals hold for ground"
    ' that this part is a fair sample of, and --reference=FILE takes labelled places of the scene'
)
_OF_SCENE = (
    'areas are corrected by the reference places: the intervals hold where these were drawn by'
    ' chance from the mapped scene'
)

_AVERAGED = (
    'sets, thresholds and errors are those of single patches or windows, and here p(y|x) is'
    ' averaged over those that overlap: levels and intervals are exact only without overlap'
)


class Wanted(NamedTuple):
    """The guarantees that are asked of maps.

    Attributes:
      asked: of the run.
      reference: a file of labelled places of the scene, for areas; None for the validation part.
      block: the side in pixels of the blocks of a label raster.
    """

    asked: Asked = Asked()
    reference: Path | None = None
    block: int = REFERENCE_BLOCK

    @property
    def areas(self) -> bool:
        """Whether areas are corrected."""
        return self.asked.areas or self.reference is not None


NOTHING = Wanted()


class Guarantees(NamedTuple):
    """The guarantees of maps by a run, calibrated.

    Attributes:
      wanted: what was asked.
      rule: which classes a set holds; None without sets.
      open_rule: what is left open; None where nothing is.
      counts: the validation part by block, stratum and class, `[B, S, K]`, where it corrects areas.
      one_by_one: whether each of it is a block of its own.
      notes: lines on what was calibrated on.
    """

    wanted: Wanted = NOTHING
    rule: SetRule | None = None
    open_rule: OpenRule | None = None
    counts: np.ndarray | None = None
    one_by_one: bool = False
    notes: tuple[str, ...] = ()

    def settings(self) -> dict[str, Any]:
        """All of it that a map depends on; nothing where nothing is asked."""
        settings: dict[str, Any] = {}
        if self.rule is not None:
            settings['sets'] = list(self.rule)
        if self.open_rule is not None:
            settings['not_known'] = list(self.open_rule)
        if self.wanted.reference is not None:
            status = self.wanted.reference.stat()
            settings['reference'] = [
                str(self.wanted.reference.resolve()), status.st_size, status.st_mtime_ns,
                self.wanted.block,
            ]  # fmt: skip
        elif self.counts is not None:
            settings['areas'] = 'validation part'
        return settings

    def layers(self, names: Sequence[str]) -> list[Layer]:
        """The layers of the sets."""
        if self.rule is None:
            return []
        sizes = ('no class', '1 class', *(f'{n} classes' for n in range(2, len(names) + 1)))
        text = f'classes in the set of level {self.rule.level:g}'
        layers = [Layer('set_size', text, sizes, size_colours(len(sizes)))]
        if len(names) <= MOST_BITS:
            text = f'the set of level {self.rule.level:g}, a bit for each class'
            layers.append(Layer('class_set', text, bits=tuple(names)))
        return layers

    def judge(self, row: CellRow, number: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The classes of a row of the map, K where it is left open, and the values of its layers.

        Args:
          number: of the row, which the numbers that `aps` draws depend on.
        """
        values: dict[str, np.ndarray] = {}
        sets = None
        if self.rule is not None:
            sets = self.rule.holds(row.probabilities, np.random.default_rng([2, number]))
            values['set_size'] = sets.sum(-1).astype(np.uint8)
            if sets.shape[1] <= MOST_BITS:
                bits = np.left_shift(np.uint32(1), np.arange(sets.shape[1], dtype=np.uint32))
                values['class_set'] = (sets * bits).sum(-1, dtype=np.uint32)
        if self.open_rule is None:
            return row.labels, values
        scores = trust(self.open_rule.by, row.probabilities, row.log_density, sets)
        num = row.probabilities.shape[1]
        return np.where(scores < self.open_rule.threshold, num, row.labels), values


def check_classes_for(wanted: Wanted, names: Sequence[str]) -> None:
    """Refuses more classes than the layers hold.

    Raises:
      UserError: so many.
    """
    if (wanted.asked.coverage or wanted.asked.not_known) and len(names) > 254:
        raise UserError(f'{len(names)} classes: maps of sets or with open ground hold at most 254')


def unlike_text(rule: OpenRule, share: float) -> str | None:
    """A line for a scene of which far more is left open than of the validation part; else None.

    Args:
      share: of the map that is left open.
    """
    if share < max(2.0 * rule.share, rule.share + 0.1):
        return None
    return (
        f'{share:.0%} of the map is not known, and {rule.share:.0%} of the validation part: the'
        ' scene is unlike what was calibrated on, and levels and intervals from there may not hold'
    )


def calibrate(run: Run, state: Any, wanted: Wanted) -> Guarantees:
    """Calibrates what is asked; all processes of the run call it together.

    Raises:
      UserError: no validation part, or too few blocks of it for the level that is asked.
    """
    asked = wanted.asked
    by_validation = wanted.areas and wanted.reference is None
    if not (asked.coverage or asked.not_known or by_validation):
        return Guarantees(wanted)
    sample = validation_sample(run, state)
    rule = open_rule = counts = None
    if asked.coverage:
        rule = calibrate_sets(sample, asked.coverage, asked.set_score)
        if line := too_few_blocks(rule, sample):
            raise UserError(f'--coverage={asked.coverage:g}: {line}: ask for a lower level')
    if asked.not_known:
        open_rule = calibrate_open(sample, asked.not_known, asked.not_known_by, rule)
    if by_validation:
        counts = counts_of(sample, rule, open_rule)
    notes = (*notes_of(run, sample), *([_OF_VALIDATION] if by_validation else []))
    return Guarantees(wanted, rule, open_rule, counts, sample.one_by_one, notes)


class SetTotals:
    """Counts of the sets of a map, added up row by row."""

    def __init__(self, num_classes: int) -> None:
        self.sizes = np.zeros(num_classes + 1, np.int64)

    def add(self, sizes: np.ndarray) -> None:
        """The sizes of the sets of some cells."""
        self.sizes += np.bincount(sizes, minlength=len(self.sizes))

    def summary(self, rule: SetRule) -> dict[str, Any]:
        """For `summary.json`."""
        num = max(int(self.sizes.sum()), 1)
        return {
            'level': rule.level,
            'score': rule.kind,
            'threshold': rule.threshold,
            'calibration_blocks': rule.blocks,
            'mean_size': float(self.sizes @ np.arange(len(self.sizes))) / num,
            'share_one': int(self.sizes[1]) / num,
            'share_empty': int(self.sizes[0]) / num,
        }


class AreaTable(NamedTuple):
    """The corrected areas of a map.

    Attributes:
      areas: as shares of what was classified.
      rows: of its table.
      summary: for `summary.json`.
      notes: lines on what was left out, and on what the numbers hold for.
    """

    areas: Areas
    rows: list[dict[str, Any]]
    summary: dict[str, Any]
    notes: tuple[str, ...]


def summary_of(
    guarantees: Guarantees,
    areas: np.ndarray,
    hectares: bool,
    sets: SetTotals,
    table: AreaTable | None,
    averaged: bool,
) -> dict[str, Any]:
    """The part of `summary.json` on what a map guarantees; what a reader must know is said too.

    Args:
      areas: of the map's classes, and last of what it leaves open, if it does.
      hectares: whether these are hectares.
      averaged: whether p(y|x) is a mean over patches or windows that overlap.
    """
    rule, open_rule = guarantees.rule, guarantees.open_rule
    part: dict[str, Any] = {}
    notes: list[str] = []
    if rule is not None:
        part['sets'] = sets.summary(rule)
    if open_rule is not None:
        share = float(areas[-1] / areas.sum())
        part['not_known'] = {
            'by': open_rule.by,
            'share_of_validation': open_rule.share,
            'threshold': open_rule.threshold,
            'share': share,
            'hectares': round(float(areas[-1]), 4) if hectares else None,
        }
        notes += [line] if (line := unlike_text(open_rule, share)) else []
    if averaged and any(x is not None for x in (rule, open_rule, guarantees.counts)):
        notes.append(_AVERAGED)
    if table is not None:
        part['areas'] = table.summary
        notes += table.notes
    for note in notes:
        if note not in guarantees.notes:
            say(note)
    every = dict.fromkeys([*guarantees.notes, *notes])
    return {**part, **({'guarantee_notes': list(every)} if every else {})}


def area_table(
    guarantees: Guarantees,
    raster: Raster,
    class_map: Path,
    names: Sequence[str],
    strata: np.ndarray,
    hectares: bool,
) -> AreaTable | None:
    """The corrected areas of a finished map; None where they are not asked for.

    Args:
      class_map: the layer.
      strata: the areas of the map's classes, and last of what it leaves open, if it does.
      hectares: whether these are hectares.

    Raises:
      UserError: reference places that cannot be read, or are of a single block.
    """
    wanted = guarantees.wanted
    if not wanted.areas:
        return None
    if wanted.reference is not None:
        places = count_places(wanted.reference, raster, class_map, names, len(strata), wanted.block)
        told = str(wanted.reference)
        notes = (*places.notes, _OF_SCENE)
    else:
        assert guarantees.counts is not None
        places = Places(guarantees.counts, guarantees.one_by_one, ())
        told, notes = "the run's validation part", (_OF_VALIDATION,)
    areas = corrected(places.counts, places.one_by_one, strata)
    shown = [*names, NOT_KNOWN]
    lines = [
        line
        for line in (
            unsampled_text(areas, shown, strata),
            few_text(places.counts, places.one_by_one, shown, strata),
        )
        if line is not None
    ]
    rows = rows_of(areas, names, float(strata.sum()) if hectares else None)
    summary = {
        'reference': told,
        'reference_places': areas.places,
        'reference_blocks': areas.blocks,
        **overall_of(areas),
        'classes': rows,
    }
    return AreaTable(areas, rows, summary, (*notes, *lines))
