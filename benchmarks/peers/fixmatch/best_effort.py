"""The FixMatch training step as a good PyTorch engineer would write it today.

bfloat16 autocast on GPUs, channels last, images on the device and both augmentations there too for
whole batches, fused optimiser, the running average in one call, `torch.compile` of the augmentation
and of the loss on GPUs, and nothing that waits for the device.

Notes:
  On CPUs the default is float32 and not compiled, as for the peer of the JEM step.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from ml_collections import ConfigDict
from torch import Tensor
from torch.nn import functional as F

from benchmarks.peers import fixmatch, learning_rates, optimizers, rate_of
from benchmarks.peers.batches import augment, shuffled
from benchmarks.peers.devices import (
    allow_tensor_cores,
    arithmetic_notes,
    dtype_for,
    say_not_compiled,
    synchronize,
    torch_device,
)
from benchmarks.peers.fixmatch import device_augmentation
from benchmarks.peers.fixmatch.device_augmentation import Drawn, Draws, Square
from benchmarks.peers.wide_resnet import WideResNet, from_flax
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
    fixmatch.check(config, sets['data'], optimizers.UNDERSTOOD)
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
      average: its running average, a network too.
      loss: of the last step, on the device.
      compiled: whether augmentation and loss are.
    """

    name = 'best effort'

    def __init__(
        self,
        config: ConfigDict,
        network: WideResNet,
        training: Dataset,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.config, self.network, self.device = config, network, device
        self.dtype = dtype
        self.average = copy.deepcopy(network).requires_grad_(False)
        self.rates = learning_rates(config.optimizer, config.steps)
        self.optimizer = optimizers.build(config.optimizer, list(network.parameters()), fused=True)
        self.generator = torch.Generator(device).manual_seed(config.seed)
        self.images = torch.from_numpy(np.asarray(training.images)).to(device)
        self.labels = torch.from_numpy(training.labels.astype(np.int64)).to(device)
        self.labelled_order = shuffled(
            torch.nonzero(self.labels >= 0)[:, 0], config.batch_size, self.generator
        )
        self.order = shuffled(
            torch.arange(len(self.labels), device=device),
            fixmatch.unlabelled_size(config),
            self.generator,
        )
        self.steps_done = 0
        self.loss = torch.full((), torch.nan)
        # Plain numbers: the compiler does not read configs.
        method = config.method
        self.threshold, self.weight = method.threshold, method.consistency_weight
        self.strong = fixmatch.strong_options(config)
        self.draws = Draws(self.strong.operations, self.generator)
        self.compiled = False
        self._strong_source: Callable[..., Tensor] = self.strong_view
        self._loss_source: Callable[..., Tensor] = self.joint_loss

    @property
    def notes(self) -> str:
        """Precision, whether compiled, threads."""
        return f'{arithmetic_notes(self.dtype, self.compiled)}, augments on the device'

    def compile(self) -> None:
        """Compiles both on the shapes of training; says so in a line where that fails."""
        plain = self._strong_source, self._loss_source
        self._strong_source = torch.compile(plain[0], dynamic=False, fullgraph=True)
        self._loss_source = torch.compile(plain[1], dynamic=False, fullgraph=True)
        statistics = copy.deepcopy(self.network.state_dict())
        try:
            self.network.train()
            self._loss_source(*self._draw()).backward()
        except torch._dynamo.exc.TorchDynamoException as error:
            self._strong_source, self._loss_source = plain
            say_not_compiled(error)
        else:
            self.compiled = True
        self.network.load_state_dict(statistics)
        self.optimizer.zero_grad()

    def step(self) -> None:
        """One training step (`Peer.step`)."""
        self.update(*self._draw())

    def update(self, labelled: Tensor, labels: Tensor, weak: Tensor, strong: Tensor) -> None:
        """The step of given images: uint8 or float levels `[N, H, W, 3]`, labels int64 `[N]`."""
        self.network.train()
        loss = self._loss_source(labelled, labels, weak, strong)
        optimizers.set_rate(self.optimizer, rate_of(self.rates, self.steps_done))
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._average()
        self.loss = loss.detach()
        self.steps_done += 1

    def joint_loss(self, labelled: Tensor, labels: Tensor, weak: Tensor, strong: Tensor) -> Tensor:
        """Eq. 3.26 by one forward pass, of levels from 0 to 255."""
        levels = torch.cat([labelled, weak, strong])
        images = (levels.float() / 127.5 - 1.0).permute(0, 3, 1, 2)  # channels last as it is
        low = self.dtype != torch.float32
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=low):
            logits = self.network(images)
        of_labelled, rest = logits[: len(labelled)], logits[len(labelled) :]
        of_weak, of_strong = rest.chunk(2)
        supervised = F.cross_entropy(of_labelled, labels)
        confidence, guessed = of_weak.detach().softmax(1).max(1)
        chosen = (confidence >= self.threshold) & (self.threshold < 1.0)
        losses = F.cross_entropy(of_strong, guessed, reduction='none')
        return supervised + self.weight * (losses * chosen).mean()

    def strong_view(self, images: Tensor, drawn: list[Drawn], square: Square) -> Tensor:
        """RandAugment's passes and cutout on weak views, uint8 `[N, H, W, 3]`."""
        for each in drawn:
            images = device_augmentation.apply(images, each, self.strong.interpolation)
        return device_augmentation.cut_out(images, square)

    def synchronize(self) -> None:
        """Waits for the device."""
        synchronize(self.device)

    def close(self) -> None:
        """It has no processes."""

    def _draw(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A step's images, augmented, and the labels of the labelled ones."""
        chosen, others = next(self.labelled_order), self.images[next(self.order)]
        name, generator = self.strong.weak, self.generator
        labelled = augment(self.images[chosen], name, generator)
        weak, again = (augment(others, name, generator) for _ in range(2))
        num, height, width, _ = others.shape
        drawn = [self.draws(num) for _ in range(self.strong.passes)]
        share = self.strong.cutout_share
        square = device_augmentation.draw_square(num, height, width, share, generator)
        strong = self._strong_source(again, drawn, square)
        return labelled, self.labels[chosen], weak, strong

    @torch.no_grad()
    def _average(self) -> None:
        share = optimizers.average_share(self.steps_done, self.config.method.average_decay)
        theirs, ours = list(self.average.parameters()), list(self.network.parameters())
        optimizers.average_in(theirs, ours, share)
        statistics = list(self.network.buffers())
        if statistics:
            torch._foreach_copy_(list(self.average.buffers()), statistics)
