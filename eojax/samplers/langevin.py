"""Stochastic gradient Langevin dynamics (Welling and Teh, 2011) on images, as one compiled loop.

"Energy-based Models in Earth Observation", Eq. 8:

    x_{i+1} = x_i - alpha / 2 * grad_x E(x_i) + eps,    eps ~ N(0, alpha)

with a step size alpha that may decay polynomially. The published code decouples the two terms:

    x_{i+1} = x_i - step_size * grad_x E(x_i) + noise * N(0, 1)

Both are here: `coupled` takes the first, with alpha = `step_size`. JEM++'s inner steps, which
re-use a gradient, come from `eojax.samplers.shortcut`. The sampler knows an energy function, not a
model: any function of arrays `[N, ...]` will do (`docs/examples/langevin.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from ml_collections import ConfigDict

from eojax.devices import target
from eojax.option import NOT_NEGATIVE, OR_INFINITE, POSITIVE, Option, at_least
from eojax.samplers import keys
from eojax.samplers.shortcut import Cut, cut_gradient

OPTIONS: dict[str, Option] = {
    'steps': Option(20, 'gradients of the energy in a chain', at_least(1), 'steps of the chain'),
    'step_size': Option(1.0, 'factor of the gradient; alpha of Eq. 8 where coupled', POSITIVE),
    'noise': Option(
        0.01, 'deviation of the noise of a step; not used where coupled', NOT_NEGATIVE,
        'of images in [-1, 1]',
    ),
    'coupled': Option(False, 'whether gradient and noise are those of Eq. 8, alpha / 2 and alpha'),
    'decay': Option(
        0.0, 'exponent of the decay of the step size over the chain; 0: constant', NOT_NEGATIVE
    ),
    'clamp': Option(
        0.0, 'bound on each pixel after a step; 0: none', OR_INFINITE, 'of images in [-1, 1]'
    ),
    'clamp_gradient': Option(
        0.0, 'bound on each element of the scaled gradient; 0: none', OR_INFINITE,
        'of images in [-1, 1]',
    ),
    'inner_steps': Option(
        1, 'updates with each gradient (JEM++); above 1 for networks with a stem', at_least(1)
    ),
}  # fmt: skip


class Langevin(NamedTuple):
    """The parameters of a chain.

    Attributes:
      steps: number of gradients of the energy, and of updates where `inner_steps` is 1.
      step_size: factor of the gradient; alpha of Eq. 8 where `coupled`.
      noise: standard deviation of the noise; not used where `coupled`.
      coupled: whether gradient and noise follow Eq. 8: alpha / 2 and variance alpha.
      decay: exponent p of the polynomial decay; update i of n has (1 - i / n)^p of the step size,
        and of the noise where `coupled`. 0 keeps it constant.
      clamp: bound on |x| after each update; 0 for none.
      clamp_gradient: bound on each element of the scaled gradient; 0 for none.
      inner_steps: updates with each gradient; more than 1 needs a `Cut`. The decay is that of the
        outer step, the noise each update's own.
    """

    steps: int = 20
    step_size: float = 1.0
    noise: float = 0.01
    coupled: bool = False
    decay: float = 0.0
    clamp: float = 0.0
    clamp_gradient: float = 0.0
    inner_steps: int = 1


class Chain(NamedTuple):
    """The result of a chain.

    Attributes:
      images: its end, float32, of the shape of its start.
      gradient_norm: mean over images and steps of ||grad_x E(x)||, inner steps not counted; it
        rises before the loss does when training is about to diverge.
    """

    images: Array
    gradient_norm: Array


def from_config(options: ConfigDict) -> Langevin:
    """The chain of the config group `sampler`."""
    return Langevin(**{key: options[key] for key in OPTIONS})


def run_chain(
    energy: Callable[[Array], Array],
    images: Array,
    key: Array,
    langevin: Langevin,
    mask: Array | None = None,
    cut: Cut | None = None,
) -> Chain:
    """Runs a chain from `images`; nothing is differentiated through it.

    Args:
      energy: `[N, H, W, C]` to `[N]`, each image's energy a function of that image alone, E(x) =
        -log p(x) up to a constant. Of other points than images `[N, ...]` to `[N]`.
      images: where the chains start, `[N, H, W, C]` or `[N, ...]`, in whatever units the energy
        takes; computed in float32, since small steps vanish in bfloat16.
      key: of the noise; or `[N]`, one for each image, whose chain then does not depend on those
        beside it.
      langevin: the parameters.
      mask: 1 where a pixel may move, 0 where it is held; broadcast to the images.
      cut: the same energy, cut after its first layer; needed where `langevin.inner_steps` is more
        than 1 and not used otherwise.

    Raises:
      ValueError: inner steps without a cut.
    """
    update = _update(energy, key, langevin, mask, cut)
    start = (images.astype(jnp.float32), jnp.zeros(len(images), jnp.float32))
    # XLA's CPU backend runs convolutions in loops without its fast path: unroll there.
    unroll: int | bool = target.platform() == 'cpu' and langevin.steps <= 32
    (images, total), _ = lax.scan(update, start, jnp.arange(langevin.steps), unroll=unroll or 1)
    return Chain(lax.stop_gradient(images), lax.stop_gradient(total).mean() / langevin.steps)


def film_chain(
    energy: Callable[[Array], Array],
    images: Array,
    key: Array,
    langevin: Langevin,
    every: int = 1,
    cut: Cut | None = None,
) -> Array:
    """The chain's course: `[1 + steps // every, N, H, W, C]`, its start first; see `run_chain`."""
    update = _update(energy, key, langevin, None, cut)
    images = images.astype(jnp.float32)

    def stretch(carry: tuple[Array, Array], first: Array) -> tuple[tuple[Array, Array], Array]:
        carry, _ = lax.scan(update, carry, first + jnp.arange(every))
        return carry, carry[0]

    firsts = jnp.arange(0, langevin.steps - every + 1, every)
    _, frames = lax.scan(stretch, (images, jnp.zeros(len(images), jnp.float32)), firsts)
    return jnp.concatenate([images[None], frames])


