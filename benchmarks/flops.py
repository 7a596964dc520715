"""Floating-point operations of a training step, counted before anything optimises it.

XLA's `cost_analysis` counts the body of a loop once, however often it runs, so a chain is never
counted as the loop that it is: one forward and one backward pass with respect to the image is
counted and multiplied by the chain's length, and what else the step does is counted with a chain
of one update. Counted is the program before optimisation, in which no library call hides a
convolution, as lowered for the CPU, since not every accelerator's backend counts; and with XLA's
own convolutions, since those of `eojax.models.convolution` on the CPU do other arithmetic.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from jax import random
from ml_collections import ConfigDict

from eojax import models
from eojax.data.facts import IMAGES, Facts, Raster
from eojax.errors import UserError
from eojax.feed.streams import Stream
from eojax.methods import METHODS
from eojax.methods.joint.energy import energy_of
from eojax.methods.joint.pixel_energy import local_density, pixel_energy, window_log_density
from eojax.methods.method import Phase, Task
from eojax.models import convolution

# A metric that steps with chains have, and no others.
CHAINS = 'sampler_gradient'


class StepFlops(NamedTuple):
    """Operations of a training step.

    Attributes:
      chain: of one update of all chains; 0 without a sampler.
      updates: how many updates a chain has; 0 without a sampler.
      training: of all the rest: the loss, its gradient, the optimiser.
    """

    chain: float
    updates: int
    training: float

    @property
    def total(self) -> float:
        return self.chain * self.updates + self.training


def step_flops(
    config: ConfigDict,
    image_shape: tuple[int, int, int],
    num_classes: int,
    phase: int = -1,
    source_shape: tuple[int, int, int] | None = None,
    beside: Mapping[str, Raster] = MappingProxyType({}),
) -> StepFlops:
    """Counts the step of a phase of a config; nothing is computed or allocated.

    Args:
      config: complete; its data are not read.
      image_shape: height, width, bands.
      phase: its number; the last by default, which is the one with chains.
      source_shape: of the source's images, for methods that learn from two data sets.
      beside: rasters that the data have beside the images.
    """
    short = config.copy_and_resolve_references()
    sampled = 'sampler' in config
    if sampled:
        # Where chains start is no part of the network's work, and needs no data this way.
        short.sampler.update({'steps': 1, 'start': 'uniform'})
    facts = Facts(
        class_names=tuple(str(number) for number in range(num_classes)),
        rasters={**beside, IMAGES: Raster(tuple(str(band) for band in range(image_shape[2])))},
        label=METHODS[config.method.name].labels[0],
        size=image_shape[:2],
    )
    shapes = {'data': image_shape, 'source': source_shape or image_shape}
    task = Task(
        facts,
        image_shape,
        num_training=1,
        label_counts=(1,) * num_classes,
        source=facts if source_shape else None,
        source_shape=source_shape,
    )
    method = METHODS[config.method.name].build(short, task)
    number = phase % len(method.phases)
    chosen = method.phases[number]
    batch = {
        name: _batch(stream, shapes[stream.data], facts) for name, stream in chosen.streams.items()
    }
    key = random.key(0)
    with plain_convolutions():
        state = jax.eval_shape(method.init, key, batch, method.fitted)
        for earlier in method.phases[1 : number + 1]:
            state = state if earlier.begin is None else jax.eval_shape(earlier.begin, state)
        whole = counted(lambda s, b: chosen.step(s, b, key), state, batch)
        if not (sampled and _has_chains(chosen, state, batch, key)):
            return StepFlops(0.0, 0, whole)
        chain = _chain_update(config, image_shape, num_classes, state)
    return StepFlops(chain, config.sampler.steps, whole - chain)


def _has_chains(phase: Phase, state: Any, batch: Any, key: jax.Array) -> bool:
    """Whether a phase of a method with a sampler samples: its metrics tell of the chains."""
    _, metrics = jax.eval_shape(phase.step, state, batch, key)
    return CHAINS in metrics


def _chain_update(
    config: ConfigDict, image_shape: tuple[int, int, int], num_classes: int, state: Any
) -> float:
    """One forward and one backward pass with respect to the image, of all chains."""
    by_pixels = METHODS[config.method.name].labels[0] == 'pixel'
    energy = _energy_of_pixels(config, num_classes) if by_pixels else _energy(config, num_classes)
    num, size = _chains(config, image_shape)

    def gradient(parameters: Any, statistics: Any, images: jax.Array) -> jax.Array:
        return jax.grad(lambda x: energy(parameters, statistics, x).sum())(images)

    images = jax.ShapeDtypeStruct((num, *size, image_shape[2]), jnp.float32)
    return counted(gradient, state.trained.parameters, state.trained.statistics, images)


def _chains(config: ConfigDict, image_shape: tuple[int, int, int]) -> tuple[int, tuple[int, int]]:
    """How many chains there are, and the height and width of their images."""
    method = config.method
    if 'chain_window' not in method:
        return method.likelihood_batch_size, image_shape[:2]
    side = method.chain_window or method.window
    return method.unlabelled_ratio * config.batch_size, (side, side)


def _energy(config: ConfigDict, num_classes: int) -> Callable[[Any, Any, jax.Array], jax.Array]:
    """E(x) of images."""
    network = models.build(config.model, num_classes)
    return lambda parameters, statistics, images: energy_of(network, parameters, statistics, None)(
        images
    )


def _energy_of_pixels(
    config: ConfigDict, num_classes: int
) -> Callable[[Any, Any, jax.Array], jax.Array]:
    """E(X) of windows."""
    method = config.method
    energy = pixel_energy(
        models.build(config.model, num_classes + (method.density == 'head')),
        method.density,
        local_density(method.density_width, method.density_depth),
    )
    return lambda *given: -window_log_density(energy.shares(*given), method.energy_scale)


def _batch(
    stream: Stream, image_shape: tuple[int, int, int], facts: Facts
) -> dict[str, jax.ShapeDtypeStruct]:
    height, width, bands = image_shape
    if stream.window is not None:
        height = width = stream.window
    num = stream.batch_size
    index = jax.ShapeDtypeStruct((num,), jnp.int32)
    shape = (num, height, width) if facts.label == 'pixel' else (num,)
    labels = jax.ShapeDtypeStruct(shape, jnp.int32)
    rasters = {}
    for name in stream.rasters:
        last = bands if name == IMAGES else len(facts.rasters[name].bands)
        rasters[name] = jax.ShapeDtypeStruct((num, height, width, last), jnp.float32)
    return {**rasters, 'labels': labels, 'truth': labels, 'index': index}


def counted(function: Callable[..., Any], *shapes: Any) -> float:
    """Operations of a function of arrays of these shapes; a loop's body counts once."""
    with jax.default_device(counting_device()):
        analysis = jax.jit(function).lower(*shapes).cost_analysis()
    assert analysis is not None  # the CPU's backend has one
    return float(analysis['flops'])


