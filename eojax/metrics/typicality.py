"""Whether the scores of an image are as usual, and not only high enough.

log p(x) ranks smooth images above real ones: water of one colour, a constant, a blurred scene. They
are likelier than any training image, and that is what gives them away. Three scores ask for the
usual instead, each higher for images that are more like the training's:

typicality: -|log p(x) - median|, the median over training images (Nalisnick et al., "Detecting
  Out-of-Distribution Inputs to Deep Generative Models Using Typicality", 2019, for one image).
states: the log density of several statistics of an image at once under a mixture of Gaussians that
  is fitted to those of training images (Morningstar et al., "Density of States Estimation for
  Out-of-Distribution Detection", 2021; the mixture is that of Mahmood et al., "Multiscale Score
  Matching for Out-of-Distribution Detection", 2021). The statistics are `STATISTICS`: log p(x), the
  norm of its gradient, and how much detail the image has (`eojax.evaluation.roughness`).

ratio: log p(x) less what the amount of detail explains of it. A density of images is for the most
  part one of how much there is to say about them; what is left is about what they show (Ren et al.,
  "Likelihood Ratios for Out-of-Distribution Detection", 2019; Serra et al., "Input Complexity and
  Out-of-Distribution Detection with Likelihood-based Generative Models", 2020, with the size of a
  PNG file). log p(x) is unnormalised and in units of its own, so the weight of the detail is the
  slope of log p(x) on it, by least squares over training images.

None is fitted to other images than those of training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

# Of the mixture. Training images are of several kinds: water, forests, towns.
COMPONENTS = 5
# Added to the variances, in those of the training set: statistics may repeat.
_FLOOR = 1e-4
STATISTICS = ('log_density', 'gradient', 'roughness', 'grain')
# Added before the logarithm: a constant image has no detail at all.
_SMALLEST = {'gradient': 1e-30, 'roughness': 1e-2, 'grain': 1e-2}


def typicality(density: np.ndarray, training: np.ndarray) -> np.ndarray:
    """-|log p(x) - median of the training images|, float64 `[num]`.

    Args:
      density, training: log p(x) of images and of training images, `[num]` each.
    """
    return -np.abs(np.asarray(density, np.float64) - np.median(training))


def fit_ratio(
    density: np.ndarray, detail: np.ndarray
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The score `ratio` of images, fitted to training images.

    Args:
      density, detail: log p(x) and bits of detail (`eojax.evaluation.roughness`) of training
        images, `[num]` each.

    Returns:
      A function of both of other images, with float64 `[num]`: 0 on the line, positive above it.

    Raises:
      ValueError: fewer than two training images.
    """
    if len(density) < 2:
        raise ValueError('the line of training images needs at least two of them')
    density, detail = (np.asarray(values, np.float64) for values in (density, detail))
    centre, level = detail.mean(), density.mean()
    spread = np.square(detail - centre).sum()
    # Images that all have the same detail say nothing of a slope.
    slope = ((detail - centre) @ (density - level) / spread) if spread > 0.0 else 0.0

    def ratio(density: np.ndarray, detail: np.ndarray) -> np.ndarray:
        line = level + slope * (np.asarray(detail, np.float64) - centre)
        return np.asarray(density, np.float64) - line

    return ratio


def fit_states(
    training: Mapping[str, np.ndarray],
) -> Callable[[Mapping[str, np.ndarray]], np.ndarray]:
    """The score `states` of images, fitted to training images.

    Args:
      training: those of `STATISTICS` that there are, of training images, `[num]` each.

    Returns:
      A function of the same statistics of other images, with float64 `[num]`.

    Raises:
      ValueError: no statistic, or fewer than two training images.
    """
    names = [name for name in STATISTICS if name in training]
    if not names or len(training[names[0]]) < 2:
        raise ValueError('the states of training images need a statistic of at least two of them')
    log_density = fit_mixture(_statistics(training, names))
    return lambda scores: log_density(_statistics(scores, names))


def fit_mixture(values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The log density of a mixture of Gaussians that is fitted to `[num, statistics]`.

    Returns:
      A function of the same statistics of other images, with float64 `[num]`.
    """
    from sklearn.mixture import GaussianMixture  # slow to import: only where it is used

    centre, spread = values.mean(0), np.maximum(values.std(0), 1e-12)
    components = min(COMPONENTS, max(1, len(values) // 20))
    mixture = GaussianMixture(components, reg_covar=_FLOOR, random_state=0)
    mixture.fit((values - centre) / spread)

    def log_density(others: np.ndarray) -> np.ndarray:
        found: np.ndarray = mixture.score_samples((others - centre) / spread)
        return found

    return log_density


def _statistics(scores: Mapping[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    """`[num, len(names)]`; all but log p(x) by their logarithm, which is nearer to a Gaussian."""
    columns = []
    for name in names:
        values = np.asarray(scores[name], np.float64)
        floor = _SMALLEST.get(name)
        columns.append(values if floor is None else np.log(np.abs(values) + floor))
    return np.stack(columns, 1)
