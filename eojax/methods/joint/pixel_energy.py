"""Energies and densities of the outputs of a segmentation network, pixel by pixel.

"Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
2022), section 4.5, for a network f that gives K outputs for each pixel i of an image X:

    p(X, Y) = exp(sum_i f_i(X)[Y_i]) / Z                                    (Eq. 4.15)
    E(X, Y) = -sum_i f_i(X)[Y_i]
    E(X) = -log prod_i sum_k exp(f_i(X)[k]) = -sum_i LSE_i(X)               (Eq. 4.19)

Notes:
  Each f_i sees all of X that lies in its field of view, so LSE_i is the share of pixel i in
  log p(X) + log Z, and no density of that pixel. The model knows the sum alone: another network
  with the same sums and other shares is the same p(X). What keeps a share near its pixel is the
  field of view of the network that it is read from; `DENSITIES` are three of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax, random

from eojax.models.convolution import Convolution
from eojax.models.model import Network, from_linen

# Where the density of a pixel is read from:
#   logits: LSE_i of the K outputs, as in the thesis;
#   head: an output more, h_i, added to log p(Y_i|X), so that LSE_i is h_i;
#   local: the same, but h_i comes from a small network of its own that sees few pixels.
DENSITIES = ('logits', 'head', 'local')
# The energy of a window: minus the sum over its pixels (Eq. 4.19), or minus their mean.
SCALES = ('sum', 'mean')


def pixel_log_density(logits: Array) -> Array:
    """LSE_i `[N, h, w]` of outputs `[N, h, w, K]`: what each pixel adds to log p(X) + log Z."""
    return jax.nn.logsumexp(logits, axis=-1)


def averaged(shares: Array, side: int) -> Array:
    """The mean of the shares over `side` x `side` pixels around each, `[N, h, w]`.

    It hands shares on to neighbours, which leaves their sum, and so the model, as it is; but for
    the border, where there are none and values are repeated. Shares that lie on one side of every
    edge, as those of a network do that was trained on their sum, then lie on the edge.

    Args:
      side: odd.
    """
    if side == 1:
        return shares
    beyond = jnp.pad(shares, ((0, 0), (side // 2,) * 2, (side // 2,) * 2), 'edge')
    ones = (1, side, side)
    return lax.reduce_window(beyond, 0.0, lax.add, ones, (1, 1, 1), 'VALID') / side**2


def window_log_density(shares: Array, scale: str, valid: Array | None = None) -> Array:
    """log p(X) up to log Z of windows, `[N]`.

    Args:
      shares: LSE_i, `[N, h, w]`.
      scale: `sum` for Eq. 4.19. `mean` for the tempered model p(X)^(1/hw), whose gradient in a
        pixel does not depend on the size of the window but falls with it.
      valid: bool `[N, h, w]`, the pixels that show a measurement, of which X is made; None: all.
    """
    if valid is not None:
        total = jnp.where(valid, shares, 0.0).sum((1, 2))
        return total if scale == 'sum' else total / jnp.maximum(valid.sum((1, 2)), 1)
    return shares.sum((1, 2)) if scale == 'sum' else shares.mean((1, 2))


class PixelEnergy(NamedTuple):
    """A network as p(X, Y); nothing in here changes.

    Attributes:
      network: of f, `[N, h, w, K]`.
      shares: `(parameters, statistics, images) -> [N, h, w]`, LSE_i of f without what it does not
        depend on.
    """

    network: Network
    shares: Callable[[Any, Any, Array], Array]


def pixel_energy(network: Network, density: str, local: Network) -> PixelEnergy:
    """The model whose density is read where `density` says.

    Args:
      network: of K outputs a pixel, or of K + 1 where the density is its `head`.
      local: of the density alone, `[N, h, w]`, where it is `local`.
    """
    if density == 'logits':
        return PixelEnergy(network, lambda *given: pixel_log_density(network.apply(*given)))
    return _with_head(network) if density == 'head' else _with_local(network, local)


def _f(outputs: Array, shares: Array) -> Array:
    """f whose softmax is that of the outputs, and whose log-sum-exp the shares."""
    return jax.nn.log_softmax(outputs) + shares[..., None]


def _with_head(network: Network) -> PixelEnergy:
    def apply(parameters: Any, statistics: Any, *inputs: Array) -> Array:
        outputs = network.apply(parameters, statistics, *inputs)
        return _f(outputs[..., :-1], outputs[..., -1])

    def train(parameters: Any, statistics: Any, *inputs: Array, key: Array) -> Any:
        outputs, new = network.train(parameters, statistics, *inputs, key=key)
        return _f(outputs[..., :-1], outputs[..., -1]), new

    def shares(parameters: Any, statistics: Any, images: Array) -> Array:
        share: Array = network.apply(parameters, statistics, images)[..., -1]
        return share

    return PixelEnergy(network._replace(apply=apply, train=train, stem=None, trunk=None), shares)


def _with_local(network: Network, local: Network) -> PixelEnergy:
    def init(key: Array, *inputs: Array) -> tuple[Any, Any]:
        key_classes, key_density = random.split(key)
        classes, statistics = network.init(key_classes, *inputs)
        return {'classes': classes, 'density': local.init(key_density, *inputs)[0]}, statistics

    def apply(parameters: Any, statistics: Any, *inputs: Array) -> Array:
        outputs = network.apply(parameters['classes'], statistics, *inputs)
        return _f(outputs, shares(parameters, statistics, *inputs))

    def train(parameters: Any, statistics: Any, *inputs: Array, key: Array) -> Any:
        outputs, new = network.train(parameters['classes'], statistics, *inputs, key=key)
        return _f(outputs, shares(parameters, statistics, *inputs)), new

    def shares(parameters: Any, statistics: Any, images: Array) -> Array:
        share: Array = local.apply(parameters['density'], {}, images)
        return share

    def features(parameters: Any, statistics: Any, *inputs: Array) -> Array:
        assert describe is not None
        return describe(parameters['classes'], statistics, *inputs)

    describe = network.features
    model = network._replace(init=init, apply=apply, train=train, stem=None, trunk=None)
    return PixelEnergy(model if describe is None else model._replace(features=features), shares)


def local_density(width: int, depth: int) -> Network:
    """A small network of one number for each pixel, `[N, h, w]`; see `LocalDensity`."""
    return from_linen(LocalDensity(width, depth), per_image=True)


class LocalDensity(nn.Module):
    """Convolutions of 3 x 3 with swish: a pixel sees 2 (depth + 1) + 1 pixels on a side.

    Beyond a window's border each layer sees the values at the border again: zeros there would be an
    edge that no image has, and a frame of low density in every window.

    Attributes:
      width: features of each.
      depth: convolutions after the first.
    """

    width: int
    depth: int

    @nn.compact
    def __call__(self, images: Array, train: bool = False) -> Array:
        def layer(x: Array, name: str) -> Array:
            beyond = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), 'edge')
            return jax.nn.swish(Convolution(self.width, 3, name=name)(beyond)[:, 1:-1, 1:-1])

        x = layer(images, 'stem')
        for number in range(self.depth):
            x = x + layer(x, f'layer{number + 1}')
        # A flat density at first.
        zeros = nn.initializers.zeros_init()
        return nn.Dense(1, use_bias=False, kernel_init=zeros, name='head')(x)[..., 0]
