"""How well a map of classes fits the labelled pixels: sums per batch, then numbers.

The only thing that is summed is the confusion matrix of pixels, so that a test set of any size is
scored without keeping its maps. Pixels whose class is unknown never count.

IoU = TP / (TP + FP + FN), F1 = 2 TP / (2 TP + FP + FN), with the true and false positives and the
false negatives of a class over all pixels of all images. Papers differ in the classes that enter
the mean of the IoU: it is given over the classes that are present among the labels and over all.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array

from eojax.metrics.classification import per_class


def confusion_counts(predicted: Array, labels: Array, num_classes: int) -> Array:
    """The pixels of one batch by true and predicted class, int32 `[K, K]`: row the true one.

    Add the batches on the host, in int64: ten thousand tiles of MiniFrance have more pixels than
    an int32 counts.

    Args:
      predicted: integers from 0 to K - 1, of any shape.
      labels: integers of the same shape; those below 0 are unknown and count nowhere.
    """
    known = labels >= 0
    cells = jnp.where(known, labels * num_classes + predicted, num_classes**2)
    counts = jnp.zeros(num_classes**2 + 1, jnp.int32).at[cells.reshape(-1)].add(1)
    return counts[:-1].reshape(num_classes, num_classes)


def intersection_over_union(matrix: np.ndarray) -> np.ndarray:
    """Of each class, float64 `[K]`; NaN for a class without labels and without predictions."""
    matrix = np.asarray(matrix, np.float64)
    hits = np.diag(matrix)
    union = matrix.sum(0) + matrix.sum(1) - hits
    return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)


def segmentation_numbers(matrix: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
    """A confusion matrix of pixels as a flat mapping of finite numbers, ready for JSON.

    Keys: `pixels` (labelled ones), `pixel_accuracy`, `mean_iou` over the classes that are among the
    labels, `mean_iou_all` over all classes (0 for one without labels, whether it is predicted or
    not), `mean_f1` over the classes among the labels, and `iou_<class>`, `precision_<class>`,
    `recall_<class>`, `f1_<class>` for each class among the labels.

    Args:
      matrix: integers `[K, K]`, row the true class.
      class_names: `[K]`.

    Raises:
      ValueError: another shape, a negative count, or no labelled pixel at all.
    """
    matrix = np.asarray(matrix)
    if matrix.shape != (len(class_names),) * 2 or (matrix < 0).any():
        raise ValueError(f'{len(class_names)} classes, but counts of shape {matrix.shape}')
    true = matrix.sum(1)
    if not true.sum():
        raise ValueError('no labelled pixel')
    present = true > 0
    iou = np.where(present, intersection_over_union(matrix), 0.0)
    scores = {'iou': iou, **per_class(matrix)._asdict()}
    numbers = {
        'pixels': float(true.sum()),
        'pixel_accuracy': float(np.trace(matrix) / true.sum()),
        'mean_iou': float(iou[present].mean()),
        'mean_iou_all': float(iou.mean()),
        'mean_f1': float(scores['f1'][present].mean()),
    }
    for kind, values in scores.items():
        numbers |= {
            f'{kind}_{name}': float(value)
            for name, value, there in zip(class_names, values, present, strict=True)
            if there
        }
    return numbers
