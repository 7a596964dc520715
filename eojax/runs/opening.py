"""A trained run, opened from its folder alone: config, `data.json` and a checkpoint.

No data are read, and no step of training is traced or compiled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from eojax.config.base import check_config, from_json
from eojax.errors import UserError
from eojax.runs.carry import Carry, abstract_carry
from eojax.runs.checkpoint import Checkpoints
from eojax.runs.known import read_known
from eojax.runs.run import Run, build

# Of a leaf of the carry on disk; the metrics' names have no dots of their own.
_SUMS = 'sums.'


def open_run(folder: str | Path, which: str = '') -> tuple[Run, Any]:
    """A trained run and its state, for evaluation and the apps.

    Args:
      folder: of the run.
      which: `last` or `best` checkpoint; what the config's `evaluate.checkpoint` says where empty.

    Raises:
      UserError: no run folder, no checkpoint, or a damaged one.
    """
    folder = Path(folder)
    return load_state(open_untrained(from_json(folder / 'config.json'), folder), which)


def open_untrained(config: ConfigDict, folder: Path) -> Run:
    """The run of a folder before its checkpoint is read.

    Args:
      config: of the run, with what is to be changed.

    Raises:
      UserError: an impossible config, or a folder that no training has written `data.json` to.
    """
    check_config(config)
    return build(config, folder, read_known(folder))


def load_state(run: Run, which: str = '', step: int | None = None) -> tuple[Run, Any]:
    """The run at the step of a checkpoint, and the state of the method there.

    Args:
      which: the `last` or the `best`; what the config's `evaluate.checkpoint` says where empty.
      step: one of `saved_steps`; the newest where None.

    Raises:
      UserError: it is not there, or damaged.
    """
    place = checkpoint_folder(run.folder, which or run.config.evaluate.checkpoint)
    if not place.is_dir():
        raise UserError(f'{run.folder} has no checkpoint in {place.name}/: train the run first')
    checkpoints = Checkpoints(place, run.config.keep_checkpoints)
    steps = checkpoints.steps()
    if not steps:
        raise UserError(f'{run.folder} has no checkpoint in {place.name}/: train the run first')
    step = steps[-1] if step is None else step
    carry, _ = restore_carry(run, checkpoints, step)
    checkpoints.close()
    return run._replace(step=step), carry.state


def restore_carry(run: Run, checkpoints: Checkpoints, step: int) -> tuple[Carry, dict[str, Any]]:
    """The carry of a checkpoint, placed on the devices, and the JSON object beside it.

    Raises:
      UserError: it is damaged, or of another model.
    """
    names = [name.removeprefix(_SUMS) for name in checkpoints.names(step) if name.startswith(_SUMS)]
    return checkpoints.restore(step, abstract_carry(run, step, names))


def saved_steps(run: Run) -> list[int]:
    """The steps that a run has checkpoints of, ascending."""
    place = checkpoint_folder(run.folder)
    return Checkpoints(place, run.config.keep_checkpoints).steps() if place.is_dir() else []


def checkpoint_folder(folder: Path, which: str = 'last') -> Path:
    """Where the newest checkpoints, or the one best in validation, of a run lie."""
    return folder / ('checkpoints' if which == 'last' else 'best')
