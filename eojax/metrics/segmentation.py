"""How well a map of classes fits the labelled pixels: sums per batch, then numbers.

Only counts of pixels are summed: the confusion matrix, and of each place or city the hits, labels
and predictions of each class. So a test set of any size is scored without keeping its maps. Pixels
whose class is unknown never count.

IoU = TP / (TP + FP + FN), F1 = 2 TP / (2 TP + FP + FN), with the true and false positives and the
false negatives of a class over all pixels of all images. Papers differ in the classes that enter
the mean of the IoU: it is given over the classes that are present among the labels and over all.
Cohen's kappa = (p_o - p_e) / (1 - p_e), with p_o the accuracy and p_e that of predictions that are
drawn with their own frequencies, whatever the pixel shows (Cohen, 1960).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from eojax.metrics.classification import per_class_of


class ClassCounts(NamedTuple):
    """Pixels of each class, int64 `[..., K]`; they add up over windows, places and cities.

    Attributes:
      hits: of the class and predicted as it.
      true: of the class.
      predicted: predicted as the class, of those whose class is known.
    """

    hits: np.ndarray
    true: np.ndarray
    predicted: np.ndarray

    def at(self, index: object) -> ClassCounts:
        """Those at an index of the leading axes."""
        return ClassCounts(*(values[index] for values in self))  # type: ignore[call-overload]

    def sum(self) -> ClassCounts:
        """Of all places together."""
        return ClassCounts(*(values.reshape(-1, values.shape[-1]).sum(0) for values in self))


def no_counts(num: int, num_classes: int) -> ClassCounts:
    """Counts of `num` places of which nothing was seen."""
    return ClassCounts(*(np.zeros((num, num_classes), np.int64) for _ in ClassCounts._fields))


def window_counts(predicted: np.ndarray, labels: np.ndarray, num_classes: int) -> ClassCounts:
    """The counts of each of some windows, `[n, K]`.

    Args:
      predicted: integers from 0 to K - 1, `[n, ...]`.
      labels: of the same shape; those below 0 are unknown and count nowhere.
    """
    num = len(labels)
    known = labels >= 0
    window = np.broadcast_to(np.arange(num).reshape(-1, *(1,) * (labels.ndim - 1)), labels.shape)
    window, of, to = window[known], labels[known], predicted[known].astype(np.int64)

    def count(cells: np.ndarray) -> np.ndarray:
        return np.bincount(cells, minlength=num * num_classes).reshape(num, num_classes)

    right = of == to
    return ClassCounts(
        count(window[right] * num_classes + of[right]),
        count(window * num_classes + of),
        count(window * num_classes + to),
    )


def near_border(labels: np.ndarray, distance: int) -> np.ndarray:
    """The pixels with a pixel of another class at most `distance` away, bool `[h, w]`.

    Distances are between the middles of pixels, so that the two sides of a border are 1 apart.
    Where a class is unknown there is no border, and no pixel of unknown class lies near one.

    Args:
      labels: integers `[h, w]`; those below 0 are unknown.
      distance: in pixels; 0 for none.
    """
    near = np.zeros(labels.shape, bool)
    for down, right in _half_disc(distance):
        here, there = _shifted(down, right)
        first, second = labels[here], labels[there]
        differ = (first != second) & (first >= 0) & (second >= 0)
        near[here] |= differ
        near[there] |= differ
    return near


def _half_disc(radius: int) -> Iterator[tuple[int, int]]:
    """One of each pair of opposite steps, at most so long."""
    for down in range(radius + 1):
        for right in range(-radius, radius + 1):
            if (down > 0 or right > 0) and down**2 + right**2 <= radius**2:
                yield down, right


def _shifted(down: int, right: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where the pixels lie that have another one that many steps away, and where these lie."""
    here = slice(0, -down or None), slice(max(-right, 0), -right if right > 0 else None)
    there = slice(down, None), slice(max(right, 0), right if right < 0 else None)
    return here, there


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
    return _iou(np.diag(matrix), matrix.sum(1), matrix.sum(0))


def _iou(hits: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    union = true + predicted - hits
    return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)


def cohens_kappa(counts: ClassCounts) -> float:
    """Agreement beyond chance, from -1 to 1; NaN where labels and predictions are all one class.

    Args:
      counts: `[K]` each.
    """
    pixels = float(counts.true.sum())
    by_chance = float((counts.true / pixels * (counts.predicted / pixels)).sum())
    accuracy = float(counts.hits.sum()) / pixels
    return (accuracy - by_chance) / (1.0 - by_chance) if by_chance < 1.0 else float('nan')


def segmentation_numbers(matrix: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
    """A confusion matrix of pixels as a flat mapping of finite numbers, ready for JSON.

    Keys: see `numbers_of_counts`.

    Args:
      matrix: integers `[K, K]`, row the true class.
      class_names: `[K]`.

    Raises:
      ValueError: another shape, a negative count, or no labelled pixel at all.
    """
    matrix = np.asarray(matrix)
    if matrix.shape != (len(class_names),) * 2 or (matrix < 0).any():
        raise ValueError(f'{len(class_names)} classes, but counts of shape {matrix.shape}')
    counts = ClassCounts(np.diag(matrix), matrix.sum(1), matrix.sum(0))
    return numbers_of_counts(counts, class_names)


def numbers_of_counts(counts: ClassCounts, class_names: Sequence[str]) -> dict[str, float]:
    """The scores of counted pixels as a flat mapping of finite numbers, ready for JSON.

    Keys: `pixels` (labelled ones), `pixel_accuracy`, `kappa` (Cohen's; not where labels and
    predictions are all one class), `mean_iou` over the classes that are among the labels,
    `mean_iou_all` over all classes (0 for one without labels, whether it is predicted or not),
    `mean_f1` over the classes among the labels, and `iou_<class>`, `precision_<class>`,
    `recall_<class>`, `f1_<class>` for each class among the labels.

    Args:
      counts: `[K]` each.
      class_names: `[K]`.

    Raises:
      ValueError: no labelled pixel at all.
    """
    hits, true, predicted = (np.asarray(values, np.float64) for values in counts)
    if not true.sum():
        raise ValueError('no labelled pixel')
    present = true > 0
    iou = np.where(present, _iou(hits, true, predicted), 0.0)
    scores = {'iou': iou, **per_class_of(hits, true, predicted)._asdict()}
    kappa = cohens_kappa(counts)
    numbers = {
        'pixels': float(true.sum()),
        'pixel_accuracy': float(hits.sum() / true.sum()),
        **({'kappa': kappa} if np.isfinite(kappa) else {}),
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
