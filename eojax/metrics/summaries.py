"""The numbers of `evaluation.json` by their keys, from logits and log p(x) of held-out images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import log_softmax

from eojax.metrics.out_of_distribution import auroc, fpr_at_95_tpr
from eojax.metrics.out_of_distribution import divergence as divergence_of


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """log p(y|x), float64 `[N, K]`, of logits `[N, K]`."""
    return log_softmax(np.asarray(logits, np.float64), axis=-1)


def density_numbers(
    scores: Mapping[str, np.ndarray],
    name: str = 'log_density',
    divergence: str = 'neighbours',
) -> dict[str, float]:
    """How log p(x) ranks the test images above each set of outliers, by its keys in the JSON.

    Args:
      scores: log p(x) `[num]` of `test`, outlier sets by name, and maybe `train` and `samples`.
      name: of the score: `log_sum_exp` where nothing has trained it to be a density.
      divergence: of `train`, one of `eojax.metrics.out_of_distribution.DIVERGENCES`.
    """
    inside, own = scores['test'], ('train', 'test', 'samples')
    numbers = {f'{name}_{k}': float(scores[k].mean()) for k in own if k in scores}
    if 'train' in scores:
        for one in (key for key in scores if key != 'train'):
            found = divergence_of(scores[one], scores['train'], divergence)
            numbers |= {} if found is None else {f'kl_{one}': found}
    for name, outside in scores.items():
        if name not in own:
            numbers[f'auroc_{name}'] = auroc(inside, outside)
            numbers[f'fpr95_{name}'] = fpr_at_95_tpr(inside, outside)
    return numbers
