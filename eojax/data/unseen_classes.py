"""Classes of pixels that are kept from training, to ask whether a model notices what it never saw.

`data.unseen_classes` names them. They are no classes of the run: its network has no output for
them, and their pixels have no class in training or validation. Training places of which they cover
more than `data.unseen_share` leave the training part, whether they were labelled or not, so that no
stream shows them. Test and validation stay as they are without the option; there, the pixels of
such a class are marked as unseen (`eojax.evaluation.pixels.unseen`).

A training place whose classes nobody knows cannot be looked through, and stays.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eojax.data.class_groups import RegroupedSource
from eojax.data.dataset import Dataset
from eojax.data.facts import PIXEL_LABELS, UNKNOWN, UNSEEN
from eojax.data.splits import Splits
from eojax.errors import UserError, unknown_name

KEY, SHARE_KEY = 'data.unseen_classes', 'data.unseen_share'


def parse(text: str) -> tuple[str, ...]:
    """The names in `data.unseen_classes`; none for the empty text.

    Raises:
      UserError: an empty name, or one twice.
    """
    names = tuple(name.strip() for name in text.split(',')) if text.strip() else ()
    if not all(names) or len(set(names)) < len(names):
        raise UserError(f'{KEY} must be different names with a comma between, not {text!r}')
    return names


def mark_unseen(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The data set without these classes, their pixels stored as `UNSEEN`.

    Raises:
      UserError: labels that are not per pixel; a class that there is not; or no class left.
    """
    if not names:
        return dataset
    if dataset.facts.label != 'pixel':
        raise UserError(f'{KEY}: this data set has no class for each pixel; leave it out')
    for name in names:
        if name not in dataset.class_names:
            raise unknown_name(f'class in {KEY}', name, dataset.class_names)
    kept = tuple(name for name in dataset.class_names if name not in names)
    if not kept:
        raise UserError(f'{KEY} names all classes: leave one to learn')
    new = np.full(256, UNKNOWN, np.uint8)
    for number, name in enumerate(dataset.class_names):
        new[number] = UNSEEN if name in names else kept.index(name)
    marked = dataset._replace(source=RegroupedSource(dataset.source, new))
    return marked.with_facts(class_names=kept)


def leave_out(dataset: Dataset, splits: Splits, share: float) -> Splits:
    """The splits without the training places that show unseen classes; all their labels are read.

    Args:
      dataset: as `mark_unseen` gives it.
      share: of a place's pixels that may be of these classes.

    Raises:
      UserError: no training place is left, or no labelled one.
    """
    showing = [place for place in splits.train.tolist() if _share(dataset, place) > share]

    def without(part: np.ndarray) -> np.ndarray:
        return part[~np.isin(part, showing)]

    left = splits._replace(
        train=without(splits.train),
        labelled=without(splits.labelled),
        unlabelled=without(splits.unlabelled),
    )
    for title, before, after in (
        ('training', splits.train, left.train),
        ('labelled', splits.labelled, left.labelled),
    ):
        if len(before) and not len(after):
            raise UserError(
                f'{KEY}: they cover more than {SHARE_KEY}={share} of each of the {len(before)}'
                f' {title} places: raise the share or name other classes'
            )
    return left


def _share(dataset: Dataset, place: int) -> float:
    labels = dataset.source.read(place, None, (PIXEL_LABELS,))[PIXEL_LABELS]
    return float((labels == UNSEEN).mean())
