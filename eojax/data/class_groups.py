"""Fewer, coarser classes: a data set's classes joined in groups, so that two sets can share them.

    water=SeaLake+River,urban=Residential+Industrial+Highway,Forest

The groups become the classes, in this order; a name alone keeps that class. The images of classes
in no group are left out, those whose class is unknown stay; where each pixel has a class, pixels of
classes in no group are unknown. Names hold no comma, plus or equals sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from eojax.data.dataset import Dataset, Source, Window
from eojax.data.facts import PIXEL_LABELS, UNKNOWN
from eojax.errors import UserError, unknown_name

KEY = 'data.classes'


def parse(text: str) -> dict[str, tuple[str, ...]]:
    """Each group's classes, in the order of `data.classes`; nothing for the empty text.

    Raises:
      UserError: a part that names nothing, or a group or class that is in it twice.
    """
    groups: dict[str, tuple[str, ...]] = {}
    seen: set[str] = set()
    for part in text.split(',') if text.strip() else []:
        name, equals, members = (piece.strip() for piece in part.partition('='))
        classes = tuple(member.strip() for member in (members if equals else name).split('+'))
        if not name or '+' in name or '=' in members or not all(classes):
            raise UserError(
                f'{KEY}: {part.strip()!r} is no group; write name=Class+Class or a class alone'
            )
        if name in groups:
            raise UserError(f'{KEY}: the group {name!r} is in it twice')
        for member in classes:
            if member in seen:
                raise UserError(f'{KEY}: the class {member!r} is in it twice')
            seen.add(member)
        groups[name] = classes
    return groups


class RegroupedSource(NamedTuple):
    """The pixels of a source, with its pixels' classes in groups.

    Attributes:
      source: of the pixels.
      group_of: uint8 `[256]`, the new class of each stored one; 255 where it is unknown.
    """

    source: Source
    group_of: np.ndarray

    def read(
        self, place: int, window: Window | None, rasters: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """See `Source.read`."""
        read = self.source.read(place, window, rasters)
        if PIXEL_LABELS in read:
            read[PIXEL_LABELS] = self.group_of[read[PIXEL_LABELS]]
        return read

    def subset(self, indices: np.ndarray) -> RegroupedSource:
        """See `Source.subset`."""
        return self._replace(source=self.source.subset(indices))


def regroup(dataset: Dataset, groups: Mapping[str, tuple[str, ...]]) -> Dataset:
    """The data set with the groups as its classes, and without the images of all others.

    Where each pixel has a class, all places stay, and pixels of all other classes are unknown.
    Images on disk stay there. Names remain those of the files, `<Class>/<file>`.

    Args:
      groups: as `parse` gives them; the data set remains as it is where there are none.

    Raises:
      UserError: a class that the data set does not have, with the nearest.
    """
    if not groups:
        return dataset
    new_labels = np.full(dataset.num_classes, -1, np.int32)
    for number, members in enumerate(groups.values()):
        for member in members:
            if member not in dataset.class_names:
                raise unknown_name(f'class in {KEY}', member, dataset.class_names)
            new_labels[dataset.class_names.index(member)] = number
    if dataset.facts.label == 'pixel':
        group_of = np.full(256, UNKNOWN, np.uint8)
        group_of[: dataset.num_classes] = np.where(new_labels < 0, UNKNOWN, new_labels)
        grouped = dataset._replace(source=RegroupedSource(dataset.source, group_of))
        return grouped.with_facts(class_names=tuple(groups))
    known = dataset.labels >= 0
    # -1 is no index: it would be the last class.
    labels = np.where(known, new_labels[np.where(known, dataset.labels, 0)], -1).astype(np.int32)
    kept = np.flatnonzero((labels >= 0) | ~known)
    return dataset.subset(kept).with_labels(labels[kept]).with_facts(class_names=tuple(groups))
