"""The PyTorch peers as workloads, where torch is installed and has what a config asks for."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.timing import Workload
from benchmarks.training_step import TrainingStep
from eojax.errors import UserError

PEERS = ('reference_style', 'best_effort')
NO_TORCH = (
    'no torch: for the ratios to PyTorch, python -m pip install -r benchmarks/requirements.txt'
)


class Rivals(NamedTuple):
    """The peers of one training step.

    Attributes:
      workloads: one training step of each peer, named as in `PEERS`, warmed up.
      notes: one line each: what the peers are, or why there are none.
    """

    workloads: list[Workload]
    notes: list[str]


def torch_device() -> str:
    """Where torch computes as jax does: `cuda` or `cpu`; empty where it cannot."""
    if importlib.util.find_spec('torch') is None:
        return ''
    import torch

    backend = jax.default_backend()
    if backend == 'gpu':
        return 'cuda' if torch.cuda.is_available() else ''
    return backend if backend == 'cpu' else ''


def build(step: TrainingStep) -> Rivals:
    """The peers with the step's initial parameters, its training images and its config."""
    if importlib.util.find_spec('torch') is None:
        return Rivals([], [NO_TORCH])
    device = torch_device()
    if not device:
        return Rivals([], [f'the torch that is installed has no {jax.default_backend()} support'])
    rivals = Rivals([], [])
    training = step.run.task.training
    for name in PEERS:
        module: Any = importlib.import_module(f'benchmarks.peers.{name}')
        try:
            peer = module.build(
                step.run.config,
                step.parameters,
                np.asarray(training.images),
                np.asarray(training.labels),
                device,
            )
        except UserError as error:  # the peers have not all that eojax has
            rivals.notes.append(str(error))
            continue
        rivals.notes.append(f'{name}: {peer.notes}')
        workload = Workload(name, _steps(peer))
        workload.run(3)
        rivals.workloads.append(workload)
    return Rivals(rivals.workloads, list(dict.fromkeys(rivals.notes)))


def _steps(peer: Any) -> Any:
    def run(times: int) -> None:
        for _ in range(times):
            peer.step()
        peer.synchronize()

    return run
