"""Samples of a trained method that can `sample`: chains in equal batches, from buffer or afresh.

`sample(state, key, labels)`, images `[N, H, W, C]` in [-1, 1] for labels int32 `[N]`, is all that
is asked of a method. `Method.sampling` says what the labels mean to it: `by_class`, they are the
classes to make images of, else a method without chains has only their number. One with chains takes
their parameters, their starts and more besides (`eojax.methods.jem`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array, random
from tqdm import tqdm

from eojax.devices import sharding
from eojax.devices.compiler_options import compiler_options
from eojax.errors import UserError
from eojax.evaluation.scoring import place_batch
from eojax.feed.pipeline import to_uint8
from eojax.methods import METHODS
from eojax.methods.method import ability
from eojax.runs.run import Run
from eojax.samplers.langevin import Langevin
from eojax.samplers.replay_buffer import ReplayBuffer

# Keeps the keys of samples apart from those of training and of scores.
_SALT = 0x5A3B1E


class Starts(NamedTuple):
    """Where chains begin, and for which classes.

    Attributes:
      labels: int32 `[N]`: the class whose texture a chain begins at, and, where `conditional`,
        whose energy E(x, y) it follows.
      images: float32 `[N, H, W, C]`; None for the method's own fresh starts.
      conditional: whether the chains are of p(x|y) instead of p(x).
    """

    labels: np.ndarray
    images: np.ndarray | None = None
    conditional: bool = False


def chain_of(run: Run) -> Langevin | None:
    """The chains that the run was trained with; None for a method without chains."""
    return run.method.sampling.chain


def batch_size(run: Run) -> int:
    """Chains in one call: what training is known to fit in memory."""
    return min(run.config.batch_size, run.config.evaluate.batch_size)


def draw_samples(
    run: Run,
    state: Any,
    starts: Starts,
    seed: int,
    chain: Langevin | None = None,
    title: str = '',
) -> np.ndarray:
    """The ends of chains, uint8 `[N, H, W, C]`; args as for `draw_ends`."""
    return to_uint8(draw_ends(run, state, starts, seed, chain, title))


def draw_ends(
    run: Run,
    state: Any,
    starts: Starts,
    seed: int,
    chain: Langevin | None = None,
    title: str = '',
) -> np.ndarray:
    """The ends of chains, float32 `[N, H, W, C]` in [-1, 1] but for what the chains go beyond.

    The last batch is filled up, so that any number compiles once. All processes call it together.

    Args:
      starts, seed: as for `sample_batch`.
      chain: the parameters of the chains; those of training where None.
      title: of a progress bar; none where empty.

    Raises:
      UserError: chains that have left all finite numbers, as steps that are too long do; see
        `sample_batch` as well.
    """
    total, size = len(starts.labels), batch_size(run)
    ends = []
    bar = tqdm(
        total=total, desc=title, unit='img', leave=False,
        disable=not (title and sharding.is_main_process()),
    )  # fmt: skip
    with bar:
        for number in range(-(-total // size)):
            ends.append(np.asarray(sample_batch(run, state, starts, seed, chain, number)))
            bar.update(min(size, total - number * size))
    images = np.concatenate(ends)[:total]
    lost = int((~np.isfinite(images).reshape(total, -1).all(1)).sum())
    if lost:
        raise UserError(
            f'{lost} of {total} chains have diverged to values that are no numbers: a smaller'
            ' --step_size or --noise may help'
        )
    return images


def film_samples(
    run: Run,
    state: Any,
    starts: Starts,
    seed: int,
    chain: Langevin,
    every: int,
    apart: bool = False,
) -> np.ndarray:
    """The course of the first batch of `draw_samples`: uint8 `[1 + steps // every, N, H, W, C]`.

    Args:
      apart: whether it need not be that batch, whose noise depends on how many images it is filled
        up to: then no more chains are run than `starts` has, and the devices.
    """
    size = -(-len(starts.labels) // run.mesh.size) * run.mesh.size if apart else None
    frames = sample_batch(run, state, starts, seed, chain, 0, every, size)
    return to_uint8(frames)[:, : len(starts.labels)]


def sample_batch(
    run: Run,
    state: Any,
    starts: Starts,
    seed: int,
    chain: Langevin | None,
    number: int,
    every: int = 0,
    size: int | None = None,
) -> Array:
    """Batch `number` of the chains of `starts`, filled up to `size`; None for `batch_size`.

    Raises:
      UserError: the method cannot sample; the message says which can.
    """
    function = ability(run.method, 'sample', run.config.method.name, METHODS)
    size = batch_size(run) if size is None else size
    rows = np.arange(number * size, (number + 1) * size)
    rows = rows % len(starts.labels)
    key = random.fold_in(random.fold_in(random.key(seed), _SALT), number)
    key = sharding.place_key(key, run.mesh)
    labels = place_batch(run, starts.labels[rows].astype(np.int32))
    everywhere = sharding.replicated(run.mesh)
    chain = chain or chain_of(run)
    if chain is None:
        compiled = jax.jit(function, out_shardings=everywhere, compiler_options=compiler_options())
        return compiled(state, key, labels)
    images = None if starts.images is None else place_batch(run, starts.images[rows])
    compiled = jax.jit(
        function,
        static_argnames=('chain', 'conditional', 'every'),
        out_shardings=everywhere,
        compiler_options=compiler_options(),
    )
    return compiled(
        state, key, labels, chain=chain, images=images, conditional=starts.conditional, every=every
    )


def buffer_images(run: Run, state: Any, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images float32 `[N, H, W, C]` and their labels int32 `[N]` from the replay buffer.

    Args:
      slots: indices below `buffer_capacity`.

    Raises:
      UserError: the method keeps no buffer; the message says which do.
    """
    replay = ability(run.method, 'replay', run.config.method.name, METHODS)
    buffer: ReplayBuffer = replay(state)
    each = buffer.labels.shape[1]
    everywhere = sharding.replicated(run.mesh)
    places = ((slots // each).astype(np.int32), (slots % each).astype(np.int32))
    # The buffer may be split over processes: each takes part in the gathering, and gets all of it.
    gather = jax.jit(_gather, out_shardings=everywhere)
    images, labels = gather(buffer, *sharding.place(places, everywhere))
    return np.asarray(images, np.float32), np.asarray(labels)


def by_class(run: Run) -> bool:
    """Whether the run's own samples are of given classes: chains of E(x, y) instead of E(x)."""
    return run.method.sampling.by_class


def _gather(buffer: ReplayBuffer, parts: Array, slots: Array) -> tuple[Array, Array]:
    return buffer.images_at(parts, slots), buffer.labels[parts, slots]


def buffer_capacity(run: Run, state: Any) -> int:
    """Images in the replay buffer; 0 for a method that keeps none, or keeps none yet."""
    replay = run.method.abilities.get('replay')
    buffer = None if replay is None else replay(state)
    return 0 if buffer is None else int(np.prod(buffer.labels.shape))


def run_on_starts(run: Run, state: Any, num: int, seed: int) -> Starts:
    """Starts for samples that stand for the model: at most `num` different ends of its own chains.

    They are drawn at random from the replay buffer. A slot that training has not come by yet holds
    no sample but a bare start, so every image is to be run on by one more chain. A method without
    a buffer starts afresh, its classes in turn.
    """
    capacity = buffer_capacity(run, state)
    if not capacity:
        labels = np.arange(num, dtype=np.int32) % max(run.task.num_classes, 1)
        return Starts(labels, None, by_class(run))
    slots = np.random.default_rng(seed).permutation(capacity)[:num]
    images, labels = buffer_images(run, state, slots)
    return Starts(labels, images, by_class(run))
