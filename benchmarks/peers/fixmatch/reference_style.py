"""The FixMatch training step as the published PyTorch ports do it (Sohn et al., 2020).

Worker processes augment each image with Pillow; float32 with TF32 allowed on NVIDIA GPUs,
contiguous NCHW; labelled images and both views in one forward pass; the running average one
parameter after the other in Python; loss, its two terms and the share of pseudo-labels read back
with `item()` in every step.

Notes:
  The ports have a `DataLoader` for the labelled images and one for the others, of four worker
  processes each. Here a worker makes a whole batch of both, and there is one worker a core
  (`benchmarks.worker_processes` says why it is no `DataLoader`). Views travel as uint8 and are
  normalised on the device, where the ports send floats: that favours this peer.
"""

from __future__ import annotations

import copy
import os
import random
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from ml_collections import ConfigDict
from torch import Tensor
from torch.nn import functional as F

from benchmarks.peers import fixmatch, learning_rates, optimizers, rate_of
from benchmarks.peers.batches import shuffled
from benchmarks.peers.devices import allow_tensor_cores, synchronize, torch_device
from benchmarks.peers.wide_resnet import WideResNet, from_flax
from benchmarks.pillow_augmentation import Strong, strong_views, weak_views
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
      workers: processes that augment, one a core by default; 0 augments in this process.
    """
    fixmatch.check(config, sets['data'], optimizers.UNDERSTOOD)
    place = torch_device(device)
    allow_tensor_cores(place)
    network = from_flax(config.model, parameters).to(place)
    num = (os.cpu_count() or 1) if workers is None else workers
    return ReferenceStyle(config, network, sets['data'], place, num)


class Held(NamedTuple):
    """The data that a worker has from the beginning."""

    images: np.ndarray
    labels: np.ndarray
    strong: Strong


class Chosen(NamedTuple):
    """A task for a worker: indices of a step's images, and the seed of its draws."""

    labelled: np.ndarray
    unlabelled: np.ndarray
    seed: int


class HostBatch(NamedTuple):
    """A step's images, uint8 `[N, H, W, 3]`, and int64 labels of the labelled ones."""

    labelled: np.ndarray
    labels: np.ndarray
    weak: np.ndarray
    strong: np.ndarray


def make_batch(held: Held, chosen: Chosen) -> HostBatch:
    """One step's images, each augmented by itself."""
    seeds, augmentation = random.Random(chosen.seed), held.strong.weak
    unlabelled = held.images[chosen.unlabelled]
    return HostBatch(
        weak_views(held.images[chosen.labelled], augmentation, seeds.getrandbits(32)),
        held.labels[chosen.labelled],
        weak_views(unlabelled, augmentation, seeds.getrandbits(32)),
        strong_views(unlabelled, held.strong, seeds.getrandbits(32)),
    )


class ReferenceStyle:
    """A peer (`benchmarks.peers.Peer`).

    Attributes:
      network: what is trained; images are `[N, 3, H, W]`, contiguous.
      average: its running average, a network too.
      loss: of the last step.
    """

    name = 'reference style'

    def __init__(
        self,
        config: ConfigDict,
        network: WideResNet,
        training: Dataset,
        device: torch.device,
        workers: int,
    ) -> None:
        self.config, self.network, self.device = config, network, device
        self.average = copy.deepcopy(network).requires_grad_(False)
        self.rates = learning_rates(config.optimizer, config.steps)
        self.optimizer = optimizers.build(config.optimizer, list(network.parameters()))
        labels = training.labels.astype(np.int64)
        held = Held(np.asarray(training.images), labels, fixmatch.strong_options(config))
        self.workers = Workers(make_batch, held, _orders(config, labels), workers)
        self.steps_done = 0
        self.loss = float('nan')

    @property
    def notes(self) -> str:
        """Precision, threads, who augments."""
        precision = 'float32 with TF32' if self.device.type == 'cuda' else 'float32'
        where = f'{self.workers.num} worker processes' if self.workers.num else 'this process'
        return (
            f'{precision}, not compiled, {torch.get_num_threads()} threads,'
            f' augments with Pillow in {where}'
        )

    def step(self) -> None:
        """One training step (`Peer.step`)."""
        batch: HostBatch = next(self.workers)
        labels = torch.from_numpy(batch.labels).to(self.device)
        views = [self._ready(x) for x in (batch.labelled, batch.weak, batch.strong)]
        self.update(views[0], labels, views[1], views[2])

    def update(self, labelled: Tensor, labels: Tensor, weak: Tensor, strong: Tensor) -> None:
        """The step of given images: float `[N, 3, H, W]` in [-1, 1], labels int64 `[N]`."""
        method = self.config.method
        self.network.train()
        logits = self.network(torch.cat([labelled, weak, strong]))
        of_labelled = logits[: len(labelled)]
        of_weak, of_strong = logits[len(labelled) :].chunk(2)
        supervised = F.cross_entropy(of_labelled, labels)
        confidence, guessed = torch.softmax(of_weak.detach(), dim=-1).max(dim=-1)
        mask = confidence.ge(method.threshold).float() * (method.threshold < 1.0)
        consistency = (F.cross_entropy(of_strong, guessed, reduction='none') * mask).mean()
        loss = supervised + method.consistency_weight * consistency
        optimizers.set_rate(self.optimizer, rate_of(self.rates, self.steps_done))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self._average()
        # The ports keep means of all four.
        self.loss = loss.item()
        self.parts = supervised.item(), consistency.item(), mask.mean().item()
        self.steps_done += 1

    def synchronize(self) -> None:
        """Waits for the device and the workers."""
        synchronize(self.device)
        self.workers.settle()

    def close(self) -> None:
        """Ends the workers."""
        self.workers.close()

    def _ready(self, images: np.ndarray) -> Tensor:
        """uint8 `[N, H, W, 3]` on the device, in [-1, 1], bands first."""
        moved = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).to(self.device)
        return moved.float() / 127.5 - 1.0

    @torch.no_grad()
    def _average(self) -> None:
        share = optimizers.average_share(self.steps_done, self.config.method.average_decay)
        pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
        for average, parameter in pairs:
            average.copy_((1.0 - share) * average + share * parameter)
        buffers = zip(self.average.buffers(), self.network.buffers(), strict=True)
        for kept, statistic in buffers:
            kept.copy_(statistic)


def _orders(config: ConfigDict, labels: np.ndarray) -> Iterator[Chosen]:
    """The images of each step."""
    generator = torch.Generator().manual_seed(config.seed)
    places = torch.from_numpy(labels)
    labelled = shuffled(torch.nonzero(places >= 0)[:, 0], config.batch_size, generator)
    unlabelled = shuffled(torch.arange(len(labels)), fixmatch.unlabelled_size(config), generator)
    for step, (some, others) in enumerate(zip(labelled, unlabelled, strict=True)):
        yield Chosen(some.numpy(), others.numpy(), config.seed + step)
