"""Both updates of image synthesis as a good PyTorch engineer would write them today.

bfloat16 autocast on GPUs, channels last, tiles on the device and windows cut, flipped and turned
there by one gather; fused optimisers, no gradient for the discriminator's parameters where the
generator is updated, real and made-up images judged in one batch where the discriminator is,
`torch.compile` of both losses on GPUs, and nothing that waits for the device.

Notes:
  On CPUs the default is float32 and not compiled, as for the peer of the JEM step.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from ml_collections import ConfigDict
from torch import Tensor

from benchmarks.peers import image_synthesis, learning_rates, optimizers, rate_of
from benchmarks.peers.batches import shuffled
from benchmarks.peers.devices import (
    allow_tensor_cores,
    arithmetic_notes,
    dtype_for,
    say_not_compiled,
    synchronize,
    torch_device,
)
from benchmarks.peers.image_synthesis.networks import (
    Discriminator,
    Generator,
    from_flax,
    generator_loss,
    hinge_loss,
    one_hot,
    split,
    turn,
)
from benchmarks.peers.pixels import Tiles
from eojax.data.dataset import Dataset


class Drawn(NamedTuple):
    """The windows of a step, channels last.

    Attributes:
      image: `[N, 3, h, w]` in [-1, 1].
      raster: `[N, bands, h, w]` in [-1, 1].
      classes: int64 `[N, h, w]`.
    """

    image: Tensor
    raster: Tensor
    classes: Tensor


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
      parameters: of both networks, as `networks.from_flax` takes them.
      dtype: of the convolutions: `auto` is bfloat16 on GPUs and float32, as eojax has it, on CPUs.
      compiled: whether to try `torch.compile`, by default on GPUs alone; where it fails, one line
        says so and the peer is not compiled.
    """
    image_synthesis.check(config, sets['data'], optimizers.UNDERSTOOD)
    place = torch_device(device)
    precision = dtype_for(dtype, place)
    allow_tensor_cores(place)
    made: Any
    judge: Any  # torch's types lack the memory format
    made, judge = from_flax(config, parameters)
    made = made.to(place, memory_format=torch.channels_last)
    judge = judge.to(place, memory_format=torch.channels_last)
    peer = BestEffort(config, made, judge, sets['data'], place, precision)
    if place.type == 'cuda' if compiled is None else compiled:
        peer.compile()
    return peer


class BestEffort:
    """A peer (`benchmarks.peers.Peer`).

    Attributes:
      generator, discriminator: what is trained, in float32.
      losses: of the last step, of both, on the device.
      compiled: whether the losses are.
    """

    name = 'best effort'

    def __init__(
        self,
        config: ConfigDict,
        generator: Generator,
        discriminator: Discriminator,
        training: Dataset,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        self.generator, self.discriminator = generator, discriminator
        self.judging = list(discriminator.parameters())
        self.optimizers = [
            optimizers.build(options, list(network.parameters()), fused=True)
            for options, network in (
                (config.optimizer, generator),
                (config.discriminator.optimizer, discriminator),
            )
        ]
        self.rates = [
            learning_rates(options, config.steps)
            for options in (config.optimizer, config.discriminator.optimizer)
        ]
        self.chance = torch.Generator(device).manual_seed(config.seed)
        values = image_synthesis.values_of(config, training)
        self.tiles = Tiles(training, device, values)
        self.order = shuffled(self.tiles.labelled, config.batch_size, self.chance)
        self.steps_done = 0
        self.losses = [torch.full((), torch.nan)] * 2
        self.compiled = False
        self._made_loss: Callable[[Drawn], Tensor] = self.loss_of_generator
        self._judge_loss: Callable[[Drawn], Tensor] = self.loss_of_discriminator

    @property
    def notes(self) -> str:
        """Precision, whether compiled, threads."""
        return f'{arithmetic_notes(self.dtype, self.compiled)}, windows cut on the device'

    def compile(self) -> None:
        """Compiles both losses on the shapes of training; says so in a line where that fails."""
        plain = self._made_loss, self._judge_loss
        self._made_loss, self._judge_loss = (
            torch.compile(loss, dynamic=False, fullgraph=True) for loss in plain
        )
        networks: tuple[torch.nn.Module, ...] = (self.generator, self.discriminator)
        held = [copy.deepcopy(network.state_dict()) for network in networks]
        try:
            drawn = self._draw()
            self._made_loss(drawn).backward()
            self._judge_loss(drawn).backward()
        except torch._dynamo.exc.TorchDynamoException as error:
            self._made_loss, self._judge_loss = plain
            say_not_compiled(error)
        else:
            self.compiled = True
        for network, state, optimizer in zip(networks, held, self.optimizers, strict=True):
            network.load_state_dict(state)
            optimizer.zero_grad()

    def step(self) -> None:
        """One training step (`Peer.step`)."""
        self.update(self._draw())

    def update(self, drawn: Drawn) -> None:
        """The step of given windows: the generator's update, then the discriminator's."""
        self._judge_needs_gradient(False)
        turn(self.generator)
        turn(self.discriminator)
        made = self._made_loss(drawn)
        made.backward()
        self._move(0)
        self._judge_needs_gradient(True)
        judged = self._judge_loss(drawn)
        judged.backward()
        self._move(1)
        self.losses = [made.detach(), judged.detach()]
        self.steps_done += 1

    def loss_of_generator(self, drawn: Drawn) -> Tensor:
        """-E[D(G)] and feature matching."""
        with self._autocast():
            condition = self._condition(drawn)
            fake = self.generator(drawn.classes, drawn.raster)
            of_fake = self.discriminator(fake, condition)
            with torch.no_grad():
                of_real = self.discriminator(drawn.image, condition)
        return generator_loss(of_fake, of_real, self.config.method.feature_matching_weight)

    def loss_of_discriminator(self, drawn: Drawn) -> Tensor:
        """The hinge loss, on images of the generator as it is now."""
        with self._autocast():
            with torch.no_grad():
                fake = self.generator(drawn.classes, drawn.raster)
            condition = self._condition(drawn)
            both = torch.cat([drawn.image, fake]), torch.cat([condition, condition])
            of_real, of_fake = split(self.discriminator(*both), len(fake))
        return hinge_loss([scores for scores, _ in of_real], [scores for scores, _ in of_fake])

    def synchronize(self) -> None:
        """Waits for the device."""
        synchronize(self.device)

    def close(self) -> None:
        """It has no processes."""

    def _autocast(self) -> torch.autocast:
        low = self.dtype != torch.float32
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=low)

    def _condition(self, drawn: Drawn) -> Tensor:
        cover = one_hot(drawn.classes, self.generator.classes, drawn.raster)
        return torch.cat([cover, drawn.raster], 1)

    def _judge_needs_gradient(self, needed: bool) -> None:
        for parameter in self.judging:
            parameter.requires_grad_(needed)

    def _move(self, number: int) -> None:
        optimizer = self.optimizers[number]
        optimizers.set_rate(optimizer, rate_of(self.rates[number], self.steps_done))
        optimizer.step()
        optimizer.zero_grad()

    def _draw(self) -> Drawn:
        method = self.config.method
        values, classes = self.tiles.windows(
            next(self.order), method.window, method.augment, self.chance
        )
        bands = values.permute(0, 3, 1, 2)  # which is channels last
        return Drawn(bands[:, :3], bands[:, 3:], classes)
