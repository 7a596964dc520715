"""Whether the evaluation in a run's folder is of the run's end, and as a config asks for it.

What of a config may change when a run goes on (`eojax.config.base.FREE_AT_RESUME`) changes nothing
that training computes, but the group `evaluate` says of which state its numbers are and how they
are measured. `eojax evaluate` may have written them too, while the run was trained or after it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from eojax.config.base import read_json
from eojax.config.options import EVALUATE
from eojax.config.written import get
from eojax.runs.opening import checkpoint_folder

GROUP = 'evaluate'
# Of this group: no number depends on them.
_FREE = ('batch_size', 'keep_reference')


def asked_of(config: ConfigDict) -> dict[str, Any]:
    """The part of a config that this module looks at, as in a `config.json`."""
    return {'steps': config.steps, GROUP: config[GROUP].to_dict()}


def differing(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], free: Collection[str] = ()
) -> list[str]:
    """`evaluate.key: theirs -> ours` of the options that the numbers depend on.

    Args:
      ours, theirs: configs as they are written; what an earlier version did not write has its
        default.
      free: keys in which they may differ, with their group.
    """
    lines = []
    for name, option in EVALUATE.items():
        key = f'{GROUP}.{name}'
        if name in _FREE or key in free:
            continue
        now, before = (
            option.default if value is None else value
            for value in (get(ours, key), get(theirs, key))
        )
        if now != before:
            lines.append(f'{key}: {before!r} -> {now!r}')
    return lines


def written_otherwise(folder: Path, config: Mapping[str, Any]) -> list[str]:
    """The same of a config and the one that a run's folder keeps; none where it keeps none."""
    file = folder / 'config.json'
    return differing(config, read_json(file)) if file.exists() else []


def has_checkpoints(folder: Path) -> bool:
    """Whether a run can be evaluated once more without being trained once more."""
    return bool(_steps(checkpoint_folder(folder)))


def of_another_step(folder: Path, config: Mapping[str, Any], numbers: Mapping[str, Any]) -> str:
    """Why the evaluation is not of the state that a finished run is evaluated at; empty if it is.

    Args:
      numbers: of `evaluation.json`.
    """
    step, end = int(numbers.get('step', 0)), int(get(config, 'steps') or 0)
    best = _steps(checkpoint_folder(folder, 'best'))
    if get(config, f'{GROUP}.checkpoint') != 'best':
        wanted = '' if step >= end else f'step {end}, the last'
    elif best:
        wanted = '' if step == best[-1] else f'step {best[-1]}, the best in validation'
    else:  # there was none, or it was deleted: which step it was of is not known
        wanted = ''
    return f'its evaluation is of step {step}, not of {wanted}' if wanted else ''


def _steps(place: Path) -> list[int]:
    """The steps of the checkpoints in a folder, ascending."""
    if not place.is_dir():
        return []
    return sorted(int(one.name) for one in place.iterdir() if one.name.isdecimal())
