"""How close generated images come to real ones, by the features of a fixed network.

Sources: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
Equilibrium", 2017 (Frechet distance); Binkowski et al., "Demystifying MMD GANs", 2018 (kernel
distance). The features are those of `eojax.models.inception`, but any `[num, features]` will do.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from scipy import linalg


class Moments(NamedTuple):
    """Mean and covariance of features that come in batches.

    Sums would lose digits where the mean is large beside the deviation; these are merged as Chan,
    Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances"
    (1979) do it.

    Attributes:
      num: rows.
      mean: float64 `[features]`.
      scatter: the sum of the outer products of deviations from the mean, `[features, features]`.
    """

    num: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> Self:
        """Those of one batch, `[num, features]`."""
        values = np.asarray(features, np.float64)
        mean = values.mean(0)
        return cls(len(values), mean, (values - mean).T @ (values - mean))

    def plus(self, other: Self) -> Self:
        """Those of both together."""
        num, apart = self.num + other.num, other.mean - self.mean
        weight = self.num * other.num / num
        return type(self)(
            num,
            self.mean + apart * (other.num / num),
            self.scatter + other.scatter + weight * np.outer(apart, apart),
        )

    @property
    def covariance(self) -> np.ndarray:
        """Of the sample, over num - 1."""
        return self.scatter / max(self.num - 1, 1)


def frechet_distance(
    mean1: np.ndarray, cov1: np.ndarray, mean2: np.ndarray, cov2: np.ndarray
) -> float:
    """Squared Frechet (2-Wasserstein) distance of two Gaussians:
    `|mean1 - mean2|^2 + tr(cov1 + cov2 - 2 (cov1 cov2)^(1/2))`.

    The root's trace is taken as the sum of the root eigenvalues of the symmetric
    `cov1^(1/2) cov2 cov1^(1/2)`, which has the same spectrum as the product, is real and needs no
    offset where a covariance is singular, as it is whenever there are fewer images than features.

    Args:
      mean1, mean2: `[features]`.
      cov1, cov2: `[features, features]`, symmetric and positive semi-definite.
    """
    mean1, cov1, mean2, cov2 = (
        np.asarray(array, np.float64) for array in (mean1, cov1, mean2, cov2)
    )
    size = len(mean1)
    if mean1.shape != mean2.shape or cov1.shape != (size, size) or cov2.shape != (size, size):
        raise ValueError(
            f'moments do not match: {mean1.shape}, {cov1.shape}, {mean2.shape}, {cov2.shape}'
        )
    values, vectors = linalg.eigh(cov1)
    root1 = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = root1 @ cov2 @ root1
    spectrum = linalg.eigvalsh((product + product.T) / 2)
    root_trace = np.sum(np.sqrt(np.maximum(spectrum, 0)))
    distance = np.sum((mean1 - mean2) ** 2) + np.trace(cov1) + np.trace(cov2) - 2 * root_trace
    return float(max(distance, 0.0))


def fid(features_a: np.ndarray, features_b: np.ndarray) -> float:
    """Frechet distance of the Gaussians fitted to two sets of features.

    FID falls with the number of images: state it beside the value, and compare equal numbers only.

    Args:
      features_a, features_b: `[num, features]`, at least two rows each.
    """
    a, b = _check(features_a, features_b)
    if len(a) + len(b) < a.shape[1]:
        # Both samples lie in the span of their rows, and a rotation into it changes no distance.
        basis = linalg.qr(np.concatenate([a, b]).T, mode='economic')[0]
        a, b = a @ basis, b @ basis
    return frechet_distance(
        a.mean(axis=0), np.cov(a, rowvar=False), b.mean(axis=0), np.cov(b, rowvar=False)
    )


def kid(
    features_a: np.ndarray,
    features_b: np.ndarray,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> float:
    """Kernel distance: the unbiased squared MMD with the kernel `(x.y / features + 1)^3`, averaged
    over random subsets. Near 0, and at times below, for samples of one distribution.

    Args:
      features_a, features_b: `[num, features]`, at least two rows each.
      subsets: how many pairs of subsets are drawn, each without replacement.
      subset_size: images per subset; all of the smaller set where it holds fewer.
      seed: of the draws.
    """
    a, b = _check(features_a, features_b)
    size = min(subset_size, len(a), len(b))
    if size < 2 or subsets < 1:
        raise ValueError(f'needs subsets of at least two, got {subsets} of {size}')
    if len(a) == len(b) == size:
        return _squared_mmd(a, b)  # every subset is the whole set
    generator = np.random.default_rng(seed)
    draws = [
        _squared_mmd(
            a[generator.choice(len(a), size, replace=False)],
            b[generator.choice(len(b), size, replace=False)],
        )
        for _ in range(subsets)
    ]
    return float(np.mean(draws))


def _squared_mmd(a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of two samples of one size (Binkowski, Eq. 4)."""
    num, features = a.shape

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / features + 1.0) ** 3

    aa, bb = kernel(a, a), kernel(b, b)
    within = (aa.sum() - np.trace(aa) + bb.sum() - np.trace(bb)) / (num * (num - 1))
    return float(within - 2.0 * kernel(a, b).mean())


def _check(features_a: np.ndarray, features_b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(features_a, np.float64), np.asarray(features_b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            f'expected two [num, features] with at least two rows, got {a.shape} and {b.shape}'
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError('the features hold values that are not finite')
    return a, b
