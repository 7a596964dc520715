"""Phases of a training that is made shorter or longer: each keeps its share of the steps.

A config has phases of fixed lengths (`method.supervised_steps`, warm-ups, ...), which are right for
its `steps`. Where the command line changes `steps` alone, they change in proportion; a length that
the command line gives too holds.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from ml_collections import ConfigDict

from eojax.config.base import flatten, names_of, set_keys
from eojax.config.options import options_of
from eojax.option import flat

STEPS = 'steps'


class Change(NamedTuple):
    """Another length of a phase."""

    before: int
    after: int


def keep_proportions(config: ConfigDict, before: int, given: Collection[str]) -> str:
    """Brings the phases of a config to its new number of steps, in place.

    Args:
      before: the number of steps for which the config's lengths are right.
      given: keys whose values hold, as the command line gives them.

    Returns:
      One line that says what changed; empty where nothing did.
    """
    changes = lengths(config, before, given)
    if not changes:
        return ''
    set_keys(config, {key: change.after for key, change in changes.items()})
    listed = ', '.join(f'{key} {c.before} -> {c.after}' for key, c in changes.items())
    return f'steps {before} -> {config.steps}, and in proportion {listed}; give a key to set it'


def lengths(config: ConfigDict, before: int, given: Collection[str]) -> dict[str, Change]:
    """The lengths that `keep_proportions` changes, by key.

    Each is rounded, to at least one step. Where that leaves nothing to the phase that comes last,
    the longest gives up some; where it cannot, nothing is changed.
    """
    if STEPS not in given or config.steps == before or config.steps < 1:
        return {}
    values = dict(flatten(config))
    kinds = {key: one.phase for key, one in flat(options_of(*names_of(values))) if one.phase}
    old = {key: values[key] for key in kinds if values[key] > 0 and key not in given}
    share = config.steps / before
    new = {key: max(1, round(length * share)) for key, length in old.items()}
    own = [key for key in new if kinds[key] == 'own']
    fixed = sum(values[key] for key, kind in kinds.items() if kind == 'own' and key not in new)
    if own and fixed + share * sum(old[key] for key in own) < config.steps:
        while fixed + sum(new[key] for key in own) >= config.steps:
            longest = max(own, key=lambda key: new[key])
            if new[longest] == 1:
                return {}
            new[longest] -= 1
    return {key: Change(old[key], length) for key, length in new.items() if length != old[key]}
