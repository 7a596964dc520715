"""The supervised step of a U-Net as most published PyTorch code has it.

Worker processes cut, flip and turn windows one by one; float32 with TF32 allowed on NVIDIA GPUs,
contiguous NCHW; the running average, where there is one, a parameter after the other in Python; the
loss read back with `item()` in every step.

Notes:
  Windows travel as uint8 and are normalised on the device, where most send floats, and there is a
  worker for each core (`benchmarks.worker_processes`): both favour this peer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from ml_collections import ConfigDict
from torch import Tensor

from benchmarks.peers import learning_rates, optimizers, rate_of, segmentation
from benchmarks.peers.batches import shuffled
from benchmarks.peers.devices import allow_tensor_cores, synchronize, torch_device
from benchmarks.peers.pixels import pixel_cross_entropy
from benchmarks.peers.segmentation.host_windows import Chosen, Held, HostBatch, make_batch
from benchmarks.peers.unet import UNet, from_flax
from benchmarks.worker_processes import Workers
from eojax.data.dataset import Dataset


def build(
    config: ConfigDict,
    parameters: Mapping[str, Any],
    sets: Mapping[str, Dataset],
    device: str,
    workers: int | None = None,
) -> ReferenceStyle:
    """The peer of a config (`benchmarks.peers`).

    Args:
      workers: processes that cut windows, one a core by default; 0 cuts them in this process.
    """
    segmentation.check(config, sets['data'], optimizers.UNDERSTOOD)
    place = torch_device(device)
    allow_tensor_cores(place)
    network = from_flax(config.model, parameters).to(place)
    num = (os.cpu_count() or 1) if workers is None else workers
    return ReferenceStyle(config, network, sets['data'], place, num)


class ReferenceStyle:
    """A peer (`benchmarks.peers.Peer`).

    Attributes:
      network: what is trained; images are `[N, 3, h, w]`, contiguous.
      averages: running averages of its parameters, in their order; empty where there are none.
      loss: of the last step.
    """

    name = 'reference style'

    def __init__(
        self,
        config: ConfigDict,
        network: UNet,
        training: Dataset,
        device: torch.device,
        workers: int,
    ) -> None:
        self.config, self.network, self.device = config, network, device
        kept = network.parameters() if config.method.average_decay else ()
        self.averages = [p.detach().clone() for p in kept]
        self.rates = learning_rates(config.optimizer, config.steps)
        self.optimizer = optimizers.build(config.optimizer, list(network.parameters()))
        method = config.method
        images, classes = np.asarray(training.images), segmentation.classes_of(training)
        held = Held(images, classes, method.window, method.augment)
        self.workers = Workers(make_batch, held, _orders(config, training.labels), workers)
        self.steps_done = 0
        self.loss = float('nan')

    @property
    def notes(self) -> str:
        """Precision, threads, who cuts windows."""
        return host_notes(self.device, self.workers.num, 'cuts windows')

    def step(self) -> None:
        """One training step (`Peer.step`)."""
        batch: HostBatch = next(self.workers)
        classes = torch.from_numpy(batch.classes).to(self.device)
        self.update(ready(batch.images, self.device), classes)

    def update(self, images: Tensor, classes: Tensor) -> None:
        """The step of given windows: `[N, 3, h, w]` in [-1, 1], classes int64 `[N, h, w]`."""
        self.network.train()
        loss = pixel_cross_entropy(self.network(images), classes)
        optimizers.set_rate(self.optimizer, rate_of(self.rates, self.steps_done))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self._average()
        self.loss = loss.item()
        self.steps_done += 1

    def synchronize(self) -> None:
        """Waits for the device and the workers."""
        synchronize(self.device)
        self.workers.settle()

    def close(self) -> None:
        """Ends the workers."""
        self.workers.close()

    @torch.no_grad()
    def _average(self) -> None:
        share = optimizers.average_share(self.steps_done, self.config.method.average_decay)
        for average, parameter in zip(self.averages, self.network.parameters(), strict=False):
            average.copy_((1.0 - share) * average + share * parameter)


def host_notes(device: torch.device, workers: int, does: str) -> str:
    """Precision, threads, and where the peer `does` its work on the host."""
    precision = 'float32 with TF32' if device.type == 'cuda' else 'float32'
    where = f'{workers} worker processes' if workers else 'this process'
    return f'{precision}, not compiled, {torch.get_num_threads()} threads, {does} in {where}'


def ready(images: np.ndarray, device: torch.device) -> Tensor:
    """uint8 `[N, h, w, 3]` on the device, in [-1, 1], bands first."""
    there = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).to(device)
    return there.float() / 127.5 - 1.0


def _orders(config: ConfigDict, labels: np.ndarray) -> Iterator[Chosen]:
    """The tiles of each step."""
    generator = torch.Generator().manual_seed(config.seed)
    labelled = torch.from_numpy(np.flatnonzero(labels >= 0))
    for step, tiles in enumerate(shuffled(labelled, config.batch_size, generator)):
        yield Chosen(tiles.numpy(), config.seed + step)
