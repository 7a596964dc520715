"""The scores that a run keeps of its own images, to compare other images with.

log p(x) is unnormalised, so a value means something only beside those of the training set. At the
end of training the run's folder gets, in `reference/`:

`step_N.npz`: for the checkpoint of that step, the scores of images of the training and of the test
  split (`eojax.evaluation.scoring.scores_of`), and the test images at either end of log p(x); of
  methods with `pixel_log_density` that of training pixels;
`examples.npz`: some training images as they are stored, and their classes;
`texture.npz`: the textures that repairs begin with, of methods that can `restore`.

With these, maps, comparisons and repairs need no data. Where a checkpoint has no scores yet, or
they are of another training, they are computed from the data, which must be there then.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from eojax.atomic_file import write_atomically
from eojax.devices import sharding
from eojax.evaluation.outliers import spread
from eojax.evaluation.pixels.densities import pixel_densities
from eojax.evaluation.scoring import density_name, score_all, scores_of
from eojax.messages import say
from eojax.runs.run import Run, with_data
from eojax.samplers.starts import StationaryGaussian, fit_stationary_gaussian

TRAIN, TEST = 'train', 'test'
# Evenly spread over each split: the first percentile of the training set is then the value of 50
# images.
IMAGES = {TRAIN: 5000, TEST: 2000}
# Test images at either end of log p(x).
ENDS = 18
# Of random windows of training places, and pixels of each.
_WINDOWS, _PIXELS = 400, 250
_EXAMPLES, _EXAMPLE_BYTES = 1000, 16 * 2**20
FINGERPRINT = 'fingerprint'
_NOT_RANKING = (
    'logits', 'features', 'embedding', 'source_logits', 'source_embedding', 'reconstruct',
)  # fmt: skip


class Examples(NamedTuple):
    """Some training images.

    Attributes:
      images: `[num, H, W, bands]`, as stored.
      labels: int32 `[num]`, also of images whose label was kept from the method; for figures.
    """

    images: np.ndarray
    labels: np.ndarray


def keep(run: Run, state: Any) -> None:
    """Writes all that later commands need of the run's own images; all processes call it together.

    Args:
      run: with its data; `run.step` is that of the state.
    """
    names = tuple(name for name in scores_of(run.method) if name not in _NOT_RANKING)
    if run.facts.label == 'image' and names:
        for part in (TRAIN, TEST):
            reference_scores(run, state, names, part)
    if 'pixel_log_density' in run.method.abilities:
        reference_pixels(run, state)
    if run.facts.size is not None:  # else there are no whole images of one size to keep
        examples(run)
    if 'restore' in run.method.abilities:
        texture(run)


def reference_scores(
    run: Run, state: Any, names: tuple[str, ...], part: str = TRAIN
) -> dict[str, np.ndarray]:
    """Scores of at most `IMAGES` images of a split, evenly spread, by name.

    All processes of a run call it together. What the run folder holds is not computed again; where
    it cannot be written to, a line says so.

    Args:
      names: of `eojax.evaluation.scoring.scores_of`.
      part: `TRAIN` or `TEST`.

    Returns:
      For each name float32 `[num]`.

    Raises:
      UserError: the scores are not there, and neither are the data.
    """
    num = min(IMAGES[part], run.known['data'].counts[part])
    path = run.folder / 'reference' / f'step_{run.step}.npz'
    mark = fingerprint(run, state)
    held = _held(path, [f'{part}_{name}' for name in names], num, mark)
    missing = tuple(name for name in names if f'{part}_{name}' not in held)
    if missing:
        run = with_data(run)
        split = run.splits.train if part == TRAIN else run.splits.test
        chosen = split[spread(len(split), IMAGES[part])]
        title = f'scoring {part} images'
        new = score_all(run, missing, state, run.dataset.images, chosen, title)
        held |= {f'{part}_{name}': scores for name, scores in new.items()}
        more: dict[str, np.ndarray] = {}
        density = f'{TEST}_{density_name(run.method)}'
        if part == TEST and density in held:
            order = np.argsort(held[density], kind='stable')
            for end, rows in (('lowest', order[:ENDS]), ('highest', order[::-1][:ENDS])):
                more[f'{TEST}_{end}'] = np.asarray(run.dataset.images[chosen[rows]])
        if sharding.is_main_process():
            write_kept(path, {**read_kept(path, mark), **held, **more, FINGERPRINT: mark})
    return {name: held[f'{part}_{name}'] for name in names}


def reference_pixels(run: Run, state: Any) -> np.ndarray:
    """log p of 100,000 pixels of random windows of training places, float32 `[num]`.

    Arguments, errors and what is kept as for `reference_scores`; each pixel of a training place is
    as likely as any other, but for those near its ends, which fewer windows show.
    """
    name = f'{TRAIN}_pixel_log_density'
    path = run.folder / 'reference' / f'step_{run.step}.npz'
    mark = fingerprint(run, state)
    held = _held(path, [name], _WINDOWS * _PIXELS, mark)
    if name not in held:
        run = with_data(run)
        training = run.dataset.subset(run.splits.train)
        held = {name: pixel_densities(run, state, training, _WINDOWS, _PIXELS)}
        if sharding.is_main_process():
            write_kept(path, {**read_kept(path, mark), **held, FINGERPRINT: mark})
    return held[name]


def test_ends(run: Run, state: Any) -> tuple[np.ndarray, np.ndarray]:
    """The kept test images of the lowest and the highest log p(x), `[num, H, W, bands]` as stored.

    Empty where none are kept.
    """
    kept = read_kept(run.folder / 'reference' / f'step_{run.step}.npz', fingerprint(run, state))
    nothing = np.zeros((0, *run.task.image_shape), run.images.dtype)
    return kept.get(f'{TEST}_lowest', nothing), kept.get(f'{TEST}_highest', nothing)


def kept_scores(run: Run, state: Any) -> dict[str, np.ndarray]:
    """All that is kept of the scores of this very state, by name; empty where there is nothing."""
    return read_kept(run.folder / 'reference' / f'step_{run.step}.npz', fingerprint(run, state))


def examples(run: Run) -> Examples:
    """Some training images, evenly spread; at most 1,000, and at most 16 MiB of them.

    Raises:
      UserError: the run's folder keeps none, and the data are not there.
    """
    path = run.folder / 'reference' / 'examples.npz'
    kept = load(path)
    if (
        {'images', 'labels'} <= kept.keys()
        and kept['images'].shape[1:] == run.task.image_shape
        and kept['images'].dtype == run.images.dtype
        and kept['labels'].shape == kept['images'].shape[:1]
    ):
        return Examples(kept['images'], kept['labels'])
    run = with_data(run)
    split = run.splits.train
    each = int(np.prod(run.task.image_shape)) * np.dtype(run.images.dtype).itemsize
    chosen = split[spread(len(split), max(1, min(_EXAMPLES, _EXAMPLE_BYTES // each)))]
    made = Examples(np.asarray(run.dataset.images[chosen]), run.dataset.labels[chosen])
    if sharding.is_main_process():
        write_kept(path, made._asdict())
    return made


def texture(run: Run) -> StationaryGaussian:
    """The texture of each class of training images and last that of all, for repairs.

    Raises:
      UserError: the run's folder keeps none, and the data are not there.
    """
    path = run.folder / 'reference' / 'texture.npz'
    kept = load(path)
    if set(StationaryGaussian._fields) <= kept.keys():
        return StationaryGaussian(**{name: kept[name] for name in StationaryGaussian._fields})
    run = with_data(run)
    assert run.domains is not None
    training = run.domains['data'].training
    made = fit_texture(run, training.images, training.labels)
    made = jax.tree.map(np.asarray, made)
    if sharding.is_main_process():
        write_kept(path, made._asdict())
    return made


def fit_texture(run: Run, images: Any, labels: np.ndarray | None = None) -> StationaryGaussian:
    """The textures of complete images, for others of their size.

    Args:
      images: `[num, H, W, bands]`, as stored in the run's data set.
      labels: int `[num]`, -1 where unknown; the same texture for all classes where None.

    Returns:
      One for each class, and last that of all images.
    """
    everything = np.zeros(len(images), np.int32)
    margin, limits = -(-images.shape[1] // 4), run.images.limits
    pooled = fit_stationary_gaussian(images, everything, 1, False, limits, margin)
    num = run.task.num_classes
    if labels is None:
        return jax.tree.map(lambda a: np.repeat(np.asarray(a), num + 1, axis=0), pooled)
    each = fit_stationary_gaussian(images, labels, num, True, limits, margin)
    return jax.tree.map(lambda a, b: np.concatenate([a, b]), each, pooled)


def fingerprint(run: Run, state: Any) -> np.ndarray:
    """A number that another training of as many steps does not have, float32 `[]`."""
    kept = [value for name, value in state._asdict().items() if name not in run.method.split]
    leaves = [x for x in jax.tree.leaves(kept) if jnp.issubdtype(x.dtype, jnp.floating)]
    return np.asarray(_magnitude(leaves), np.float32)


@jax.jit  # here, so that a second state of the same shapes compiles nothing
def _magnitude(leaves: list[jax.Array]) -> Any:
    return sum(jnp.abs(leaf.astype(jnp.float32)).sum() for leaf in leaves)


def _held(path: Path, names: list[str], num: int, fingerprint: np.ndarray) -> dict[str, np.ndarray]:
    """The scores that process 0 read in the run folder, in all processes."""
    kept = read_kept(path, fingerprint) if sharding.is_main_process() else {}
    held = np.array([name in kept and kept[name].shape == (num,) for name in names])
    if jax.process_count() == 1:
        return {name: kept[name] for name, here in zip(names, held, strict=True) if here}
    # Not each from its own view of a shared folder: they would not agree on what is to be computed.
    held = multihost_utils.broadcast_one_to_all(held)
    empty = np.zeros(num, np.float32)
    return {
        name: np.asarray(multihost_utils.broadcast_one_to_all(kept.get(name, empty)))
        for name, here in zip(names, held, strict=True)
        if here
    }


def read_kept(path: Path, fingerprint: np.ndarray) -> dict[str, np.ndarray]:
    """The scores kept of this very checkpoint; nothing where the file is absent or damaged."""
    kept = load(path)
    # The sum's last bits may depend on the machine.
    same = np.allclose(kept.pop(FINGERPRINT, np.nan), fingerprint, rtol=1e-6, atol=0.0)
    return kept if same else {}


def load(path: Path) -> dict[str, Any]:
    """The arrays of an npz file; none where it is absent or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile):
        return {}


def write_kept(path: Path, arrays: dict[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file: np.savez(file, **arrays))
    except OSError as error:
        say(f'{path} could not be written ({error.strerror}): the next command computes it again')
