"""The step of FixMatch for pixels as a good PyTorch engineer would write it today.

bfloat16 autocast on GPUs, channels last, tiles on the device; windows are cut and both views made
there for whole batches, and pseudo-labels follow the strong view by one gather. Fused optimiser,
the teacher's average in one call, `torch.compile` of views and loss on GPUs, and nothing that waits
for the device.

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

from benchmarks.peers import fixmatch_segmentation, learning_rates, optimizers, rate_of
from benchmarks.peers.batches import shuffled
from benchmarks.peers.devices import (
    allow_tensor_cores,
    arithmetic_notes,
    dtype_for,
    say_not_compiled,
    synchronize,
    torch_device,
)
from benchmarks.peers.fixmatch.device_augmentation import Draws
from benchmarks.peers.fixmatch_segmentation import device_views
from benchmarks.peers.fixmatch_segmentation.device_views import Views
from benchmarks.peers.pixels import Tiles, pixel_consistency, pixel_cross_entropy, scaled
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
    fixmatch_segmentation.check(config, sets['data'], optimizers.UNDERSTOOD)
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
      average: its running average, a network too; the teacher, where the config says so.
      loss: of the last step, on the device.
      compiled: whether views and loss are.
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
        self.average = copy.deepcopy(network).requires_grad_(False).eval()
        self.rates = learning_rates(config.optimizer, config.steps)
        self.optimizer = optimizers.build(config.optimizer, list(network.parameters()), fused=True)
        self.generator = torch.Generator(device).manual_seed(config.seed)
        self.tiles = Tiles(training, device)
        self.labelled_order = shuffled(self.tiles.labelled, config.batch_size, self.generator)
        num = fixmatch_segmentation.unlabelled_size(config)
        self.order = shuffled(self.tiles.numbers, num, self.generator)
        self.steps_done = 0
        self.loss = torch.full((), torch.nan)
        # Plain values: the compiler does not read configs.
        method = config.method
        self.threshold, self.weight = method.threshold, method.consistency_weight
        self.by_average = method.teacher == 'average'
        self.options = fixmatch_segmentation.options_of(config)
        self.draws = Draws(self.options.strong.operations, self.generator)
        self.compiled = False
        self._views_source: Callable[..., Views] = device_views.make
        self._loss_source: Callable[..., Tensor] = self.joint_loss

    @property
    def notes(self) -> str:
        """Precision, whether compiled, threads."""
        return f'{arithmetic_notes(self.dtype, self.compiled)}, augments on the device'

    def compile(self) -> None:
        """Compiles both on the shapes of training; says so in a line where that fails."""
        plain = self._views_source, self._loss_source
        self._views_source = torch.compile(plain[0], dynamic=False, fullgraph=True)
        self._loss_source = torch.compile(plain[1], dynamic=False, fullgraph=True)
        statistics = copy.deepcopy(self.network.state_dict())
        try:
            self.network.train()
            self._loss_source(*self._draw()).backward()
        except torch._dynamo.exc.TorchDynamoException as error:
            self._views_source, self._loss_source = plain
            say_not_compiled(error)
        else:
            self.compiled = True
        self.network.load_state_dict(statistics)
        self.optimizer.zero_grad()

    def step(self) -> None:
        """One training step (`Peer.step`)."""
        self.update(*self._draw())

    def update(self, labelled: Tensor, classes: Tensor, views: Views) -> None:
        """The step of given windows: levels 0 to 255 `[N, h, w, 3]`, classes int64 `[N, h, w]`."""
        self.network.train()
        loss = self._loss_source(labelled, classes, views)
        optimizers.set_rate(self.optimizer, rate_of(self.rates, self.steps_done))
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._average()
        self.loss = loss.detach()
        self.steps_done += 1

    def joint_loss(self, labelled: Tensor, classes: Tensor, views: Views) -> Tensor:
        """Eq. 3.26 for pixels; the teacher's pass is one of its own where it is the average."""
        num, others = len(labelled), len(views.strong)
        seen = [labelled, views.strong, *(() if self.by_average else (views.weak,))]
        low = self.dtype != torch.float32
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=low):
            logits = self.network(scaled(torch.cat(seen)))
            guessed = logits[num + others :]
            if self.by_average:
                with torch.no_grad():
                    guessed = self.average(scaled(views.weak))
        strongly = logits[num : num + others]
        consistency = pixel_consistency(strongly, guessed, self.threshold, views.places)
        return pixel_cross_entropy(logits[:num], classes) + self.weight * consistency

    def synchronize(self) -> None:
        """Waits for the device."""
        synchronize(self.device)

    def close(self) -> None:
        """It has no processes."""

    def _draw(self) -> tuple[Tensor, Tensor, Views]:
        """A step's windows, augmented, and the classes of the labelled ones."""
        side, generator = self.options.side, self.generator
        augmentation = self.options.strong.weak
        chosen, others = next(self.labelled_order), next(self.order)
        labelled, classes = self.tiles.windows(chosen, side, augmentation, generator)
        windows, _ = self.tiles.windows(others, side, 'none', generator)
        drawn = device_views.draw(len(others), self.options, self.draws, generator)
        views = self._views_source(windows, drawn, self.options.strong.interpolation)
        return labelled, classes, views

    @torch.no_grad()
    def _average(self) -> None:
        share = optimizers.average_share(self.steps_done, self.config.method.average_decay)
        theirs, ours = list(self.average.parameters()), list(self.network.parameters())
        optimizers.average_in(theirs, ours, share)
        statistics = list(self.network.buffers())
        if statistics:
            torch._foreach_copy_(list(self.average.buffers()), statistics)