def _update(
    energy: Callable[[Array], Array],
    key: Array,
    langevin: Langevin,
    mask: Array | None,
    cut: Cut | None,
) -> Callable[[tuple[Array, Array], Array], tuple[tuple[Array, Array], None]]:
    """One step of `steps`: a gradient and the update, or the updates, that follow it."""
    # With respect to the image alone: no gradient of the weights is kept alive in the loop.
    gradient_of = jax.grad(lambda x: energy(x).sum())

    def update(carry: tuple[Array, Array], index: Array) -> tuple[tuple[Array, Array], None]:
        images, total = carry
        share = (1.0 - index / langevin.steps) ** langevin.decay
        step_key = keys.fold_in(key, index)
        if langevin.inner_steps == 1:
            gradient = gradient_of(images).astype(jnp.float32)
            moved = _move(images, gradient, share, step_key, langevin, mask)
        else:
            gradient, moved = _inner_steps(images, share, step_key, langevin, mask, cut)
        # Of each image: a mean here would have the devices talk in every step of a chain.
        norm = jnp.sqrt(jnp.square(gradient).sum(tuple(range(1, gradient.ndim))))
        return (moved, total + norm), None

    return update


def _inner_steps(
    images: Array,
    share: Array,
    key: Array,
    langevin: Langevin,
    mask: Array | None,
    cut: Cut | None,
) -> tuple[Array, Array]:
    """The gradient at `images`, and where the inner steps that re-use it end."""
    if cut is None:
        raise ValueError('inner steps need an energy that is cut after its first layer')
    gradient, nearby = cut_gradient(cut, images)

    def inner(number: int | Array, x: Array, gradient: Array) -> Array:
        inner_key = keys.fold_in(key, number)
        return _move(x, gradient.astype(jnp.float32), share, inner_key, langevin, mask)

    # A loop, though that of the outer steps is unrolled on the CPU: its body is small, and the
    # noise of so many unrolled updates would take long to compile.
    moved = lax.fori_loop(
        1, langevin.inner_steps, lambda i, x: inner(i, x, nearby(x)), inner(0, images, gradient)
    )
    return gradient.astype(jnp.float32), moved


def _move(
    images: Array,
    gradient: Array,
    share: Array,
    key: Array,
    langevin: Langevin,
    mask: Array | None,
) -> Array:
    """One update along a gradient of the energy; `share` is what the decay leaves of the step."""
    if langevin.coupled:  # Eq. 8
        alpha = langevin.step_size * share
        move, deviation = alpha / 2.0 * gradient, jnp.sqrt(alpha)
    else:
        move = langevin.step_size * share * gradient
        deviation = jnp.asarray(langevin.noise)
    if langevin.clamp_gradient:
        move = jnp.clip(move, -langevin.clamp_gradient, langevin.clamp_gradient)
    moved = images - move
    if langevin.coupled or langevin.noise:
        moved = moved + deviation * keys.normal(key, images.shape)
    if langevin.clamp:
        moved = jnp.clip(moved, -langevin.clamp, langevin.clamp)
    return moved if mask is None else jnp.where(mask > 0, moved, images)
