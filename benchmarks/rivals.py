"""The PyTorch peers as workloads, where torch is installed and has what a config asks for."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.timing import Workload
from benchmarks.training_step import TrainingStep
from eojax.data.dataset import ArraySource, Dataset
from eojax.data.facts import IMAGES, PIXEL_LABELS
from eojax.errors import UserError
from eojax.runs.run import Run

PEERS = ('reference_style', 'best_effort')
# By method, the package of its peers and which there are.
PACKAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    'jem': ('jem', PEERS),
    'fixmatch': ('fixmatch', PEERS),
    'swd_transfer': ('transfer', ('best_effort',)),
    'segmentation': ('segmentation', PEERS),
    'fixmatch_segmentation': ('fixmatch_segmentation', PEERS),
    'image_synthesis': ('image_synthesis', PEERS),
}
NO_TORCH = (
    'no torch: for the ratios to PyTorch, python -m pip install -r benchmarks/requirements.txt'
)


class Rivals(NamedTuple):
    """The peers of one training step.

    Attributes:
      workloads: one training step of each peer, named as in `PEERS`, warmed up.
      notes: one line each: what the peers are, or why there are none.
      closing: what ends their processes.
    """

    workloads: list[Workload]
    notes: list[str]
    closing: tuple[Callable[[], None], ...] = ()

    def close(self) -> None:
        """Ends the peers' processes."""
        for close in self.closing:
            close()


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
    config = step.run.config
    if config.method.name not in PACKAGES:
        return Rivals([], [f'no PyTorch peer has the method {config.method.name!r}'])
    package, names = PACKAGES[config.method.name]
    workloads, notes, peers = [], [], []
    streams = step.phase.streams.values()
    sets = _sets(step.run, {raster for stream in streams for raster in stream.rasters})
    for name in names:
        module: Any = importlib.import_module(f'benchmarks.peers.{package}.{name}')
        try:
            peer = module.build(config, step.parameters, sets, device)
        except UserError as error:  # the peers have not all that eojax has
            notes.append(str(error))
            continue
        notes.append(f'{name}: {peer.notes}')
        workload = Workload(name, _steps(peer))
        workload.run(3)
        workloads.append(workload)
        peers.append(peer)
    closing = tuple(peer.close for peer in peers)
    return Rivals(workloads, list(dict.fromkeys(notes)), closing)


def _sets(run: Run, rasters: Collection[str]) -> Mapping[str, Dataset]:
    """Training images in memory, and the classes and rasters of pixels, by the config's groups."""
    assert run.domains is not None
    training = {group: domain.training for group, domain in run.domains.items()}
    return {group: _in_memory(dataset, rasters) for group, dataset in training.items()}


def _in_memory(dataset: Dataset, rasters: Collection[str]) -> Dataset:
    arrays = {IMAGES: np.asarray(dataset.images)}
    if dataset.facts.label == 'pixel':
        names = (PIXEL_LABELS, *sorted(set(rasters) - {IMAGES}))
        read = [dataset.source.read(n, None, names) for n in range(dataset.places.num)]
        arrays |= {name: np.stack([place[name] for place in read]) for name in names}
    return dataset._replace(source=ArraySource(arrays))


def _steps(peer: Any) -> Any:
    def run(times: int) -> None:
        for _ in range(times):
            peer.step()
        peer.synchronize()

    return run
