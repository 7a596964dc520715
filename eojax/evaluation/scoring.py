"""The outputs of a trained network for any number of images, in equal batches.

A method may look at its input through noise (`eojax.methods.jem`), so a score has a key: that of
the run's seed and the image's own pixels. An image has the same scores wherever it stands.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random
from jax.sharding import NamedSharding
from tqdm import tqdm

from eojax.data.facts import Limits
from eojax.data.reading.lazy_images import Images
from eojax.data.value_range import scale_to_unit
from eojax.devices import sharding
from eojax.devices.compiler_options import compiler_options
from eojax.errors import UserError
from eojax.evaluation.evaluation_set import EvaluationBatch, EvaluationSet, read_rows
from eojax.evaluation.pixels.scores import compared_scores, compares, pixel_scores
from eojax.evaluation.roughness import grain, roughness
from eojax.methods import METHODS
from eojax.methods.method import Method, ability
from eojax.runs.domains import TARGET
from eojax.runs.run import Run
from eojax.samplers.keys import keys_of_images


def score(
    run: Run,
    name: str,
    state: Any,
    images: Images,
    chosen: np.ndarray | None = None,
    title: str = '',
    group: str = TARGET,
) -> np.ndarray:
    """The ability `name` (`logits`, `log_density`, `embedding`) of the run's method for each image.

    Args and errors as for `score_all`.

    Returns:
      float32 `[num or len(chosen), ...]` on the host.
    """
    return score_all(run, (name,), state, images, chosen, title, group)[name]


def score_all(
    run: Run,
    names: Iterable[str],
    state: Any,
    images: Images,
    chosen: np.ndarray | None = None,
    title: str = '',
    group: str = TARGET,
) -> dict[str, np.ndarray]:
    """Several scores of each image, of one pass through the network: see `scores_of`.

    All calls have `evaluate.batch_size` images, the last one filled up, and share one compiled
    program, also between calls of this function. All processes of a run call it together.

    Args:
      names: as in `scores_of`.
      state: of the method.
      images: `[num, H, W, C]`: uint8, or of another type in the units of the run's data set, whose
        limits scale them. Those on disk are read batch by batch.
      chosen: indices of the images to score, in order; all where None.
      title: of a progress bar; no bar where empty.
      group: of the data set whose limits the images have: the target, or the source.

    Returns:
      For each name float32 `[num or len(chosen), ...]` on the host.

    Raises:
      UserError: the method has no such ability, or its outputs are not finite.
    """
    chosen = np.arange(len(images)) if chosen is None else chosen
    if not len(chosen):
        raise ValueError('no images to score')
    size = run.config.evaluate.batch_size
    rows = (chosen[start : start + size] for start in range(0, len(chosen), size))
    here = rows_here(run)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    with progress_bar(len(chosen), title) as bar:
        batches = (read_rows(images, r, here[: len(r)]) for r in rows)
        for scores in score_batches(run, tuple(parts), state, batches, group):
            for name, values in scores.items():
                parts[name].append(values)
            bar.update(len(values))
    return {name: np.concatenate(values) for name, values in parts.items()}


def score_stream(
    run: Run, names: tuple[str, ...], state: Any, tested: EvaluationSet, title: str = ''
) -> Iterator[tuple[dict[str, np.ndarray], EvaluationBatch]]:
    """Scores of the images or windows that are tested, batch by batch, with what they are of.

    Args and errors as for `score_all`. Each process reads the pixels that its devices see.
    """
    waiting: deque[EvaluationBatch] = deque()
    compared = compares(names)

    def arrays() -> Iterator[tuple[np.ndarray, ...]]:
        for batch in tested.batches(rows_here(run)):
            waiting.append(batch)
            rasters = tuple(batch.rasters[name] for name in tested.rasters)
            yield (*rasters, batch.labels) if compared else rasters

    with progress_bar(tested.num if tested.window is None else None, title) as bar:
        for scores in score_batches(run, names, state, arrays()):
            batch = waiting.popleft()
            yield scores, batch
            bar.update(len(batch.place))


def progress_bar(total: int | None, title: str) -> Any:
    """A bar of images on the first process; none where the title is empty."""
    return tqdm(
        total=total, desc=title, unit='img', leave=False,
        disable=not (title and sharding.is_main_process()),
    )  # fmt: skip


def rows_here(run: Run) -> np.ndarray:
    """The rows of a batch that this process's devices see, bool `[evaluate.batch_size]`."""
    size = run.config.evaluate.batch_size
    held = batch_place(run, size).addressable_devices_indices_map((size,))
    here = np.zeros(size, bool)
    for index in held.values():
        here[index] = True
    return here


