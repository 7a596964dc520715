"""Fewer, coarser classes: a data set's classes joined in groups, so that two sets can share them.

    water=SeaLake+River,urban=Residential+Industrial+Highway,Forest

The groups become the classes, in this order; a name alone keeps that class; the images of classes
in no group are left out. Names hold no comma, plus or equals sign.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from eojax.data.dataset import Dataset
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


def regroup(dataset: Dataset, groups: Mapping[str, tuple[str, ...]]) -> Dataset:
    """The data set with the groups as its classes, and without the images of all others.

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
    labels = new_labels[dataset.labels]
    kept = np.flatnonzero(labels >= 0)
    return dataset.subset(kept).with_labels(labels[kept]).with_facts(class_names=tuple(groups))
