"""A trained run, opened from its folder or file alone: config, `data.json` and a checkpoint.

No data are read, and no step of training is traced or compiled.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from eojax.config.base import check_config, from_json
from eojax.data import class_groups
from eojax.errors import UserError
from eojax.runs.carry import Carry, abstract_carry
from eojax.runs.checkpoint import Checkpoints
from eojax.runs.domains import SOURCE, TARGET
from eojax.runs.known import FILE, Known, read_known
from eojax.runs.run import Run, build
from eojax.runs.weights import state_of
from eojax.weights import run_file
from eojax.weights.unpacked import WEIGHTS, run_folder

# Of a leaf of the carry on disk; the metrics' names have no dots of their own.
_SUMS = 'sums.'
_BEST = 'best'


def open_run(place: str | Path, which: str = '') -> tuple[Run, Any]:
    """A trained run and its state, for evaluation and the apps.

    Args:
      place: the run's folder, a file that `eojax export` wrote, or the name of shipped weights.
      which: `last` or `best` checkpoint; where empty, what the config's `evaluate.checkpoint` says,
        or the one that a file holds.

    Raises:
      UserError: no run, no checkpoint, or a damaged one.
    """
    folder = run_folder(place)
    return load_state(open_untrained(from_json(folder / 'config.json'), folder), which)


def open_untrained(config: ConfigDict, folder: Path) -> Run:
    """The run of a folder before its checkpoint is read.

    Args:
      config: of the run, with what is to be changed.

    Raises:
      UserError: an impossible config, or a folder that no training has written `data.json` to.
    """
    check_config(config)
    known = read_known(folder)
    _check_groups(config, folder, known)
    return build(config, folder, known)


def _check_groups(config: ConfigDict, folder: Path, known: Mapping[str, Known]) -> None:
    """Refuses a `data.json` that is not of this config."""
    for group in (TARGET, SOURCE):
        if (group in config) != (group in known):
            raise UserError(f'{folder / FILE} and the config do not both have the group {group!r}')
        if group in config and config[group].classes:
            names = tuple(class_groups.parse(config[group].classes))
            if names != known[group].facts.class_names:
                raise UserError(
                    f'{folder / FILE} has the classes {", ".join(known[group].facts.class_names)},'
                    f' and {group}.classes of the config has {", ".join(names)}'
                )


def load_state(run: Run, which: str = '', step: int | None = None) -> tuple[Run, Any]:
    """The run at the step of a checkpoint, and the state of the method there.

    Args:
      which: the `last` or the `best`; see `state_evaluated` where empty.
      step: one of `saved_steps`; the newest where None.

    Raises:
      UserError: it is not there, or damaged.
    """
    if (run.folder / WEIGHTS).is_file():
        return _load_weights(run, which)
    place = checkpoint_folder(run.folder, which or state_evaluated(run))
    if not place.is_dir():
        raise UserError(f'{run.folder} has no checkpoint in {place.name}/: train the run first')
    checkpoints = Checkpoints(place, run.config.keep_checkpoints)
    steps = checkpoints.steps()
    if not steps:
        raise UserError(f'{run.folder} has no checkpoint in {place.name}/: train the run first')
    step = steps[-1] if step is None else step
    # The best is saved before the next phase begins, the last after it.
    carry, _ = restore_carry(run, checkpoints, step, begun=place.name != _BEST)
    checkpoints.close()
    return run._replace(step=step), carry.state


def _load_weights(run: Run, which: str) -> tuple[Run, Any]:
    """The state of a run that came in a file, which holds one state alone."""
    file = run.folder / WEIGHTS
    content = run_file.read(file)
    if which and which != content.which:
        raise UserError(
            f'{file} holds the {content.which} checkpoint, of step {content.step}, alone: leave out'
            f' --checkpoint={which}'
        )
    return run._replace(step=content.step), state_of(run, content, file)


def restore_carry(
    run: Run, checkpoints: Checkpoints, step: int, begun: bool = True
) -> tuple[Carry, dict[str, Any]]:
    """The carry of a checkpoint, placed on the devices, and the JSON object beside it.

    Args:
      begun: whether, at the end of a phase, the next one had begun when it was saved.

    Raises:
      UserError: it is damaged, or of another model.
    """
    names = [name.removeprefix(_SUMS) for name in checkpoints.names(step) if name.startswith(_SUMS)]
    done = step if begun else max(step - 1, 0)
    return checkpoints.restore(step, abstract_carry(run, done, names))


def saved_steps(run: Run) -> list[int]:
    """The steps that a run has checkpoints of, ascending."""
    if (run.folder / WEIGHTS).is_file():
        return [run_file.read(run.folder / WEIGHTS).step]
    place = checkpoint_folder(run.folder)
    return Checkpoints(place, run.config.keep_checkpoints).steps() if place.is_dir() else []


def state_evaluated(run: Run) -> str:
    """The state that is used where nobody asks for one: `last`, or `best`.

    It is what the config's `evaluate.checkpoint` says, and the last where no validation image has
    said yet which is the best.
    """
    which: str = run.config.evaluate.checkpoint
    if (run.folder / WEIGHTS).is_file():
        return run_file.read(run.folder / WEIGHTS).which
    place = checkpoint_folder(run.folder, which)
    # A process that was killed while it wrote the first one leaves a folder of another name.
    saved = place.is_dir() and any(one.name.isdigit() for one in place.iterdir())
    return which if saved else 'last'


def checkpoint_folder(folder: Path, which: str = 'last') -> Path:
    """Where the newest checkpoints, or the one best in validation, of a run lie."""
    return folder / ('checkpoints' if which == 'last' else _BEST)