def score_batches(
    run: Run,
    names: tuple[str, ...],
    state: Any,
    batches: Iterable[np.ndarray | tuple[np.ndarray, ...]],
    group: str = TARGET,
    scaled: bool = False,
) -> Iterator[dict[str, np.ndarray]]:
    """Scores a stream of batches as it comes; the host prepares the next while devices compute.

    Args:
      names, state, group: as in `score_all`.
      batches: `[n, H, W, C]`, n from 1 to `evaluate.batch_size`; all but the last are better full.
        A tuple of them for networks that see several rasters (`Method.rasters`), and last the
        labels where a score is compared with them (`compares`). What the devices of this process
        do not see may be empty (`rows_here`).
      scaled: whether the rasters are float32 in [-1, 1] already, and not in the data set's units.

    Yields:
      For each batch and name float32 `[n, ...]` on the host.

    Raises:
      UserError: as `score_all`.
    """
    compiled = _compiled(run, names)
    size = run.config.evaluate.batch_size
    facts = run.known[group].facts
    rasters = [facts.rasters[name] for name in run.method.rasters]
    waiting: tuple[int, Any] | None = None
    for batch in batches:
        arrays = (batch,) if isinstance(batch, np.ndarray) else batch
        arrays, truth = (arrays[:-1], arrays[-1]) if compares(names) else (arrays, None)
        stored = [place_batch(run, filled_up(array, size)) for array in arrays]
        seen = stored
        if scaled:  # the same image has the same key, whichever way it is given
            seen, stored = stored, [_stored(a, r.dtype) for a, r in zip(seen, rasters, strict=True)]
        placed = [
            scaled_raster(array, None if scaled else raster.limits, raster.scale, scaled)
            for array, raster in zip(seen, rasters, strict=True)
        ]
        labels = None if truth is None else place_batch(run, filled_up(truth, size))
        outputs = compiled(state, tuple(placed), labels, image_keys(run, *stored))
        if waiting is not None:
            yield on_host(run, *waiting)
        waiting = (len(arrays[0]), outputs)
    if waiting is not None:
        yield on_host(run, *waiting)


def image_keys(run: Run, *stored: Array) -> Array:
    """A key for each image of a batch as it is stored, of the run's seed and its pixels, `[N]`.

    Args:
      stored: on the run's devices (`place_batch`); one array for each raster.
    """
    key = sharding.place_key(random.key(run.config.seed), run.mesh)
    return _keys_of_images(key, *stored)


_keys_of_images = jax.jit(keys_of_images)
# The abilities that are scores as they stand.
_OF_IMAGES = (
    'logits',
    'log_density',
    'features',
    'embedding',
    'source_logits',
    'source_embedding',
    'reconstruct',
)


def filled_up(array: np.ndarray, size: int) -> np.ndarray:
    """A batch of `size` rows, empty after the last of the array, so that one program does all."""
    filled = np.zeros((size, *array.shape[1:]), array.dtype)
    filled[: len(array)] = array
    return filled


@functools.partial(jax.jit, static_argnames=('dtype',))
def _stored(values: Array, dtype: str) -> Array:
    """8-bit values of float32 in [-1, 1], as `eojax.feed.pipeline.to_uint8`; others as they are."""
    return jnp.round((values + 1.0) * 127.5).astype(jnp.uint8) if dtype == 'uint8' else values


@functools.partial(jax.jit, static_argnames=('limits', 'scale', 'scaled'))
def scaled_raster(stored: Array, limits: Limits | None, scale: int, scaled: bool) -> Array:
    """Stored values as the network sees them; each pixel of a coarse raster stands for several."""
    values = stored if scaled else scale_to_unit(stored, limits)
    return values if scale == 1 else values.repeat(scale, 1).repeat(scale, 2)


