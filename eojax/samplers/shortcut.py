"""The short cut of JEM++: Langevin updates that re-use the gradient above the first layer.

JEM++ (Yang and Ji, 2021) cuts an energy E(x) = G(s(x)) after its first layer s, as YOPO does for
adversarial training (Zhang et al., 2019). An outer step computes p = grad G at s(x), by one pass
through the whole network; the inner steps hold p and follow

    grad_x E(x) ~ (ds / dx)^T p

which costs the first layer's transpose alone.

Notes:
  Where the first layer is affine in x, as a convolution with a bias is, ds / dx is the same for
  every x. All inner steps then have one gradient, that of the outer step, and differ by clamps and
  noise only; it is computed once. Without noise, and from a start inside the samples' clamp, n
  inner steps with moves clamped to +-c are one plain step of n times the size, clamped to +-n c.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
from jax import Array


class Cut(NamedTuple):
    """An energy cut after its first layer: E(x) = energy_of_features(stem(x)).

    Attributes:
      stem: `[N, H, W, C]` to features, each image's a function of that image alone.
      energy_of_features: features to `[N]`.
      affine: whether the stem is affine, so that its transpose is the same everywhere.
    """

    stem: Callable[[Array], Array]
    energy_of_features: Callable[[Array], Array]
    affine: bool = False


def cut_gradient(cut: Cut, images: Array) -> tuple[Array, Callable[[Array], Array]]:
    """The gradient of the energy in the images, and what the inner steps take for it elsewhere.

    Returns:
      grad_x E at `images`, and the function `images -> (ds / dx)^T p` with the p found here.
    """
    features, transpose = jax.vjp(cut.stem, images)
    slopes = jax.grad(lambda f: cut.energy_of_features(f).sum())(features)
    (gradient,) = transpose(slopes)
    if cut.affine:
        return gradient, lambda _: gradient

    def nearby(moved: Array) -> Array:
        return jax.vjp(cut.stem, moved)[1](slopes)[0]

    return gradient, nearby
