"""What a trained network says of its own training images: what other images are compared with.

log p(x) is unnormalised, so a value means something only beside those of the training set. They
are computed once for each checkpoint and kept in the run folder, `reference/step_N.npz`.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from eojax.atomic_file import write_atomically
from eojax.devices import sharding
from eojax.evaluation.outliers import spread
from eojax.evaluation.scoring import score_all
from eojax.messages import say
from eojax.runs.run import Run

# Evenly spread over the training set: its first percentile is then the value of 50 images.
IMAGES = 5000
_FINGERPRINT = 'fingerprint'


def density_name(run: Run) -> str:
    """The score that stands for log p(x): the method's own, else log-sum-exp of its logits."""
    return 'log_density' if 'log_density' in run.method.abilities else 'log_sum_exp'


def reference_scores(run: Run, state: Any, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Scores of at most `IMAGES` training images, evenly spread, by name (`scoring.scores_of`).

    All processes of a run call it together. What the run folder holds is not computed again; where
    it cannot be written to, a line says so.

    Returns:
      For each name float32 `[num]`.
    """
    chosen = run.splits.train[spread(len(run.splits.train), IMAGES)]
    path = run.folder / 'reference' / f'step_{int(state.step)}.npz'
    fingerprint = _fingerprint(run, state)
    held = _held(path, names, len(chosen), fingerprint)
    missing = tuple(name for name in names if name not in held)
    if missing:
        title = 'scoring training images'
        held |= score_all(run, missing, state, run.dataset.images, chosen, title)
        if sharding.is_main_process():
            _write(path, {**_read(path, fingerprint), **held}, fingerprint)
    return {name: held[name] for name in names}


def _fingerprint(run: Run, state: Any) -> np.ndarray:
    """A number that another training of as many steps does not have, float32 `[]`."""
    kept = [value for name, value in state._asdict().items() if name not in run.method.split]
    leaves = [x for x in jax.tree.leaves(kept) if jnp.issubdtype(x.dtype, jnp.floating)]
    total = jax.jit(lambda x: sum(jnp.abs(leaf.astype(jnp.float32)).sum() for leaf in x))(leaves)
    return np.asarray(total, np.float32)


def _held(
    path: Path, names: tuple[str, ...], num: int, fingerprint: np.ndarray
) -> dict[str, np.ndarray]:
    """The scores that process 0 found in the run folder, in all processes."""
    found = _read(path, fingerprint) if sharding.is_main_process() else {}
    held = np.array([name in found and found[name].shape == (num,) for name in names])
    if jax.process_count() == 1:
        return {name: found[name] for name, here in zip(names, held, strict=True) if here}
    # Not each from its own view of a shared folder: they would not agree on what is to be computed.
    held = multihost_utils.broadcast_one_to_all(held)
    empty = np.zeros(num, np.float32)
    return {
        name: np.asarray(multihost_utils.broadcast_one_to_all(found.get(name, empty)))
        for name, here in zip(names, held, strict=True)
        if here
    }


def _read(path: Path, fingerprint: np.ndarray) -> dict[str, np.ndarray]:
    """What is kept of this very checkpoint; nothing where the file is absent or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            found = dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return {}
    # The sum's last bits may depend on the machine.
    same = np.allclose(found.pop(_FINGERPRINT, np.nan), fingerprint, rtol=1e-6, atol=0.0)
    return found if same else {}


def _write(path: Path, scores: dict[str, np.ndarray], fingerprint: np.ndarray) -> None:
    arrays: dict[str, Any] = {**scores, _FINGERPRINT: fingerprint}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file: np.savez(file, **arrays))
    except OSError as error:
        say(f'{path} could not be written ({error.strerror}): the next command computes it again')
