"""Both updates of image synthesis as the published PyTorch code of such networks has them.

Worker processes cut, flip and turn windows one by one; float32 with TF32 allowed on NVIDIA GPUs,
contiguous NCHW; real and made-up images are judged in one batch in both updates, the first of which
computes the discriminator's gradients too and throws them away; losses are read back with `item()`.

Notes:
  Published code iterates the singular vectors in every forward pass; here it is once an update, as
  in eojax, and there is a worker for each core: both favour this peer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from ml_collections import ConfigDict
from torch import Tensor

from benchmarks.peers import image_synthesis, learning_rates, optimizers, rate_of, segmentation
from benchmarks.peers.batches import shuffled
from benchmarks.peers.devices import allow_tensor_cores, synchronize, torch_device
from benchmarks.peers.image_synthesis.networks import (
    Discriminator,
    Generator,
    Judged,
    from_flax,
    generator_loss,
    hinge_loss,
    one_hot,
    split,
    turn,
)
from benchmarks.peers.segmentation.host_windows import Chosen, Held, HostBatch, make_batch
from benchmarks.peers.segmentation.reference_style import host_notes
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
      parameters: of both networks, as `networks.from_flax` takes them.
      workers: processes that cut windows, one a core by default; 0 cuts them in this process.
    """
    image_synthesis.check(config, sets['data'], optimizers.UNDERSTOOD)
    place = torch_device(device)
    allow_tensor_cores(place)
    made, judge = (network.to(place) for network in from_flax(config, parameters))
    num = (os.cpu_count() or 1) if workers is None else workers
    return ReferenceStyle(config, made, judge, sets['data'], place, num)


class ReferenceStyle:
    """A peer (`benchmarks.peers.Peer`).

    Attributes:
      generator, discriminator: what is trained; images are `[N, 3, h, w]`, contiguous.
      losses: of the last step, of both.
    """

    name = 'reference style'

    def __init__(
        self,
        config: ConfigDict,
        generator: Any,
        discriminator: Any,
        training: Dataset,
        device: torch.device,
        workers: int,
    ) -> None:
        self.config, self.device = config, device
        self.generator: Generator = generator
        self.discriminator: Discriminator = discriminator
        groups = (config.optimizer, config.discriminator.optimizer)
        networks = (self.generator, self.discriminator)
        self.optimizers = [
            optimizers.build(options, list(network.parameters()))
            for options, network in zip(groups, networks, strict=True)
        ]
        self.rates = [learning_rates(options, config.steps) for options in groups]
        method = config.method
        values = image_synthesis.values_of(config, training)
        classes = segmentation.classes_of(training)
        held = Held(values, classes, method.window, method.augment)
        order = _order(config, len(values))
        self.workers = Workers(make_batch, held, order, workers)
        self.steps_done = 0
        self.losses = [float('nan')] * 2

    @property
    def notes(self) -> str:
        """Precision, threads, who cuts windows."""
        return host_notes(self.device, self.workers.num, 'cuts windows')

    def step(self) -> None:
        """One training step (`Peer.step`)."""
        batch: HostBatch = next(self.workers)
        values = torch.from_numpy(batch.images).to(self.device).permute(0, 3, 1, 2).contiguous()
        classes = torch.from_numpy(batch.classes).to(self.device)
        self.update(values[:, :3], values[:, 3:], classes)

    def update(self, image: Tensor, raster: Tensor, classes: Tensor) -> None:
        """The step of given windows, `[N, bands, h, w]` in [-1, 1], classes int64 `[N, h, w]`."""
        cover = one_hot(classes, self.generator.classes, raster)
        condition = torch.cat([cover, raster], 1)
        turn(self.generator)
        turn(self.discriminator)
        fake = self.generator(classes, raster)
        of_real, of_fake = self._judged(image, fake, condition)
        reals = [(scores.detach(), [x.detach() for x in features]) for scores, features in of_real]
        made = generator_loss(of_fake, reals, self.config.method.feature_matching_weight)
        self._move(0, made)
        with torch.no_grad():
            fake = self.generator(classes, raster)
        of_real, of_fake = self._judged(image, fake, condition)
        judged = hinge_loss([scores for scores, _ in of_real], [scores for scores, _ in of_fake])
        self._move(1, judged)
        self.losses = [made.item(), judged.item()]
        self.steps_done += 1

    def synchronize(self) -> None:
        """Waits for the device and the workers."""
        synchronize(self.device)
        self.workers.settle()

    def close(self) -> None:
        """Ends the workers."""
        self.workers.close()

    def _judged(self, real: Tensor, fake: Tensor, condition: Tensor) -> tuple[Judged, Judged]:
        both = torch.cat([real, fake]), torch.cat([condition, condition])
        return split(self.discriminator(*both), len(real))

    def _move(self, number: int, loss: Tensor) -> None:
        optimizer = self.optimizers[number]
        optimizers.set_rate(optimizer, rate_of(self.rates[number], self.steps_done))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _order(config: ConfigDict, num: int) -> Iterator[Chosen]:
    """The tiles of each step."""
    generator = torch.Generator().manual_seed(config.seed)
    for step, tiles in enumerate(shuffled(torch.arange(num), config.batch_size, generator)):
        yield Chosen(tiles.numpy(), config.seed + step)