def counting_device() -> jax.Device:
    """The CPU, which jax has beside an accelerator.

    Raises:
      UserError: it was told not to.
    """
    try:
        return jax.devices('cpu')[0]
    except RuntimeError as error:
        raise UserError(
            "operations are counted on jax's CPU backend, which JAX_PLATFORMS leaves out:"
            f' set JAX_PLATFORMS={jax.default_backend()},cpu'
        ) from error


@contextlib.contextmanager
def plain_convolutions() -> Iterator[None]:
    """Traces XLA's convolutions and their own derivatives on the CPU too."""
    with mock.patch.object(convolution, '_convolution_cpu', convolution._convolution_xla):
        yield


def wide_resnet_convolutions(depth: int, width: int, size: int, bands: int) -> tuple[float, float]:
    """Operations of the convolutions of a Wide-ResNet's forward pass for one image, by formula.

    A product and a sum are two operations; taps that fall on the zero padding are none.

    Returns:
      Of all convolutions, and of the first alone (whose gradient with respect to the image no
      training pass needs).
    """
    stem = _convolution_flops(size, 3, 1, bands, 16)
    total, channels = stem, 16
    for group, features in enumerate((16 * width, 32 * width, 64 * width)):
        for block in range((depth - 4) // 6):
            stride = 2 if group and not block else 1
            if channels != features or stride != 1:
                total += _convolution_flops(size, 1, stride, channels, features)
            total += _convolution_flops(size, 3, stride, channels, features)
            size, channels = size // stride, features
            total += _convolution_flops(size, 3, 1, features, features)
    return total, stem


def unet_convolutions(
    width: int, depth: int, size: int, bands: int, outputs: int
) -> tuple[float, float]:
    """Operations of the convolutions of a U-Net's forward pass for one image, by formula.

    Args:
      size: side of the image, a multiple of 2^depth.
      outputs: for each pixel.

    Returns:
      Of all convolutions, and of the first alone, as `wide_resnet_convolutions`.
    """
    first = _convolution_flops(size, 3, 1, bands, width)
    total = first + 2.0 * size**2 * width * outputs  # and the head
    for level in range(depth + 1):
        side, features = size // 2**level, 2**level * width
        if level:
            total += _convolution_flops(side, 3, 1, features // 2, features)
        total += _convolution_flops(side, 3, 1, features, features)
        if level < depth:  # of the decoder, behind what doubles the sides
            total += 2.0 * side**2 * 2 * features * features
            total += _convolution_flops(side, 3, 1, 2 * features, features)
            total += _convolution_flops(side, 3, 1, features, features)
    return total, first


def _convolution_flops(size: int, kernel: int, stride: int, channels: int, features: int) -> float:
    """Of one convolution of a square image, zero-padded by half the kernel."""
    half = kernel // 2
    centres = np.arange(0, size, stride)[:, None] + np.arange(-half, half + 1)
    taps = int(((centres >= 0) & (centres < size)).sum())
    return 2.0 * taps**2 * channels * features
