"""Features in the plane: principal components, then t-SNE (van der Maaten and Hinton, 2008)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from eojax.errors import UserError

# t-SNE looks at three times the perplexity of neighbours.
_NEIGHBOURS = 3


class Plane(NamedTuple):
    """Where images lie in the plane.

    Attributes:
      points: float64 `[N, 2]`, about 0, of mean variance 1 along the axes.
      perplexity: that was used.
      components: principal components that t-SNE saw.
      kept: share of the features' variance that these hold.
      divergence: t-SNE's loss, in nats.
    """

    points: np.ndarray
    perplexity: float
    components: int
    kept: float
    divergence: float


def embed(features: np.ndarray, perplexity: float, components: int, seed: int) -> Plane:
    """The plane of features `[N, D]`; the same for the same, on one machine.

    Where there are too few images for the perplexity, a third of their number stands for it.

    Raises:
      UserError: fewer than ten images, or images with all the same features.
    """
    from sklearn.decomposition import PCA  # slow to import: only where it is used
    from sklearn.manifold import TSNE

    num = len(features)
    if num < 10:
        raise UserError(f'{num} images are too few for t-SNE; give at least 10')
    features = features.astype(np.float64)
    components = min(components, *features.shape)
    if not np.ptp(features, axis=0).any():
        raise UserError('all images have the same features: these tell nothing apart')
    reduction = PCA(components, random_state=seed)
    reduced = reduction.fit_transform(features)
    perplexity = min(perplexity, (num - 1) / _NEIGHBOURS)
    tsne = TSNE(2, perplexity=perplexity, init='pca', learning_rate='auto', random_state=seed)
    # One thread: sums of several would depend on their number, and the plane on the machine.
    with threadpool_limits(1):
        points = tsne.fit_transform(reduced).astype(np.float64)
    points -= points.mean(0)
    points /= np.sqrt(points.var(0).mean())
    kept = float(reduction.explained_variance_ratio_.sum())
    return Plane(points, perplexity, components, kept, float(tsne.kl_divergence_))
