"""Missing pixels of images filled by chains of a trained run, in equal batches of any number.

`restore` of the run's method is what draws them (`eojax.methods.jem`); the texture that its chains
keep to is fitted to images of the same kind: the run's training images, or a scene's own windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array, random
from jax.sharding import PartitionSpec
from scipy.special import softmax
from tqdm import tqdm

from eojax.data.reading.patches import resample
from eojax.data.value_range import scale_from_unit
from eojax.devices import sharding
from eojax.devices.compiler_options import compiler_options
from eojax.errors import UserError, unknown_name
from eojax.evaluation import reference
from eojax.evaluation.outliers import spread
from eojax.evaluation.sampling import batch_size, buffer_capacity, buffer_images
from eojax.evaluation.scoring import score
from eojax.feed.pipeline import to_uint8
from eojax.messages import say
from eojax.methods import METHODS
from eojax.methods.method import ability
from eojax.runs.run import Run
from eojax.samplers import langevin
from eojax.samplers.inpainting import Inpainting
from eojax.samplers.langevin import Langevin
from eojax.samplers.starts import StationaryGaussian

# Keeps the keys of repairs apart from those of samples and scores.
_SALT = 0x4E9A12
_ROWS_ON_CPU = 16

# Images of the replay buffer that a texture is fitted to.
_BUFFERED = 1000


class Settings(NamedTuple):
    """How images are repaired.

    Attributes:
      chains: of each image, in pairs of opposite noise.
      label: index of the class of all chains, of their texture and of E(x, y); None for each
        image's own, drawn for each pair of chains from the model's p(y|x).
      by_class: false for chains of E(x) on the texture of all images, whatever the class.
      options: of the chains on texture and energy.
      langevin: plain Langevin dynamics instead; None for the chains above.
      seed: of classes and noise.
    """

    chains: int = 8
    label: int | None = None
    by_class: bool = True
    options: Inpainting = Inpainting()
    langevin: Langevin | None = None
    seed: int = 0


def choose_settings(
    run: Run,
    chains: int = 8,
    name: str = 'auto',
    sampler: str = 'texture',
    steps: int | None = None,
    seed: int = 0,
) -> Settings:
    """How to repair, in a user's words.

    Args:
      chains: for each image.
      name: of the class that chains follow; `auto` for the model's own guess, `any` for none.
      sampler: `texture` for texture and model, `langevin` for the model alone by the run's own
        Langevin steps.
      steps: of each chain; None for the sampler's own number.
      seed: of classes and noise.

    Raises:
      UserError: a class that the run does not have.
    """
    names, label = run.facts.class_names, None
    if name not in ('auto', 'any'):
        if name not in names:
            raise unknown_name('class', name, ('auto', 'any', *names))
        label = names.index(name)
    inpainting, chain = Inpainting(), None
    if sampler == 'langevin':
        chain = langevin.from_config(run.config.sampler)
        # As long as a chain of training gets on average, as `eojax.apps.generate` has it.
        share = max(float(run.config.sampler.get('reinitialise', 1.0)), 0.05)
        chain = chain._replace(steps=steps or round(chain.steps / share))
    elif steps is not None:
        inpainting = inpainting._replace(steps=steps)
    return Settings(chains, label, name != 'any', inpainting, chain, seed)


class Repaired(NamedTuple):
    """Repaired images; known pixels are those that were given, bit for bit.

    Attributes:
      start: float32 `[num, H, W, C]` in [-1, 1]: the mean of the texture of all images alone,
        without the model.
      one: the end of the first chain.
      mean: of all chains.
      spread: the standard deviation of a chain (`spread_of_pairs`), 0 at known pixels; 0 for a
        single chain.
      labels: int32 `[num, chains]`: the class of each chain; the number of classes for none.
    """

    start: np.ndarray
    one: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    labels: np.ndarray


def repair(
    run: Run,
    state: Any,
    images: np.ndarray,
    masks: np.ndarray,
    texture: StationaryGaussian,
    settings: Settings,
    title: str = '',
    first: int = 0,
) -> Repaired:
    """Fills the missing pixels of images; all processes of a run call it together.

    An image's repair depends on its own pixels, its number and the settings, not on the others.

    Args:
      images: float32 `[num, H, W, C]` in [-1, 1]; what stands at missing pixels is not read. Their
        size may differ from the run's.
      masks: bool `[num, H, W]`, true where missing; neither all nor nothing of an image.
      texture: of each class and of all, for windows of the images' size; see `fit_texture`.
      title: of a progress bar; none where empty.
      first: the first image's number, where these go on from others.

    Raises:
      UserError: the method cannot restore; the message says which can.
    """
    ability(run.method, 'restore', run.config.method.name, METHODS)
    still = settings._replace(
        chains=1, langevin=None, options=settings.options._replace(steps=0, noise=0.0)
    )
    given = (run, state, images, masks, texture)
    everything = np.full((len(images), 1), run.task.num_classes, np.int32)
    start = _run_chains(*given, everything, still, '', first)[:, 0]
    labels = _choose_labels(run, state, start, settings, first)
    ends = _run_chains(*given, labels, settings, title, first)
    mean = np.where(masks[..., None], ends.mean(1), images)
    return Repaired(start, ends[:, 0], mean, spread_of_pairs(ends) * masks[..., None], labels)


def spread_of_pairs(ends: np.ndarray) -> np.ndarray:
    """The standard deviation of one chain, from chains that come in pairs of opposite noise.

    Half the mean squared difference of two chains of different pairs, over all such two: they are
    independent, so that it is the variance whatever a pair has in common. The usual estimate takes
    all chains to be independent, and is too large here: where the energy is flat the mean of all of
    them does not vary, and its variance is n / (n - 1) times the true one. Of a single pair it is
    half their difference, which leaves out what both share.

    Where chains follow the model's own guess, the classes of n pairs are evenly spaced quantiles
    and not independent: the part of the variance that lies between classes is up to n / (n - 1)
    times too large.

    Args:
      ends: float32 `[num, chains, ...]`; chains 0 and 1 are a pair, 2 and 3, and so on. The last of
        an odd number is alone.

    Returns:
      float32 `[num, ...]`; 0 for a single chain.
    """
    chains = ends.shape[1]
    pairs = chains // 2
    paired = ends[:, : 2 * pairs].astype(np.float64)
    within = np.square(paired[:, ::2] - paired[:, 1::2]).sum(1)
    if chains < 3:
        return np.sqrt(within / 4.0).astype(ends.dtype)
    every = chains * chains * ends.var(1, dtype=np.float64)  # over all two chains, each two once
    across = np.maximum(every - within, 0.0)
    return np.sqrt(across / (chains * (chains - 1) - 2 * pairs)).astype(ends.dtype)


def texture_of(run: Run, state: Any) -> StationaryGaussian:
    """The textures of the training images; all processes of a run call it together.

    A run that has not come to its end keeps none, and its data may lie elsewhere: then those of the
    images in its replay buffer, which its chains brought near them, and a line says so.
    """
    try:
        return reference.texture(run)
    except UserError as error:
        capacity = buffer_capacity(run, state)
        if not capacity:
            raise
        if sharding.is_main_process():
            say(f'the texture of repairs is that of images in the replay buffer: {error}')
        images, labels = buffer_images(run, state, spread(capacity, _BUFFERED))
        stored = scale_from_unit(np.clip(images, -1.0, 1.0), run.images.limits)
        if np.issubdtype(run.images.dtype, np.integer):
            stored = np.round(stored)
        return reference.fit_texture(run, stored.astype(run.images.dtype), labels)


def _class_shares(run: Run, state: Any, filled: np.ndarray) -> np.ndarray:
    """p(y|x) `[num, classes]` of images in [-1, 1] of any size."""
    seen = resample(to_uint8(filled), run.task.image_shape[0])
    return softmax(np.asarray(score(run, 'logits', state, seen), np.float64), axis=1)


def _choose_labels(
    run: Run, state: Any, filled: np.ndarray, settings: Settings, first: int
) -> np.ndarray:
    """The class of each chain, int32 `[num, chains]`."""
    if settings.label is not None or not settings.by_class:
        label = run.task.num_classes if settings.label is None else settings.label
        return np.full((len(filled), settings.chains), label, np.int32)
    shares = _class_shares(run, state, filled)
    # Evenly spaced quantiles from a random one, so that few chains meet the shares well.
    pairs = -(-settings.chains // 2)
    drawn = np.empty((len(filled), pairs), np.int32)
    for number, share in enumerate(shares):
        rng = np.random.default_rng((_SALT, settings.seed, first + number))
        levels = (np.arange(pairs) + rng.random()) / pairs
        found = np.searchsorted(share.cumsum(), levels * share.sum())
        drawn[number] = np.minimum(found, len(share) - 1)
    return drawn.repeat(2, axis=1)[:, : settings.chains]


def _run_chains(
    run: Run,
    state: Any,
    images: np.ndarray,
    masks: np.ndarray,
    texture: StationaryGaussian,
    labels: np.ndarray,
    settings: Settings,
    title: str,
    first: int,
) -> np.ndarray:
    """The ends of all chains, float32 `[num, chains, H, W, C]` in [-1, 1]."""
    num, chains = labels.shape
    compiled = _compiled(run, state, settings)
    key = sharding.place_key(random.fold_in(random.key(settings.seed), _SALT), run.mesh)
    placed = sharding.place(texture, sharding.replicated(run.mesh))
    place = sharding.split(run.mesh)
    ends = np.empty((num * chains, *images.shape[1:]), np.float32)
    bar = tqdm(
        total=num * chains, desc=title, unit='chain', leave=False,
        disable=not (title and sharding.is_main_process()),
    )  # fmt: skip
    with bar:
        for rows in _batches(num * chains, run):
            image, chain = rows // chains, rows % chains
            # Of each image and pair of chains, whatever stands beside it.
            numbers = np.stack([first + image, chain // 2], 1).astype(np.int32)
            signs = np.where(chain % 2, -1.0, 1.0).astype(np.float32)
            found = compiled(
                state,
                key,
                placed,
                *sharding.place(
                    (
                        numbers,
                        signs,
                        images[image],
                        masks[image][..., None].astype(np.float32),
                        labels[image, chain],
                    ),
                    (place,) * 5,
                ),
            )
            done = min(len(rows), num * chains - int(rows[0]))
            ends[rows[:done]] = np.clip(_everywhere(run, found)[:done], -1.0, 1.0)
            bar.update(done)
    held = np.where(masks[:, None, ..., None], ends.reshape(num, chains, *images.shape[1:]), 0)
    return held + np.where(masks[:, None, ..., None], np.float32(0.0), images[:, None])


def _batches(total: int, run: Run) -> Iterator[np.ndarray]:
    """Rows of equal batches that the devices divide; the last one is filled up.

    Their size does not depend on how many rows there are: results would, by their last bits.
    """
    most = batch_size(run)
    if jax.default_backend() == 'cpu':  # which gains nothing by more rows at a time
        most = min(most, _ROWS_ON_CPU)
    size = run.mesh.size * max(1, most // run.mesh.size)
    for begin in range(0, total, size):
        yield np.arange(begin, begin + size) % total


def _compiled(run: Run, state: Any, settings: Settings) -> Callable[..., Array]:
    """The chains of a batch as one program, in which no device waits for another."""
    program = ('restore', run.mesh, settings.by_class, settings.options, settings.langevin)
    if program in run.programs:
        return run.programs[program]
    restore = run.method.abilities['restore']

    def chains(
        state: Any, key: Array, texture: Any, numbers: Array, signs: Array, *rows: Array
    ) -> Array:
        images, masks, labels = rows
        keys = jax.vmap(lambda n: random.fold_in(random.fold_in(key, n[0]), n[1]))(numbers)
        followed = labels if settings.by_class else None
        given = (images, masks, labels, followed, texture)
        return restore(state, keys, signs, *given, settings.options, settings.langevin)

    places = sharding.state_shardings(run.mesh, state, run.method.split)
    everywhere, each = PartitionSpec(), PartitionSpec(sharding.AXIS)
    alone = jax.shard_map(
        chains,
        mesh=run.mesh,
        in_specs=(jax.tree.map(lambda s: s.spec, places), everywhere, everywhere, *(each,) * 5),
        out_specs=each,
        check_vma=False,
    )
    run.programs[program] = jax.jit(alone, compiler_options=compiler_options())
    return run.programs[program]


def _everywhere(run: Run, array: Array) -> np.ndarray:
    """An array that is split over the devices, on the host of every process.

    In a program of its own once the first has ended: on CPU devices that share their threads, one
    that waits for the others would keep them from their Fourier transforms.
    """
    array.block_until_ready()
    if not array.is_fully_addressable:
        gather = jax.jit(lambda a: a, out_shardings=sharding.replicated(run.mesh))
        array = gather(array)
    return np.asarray(array)
