"""The part of a method's state that a trained run needs, out of a state and back into one.

Whoever uses a trained network needs its averaged parameters and its statistics, not the newest
parameters, nor the optimiser's moments; and of a replay buffer some images, rounded to 8 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from eojax.devices import sharding
from eojax.errors import UserError
from eojax.feed.pipeline import to_uint8
from eojax.methods.update.descent import Trained
from eojax.runs.carry import abstract_carry
from eojax.runs.checkpoint import leaves_by_name
from eojax.runs.run import Run
from eojax.samplers.replay_buffer import ReplayBuffer
from eojax.weights.run_file import RunFile


class _Share(NamedTuple):
    """A share of a replay buffer as a file holds it: images `[1, num, H, W, C]`, and labels."""

    images: Any
    labels: Any


def needed_leaves(state: Any, buffer: int, seed: int = 0) -> dict[str, np.ndarray]:
    """The leaves that a trained run needs, by name.

    Args:
      state: of a method.
      buffer: how many images of a replay buffer to keep, at least 1; all where it has no more.
      seed: of the choice of these.
    """

    def kept(node: Any) -> Any:
        if isinstance(node, ReplayBuffer):
            return _share(node, buffer, seed)
        return _without_training(node)

    leaves = leaves_by_name(jax.tree.map(kept, state, is_leaf=_is_node))
    return {name: np.asarray(jax.device_get(leaf)) for name, leaf in leaves.items()}


def state_of(run: Run, content: RunFile, file: Path) -> Any:
    """A method's state on the devices, of the leaves that a file holds.

    What only training needs is the averaged parameters once more, and zeros.

    Args:
      file: for messages.

    Raises:
      UserError: it is of another model.
    """
    # The best is saved before the next phase begins, the last after it.
    done = content.step if content.which == 'last' else max(content.step - 1, 0)
    whole = abstract_carry(run, done, ()).state
    part = jax.tree.map(_as_in_a_file, whole, is_leaf=_is_node)
    wanted = leaves_by_name(part)
    _compare(wanted, content.state, file)
    leaves = [content.state[name] for name in wanted]
    given = jax.tree.unflatten(jax.tree.structure(part), leaves)
    filled = jax.tree.map(_filled, whole, given, is_leaf=_is_node)
    return sharding.place(filled, sharding.state_shardings(run.mesh, filled, run.method.split))


def _is_node(node: Any) -> bool:
    return isinstance(node, (Trained, ReplayBuffer))


def _without_training(node: Any) -> Any:
    if isinstance(node, Trained):
        left_out: Any = None  # a tree without these leaves, not a state that could be trained
        return node._replace(parameters=left_out, moments=left_out, updates=left_out)
    return node


def _as_in_a_file(node: Any) -> Any:
    if isinstance(node, ReplayBuffer):
        shape = (*node.labels.shape, *node.shape)
        return _Share(jax.ShapeDtypeStruct(shape, node.rows.dtype), node.labels)
    return _without_training(node)


def _share(buffer: ReplayBuffer, num: int, seed: int) -> _Share:
    """Some images of a buffer, drawn at random, as one part and in 8 bits."""
    rows, labels = (np.asarray(jax.device_get(leaf)) for leaf in (buffer.rows, buffer.labels))
    images = rows.reshape(-1, *buffer.shape).astype(np.float32)
    labels = labels.reshape(-1)
    chosen = np.random.default_rng(seed).permutation(len(labels))[:num]
    return _Share(to_uint8(images[chosen])[None], labels[chosen][None])


def _filled(whole: Any, given: Any) -> Any:
    if isinstance(whole, Trained):
        moments = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), whole.moments)
        updates = np.zeros((), np.int32)
        return given._replace(parameters=given.average, moments=moments, updates=updates)
    if isinstance(whole, ReplayBuffer):
        images = given.images.astype(np.float32) / 127.5 - 1.0
        return ReplayBuffer.of(images.astype(whole.rows.dtype), given.labels)
    return given


def _compare(wanted: Mapping[str, Any], given: Mapping[str, np.ndarray], file: Path) -> None:
    """Refuses leaves of another model; a share of a buffer is smaller than the buffer."""
    for name in sorted(wanted.keys() ^ given.keys()):
        raise UserError(f'{file} is of another model: {name} is in one only')
    for name, ours in wanted.items():
        theirs = given[name]
        shape, dtype = tuple(ours.shape), np.dtype(ours.dtype)
        if theirs.dtype == np.uint8 and dtype != np.uint8:
            shape, dtype = (1, *theirs.shape[1:2], *shape[2:]), theirs.dtype
        elif name.rpartition('.')[0] + '.images' in given and name.endswith('.labels'):
            shape = given[name.rpartition('.')[0] + '.images'].shape[:2]
        if theirs.shape != shape or theirs.dtype != dtype:
            raise UserError(
                f'{file} is of another model: {name} has shape {theirs.shape} {theirs.dtype}, not'
                f' {shape} {dtype}'
            )
