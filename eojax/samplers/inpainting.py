"""Missing pixels drawn from an energy, given the known ones, which are held exactly.

Two ways, both in parallel over images and chains:

`eojax.samplers.langevin.run_chain` with a mask is the plain one ("Classification and Generation of
Earth Observation Images Using a Joint Energy-Based Model", Sec. 3.4).

`inpaint` draws from a stationary Gaussian texture tilted by the energy,

    pi(x_m | x_k) ~ N(x_m | x_k) exp(-w E(x)),     m missing, k known.

The first factor knows how neighbouring pixels go together, which is most of what fills small holes,
and it is exact: with the precision P of the texture, x_m | x_k is Gaussian with the covariance
P_mm^-1 and the mean mu_m - P_mm^-1 P_mk (x_k - mu_k). P is diagonal in frequency, so P_mm is solved
by conjugate gradients; a sample is a free texture corrected by the mean of what it misses at the
known pixels (Journel's conditioning by kriging). The chain leaves the first factor untouched
whatever its step is (Cotter et al., "MCMC Methods for Functions: Modifying Old Algorithms to Make
Them Faster", 2013, the preconditioned Crank-Nicolson Langevin proposal, without its rejections):

    x' = m + r (x - m) + sqrt(1 - r^2) xi - (1 - r) w P_mm^-1 grad E(x),   xi ~ N(0, P_mm^-1)

Notes:
  Images differ in contrast: the texture's covariance is scaled, image by image, to what the known
  pixels show, q / n of the n known values' squared Mahalanobis distance q. The mean does not depend
  on it; the spread and the step along the energy's gradient do.
  A stationary Gaussian is periodic, images are not: it may be larger than they are (`margin` of
  `eojax.samplers.starts.fit_stationary_gaussian`), and what lies between one border and the other
  is missing too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax, random

from eojax.samplers.starts import StationaryGaussian

Filter = Callable[[Array], Array]
# From this share of missing neighbours of missing pixels on, they are holes rather than specks.
_HOLES = 0.65
# Of the squared residual, below which float32 has no more to gain.
_SOLVED = 1e-10


class Inpainting(NamedTuple):
    """The parameters of `inpaint`.

    Attributes:
      steps: gradients of the energy; 0 leaves the texture alone.
      keep: r, in [0, 1): what a step keeps of the last state.
      weight: w of the energy.
      noise: 1 for samples; 0 for the end that a chain without noise comes to.
      floor: variance of the white noise that the texture has on top, in squared units of the
        images: quantisation and compression. It bounds the condition of P.
      solver_steps: of conjugate gradients, each time.
    """

    steps: int = 8
    keep: float = 0.7
    weight: float = 1.0
    noise: float = 1.0
    floor: float = 3e-5
    solver_steps: int = 40


class Conditioned(NamedTuple):
    """A texture given the known pixels of each image.

    Attributes:
      mean: `[N, H + margin, W + margin, C]`: known pixels, and the conditional mean of the others.
      scale: `[N, 1, 1, 1]`: of the images' own covariance to the texture's.
      solve: an array of the mean's shape to P_mm^-1 of it, 0 at known pixels.
      draw: white noise of the mean's shape to a sample of N(0, P_mm^-1) (not scaled), and P_mm^-1
        of a second array on top, for one solution instead of two.
      size: height and width of the images.
    """

    mean: Array
    scale: Array
    solve: Filter
    draw: Callable[..., Array]
    size: tuple[int, int]

    def images(self, moved: Array | float = 0.0) -> Array:
        """The mean and what is added to it, without the margin: `[N, H, W, C]`."""
        return (self.mean + moved)[:, : self.size[0], : self.size[1]]


def condition(
    texture: StationaryGaussian,
    labels: Array,
    images: Array,
    masks: Array,
    options: Inpainting,
) -> Conditioned:
    """The Gaussian of missing pixels given the known ones.

    Args:
      texture: of windows of the images' size or larger; what is beyond the images is missing.
      labels: int32 `[N]`, the texture's class for each image.
      images: float32 `[N, H, W, C]`; what stands at missing pixels is not read.
      masks: `[N, H, W, 1]`, 1 where missing; not all of an image.
      options: `floor` and `solver_steps` are used.
    """
    filters, (height, width, bands) = texture.filters, images.shape[1:]
    beyond = (filters.shape[1] - height, filters.shape[2] - width)
    margin = ((0, 0), (0, beyond[0]), (0, beyond[1]), (0, 0))
    images, masks = jnp.pad(images, margin), jnp.pad(masks, margin, constant_values=1)
    density = jnp.einsum('khwab,khwcb->khwac', filters, filters.conj(), precision='highest')
    density += options.floor * jnp.eye(bands)
    values, vectors = jnp.linalg.eigh(density)

    def power(exponent: float) -> Array:
        scaled = values[..., None, :] ** exponent * vectors
        made = jnp.einsum('khwab,khwcb->khwac', scaled, vectors.conj(), precision='highest')
        return made[labels]

    inverse = power(-1.0)
    root, covariance, precision = _filter(power(0.5)), _filter(power(1.0)), _filter(inverse)
    missing = masks.astype(jnp.float32)
    mean = texture.mean[labels][:, None, None]
    alone = jnp.linalg.inv(inverse.mean((1, 2)).real)
    holes = _share_of_missing_neighbours(missing) > _HOLES

    def nearly_solve(values: Array) -> Array:
        """Near P_mm^-1 in large holes: C_mm; at pixels far apart: the inverse of P's diagonal."""
        apart = jnp.einsum('nab,nhwb->nhwa', alone, values, precision='highest')
        return missing * jnp.where(holes, covariance(values), apart)

    def solve(values: Array) -> Array:
        return _conjugate_gradients(
            lambda v: missing * precision(v), nearly_solve, missing * values, options.solver_steps
        )

    def draw(white: Array, force: Array | float = 0.0) -> Array:
        free = root(white)
        return missing * free + solve(precision((1.0 - missing) * free) + force)

    filled = jnp.where(missing > 0, mean, images)
    filled = filled - solve(precision((1.0 - missing) * (filled - mean)))
    centred = filled - mean
    distance = (centred * precision(centred)).sum((1, 2, 3))
    scale = distance / jnp.maximum((1.0 - missing).sum((1, 2, 3)) * bands, 1.0)
    return Conditioned(filled, scale[:, None, None, None], solve, draw, (height, width))


