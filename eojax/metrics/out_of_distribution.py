"""How well a score such as log p(x) tells the training distribution from other images.

Every score here is higher for images that are more in distribution. Sources: Hendrycks and Gimpel,
"A Baseline for Detecting Misclassified and Out-of-Distribution Examples", 2017 (AUROC); Liang et
al., "Enhancing the Reliability of Out-of-Distribution Image Detection", 2018 (FPR at 95% TPR);
"Joint Energy-Based Model for Remote Sensing Image Processing", Sec. 3.2 (divergence of histograms).
"""

from __future__ import annotations

import numpy as np


def auroc(in_scores: np.ndarray, out_scores: np.ndarray) -> float:
    """Probability that an image in distribution scores above one out of it, ties counting half.

    Args:
      in_scores, out_scores: `[num]` each; infinite values are allowed.

    Raises:
      ValueError: a sample is empty or holds NaN.
    """
    from scipy.stats import rankdata  # slow to import: only where it is used
    from sklearn.metrics import roc_auc_score

    _check(in_scores, out_scores)
    # Ranks keep the area and carry infinities, which scikit-learn refuses.
    ranks = rankdata(np.concatenate([in_scores, out_scores]))
    inside = np.repeat([1, 0], [len(in_scores), len(out_scores)])
    return float(roc_auc_score(inside, ranks))


def fpr_at_95_tpr(in_scores: np.ndarray, out_scores: np.ndarray) -> float:
    """Share of `out_scores` at or above the highest threshold that keeps 95% of `in_scores`.

    Arguments and errors as for `auroc`.
    """
    _check(in_scores, out_scores)
    kept = -(-95 * len(in_scores) // 100)  # rounded up, in whole numbers
    threshold = np.sort(in_scores)[len(in_scores) - kept]
    return float(np.mean(np.asarray(out_scores) >= threshold))


def histogram_kl(
    scores: np.ndarray, reference: np.ndarray, num_bins: int = 50, smoothing: float = 1e-12
) -> float:
    """Kullback-Leibler divergence D(scores || reference) of two histograms of scores, in nats.

    The bins are `num_bins` of equal width over the range of `reference` and one open bin at either
    end, so that they do not move with what is compared. `smoothing` is added to every bin's share
    before normalising again; it bounds the divergence at about -log(smoothing), 27.6 by default,
    for a sample that shares no bin with the reference. The papers report 0.2 for held-out EuroSAT
    and 25.6 to 28.2 for other places, without their binning: compare orders of magnitude only.

    Args:
      scores: `[num]`, such as log p(x) of the test set; finite or infinite.
      reference: `[num]`, such as log p(x) of the training set; finite.

    Raises:
      ValueError: a sample is empty or holds NaN, or the reference is not finite.
    """
    _check(scores, reference)
    if not np.isfinite(reference).all():
        raise ValueError('the reference scores must be finite')
    edges = np.histogram_bin_edges(np.asarray(reference, np.float64), bins=num_bins)

    def shares(sample: np.ndarray) -> np.ndarray:
        inner = np.searchsorted(edges, sample, side='right')
        inner[sample == edges[-1]] = num_bins  # the last bin holds its upper edge
        share = np.bincount(inner, minlength=num_bins + 2) / len(sample) + smoothing
        return share / share.sum()

    p, q = shares(np.asarray(scores, np.float64)), shares(np.asarray(reference, np.float64))
    present = p > 0
    with np.errstate(divide='ignore'):
        return float(np.sum(p[present] * np.log(p[present] / q[present])))


def uniform_noise(num: int, size: int, bands: int = 3, seed: int = 0) -> np.ndarray:
    """Images uint8 `[num, size, size, bands]` of independent uniform values from 0 to 255."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (num, size, size, bands), dtype=np.uint8)


def constant_images(num: int, size: int, bands: int = 3, seed: int = 0) -> np.ndarray:
    """Images uint8 `[num, size, size, bands]`, each of one colour drawn uniformly."""
    colours = np.random.default_rng(seed).integers(0, 256, (num, 1, 1, bands), dtype=np.uint8)
    return np.broadcast_to(colours, (num, size, size, bands)).copy()


def _check(first: np.ndarray, second: np.ndarray) -> None:
    for scores in (first, second):
        if np.ndim(scores) != 1 or not len(scores):
            raise ValueError(f'scores must be [num], num > 0, got shape {np.shape(scores)}')
        if np.isnan(scores).any():
            raise ValueError('the scores hold NaN')
