"""How near the look of made-up ground is to that of real ground, class by class, without a network.

Each pixel has a few numbers: the values of its bands as they are and as means of 2 x 2 and 4 x 4
pixels, and how much each of these changes to the right and downwards. For each class the squared
Frechet distance of the two Gaussians that these numbers have on real and on made-up ground says how
far colours and fine structure are apart; the mean over classes is the distance. It sees whether the
image follows the land cover, and the contrast of textures, but no shapes.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from eojax.metrics.generation import frechet_distance
from eojax.models.pixel_blocks import cropped, mean_pooled, padded_to_multiple

_SCALES = (1, 2, 4)
# A class with fewer pixels has no texture to speak of.
_LEAST = 100
# A variance is the small difference of two sums, which accelerators would round to a few digits.
_EXACT = jax.lax.Precision.HIGHEST


def local_features(images: Array) -> Array:
    """The numbers of each pixel of `[N, h, w, C]`, float32 `[N, h, w, 6 C]`."""
    size = images.shape[1:3]
    x = padded_to_multiple(images.astype(jnp.float32), _SCALES[-1])
    parts = []
    for scale in _SCALES:
        x = mean_pooled(x) if scale > 1 else x
        down = jnp.abs(jnp.diff(x, axis=1, append=x[:, -1:]))
        right = jnp.abs(jnp.diff(x, axis=2, append=x[:, :, -1:]))
        both = jnp.concatenate([x, down + right], -1)
        parts.append(both.repeat(scale, 1).repeat(scale, 2))
    return cropped(jnp.concatenate(parts, -1), (size[0], size[1]))


def class_moments(images: Array, labels: Array, num_classes: int) -> Array:
    """Sums over the pixels of each class, float32 `[N, num_classes, 1 + D + D * D]`.

    They are the count, the sums of the D numbers of `local_features` and those of their products.

    Args:
      images: `[N, h, w, C]` in [-1, 1].
      labels: int `[N, h, w]`; pixels below 0 are in no sum.
    """
    num = len(images)
    features = local_features(images)
    numbers = features.shape[-1]
    features = features.reshape(num, -1, numbers)
    classes = jax.nn.one_hot(labels.reshape(num, -1), num_classes)
    counts = classes.sum(1)[..., None]
    sums = jnp.einsum('npk,npd->nkd', classes, features, precision=_EXACT)
    products = jax.lax.map(
        lambda one: jnp.einsum(
            'pk,pd,pe->kde', one[0], one[1], one[1], optimize='optimal', precision=_EXACT
        ),
        (classes, features),
    )
    return jnp.concatenate([counts, sums, products.reshape(num, num_classes, -1)], -1)


def texture_distances(real: np.ndarray, made: np.ndarray) -> np.ndarray:
    """The distance of each class, float64 `[num_classes]`; NaN of those with few pixels.

    Args:
      real, made: sums of `class_moments` over all images, float64 `[num_classes, 1 + D + D * D]`.
    """
    distances = np.full(len(real), np.nan)
    for number, sums in enumerate(zip(real, made, strict=True)):
        if min(one[0] for one in sums) >= _LEAST:
            distances[number] = frechet_distance(*(m for one in sums for m in _gaussian(one)))
    return distances


def _gaussian(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    numbers = round(((1 + 4 * (len(sums) - 1)) ** 0.5 - 1) / 2)
    mean = sums[1 : 1 + numbers] / sums[0]
    square = sums[1 + numbers :].reshape(numbers, numbers) / sums[0]
    return mean, square - np.outer(mean, mean)
