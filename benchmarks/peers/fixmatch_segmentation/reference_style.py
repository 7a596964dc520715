"""The step of FixMatch for pixels in the style of the published PyTorch ports for images.

Worker processes cut windows and make both views one by one with Pillow, and send the map between
them; float32 with TF32 allowed on NVIDIA GPUs, contiguous NCHW; the running average one parameter
after the other in Python; loss, its two terms read back with `item()` in every step.

Notes:
  What differs from a port's `DataLoader` is as in the peer for images; that favours this peer.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from ml_collections import ConfigDict
from torch import Tensor

from benchmarks.peers import (
    fixmatch_segmentation,
    learning_rates,
    optimizers,
    rate_of,
    segmentation,
)
from benchmarks.peers.batches import shuffled
from benchmarks.peers.devices import allow_tensor_cores, synchronize, torch_device
from benchmarks.peers.fixmatch_segmentation.host_views import Chosen, Held, make_batch
from benchmarks.peers.pixels import pixel_consistency, pixel_cross_entropy
from benchmarks.peers.segmentation import host_windows
from benchmarks.peers.segmentation.reference_style import host_notes, ready
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
      workers: processes that augment, one a core by default; 0 augments in this process.
    """
    fixmatch_segmentation.check(config, sets['data'], optimizers.UNDERSTOOD)
    place = torch_device(device)
    allow_tensor_cores(place)
    network = from_flax(config.model, parameters).to(place)
    num = (os.cpu_count() or 1) if workers is None else workers
    return ReferenceStyle(config, network, sets['data'], place, num)


class ReferenceStyle:
    """A peer (`benchmarks.peers.Peer`).

    Attributes:
      network: what is trained; images are `[N, 3, h, w]`, contiguous.
      average: its running average, a network too; the teacher, where the config says so.
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
        self.average = copy.deepcopy(network).requires_grad_(False).eval()
        self.rates = learning_rates(config.optimizer, config.steps)
        self.optimizer = optimizers.build(config.optimizer, list(network.parameters()))
        method = config.method
        windows = host_windows.Held(
            np.asarray(training.images),
            segmentation.classes_of(training),
            method.window,
            method.augment,
        )
        held = Held(windows, fixmatch_segmentation.options_of(config))
        self.workers = Workers(make_batch, held, _orders(config, training.labels), workers)
        self.steps_done = 0
        self.loss = float('nan')

    @property
    def notes(self) -> str:
        """Precision, threads, who augments."""
        return host_notes(self.device, self.workers.num, 'augments with Pillow')

    def step(self) -> None:
        """One training step (`Peer.step`)."""
        labelled, views = next(self.workers)
        classes = torch.from_numpy(labelled.classes).to(self.device)
        places = torch.from_numpy(views.places).to(self.device).long()
        images = [ready(x, self.device) for x in (labelled.images, views.weak, views.strong)]
        self.update(images[0], classes, images[1], images[2], places)

    def update(
        self, labelled: Tensor, classes: Tensor, weak: Tensor, strong: Tensor, places: Tensor
    ) -> None:
        """The step of given windows: `[N, 3, h, w]` in [-1, 1], classes and places `[N, h, w]`."""
        method = self.config.method
        self.network.train()
        sizes = [len(labelled), len(strong)]
        if method.teacher == 'average':
            with torch.no_grad():
                guessed = self.average(weak)
            of_labelled, strongly = self.network(torch.cat([labelled, strong])).split(sizes)
        else:
            logits = self.network(torch.cat([labelled, strong, weak]))
            of_labelled, strongly, guessed = logits.split([*sizes, len(weak)])
        supervised = pixel_cross_entropy(of_labelled, classes)
        consistency = pixel_consistency(strongly, guessed, method.threshold, places)
        loss = supervised + method.consistency_weight * consistency
        optimizers.set_rate(self.optimizer, rate_of(self.rates, self.steps_done))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self._average()
        self.loss = loss.item()
        self.parts = supervised.item(), consistency.item()
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
        pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
        for average, parameter in pairs:
            average.copy_((1.0 - share) * average + share * parameter)
        buffers = zip(self.average.buffers(), self.network.buffers(), strict=True)
        for kept, statistic in buffers:
            kept.copy_(statistic)


def _orders(config: ConfigDict, labels: np.ndarray) -> Iterator[Chosen]:
    """The tiles of each step."""
    generator = torch.Generator().manual_seed(config.seed)
    some = torch.from_numpy(np.flatnonzero(labels >= 0))
    num = fixmatch_segmentation.unlabelled_size(config)
    labelled = shuffled(some, config.batch_size, generator)
    unlabelled = shuffled(torch.arange(len(labels)), num, generator)
    for step, (few, others) in enumerate(zip(labelled, unlabelled, strict=True)):
        yield Chosen(few.numpy(), others.numpy(), config.seed + step)