def inpaint(
    energy: Callable[[Array], Array],
    given: Conditioned,
    keys: Array,
    signs: Array,
    options: Inpainting,
) -> Array:
    """The ends of chains on the missing pixels, `[N, H, W, C]`; nothing is differentiated through.

    Args:
      energy: `[N, H, W, C]` to `[N]`, each image's a function of that image alone.
      given: where chains begin, and what they keep to.
      keys: `[N]`, of each chain's noise: a chain does not depend on those beside it.
      signs: `[N]`, 1 or -1, of the noise. The mean of two chains with one key and opposite signs
        is free of the noise where the energy is flat.
      options: of the chain.
    """
    slope = jax.grad(lambda moved: energy(given.images(moved)).sum())
    shape = given.mean.shape[1:]
    deviation = options.noise * jnp.sqrt(given.scale) * signs[:, None, None, None]

    def white(step: Array | int) -> Array:
        return jax.vmap(lambda k: random.normal(random.fold_in(k, step), shape))(keys)

    fresh = jnp.sqrt(1.0 - options.keep**2)
    push = (1.0 - options.keep) * options.weight

    def update(moved: Array, step: Array) -> tuple[Array, None]:
        gradient = slope(moved).astype(jnp.float32)
        force = -push * given.scale * gradient
        if options.noise:
            change = given.draw(fresh * deviation * white(step + 1), force)
        else:
            change = given.solve(force)
        return options.keep * moved + change, None

    moved = deviation * given.draw(white(0)) if options.noise else jnp.zeros_like(given.mean)
    moved, _ = lax.scan(update, moved, jnp.arange(options.steps))
    return lax.stop_gradient(given.images(moved))


