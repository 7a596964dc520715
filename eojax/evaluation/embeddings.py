"""The embeddings of both domains' test images, before and after a transfer aligned them.

`before` is the state at the first step of the phase that follows the one on the source: the
source's encoder is trained, and the target's is as the method begins it. Training saves it as a
checkpoint of its own, which is there as long as `keep_checkpoints` lasts; nothing is trained again.
`after` is the state that the run's evaluation is of.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import random

from eojax.atomic_file import write_atomically
from eojax.data.dataset import Dataset
from eojax.errors import UserError
from eojax.evaluation.outliers import spread
from eojax.evaluation.scoring import score
from eojax.losses.sliced_wasserstein import sliced_wasserstein
from eojax.runs.carry import phase_at
from eojax.runs.command import read_config
from eojax.runs.domains import SOURCE, TARGET
from eojax.runs.opening import load_state, open_untrained, saved_steps
from eojax.runs.run import Run, with_data

# Of each domain, evenly spread over its test split.
IMAGES = 1000
# Of the distance between the domains.
_PROJECTIONS = 500


class Embedded(NamedTuple):
    """Two domains in one embedding.

    Attributes:
      source, target: float32 `[N, D]`.
      distance: squared sliced Wasserstein distance of the two (Eq. 1 of the paper), in units of the
        mean variance of the source's coordinates; it does not depend on the embedding's scale.
    """

    source: np.ndarray
    target: np.ndarray
    distance: float


class Embeddings(NamedTuple):
    """The result of `measure_embeddings` for a run.

    Attributes:
      class_names: of the labels.
      source_labels, target_labels: int `[N]`, of the images.
      states: `before` and `after`, as the module says; without `before` where no checkpoint is
        left of it.
    """

    class_names: tuple[str, ...]
    source_labels: np.ndarray
    target_labels: np.ndarray
    states: Mapping[str, Embedded]


def embeddings_file(folder: Path) -> Path:
    """Where the embeddings of a run are kept."""
    return folder / 'evaluation' / 'embeddings.npz'


def measure_embeddings(folder: Path) -> None:
    """Writes `embeddings.npz` of a trained run, with as many images of the source as of the target.

    Raises:
      UserError: see `prepare` and `load_state`; or a method without both embeddings.
    """
    run = open_untrained(read_config(folder), folder)
    if SOURCE not in run.known:
        raise UserError(f'{folder}: this run has no source, whose images could be embedded')
    run = with_data(with_data(run), SOURCE)
    assert run.domains is not None
    tested = {name: d.dataset.subset(d.splits.test) for name, d in run.domains.items()}
    num = min(IMAGES, *(len(own.labels) for own in tested.values()))
    chosen = {name: own.subset(spread(len(own.labels), num)) for name, own in tested.items()}
    arrays: dict[str, Any] = {
        'class_names': np.asarray(run.facts.class_names),
        'source_labels': chosen[SOURCE].labels,
        'target_labels': chosen[TARGET].labels,
    }
    for title, state in _states(run):
        found = embed(run, state, chosen[SOURCE], chosen[TARGET])
        arrays |= {f'{title}_{key}': value for key, value in found._asdict().items()}
    written = io.BytesIO()
    np.savez_compressed(written, **arrays)
    file = embeddings_file(folder)
    file.parent.mkdir(exist_ok=True)
    write_atomically(file, lambda out: out.write(written.getvalue()))


def _states(run: Run) -> Iterator[tuple[str, Any]]:
    boundary = phase_at(run, 0)[1]
    if len(run.method.phases) > 1 and boundary in saved_steps(run):
        yield 'before', load_state(run, 'last', boundary)[1]
    yield 'after', load_state(run)[1]


def embed(run: Run, state: Any, source: Dataset, target: Dataset) -> Embedded:
    """Images of both domains, as many of each.

    Raises:
      UserError: the method has no embedding of one of them.
    """
    theirs = score(run, 'source_embedding', state, source.images, group=SOURCE)
    ours = score(run, 'embedding', state, target.images)
    batches = jnp.asarray(theirs), jnp.asarray(ours)
    distance = float(sliced_wasserstein(*batches, random.key(0), _PROJECTIONS))
    variance = float(theirs.var(0).mean())
    return Embedded(theirs, ours, distance / max(variance, 1e-12))


def read_embeddings(folder: Path) -> Embeddings | None:
    """The embeddings that are kept of a run; None where there are none.

    Raises:
      UserError: it is damaged.
    """
    file = embeddings_file(folder)
    if not file.exists():
        return None
    try:
        with np.load(file, allow_pickle=False) as arrays:
            found = {key: arrays[key] for key in arrays.files}
        states = {
            title: Embedded(
                found[f'{title}_source'], found[f'{title}_target'],
                float(found[f'{title}_distance']),
            )
            for title in ('before', 'after') if f'{title}_source' in found
        }  # fmt: skip
        names = tuple(map(str, found['class_names']))
        return Embeddings(names, found['source_labels'], found['target_labels'], states)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UserError(f'{file} is damaged: {error!r}; delete it') from error
