"""Small run folders as training leaves them, made once a session, for what works on a run."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from eojax.config.base import base_config
from eojax.runs import run as runs
from eojax.runs.beginning import write_beginning
from eojax.runs.carry import carry_shardings, initial_carry
from eojax.runs.checkpoint import Checkpoints
from eojax.runs.opening import checkpoint_folder
from eojax.runs.run import Run
from tests.tiny_networks import TINY
from tests.trained_states import with_trained


class TinyRun(NamedTuple):
    """A run, its state, and the folder that holds both; read it, but write elsewhere."""

    run: Run
    state: Any
    folder: Path


def tiny_config(method: str, size: int = 16, network: str = 'wide_resnet') -> ConfigDict:
    """Landscapes of 16 pixels and a network of `TINY`: what a laptop's core does in seconds."""
    config = base_config(method, network, 'landscapes')
    config.steps = 4
    config.batch_size = 16
    config.log_every = config.evaluate_every = config.checkpoint_every = 2
    config.tensorboard = False
    config.data.size = size
    config.data.num_images = 400
    config.model.update(TINY[network])
    config.evaluate.update({'batch_size': 32, 'outlier_images': 40})
    if method == 'jem':
        if network == 'wide_resnet':
            config.model.density_head = True
        config.method.likelihood_batch_size = 16
        config.sampler.update({'steps': 3, 'buffer_size': 120, 'start': 'gaussian'})
    return config


@functools.cache
def tiny_run(method: str, size: int = 16, network: str = 'convnet') -> TinyRun:
    """A run of `jem` or `supervised` that was not trained: random parameters, step 0 saved.

    What begins at zero is made random too, so that logits, log p(x) and the chains differ from
    image to image.
    """
    folder = Path(tempfile.mkdtemp(prefix=f'tiny-{method}-'))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    config = tiny_config(method, size, network)
    run = runs.prepare(config, folder)
    write_beginning(run)
    carry = initial_carry(run, jax.random.key(0))
    average = jax.tree.map(_nowhere_zero, carry.state.trained.average)
    state = with_trained(carry.state, parameters=average, average=average)
    carry = jax.device_put(carry._replace(state=state), carry_shardings(run, carry))
    for which in ('last', 'best'):
        checkpoints = Checkpoints(checkpoint_folder(folder, which), 1)
        checkpoints.save(0, carry, {'attempt': 0, 'best_score': 0.0})
        checkpoints.close()
    return TinyRun(run, carry.state, folder)


def _nowhere_zero(leaf: jax.Array) -> np.ndarray:
    noise = np.random.default_rng(leaf.size).standard_normal(leaf.shape).astype(np.float32)
    return np.asarray(leaf + 0.003 * noise)
