"""Whether the scores of an image are as usual, and not only high enough.

log p(x) ranks smooth images above real ones: water of one colour, a constant, a blurred scene. They
are likelier than any training image, and that is what gives them away. Two scores ask for the usual
instead, each higher for images that are more like the training's:

typicality: -|log p(x) - median|, the median over training images (Nalisnick et al., "Detecting
  Out-of-Distribution Inputs to Deep Generative Models Using Typicality", 2019, for one image).
states: the log density of several statistics of an image at once, here log p(x) and the logarithm
  of the norm of its gradient, under a mixture of Gaussians fitted to those of training images
  (Morningstar et al., "Density of States Estimation for Out-of-Distribution Detection", 2021; the
  mixture is that of Mahmood et al., "Multiscale Score Matching for Out-of-Distribution Detection",
  2021).

Nothing of either is chosen by looking at other images.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Of the mixture. Training images are of several kinds: water, forests, towns.
COMPONENTS = 5
# Added to the variances, in those of the training set: statistics may repeat.
_FLOOR = 1e-4


def typicality(density: np.ndarray, training: np.ndarray) -> np.ndarray:
    """-|log p(x) - median of the training images|, float64 `[num]`.

    Args:
      density, training: log p(x) of images and of training images, `[num]` each.
    """
    return -np.abs(np.asarray(density, np.float64) - np.median(training))


def fit_states(
    density: np.ndarray, gradient: np.ndarray
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The score `states` of images, fitted to training images.

    Args:
      density: log p(x) of training images, `[num]`.
      gradient: minus the norm of its gradient at them, as `eojax.evaluation.scoring` has it.

    Returns:
      A function of the same two of other images, with float64 `[num]`.

    Raises:
      ValueError: fewer than two training images.
    """
    from sklearn.mixture import GaussianMixture  # slow to import: only where it is used

    training = _statistics(density, gradient)
    if len(training) < 2:
        raise ValueError('the states of training images need at least two of them')
    centre, spread = training.mean(0), np.maximum(training.std(0), 1e-12)
    components = min(COMPONENTS, max(1, len(training) // 20))
    mixture = GaussianMixture(components, reg_covar=_FLOOR, random_state=0)
    mixture.fit((training - centre) / spread)

    def states(density: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        standardised = (_statistics(density, gradient) - centre) / spread
        scores: np.ndarray = mixture.score_samples(standardised)
        return scores

    return states


def _statistics(density: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """`[num, 2]`; norms by their logarithm, which is nearer to a Gaussian."""
    norms = np.log(np.maximum(-np.asarray(gradient, np.float64), 1e-30))
    return np.stack([np.asarray(density, np.float64), norms], 1)
