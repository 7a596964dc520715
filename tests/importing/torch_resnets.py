"""ResNets in PyTorch's layout without torch: random tensors by torchvision's names, and their sums.

Written from torchvision's names and the paper's Table 1 alone, in [N, C, H, W] and [out, in, h, w];
nothing of eojax is in it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
Tensors = dict[str, np.ndarray]


def random_tensors(
    depth: int, width: int = 4, bands: int = 3, classes: int = 5, stem: int = 7, seed: int = 0
) -> Tensors:
    """A state dict with random weights and running statistics."""
    random = np.random.default_rng(seed)
    tensors: Tensors = {}

    def convolution(name: str, after: int, before: int, side: int) -> None:
        scale = np.sqrt(2.0 / (before * side * side))
        kernel = scale * random.standard_normal((after, before, side, side))
        tensors[f'{name}.weight'] = kernel.astype(np.float32)

    def norm(name: str, features: int) -> None:
        for leaf, low, high in (
            ('weight', 0.5, 1.0), ('bias', -0.1, 0.1), ('running_mean', -0.1, 0.1),
            ('running_var', 1.0, 2.0),
        ):  # fmt: skip
            values = random.uniform(low, high, features)
            tensors[f'{name}.{leaf}'] = values.astype(np.float32)
        tensors[f'{name}.num_batches_tracked'] = np.array(3, np.int64)

    convolution('conv1', width, bands, stem)
    norm('bn1', width)
    before = width
    for group, count in enumerate(BLOCKS[depth]):
        features = width * 2**group
        last = features * (4 if depth == 50 else 1)
        for block in range(count):
            name = f'layer{group + 1}.{block}'
            sides = ((features, 1), (features, 3), (last, 1)) if depth == 50 else (
                (features, 3), (features, 3))  # fmt: skip
            inside = before
            for number, (after, side) in enumerate(sides, 1):
                convolution(f'{name}.conv{number}', after, inside, side)
                norm(f'{name}.bn{number}', after)
                inside = after
            if before != last or (group > 0 and block == 0):
                convolution(f'{name}.downsample.0', last, before, 1)
                norm(f'{name}.downsample.1', last)
            before = last
    tensors['fc.weight'] = random.standard_normal((classes, before)).astype(np.float32)
    tensors['fc.bias'] = random.standard_normal(classes).astype(np.float32)
    return tensors


def logits(tensors: Tensors, images: np.ndarray) -> jax.Array:
    """The logits of images `[N, bands, H, W]` as the network's first layer takes them."""

    def convolve(x, name: str, stride: int = 1):
        kernel = tensors[f'{name}.weight']
        half = kernel.shape[-1] // 2
        return lax.conv_general_dilated(x, kernel, (stride, stride), ((half, half),) * 2)

    def norm(x, name: str):
        values = (tensors[f'{name}.{leaf}'] for leaf in (
            'weight', 'bias', 'running_mean', 'running_var'))  # fmt: skip
        scale, bias, mean, var = (v[:, None, None] for v in values)
        return (x - mean) / jnp.sqrt(var + 1e-5) * scale + bias

    def relu(x):
        return jnp.maximum(x, 0.0)

    large = tensors['conv1.weight'].shape[-1] == 7
    x = relu(norm(convolve(jnp.asarray(images), 'conv1', 2 if large else 1), 'bn1'))
    if large:
        x = lax.reduce_window(
            x, -jnp.inf, lax.max, (1, 1, 3, 3), (1, 1, 2, 2), ((0, 0), (0, 0), (1, 1), (1, 1))
        )
    for group in range(1, 5):
        block = 0
        while f'layer{group}.{block}.conv1.weight' in tensors:
            name = f'layer{group}.{block}'
            stride = 2 if group > 1 and block == 0 else 1
            last = 3 if f'{name}.conv3.weight' in tensors else 2
            y = x
            for number in range(1, last + 1):  # the stride is in the first 3 x 3
                here = stride if number == last - 1 else 1
                y = norm(convolve(y, f'{name}.conv{number}', here), f'{name}.bn{number}')
                y = relu(y) if number < last else y
            if f'{name}.downsample.0.weight' in tensors:
                x = norm(convolve(x, f'{name}.downsample.0', stride), f'{name}.downsample.1')
            x = relu(x + y)
            block += 1
    return x.mean((2, 3)) @ tensors['fc.weight'].T + tensors['fc.bias']
