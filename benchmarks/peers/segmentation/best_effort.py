"""The supervised step of a U-Net as a good PyTorch engineer would write it today.

bfloat16 autocast on GPUs, channels last, tiles on the device and windows cut, flipped and turned
there by one gather, images and classes alike; fused optimiser, the running average in one call,
`torch.compile` of the loss on GPUs, and nothing that waits for the device.

Notes:
  On CPUs the default is float32 and not compiled, as for the peer of the JEM step.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from ml_collections import ConfigDict
from torch import Tensor

from benchmarks.peers import learning_rates, optimizers, rate_of, segmentation
from benchmarks.peers.batches import shuffled
from benchmarks.peers.devices import (
    allow_tensor_cores,
    arithmetic_notes,
    dtype_for,
    say_not_compiled,
    synchronize,
    torch_device,
)
from benchmarks.peers.pixels import Tiles, pixel_cross_entropy, scaled
from benchmarks.peers.unet import UNet, from_flax
from eojax.data.dataset import Dataset


def build(
    config: ConfigDict,
    parameters: Mapping[str, Any],
    sets: Mapping[str, Dataset],
    device: str,
    dtype: str = 'auto',
    compiled: bool | None = None,
) -> BestEffort:
    """The peer of a config (`benchmarks.peers`), compiled where that pays and works.

    Args:
      dtype: of the convolutions: `auto` is bfloat16 on GPUs and float32, as eojax has it, on CPUs.
      compiled: whether to try `torch.compile`, by default on GPUs alone; where it fails, one line
        says so and the peer is not compiled.
    """
    segmentation.check(config, sets['data'], optimizers.UNDERSTOOD)
    place = torch_device(device)
    precision = dtype_for(dtype, place)
    allow_tensor_cores(place)
    network: Any = from_flax(config.model, parameters)  # torch's types lack the memory format
    network = network.to(place, memory_format=torch.channels_last)
    peer = BestEffort(config, network, sets['data'], place, precision)
    if place.type == 'cuda' if compiled is None else compiled:
        peer.compile()
    return peer


class BestEffort:
    """A peer (`benchmarks.peers.Peer`).

    Attributes:
      network: what is trained, in float32.
      averages: running averages of its parameters, in their order; empty where there are none.
      loss: of the last step, on the device.
      compiled: whether the loss is.
    """

    name = 'best effort'

    def __init__(
        self,
        config: ConfigDict,
        network: UNet,
        training: Dataset,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.config, self.network, self.device = config, network, device
        self.dtype = dtype
        self.parameters = list(network.parameters())
        kept = self.parameters if config.method.average_decay else []
        self.averages = [p.detach().clone() for p in kept]
        self.rates = learning_rates(config.optimizer, config.steps)
        self.optimizer = optimizers.build(config.optimizer, self.parameters, fused=True)
        self.generator = torch.Generator(device).manual_seed(config.seed)
        self.tiles = Tiles(training, device)
        self.order = shuffled(self.tiles.labelled, config.batch_size, self.generator)
        self.steps_done = 0
        self.loss = torch.full((), torch.nan)
        self.compiled = False
        self._loss_source: Callable[..., Tensor] = self.supervised_loss

    @property
    def notes(self) -> str:
        """Precision, whether compiled, threads."""
        return f'{arithmetic_notes(self.dtype, self.compiled)}, windows cut on the device'

    def compile(self) -> None:
        """Compiles the loss on the shapes of training; says so in a line where that fails."""
        plain = self._loss_source
        self._loss_source = torch.compile(plain, dynamic=False, fullgraph=True)
        statistics = copy.deepcopy(self.network.state_dict())
        try:
            self.network.train()
            self._loss_source(*self._draw()).backward()
        except torch._dynamo.exc.TorchDynamoException as error:
            self._loss_source = plain
            say_not_compiled(error)
        else:
            self.compiled = True
        self.network.load_state_dict(statistics)
        self.optimizer.zero_grad()

    def step(self) -> None:
        """One training step (`Peer.step`)."""
        self.update(*self._draw())

    def update(self, levels: Tensor, classes: Tensor) -> None:
        """The step of given windows: levels 0 to 255 `[N, h, w, 3]`, classes int64 `[N, h, w]`."""
        self.network.train()
        loss = self._loss_source(levels, classes)
        optimizers.set_rate(self.optimizer, rate_of(self.rates, self.steps_done))
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.averages:
            share = optimizers.average_share(self.steps_done, self.config.method.average_decay)
            optimizers.average_in(self.averages, self.parameters, share)
        self.loss = loss.detach()
        self.steps_done += 1

    def supervised_loss(self, levels: Tensor, classes: Tensor) -> Tensor:
        """Cross-entropy of the pixels of known class."""
        low = self.dtype != torch.float32
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=low):
            logits = self.network(scaled(levels))
        return pixel_cross_entropy(logits, classes)

    def synchronize(self) -> None:
        """Waits for the device."""
        synchronize(self.device)

    def close(self) -> None:
        """It has no processes."""

    def _draw(self) -> tuple[Tensor, Tensor]:
        method = self.config.method
        return self.tiles.windows(next(self.order), method.window, method.augment, self.generator)
