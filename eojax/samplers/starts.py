"""Where chains begin: uniform noise, or Gaussian textures fitted to the training images.

The papers start at U(-1, 1). JEM++ (Yang and Ji, 2021) starts at a Gaussian fitted to each class,
whose covariance at 64 x 64 x 3 would take 600 MB a class. Satellite patches are nearly stationary:
what they show does not depend on where in the patch it lies. A stationary Gaussian is diagonal in
frequency, so its covariance is one 3 x 3 matrix a frequency, and a sample is filtered white noise:
the class's colours, contrast and texture at full resolution, without its shapes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random

from eojax.data.facts import Limits
from eojax.data.reading.lazy_images import Images
from eojax.data.value_range import scale_to_unit
from eojax.option import SHARE, Option, one_of
from eojax.samplers.keys import normal, uniform

OPTIONS: dict[str, Option] = {
    'start': Option(
        'uniform', 'where chains begin: noise, or textures fitted to training images',
        one_of('uniform', 'gaussian'),
    ),
    'start_by_class': Option(True, 'whether each class has a texture, for start gaussian'),
    'start_uniform_share': Option(
        0.0, 'share of chains that begin at noise all the same, for start gaussian', SHARE
    ),
}  # fmt: skip


class StationaryGaussian(NamedTuple):
    """A stationary Gaussian for each class, periodic at the patch's borders.

    Attributes:
      mean: float32 `[classes, bands]`.
      filters: complex64 `[classes, H, W, bands, bands]`, a square root of the spectral density.
    """

    mean: Any
    filters: Any


def fit_stationary_gaussian(
    images: Images,
    labels: np.ndarray,
    num_classes: int,
    by_class: bool,
    limits: Limits | None = None,
    margin: int = 0,
) -> StationaryGaussian:
    """Fits mean and spectral density, from at most 2,000 images a class, evenly spread.

    It reads images and computes on the host: do it once, before training.

    Args:
      images: `[N, H, W, bands]`; of those on disk, no others are read.
      labels: int `[N]`, -1 where unknown.
      by_class: one Gaussian a class, from its labelled images; a class with fewer than 20 takes
        the Gaussian of all images, as all do where this is false.
      limits: of the data set, where images are not uint8.
      margin: pixels by which the period is larger than the images, which need not go on at the
        opposite border then.

    Returns:
      NumPy arrays.

    Raises:
      UserError: an image on disk that cannot be read, by name.
    """
    fits = [_fit(images, np.arange(len(labels)), limits, margin)] * num_classes
    if by_class:
        for label in range(num_classes):
            chosen = np.flatnonzero(labels == label)
            if len(chosen) >= 20:
                fits[label] = _fit(images, chosen, limits, margin)
    means, filters = zip(*fits, strict=True)
    return StationaryGaussian(np.stack(means), np.stack(filters))


def gaussian_shapes(num_classes: int, image_shape: tuple[int, int, int]) -> StationaryGaussian:
    """Shapes and types of what `fit_stationary_gaussian` returns for images without a margin."""
    height, width, bands = image_shape
    return StationaryGaussian(
        jax.ShapeDtypeStruct((num_classes, bands), jnp.float32),
        jax.ShapeDtypeStruct((num_classes, height, width, bands, bands), jnp.complex64),
    )


def _fit(
    images: Images,
    indices: np.ndarray,
    limits: Limits | None,
    margin: int,
    at_most: int = 2000,
) -> tuple[np.ndarray, np.ndarray]:
    chosen = scale_to_unit(images[indices[:: -(-len(indices) // at_most)]], limits)
    mean = chosen.mean((0, 1, 2))
    # A window, since the jump from one border to the other would leave a cross in the spectrum.
    window = np.hanning(images.shape[1] + 2)[1:-1, None] * np.hanning(images.shape[2] + 2)[1:-1]
    levels = chosen.mean((1, 2), keepdims=True)
    window = (window / np.sqrt(np.square(window).mean()))[..., None]
    # In units in which white noise of variance 1 has the density 1, whatever the margin is.
    height, width = images.shape[1:3]
    period = (height + margin, width + margin)
    waves = np.fft.fft2((chosen - levels) * window, period, axes=(1, 2)) / np.sqrt(height * width)
    # The window would take the level of each patch to its neighbouring frequencies: put back apart.
    waves[:, 0, 0] = (levels[:, 0, 0] - mean) * np.sqrt(period[0] * period[1])
    density = np.einsum('nhwa,nhwb->hwab', waves, waves.conj()) / len(chosen)
    values, vectors = np.linalg.eigh(density)
    roots = np.sqrt(np.maximum(values, 0.0))
    root = np.einsum('hwab,hwb,hwcb->hwac', vectors, roots, vectors.conj())
    return mean.astype(np.float32), root.astype(np.complex64)


def sample_stationary_gaussian(gaussian: StationaryGaussian, key: Array, labels: Array) -> Array:
    """Float32 `[N, H, W, bands]` in [-1, 1] (clipped): filtered white noise."""
    _, height, width, bands, _ = gaussian.filters.shape
    white = normal(key, (labels.shape[0], height, width, bands))
    waves = _fourier(white)
    filtered = jnp.einsum('nhwab,nhwb->nhwa', gaussian.filters[labels], waves)
    texture = _fourier(filtered, inverse=True).real
    return jnp.clip(texture + gaussian.mean[labels][:, None, None], -1.0, 1.0)


def _fourier(images: Array, inverse: bool = False) -> Array:
    """The orthonormal two-dimensional Fourier transform of `[N, H, W, bands]`, complex64.

    By matrices: XLA's own gathers all images on every device that holds a part of them.
    """
    rows, columns = (
        np.fft.fft(np.eye(size), norm='ortho').astype(np.complex64) for size in images.shape[1:3]
    )
    if inverse:
        rows, columns = rows.conj(), columns.conj()
    across = jnp.einsum('nhwb,wv->nhvb', images.astype(np.complex64), columns, precision='highest')
    return jnp.einsum('nhvb,hu->nuvb', across, rows, precision='highest')


def sample_uniform(key: Array, num: int, image_shape: tuple[int, ...]) -> Array:
    """Float32 `[num, H, W, bands]` from U(-1, 1)."""
    return uniform(key, (num, *image_shape), -1.0, 1.0)


def sample_noise_of_scales(key: Array, num: int, image_shape: tuple[int, ...]) -> Array:
    """Float32 `[num, H, W, bands]`: noise from one colour to single pixels, a scale for each image.

    Scale j is U(-1, 1) on 2^j x 2^j points, as large as the image and bilinear between them; each
    scale up to that of pixels is equally likely. White noise is of one kind to a network that
    looks at textures: chains that begin at nothing else never meet what is smooth and not the data.
    """
    height, width, bands = image_shape
    levels = int(np.ceil(np.log2(max(height, width))))
    keys = random.split(key, levels + 2)
    kinds = [
        jax.image.resize(
            uniform(k, (num, 2**level, 2**level, bands), -1.0, 1.0),
            (num, height, width, bands),
            'bilinear',
        )
        for level, k in enumerate(keys[1:-1])
    ]
    kinds.append(sample_uniform(keys[-1], num, image_shape))
    chosen = random.randint(keys[0], (num,), 0, len(kinds))
    return jnp.stack(kinds)[chosen, jnp.arange(num)]


def sample_starts(
    gaussian: StationaryGaussian | None,
    key: Array,
    labels: Array,
    image_shape: tuple[int, ...],
    uniform_share: float,
    scales: bool = False,
) -> Array:
    """Fresh starts for chains of the given classes.

    Args:
      gaussian: None for uniform starts.
      uniform_share: the share of uniform starts beside the Gaussian ones. A model whose chains
        never meet noise may believe it likely.
      scales: whether noise is of all scales and not of single pixels.
    """
    num = labels.shape[0]
    noise_of = sample_noise_of_scales if scales else sample_uniform
    if gaussian is None:
        return noise_of(key, num, image_shape)
    key_texture, key_noise, key_choice = random.split(key, 3)
    textures = sample_stationary_gaussian(gaussian, key_texture, labels)
    if not uniform_share:
        return textures
    noise = noise_of(key_noise, num, image_shape)
    chosen = random.bernoulli(key_choice, uniform_share, (num, 1, 1, 1))
    return jnp.where(chosen, noise, textures)