def scores_of(method: Method) -> Mapping[str, Callable[..., Array]]:
    """All that can be asked of a method about an image, by name, as functions of a state, images
    in [-1, 1] and a key (one, or one for each image). Each is higher for images that are more like
    the training data.

    `logits`, `log_density`, `features`, `embedding`, `source_logits`, `source_embedding` and
    `reconstruct` of methods that have them, which but for `log_density` rank nothing; further, as
    scores of being in distribution (Grathwohl et al., "Your Classifier is Secretly an Energy Based
    Model", Sec. 5.3):
    `log_sum_exp`: of the logits, which is log p(x) for any classifier read as an energy-based model
      (Eq. 6 there);
    `max_probability`: max_y p(y|x);
    those of `eojax.evaluation.pixels.scores.pixel_scores`, of each pixel;
    `gradient`: -||grad_x log p(x)||_2, of `log_density`, else of `log_sum_exp`; x in [-1, 1].
    Beside them `roughness` and `grain`, of the image alone, which rank nothing by themselves
    (`eojax.evaluation.roughness`).
    """
    found: dict[str, Callable[..., Array]] = {
        name: method.abilities[name] for name in _OF_IMAGES if name in method.abilities
    }
    found |= pixel_scores(method)
    logits = found.get('logits')
    if logits is not None:
        found['log_sum_exp'] = lambda *a: jax.nn.logsumexp(logits(*a), axis=-1)
        found['max_probability'] = lambda *a: jax.nn.softmax(logits(*a), axis=-1).max(-1)
    density = found.get(density_name(method))
    if density is not None:

        def gradient(state: Any, images: Array, key: Array) -> Array:
            slope = jax.grad(lambda x: density(state, x, key).sum())(images)
            return -jnp.sqrt(jnp.square(slope).sum((1, 2, 3)))

        found['gradient'] = gradient
        found['roughness'] = lambda state, images, key: roughness(images)
        found['grain'] = lambda state, images, key: grain(images)
    return found


def density_name(method: Method) -> str:
    """The score that stands for log p(x) of a method.

    Its own `log_density`, where it has trained one; else `log_sum_exp` of its logits, which nothing
    has trained to be a density: it is there to be compared with those that were.
    """
    return 'log_density' if 'log_density' in method.abilities else 'log_sum_exp'


def _compiled(run: Run, names: tuple[str, ...]) -> Callable[..., dict[str, Array]]:
    """The scores as one program; what they have in common is computed once."""
    found, compared = scores_of(run.method), compared_scores(run.method)
    for name in names:
        if name not in found and name not in compared:  # raises, and says which methods can
            ability(run.method, name, run.config.method.name, METHODS)
    program = (names, run.mesh)
    if program not in run.programs:

        def scores(
            state: Any, rasters: tuple[Array, ...], labels: Array | None, key: Array
        ) -> dict[str, Array]:
            outputs = {
                name: found[name](state, *rasters, key)
                if name in found
                else compared[name](state, *rasters, labels, key)
                for name in names
            }
            return {
                name: values.astype(jnp.float32) if values.dtype != jnp.uint8 else values
                for name, values in outputs.items()
            }

        run.programs[program] = jax.jit(
            scores, out_shardings=sharding.replicated(run.mesh), compiler_options=compiler_options()
        )
    return run.programs[program]


def on_host(run: Run, num: int, outputs: Mapping[str, Array]) -> dict[str, np.ndarray]:
    """The first `num` rows of outputs on the host.

    Raises:
      UserError: some are not finite.
    """
    scores = {name: np.asarray(values)[:num] for name, values in outputs.items()}
    for name, values in scores.items():
        if not np.isfinite(values).all():
            raise UserError(
                f'{run.folder}: the {name.replace("_", " ")} of some images is not finite:'
                ' this checkpoint is of a training that diverged'
            )
    return scores


def alone(run: Run, state: Any) -> tuple[Run, Any]:
    """The run and its state on the devices of this process alone, to score what others do not.

    Of fields that are split over the devices, such as a replay buffer, a part of them remains.
    """
    if jax.process_count() == 1:
        return run, state
    mesh = sharding.data_mesh(jax.local_devices())
    placed = sharding.place(sharding.local(state), sharding.replicated(mesh))
    return run._replace(mesh=mesh), placed


def place_batch(run: Run, batch: np.ndarray) -> jax.Array:
    """A host array on the devices, its first axis split over them where they divide it."""
    return sharding.place(batch, batch_place(run, len(batch)))


def batch_place(run: Run, size: int) -> NamedSharding:
    """Where a batch of this size lies."""
    divides = size % run.mesh.size == 0
    return sharding.split(run.mesh) if divides else sharding.replicated(run.mesh)
