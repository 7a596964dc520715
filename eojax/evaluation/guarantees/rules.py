"""Rules that are calibrated on a sample: which classes a set holds, and what is left open.

Both look at p(y|x) of one image or pixel, so that a test part and a map follow the same ones.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from eojax.errors import UserError, unknown_name
from eojax.evaluation.guarantees.sample import Sample
from eojax.messages import counted
from eojax.metrics.conformal import SCORES, block_quantile, blocks_needed, class_scores

NOT_KNOWN = 'not known'
# What says how far an answer is to be trusted.
TRUST = ('confidence', 'log_density', 'set_size')


class Asked(NamedTuple):
    """Which guarantees are wanted.

    Attributes:
      coverage: the share of places whose set of classes must hold the true one; 0: no sets.
      set_score: of `eojax.metrics.conformal.SCORES`.
      not_known: the share of the validation part that is left open, as the least to be trusted; 0:
        everything is answered.
      not_known_by: of `TRUST`.
      areas: whether areas are corrected by the errors of a reference sample.
    """

    coverage: float = 0.0
    set_score: str = 'lac'
    not_known: float = 0.0
    not_known_by: str = 'confidence'
    areas: bool = False

    @property
    def any(self) -> bool:
        """Whether there is anything to calibrate."""
        return bool(self.coverage or self.not_known or self.areas)


def asked_in(options: ConfigDict) -> Asked:
    """Those of the config group `evaluate`."""
    return Asked(*(options[name] for name in Asked._fields))


def check_asked(asked: Asked, prefix: str = 'evaluate.', density: bool | None = None) -> None:
    """Refuses what makes no sense.

    Args:
      prefix: of the options, for messages: `evaluate.` or `--`.
      density: whether the run's method learns log p(x); None where that is not known yet.

    Raises:
      UserError: one line that names the option.
    """
    for name in ('coverage', 'not_known'):
        value = getattr(asked, name)
        if not isinstance(value, (int, float)) or not 0.0 <= value < 1.0:  # 0 is none
            shown = f'{value:g}' if isinstance(value, (int, float)) else repr(value)
            raise UserError(f'{prefix}{name} must lie between 0 and 1, not {shown}')
    for name, known in (('set_score', SCORES), ('not_known_by', TRUST)):
        if getattr(asked, name) not in known:
            raise unknown_name(f'{prefix}{name}', getattr(asked, name), known)
    if asked.not_known and asked.not_known_by == 'set_size' and not asked.coverage:
        raise UserError(
            f'{prefix}not_known_by=set_size needs sets of classes: set {prefix}coverage, such as'
            f' {prefix}coverage=0.9'
        )
    if asked.not_known and asked.not_known_by == 'log_density' and density is False:
        raise UserError(
            f'{prefix}not_known_by=log_density: the method has learned no p(x);'
            f' {prefix}not_known_by=confidence needs none'
        )


class SetRule(NamedTuple):
    """Which classes a set holds.

    Attributes:
      level: the share of places whose set must hold the true class.
      kind: the score, `lac` or `aps`.
      threshold: a class whose score is at most this is in the set; infinite: all are.
      blocks: of the sample that it was calibrated on.
    """

    level: float
    kind: str
    threshold: float
    blocks: int

    def holds(self, probabilities: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Which classes are in the set of each place, bool `[num, K]`.

        Args:
          probabilities: p(y|x), `[num, K]`.
          random: for the numbers that `aps` draws.
        """
        uniform = random.random(len(probabilities)) if self.kind == 'aps' else None
        return class_scores(probabilities, self.kind, uniform) <= self.threshold


class OpenRule(NamedTuple):
    """What is left open, as not to be trusted.

    Attributes:
      by: what says how far an answer is to be trusted, of `TRUST`.
      share: of the sample that it was calibrated on that is least to be trusted.
      threshold: what is below this is left open.
    """

    by: str
    share: float
    threshold: float


def calibrate_sets(sample: Sample, level: float, kind: str) -> SetRule:
    """The rule whose sets hold the true class as often as `level` says, by blocks."""
    scores = class_scores(sample.probabilities, kind, _uniform(sample) if kind == 'aps' else None)
    of_labels = np.take_along_axis(scores, sample.labels[:, None].astype(np.int64), -1)[:, 0]
    threshold = block_quantile(of_labels, sample.blocks, level)
    return SetRule(level, kind, threshold, sample.num_blocks)


def too_few_blocks(rule: SetRule, sample: Sample) -> str | None:
    """A line for a rule without a threshold, which says how many blocks are needed; else None."""
    if math.isfinite(rule.threshold):
        return None
    kind = 'a group of places' if sample.grouped else 'an image or tile'
    return (
        f'the validation part has {counted(rule.blocks, "block")} of ground (each {kind}), and'
        f' sets of level {rule.level:g} need {blocks_needed(rule.level)}'
    )


def trust(
    by: str,
    probabilities: np.ndarray,
    log_density: np.ndarray | None = None,
    sets: np.ndarray | None = None,
) -> np.ndarray:
    """How far each answer is to be trusted, higher is more, float64 `[num]`.

    Args:
      by: of `TRUST`.
      probabilities: `[num, K]`.
      log_density: `[num]`, for `log_density`.
      sets: bool `[num, K]`, for `set_size`: a larger set is less to be trusted, and so is an empty
        one, which no class fits.
    """
    if by == 'log_density' and log_density is not None:
        return np.asarray(log_density, np.float64)
    if by == 'set_size' and sets is not None:
        sizes = sets.sum(-1)
        return -np.where(sizes == 0, sets.shape[-1] + 1, sizes).astype(np.float64)
    if by == 'confidence':
        return np.asarray(probabilities, np.float64).max(-1)
    raise ValueError(f'{by!r} was not given')


def calibrate_open(sample: Sample, share: float, by: str, rule: SetRule | None) -> OpenRule:
    """The rule that leaves that share of the sample open, or as near to it as equal scores allow.

    So of sets of few sizes: all of one size are left open, or none.

    Args:
      rule: of the sets, for `set_size`.
    """
    probabilities = sample.probabilities
    sets = None if rule is None else rule.holds(probabilities, np.random.default_rng(0))
    scores = trust(by, probabilities, sample.log_density, sets)
    threshold = float(np.quantile(scores, share, method='higher'))
    below, with_equal = np.mean(scores < threshold), np.mean(scores <= threshold)
    if share - below > with_equal - share:
        threshold = float(np.nextafter(threshold, np.inf))
    return OpenRule(by, share, threshold)


def _uniform(sample: Sample) -> np.ndarray:
    return np.random.default_rng(0).random(len(sample.labels))
