"""The alignment of two domains' embeddings as a good PyTorch engineer would write it today.

bfloat16 autocast on GPUs, channels last, normalised images on the device and augmented there, one
forward pass for each encoder, distances in float32 without a loop over classes, fused optimiser,
the running average in one call, `torch.compile` of the loss on GPUs, and nothing that waits for the
device.

Notes:
  On CPUs the default is float32 and not compiled, as for the peer of the JEM step.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from ml_collections import ConfigDict
from torch import Tensor
from torch.nn import functional as F

from benchmarks.peers import optimizers, rate_of, transfer
from benchmarks.peers.batches import augment, shuffled
from benchmarks.peers.devices import (
    allow_tensor_cores,
    arithmetic_notes,
    dtype_for,
    say_not_compiled,
    synchronize,
    torch_device,
)
from benchmarks.peers.sliced_wasserstein import class_conditional, sliced_wasserstein
from benchmarks.peers.transfer.networks import Networks, from_flax
from eojax.data.dataset import Dataset
from eojax.data.value_range import scale_to_unit


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
      parameters: those before the first step of the alignment.
      dtype: of the convolutions: `auto` is bfloat16 on GPUs and float32, as eojax has it, on CPUs.
      compiled: whether to try `torch.compile`, by default on GPUs alone; where it fails, one line
        says so and the peer is not compiled.
    """
    transfer.check(config, optimizers.UNDERSTOOD)
    place = torch_device(device)
    precision = dtype_for(dtype, place)
    # Projections in full float32: the rounding of TF32 would be part of the distance.
    allow_tensor_cores(place, products=False)
    networks: Any = from_flax(config, parameters, sets['data'].num_classes)
    networks = networks.to(place, memory_format=torch.channels_last)
    peer = BestEffort(config, networks, sets, place, precision)
    if place.type == 'cuda' if compiled is None else compiled:
        peer.compile()
    return peer


class Batch(NamedTuple):
    """A step's images, float32 `[N, H, W, bands]` in [-1, 1], with labels int64 `[N]`."""

    source: Tensor
    source_labels: Tensor
    few: Tensor
    few_labels: Tensor
    every: Tensor


class Domain:
    """A training set on the device.

    Attributes:
      images: float32 `[N, H, W, bands]` in [-1, 1].
      labels: int64 `[N]`, -1 where not labelled.
      labelled: indices of those that are.
    """

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        scaled = scale_to_unit(np.asarray(dataset.images), dataset.limits)
        self.images = torch.from_numpy(scaled).to(device)
        self.labels = torch.from_numpy(dataset.labels.astype(np.int64)).to(device)
        self.labelled = torch.nonzero(self.labels >= 0)[:, 0]