def _filter(response: Array) -> Filter:
    """Real images `[N, H, W, C]` filtered by responses `[N, H, W, C, C]` over frequencies.

    The responses are those of real filters, so that half of the frequencies tell all. The Fourier
    transform is made of matrices: XLA's own stops where several CPU devices share their threads,
    and gathers what is split over devices.
    """
    height, width = response.shape[1:3]
    half = response[:, :, : width // 2 + 1]
    rows = np.fft.fft(np.eye(height), norm='ortho')
    columns = np.fft.rfft(np.eye(width), norm='ortho')
    # From half of the frequencies back: all but the first, and the last of an even width, count
    # twice.
    twice = np.full(width // 2 + 1, 2.0)
    twice[0] = 1.0
    if width % 2 == 0:
        twice[-1] = 1.0
    back = (columns.conj() * twice).T

    # Bands before pixels, `[N, C, H, W]`, and complex numbers as pairs of real ones: the products
    # are then of large real matrices. One of small matrices at each frequency would be a call for
    # each of them on a CPU.
    half = half.transpose(0, 3, 4, 2, 1)

    def product(values: Array, matrix: np.ndarray) -> Array:
        return jnp.matmul(values, jnp.asarray(matrix, jnp.float32), precision='highest')

    def turned(values: Array) -> Array:
        return values.swapaxes(2, 3)

    def apply(images: Array) -> Array:
        bands_first = images.transpose(0, 3, 1, 2)
        real = turned(product(bands_first, columns.real))
        imaginary = turned(product(bands_first, columns.imag))
        waves = lax.complex(
            product(real, rows.real) - product(imaginary, rows.imag),
            product(real, rows.imag) + product(imaginary, rows.real),
        )
        waves = (half * waves[:, None]).sum(2)
        real = product(waves.real, rows.real) + product(waves.imag, rows.imag)
        imaginary = product(waves.imag, rows.real) - product(waves.real, rows.imag)
        filtered = product(turned(real), back.real) - product(turned(imaginary), back.imag)
        return filtered.transpose(0, 2, 3, 1)

    return apply


def _share_of_missing_neighbours(missing: Array) -> Array:
    """Of the four neighbours of missing pixels, `[N, 1, 1, 1]`."""
    beside = sum(jnp.roll(missing, by, axis) for by in (-1, 1) for axis in (1, 2)) / 4.0
    total = jnp.maximum(missing.sum((1, 2, 3), keepdims=True), 1.0)
    return (missing * beside).sum((1, 2, 3), keepdims=True) / total


def _conjugate_gradients(
    matrix: Filter, nearly_inverse: Filter, target: Array, steps: int
) -> Array:
    """Solves `matrix(x) = target` for each image by itself; both maps are positive definite.

    An image that is solved stays as it is while others are not; the loop ends with the last one.
    """

    def dot(a: Array, b: Array) -> Array:
        return (a * b).sum((1, 2, 3), keepdims=True)

    def over(a: Array, b: Array) -> Array:
        return jnp.where(b > 0, a / jnp.where(b > 0, b, 1.0), 0.0)

    first = nearly_inverse(target)
    enough = _SOLVED * dot(target, first)

    def step(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        number, solution, residual, direction, product = carry
        image = matrix(direction)
        length = jnp.where(product > enough, over(product, dot(direction, image)), 0.0)
        solution, residual = solution + length * direction, residual - length * image
        preconditioned = nearly_inverse(residual)
        new = dot(residual, preconditioned)
        return number + 1, solution, residual, preconditioned + over(new, product) * direction, new

    def go_on(carry: tuple[Array, ...]) -> Array:
        return (carry[0] < steps) & (carry[-1] > enough).any()

    carry: tuple[Array, ...] = (
        jnp.int32(0), jnp.zeros_like(target), target, first, dot(target, first),
    )  # fmt: skip
    return lax.while_loop(go_on, step, carry)[1]
