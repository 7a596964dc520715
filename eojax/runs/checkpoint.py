"""Checkpoints: saved whole or not at all, restored bit for bit, on any number of devices."""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging as absl_logging
from orbax.checkpoint._src.serialization import tensorstore_utils

from eojax.atomic_file import can_flush
from eojax.errors import UserError


class _Manager(ocp.CheckpointManager):
    def reached_preemption(self, step: int) -> bool:
        """Never: this is asked by training alone (`eojax.training.stopping.Agreement`).

        jax has one count of what all processes have done, and stops them at the next number. Asked
        by the calls of training and, in between, by the steps of a checkpoint, which are far more,
        it would stop them thousands of calls later.
        """
        return False


class Checkpoints:
    """The checkpoints in one folder, all of them or the newest few."""

    def __init__(self, folder: Path, keep: int | None, *, clean_up: bool = False) -> None:
        """Opens the folder, which is made where it is absent.

        Args:
          folder: of the checkpoints alone.
          keep: how many of the newest stay; None: all that are not deleted.
          clean_up: remove what a killed process left half written; only for the one who writes.
        """
        self._folder = folder
        self._disk_is_known = False
        # On the CPU a device array is the host's own memory, which the next step would overwrite
        # under an asynchronous save.
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            enable_async_checkpointing=jax.default_backend() != 'cpu',
            cleanup_tmp_directories=clean_up,
        )
        if not os.environ.get('EOJAX_DEBUG'):
            # Orbax tells every move it makes, and logs the traceback of every error it raises.
            absl_logging.set_verbosity(absl_logging.FATAL)
        self._manager = _Manager(
            folder.absolute(),
            options=options,
            item_handlers={
                'state': ocp.StandardCheckpointHandler(),
                'meta': ocp.JsonCheckpointHandler(),
            },
        )

    def steps(self) -> list[int]:
        """The steps that can be restored, ascending."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: Any, meta: dict[str, Any]) -> None:
        """Saves a pytree of arrays, and a JSON object beside it, as `step`; all processes call it.

        Raises:
          UserError: the disk is full or not writable; what was saved before is intact.
        """
        if step in self._manager.all_steps():
            return
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(leaves_by_name(state)), meta=ocp.args.JsonSave(meta)
        )
        try:
            self._know_disk()
            self._manager.wait_until_finished()  # reports what the save before ran into
            if not self._manager.save(step, args=items):
                raise ValueError('it is older than the newest one')
        except Exception as error:
            raise self._failure(step, error) from error

    def _know_disk(self) -> None:
        """Has Orbax write without waiting for the disk, where that knows no such call."""
        if self._disk_is_known:
            return
        if not can_flush(self._folder):
            # Orbax has no option for it; these are the contexts that it makes its own from.
            for context in (
                tensorstore_utils._BASE_TS_CONTEXT,
                tensorstore_utils._DEFAULT_OCDBT_TS_CONTEXT,
            ):
                context['file_io_sync'] = False
        self._disk_is_known = True

    def names(self, step: int) -> list[str]:
        """The names of the leaves of a checkpoint, with dots for levels.

        Raises:
          UserError: it is damaged.
        """
        try:
            return list(self._saved(step))
        except Exception as error:
            raise self._unreadable(step, error) from error

    def restore(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        """The pytree and the JSON object of `step`.

        Args:
          like: a pytree of `jax.ShapeDtypeStruct` with shardings: structure, shapes, types and
            where each leaf shall live.

        Raises:
          UserError: the checkpoint is damaged, or belongs to another model.
        """
        wanted = leaves_by_name(like)
        place = self._folder / str(step)
        try:
            saved = self._saved(step)
            on_disk = {
                name: _in_the_shape(leaf, saved[name]) if name in saved else leaf
                for name, leaf in wanted.items()
            }
            self._compare(place, on_disk, saved)
            restored = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardRestore(on_disk), meta=ocp.args.JsonRestore()
                ),
            )
        except UserError:
            raise
        except Exception as error:
            raise self._unreadable(step, error) from error
        values = [_shaped(restored['state'][name], leaf) for name, leaf in wanted.items()]
        return jax.tree.unflatten(jax.tree.structure(like), values), restored['meta']

    def wait(self) -> None:
        """Waits until all that `steps` names is on the disk.

        Raises:
          UserError: what was being written could not be.
        """
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            raise self._failure(None, error) from error

    def delete(self, step: int) -> None:
        """Removes one checkpoint.

        Raises:
          UserError: what was being written before could not be.
        """
        self.wait()
        self._manager.delete(step)

    def close(self) -> None:
        """Waits for what is being written.

        Raises:
          UserError: it could not be written.
        """
        try:
            self._manager.close()
        except Exception as error:
            raise self._failure(None, error) from error

    def _saved(self, step: int) -> dict[str, Any]:
        """Shape and type of each leaf on disk."""
        saved = self._manager.item_metadata(step)['state']
        return dict(saved.tree if hasattr(saved, 'tree') else saved)

    def _unreadable(self, step: int, error: Exception) -> UserError:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        return UserError(
            f'checkpoint {self._folder / str(step)} cannot be read ({reason}); delete that folder'
            ' to go on from the one before'
        )

    def _failure(self, step: int | None, error: Exception) -> UserError:
        number = getattr(error, 'errno', None)
        text = ' '.join(str(error).split())
        full = number == errno.ENOSPC or 'No space left' in text or 'RESOURCE_EXHAUSTED' in text
        reason = 'the disk is full' if full else text[:200]
        newest = max((s for s in self._manager.all_steps() if s != step), default=None)
        kept = f'the one of step {newest} is intact' if newest is not None else 'there is none yet'
        what = 'the checkpoint' if step is None else f'the checkpoint of step {step}'
        return UserError(f'{what} could not be saved in {self._folder}: {reason}; {kept}')

    @staticmethod
    def _compare(place: Path, wanted: dict[str, Any], saved: dict[str, Any]) -> None:
        for name in wanted.keys() | saved.keys():
            if name not in saved or name not in wanted:
                raise UserError(f'checkpoint {place} is of another model: {name} is in one only')
            ours, theirs = wanted[name], saved[name]
            if tuple(ours.shape) != tuple(theirs.shape) or ours.dtype != np.dtype(theirs.dtype):
                raise UserError(
                    f'checkpoint {place} is of another model: {name} has shape'
                    f' {tuple(theirs.shape)} {theirs.dtype}, not {tuple(ours.shape)} {ours.dtype}'
                )


def _in_the_shape(leaf: Any, saved: Any) -> Any:
    """The wanted leaf as it is on disk: older checkpoints keep the images of a replay buffer as
    `[parts, each, H, W, C]`, which are rows now, one or more an image."""
    ours, theirs = tuple(leaf.shape), tuple(saved.shape)
    joins = len(ours) == 3 and len(theirs) == 5 and ours[0] == theirs[0]
    joins = joins and ours[1] % theirs[1] == 0 and math.prod(ours) == math.prod(theirs)
    return jax.ShapeDtypeStruct(theirs, leaf.dtype, sharding=leaf.sharding) if joins else leaf


def _shaped(value: jax.Array, leaf: Any) -> jax.Array:
    if value.shape == tuple(leaf.shape):
        return value
    reshape = jax.jit(lambda x: x.reshape(leaf.shape), out_shardings=leaf.sharding)
    shaped: jax.Array = reshape(value)
    return shaped


def leaves_by_name(tree: Any) -> dict[str, Any]:
    """A flat mapping of path to leaf: what is on disk does not depend on container classes."""
    return {
        jax.tree_util.keystr(path, simple=True, separator='.'): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }
