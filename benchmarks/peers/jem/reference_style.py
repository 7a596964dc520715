"""The JEM training step as its published PyTorch implementation does it (Grathwohl et al., 2020).

float32 with TF32 allowed on NVIDIA GPUs; the data and the replay buffer on the host, copied both
ways in each step; a Python loop of `sampler.steps` backward passes, with the weights'
`requires_grad` left on; three forward passes, for the data, the samples and the labelled batch;
`loss.item()` in every step.

Notes:
  Batches are prepared by this process where the published code has worker processes; that is a
  few milliseconds of a step, and input noise is drawn on the device for the same reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from ml_collections import ConfigDict
from torch import Tensor
from torch.nn import functional as F

from benchmarks.peers import jem, rate_of
from benchmarks.peers.batches import augment_bands_first, shuffled
from benchmarks.peers.devices import allow_tensor_cores, synchronize, torch_device
from benchmarks.peers.wide_resnet import WideResNet, from_flax
from eojax.data.dataset import Dataset


def build(
    config: ConfigDict,
    parameters: Mapping[str, Any],
    sets: Mapping[str, Dataset],
    device: str,
) -> ReferenceStyle:
    """The peer of a config (`benchmarks.peers`)."""
    jem.check(config)
    place = torch_device(device)
    allow_tensor_cores(place)
    network = from_flax(config.model, parameters).to(place)
    return ReferenceStyle(config, network, sets['data'], place)


class ReferenceStyle:
    """A peer (`benchmarks.peers.Peer`).

    Attributes:
      network: what is trained; images are `[N, bands, H, W]`, contiguous.
      buffer: float32 `[size, bands, H, W]` on the host.
      drawn: slots of the buffer that the last step drew, with replacement.
      loss: of the last step.
    """

    name = 'reference style'

    def __init__(
        self,
        config: ConfigDict,
        network: WideResNet,
        training: Dataset,
        device: torch.device,
    ) -> None:
        self.config, self.network, self.device = config, network, device
        self.precision = 'float32 with TF32' if device.type == 'cuda' else 'float32'
        self.notes = f'{self.precision}, not compiled, {torch.get_num_threads()} threads'
        self.rates = jem.learning_rates(config)
        options = config.optimizer
        self.optimizer = torch.optim.Adam(
            network.parameters(), self.rates[0], (options.b1, options.b2)
        )
        self.generator = torch.Generator().manual_seed(config.seed)
        self.images = torch.from_numpy(np.asarray(training.images).transpose(0, 3, 1, 2).copy())
        self.labels = torch.from_numpy(training.labels.astype(np.int64))
        self.labelled_order = shuffled(
            torch.nonzero(self.labels >= 0)[:, 0], config.batch_size, self.generator
        )
        self.order = shuffled(
            torch.arange(len(self.labels)), config.method.likelihood_batch_size, self.generator
        )
        self.buffer = self._starts(config.sampler.buffer_size)
        self.starts = self.buffer[: config.method.likelihood_batch_size].to(device)
        self.drawn = torch.empty(0, dtype=torch.int64)
        self.steps_done = 0
        self.loss = float('nan')

    def step(self) -> None:
        """One training step (`Peer.step`)."""
        method = self.config.method
        chosen = next(self.labelled_order)
        labelled = self._prepare(chosen, method.augment)
        real = self._prepare(next(self.order), method.likelihood_augment)
        self.update(labelled, self.labels[chosen].to(self.device), real)

    def update(self, labelled: Tensor, labels: Tensor, real: Tensor) -> None:
        """The step of given batches: float `[N, bands, H, W]` in [-1, 1], int64 `[N]`."""
        samples = self._sample()
        loss = self.joint_loss(self._noisy(labelled), labels, self._noisy(real), samples)
        self.loss = loss.item()  # the published code looks for divergence in every step
        rate = rate_of(self.rates, self.steps_done)
        for group in self.optimizer.param_groups:
            group['lr'] = rate
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.steps_done += 1

    def joint_loss(self, labelled: Tensor, labels: Tensor, real: Tensor, samples: Tensor) -> Tensor:
        """Eq. 7's loss by a forward pass for each batch."""
        method = self.config.method
        log_density_real = self.log_density(real)
        log_density_samples = self.log_density(samples)
        likelihood = log_density_samples.mean() - log_density_real.mean()
        loss = method.likelihood_weight * likelihood
        magnitude = log_density_real.square().mean() + log_density_samples.square().mean()
        loss = loss + method.energy_l2 * magnitude
        cross_entropy = F.cross_entropy(self.network(labelled), labels)
        return loss + method.classification_weight * cross_entropy

    def log_density(self, images: Tensor) -> Tensor:
        """log p(x) up to a constant, -E(x) of Eq. 6."""
        return self.network(images).logsumexp(1)

    def chain(self, images: Tensor) -> Tensor:
        """The end of a Langevin chain (Eq. 8) from `images`, which stay as they are."""
        options = self.config.sampler
        samples = images.clone().requires_grad_()
        for index in range(options.steps):
            (gradient,) = torch.autograd.grad(
                self.log_density(samples).sum(), [samples], retain_graph=True
            )
            size, deviation = jem.langevin_coefficients(options, index)
            move = size * gradient
            if options.clamp_gradient:
                move = move.clamp(-options.clamp_gradient, options.clamp_gradient)
            samples.data += move + deviation * torch.randn_like(samples)
            if options.clamp:
                samples.data.clamp_(-options.clamp, options.clamp)
        return samples.detach()

    def sampler(self) -> None:
        """One chain of `sampler.steps` from the same starts each time, without the buffer."""
        self.chain(self.starts)

    def synchronize(self) -> None:
        """Waits for the device."""
        synchronize(self.device)

    def close(self) -> None:
        """It has no processes."""

    def _sample(self) -> Tensor:
        """Chains from the host's buffer, their ends stored in it again."""
        num = self.config.method.likelihood_batch_size
        self.drawn = self._draw(num)
        anew = torch.rand(num, 1, 1, 1, generator=self.generator)
        starts = torch.where(
            anew < self.config.sampler.reinitialise, self._starts(num), self.buffer[self.drawn]
        )
        samples = self.chain(starts.to(self.device))
        self.buffer[self.drawn] = samples.cpu()
        return samples

    def _draw(self, num: int) -> Tensor:
        return torch.randint(len(self.buffer), (num,), generator=self.generator)

    def _starts(self, num: int) -> Tensor:
        shape = (num, *self.images.shape[1:])
        return torch.rand(shape, generator=self.generator) * 2.0 - 1.0

    def _prepare(self, chosen: Tensor, augmentation: str) -> Tensor:
        """Images of the training set, augmented on the host, in [-1, 1] on the device."""
        images = augment_bands_first(self.images[chosen], augmentation, self.generator)
        return (images.float() / 127.5 - 1.0).to(self.device)

    def _noisy(self, images: Tensor) -> Tensor:
        noise = self.config.method.input_noise
        return images + noise * torch.randn_like(images) if noise else images