class BestEffort:
    """A peer (`benchmarks.peers.Peer`).

    Attributes:
      networks: what is trained, in float32.
      average: their running average.
      loss: of the last step, on the device.
      compiled: whether the loss is.
    """

    name = 'best effort'

    def __init__(
        self,
        config: ConfigDict,
        networks: Networks,
        sets: Mapping[str, Dataset],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.config, self.networks, self.device = config, networks, device
        self.dtype = dtype
        method = config.method
        if not method.train_source_encoder:
            networks.get_submodule('source').requires_grad_(False)
        self.average = copy.deepcopy(networks).requires_grad_(False)
        self.trained = [name for name, p in networks.named_parameters() if p.requires_grad]
        own = dict(networks.named_parameters())
        self.weights = [own[name] for name in self.trained]
        averaged = dict(self.average.named_parameters())
        self.averages = [averaged[name] for name in self.trained]
        self.rates = transfer.learning_rates(config)
        self.optimizer = optimizers.build(config.optimizer, self.weights, fused=True)
        self.generator = torch.Generator(device).manual_seed(config.seed)
        self.source, self.target = (Domain(sets[name], device) for name in ('source', 'data'))
        self.orders = self._orders()
        self.num_classes = sets['data'].num_classes
        self.steps_done = 0
        self.loss = torch.full((), torch.nan)
        # Plain numbers: the compiler does not read configs.
        self.aligned, self.class_aligned = method.alignment_weight, method.class_alignment_weight
        self.sums = method.sum_over_batch
        self.trains_source = method.train_source_encoder
        self.compiled = False
        self._loss_source: Callable[..., Tensor] = self.alignment_loss

    @property
    def notes(self) -> str:
        """Precision, whether compiled, threads."""
        return arithmetic_notes(self.dtype, self.compiled)

    def compile(self) -> None:
        """Compiles the loss on the shapes of training; says so in a line where that fails."""
        plain = self._loss_source
        self._loss_source = torch.compile(plain, dynamic=False, fullgraph=True)
        before = copy.deepcopy(self.networks.state_dict())
        try:
            self._set_modes()
            self._loss_source(self._draw(), self._directions()).backward()
        except torch._dynamo.exc.TorchDynamoException as error:
            self._loss_source = plain
            say_not_compiled(error)
        else:
            self.compiled = True
        self.networks.load_state_dict(before)
        self.optimizer.zero_grad()

    def step(self) -> None:
        """One training step (`Peer.step`)."""
        self.update(self._draw())

    def update(self, batch: Batch) -> None:
        """The step of a given batch."""
        self._set_modes()
        loss = self._loss_source(batch, self._directions())
        optimizers.set_rate(self.optimizer, rate_of(self.rates, self.steps_done))
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._average()
        self.loss = loss.detach()
        self.steps_done += 1

    def alignment_loss(self, batch: Batch, directions: Tensor) -> Tensor:
        """Eq. 2, with directions float32 `[2, L, D]` of its two distances."""
        source = self._embed('source', batch.source)
        target = self._embed('target', torch.cat([batch.few, batch.every]))
        few, every = target[: len(batch.few)], target[len(batch.few) :]
        loss = F.cross_entropy(self.networks.classify(source), batch.source_labels)
        loss = loss + F.cross_entropy(self.networks.classify(few), batch.few_labels)
        if self.aligned:
            images = len(source) if self.sums else 1
            aligned = sliced_wasserstein(source, every, directions[0])
            loss = loss + self.aligned * images * aligned
        if self.class_aligned:
            within = class_conditional(
                source,
                batch.source_labels,
                few,
                batch.few_labels,
                self.num_classes,
                directions[1],
                by_size=self.sums,
            )
            loss = loss + self.class_aligned * within
        return loss

    def synchronize(self) -> None:
        """Waits for the device."""
        synchronize(self.device)

    def close(self) -> None:
        """It has no processes."""

    def _embed(self, domain: str, images: Tensor) -> Tensor:
        low = self.dtype != torch.float32
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=low):
            return self.networks.embed(domain, images.permute(0, 3, 1, 2))

    def _set_modes(self) -> None:
        self.networks.train()
        if not self.trains_source:  # then it is as in evaluation
            self.networks.get_submodule('source').eval()

    def _directions(self) -> Tensor:
        method = self.config.method
        shape = (2, method.num_projections, method.embedding_size)
        normal = torch.randn(shape, generator=self.generator, device=self.device)
        return normal / normal.norm(dim=2, keepdim=True)

    def _orders(self) -> tuple[Iterator[Tensor], Iterator[Tensor], Iterator[Tensor]]:
        few, many = self.config.batch_size, self.config.method.source_batch_size
        everything = torch.arange(len(self.target.labels), device=self.device)
        chosen = (self.source.labelled, many), (self.target.labelled, few), (everything, many)
        first, second, third = (shuffled(x, num, self.generator) for x, num in chosen)
        return first, second, third

    def _draw(self) -> Batch:
        source, few, every = (next(order) for order in self.orders)
        name = self.config.method.augment
        images = [
            augment(domain.images[chosen], name, self.generator)
            for domain, chosen in (
                (self.source, source), (self.target, few), (self.target, every)
            )
        ]  # fmt: skip
        labels = self.source.labels[source], self.target.labels[few]
        return Batch(images[0], labels[0], images[1], labels[1], images[2])

    @torch.no_grad()
    def _average(self) -> None:
        share = optimizers.average_share(self.steps_done, self.config.method.average_decay)
        optimizers.average_in(self.averages, self.weights, share)
