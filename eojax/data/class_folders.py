"""Class folders by other names than a run's classes: `data.class_folders`, `wood=forest,Lac=lake`.

A run keeps the names of its classes. Where folders were renamed since, this table says what each of
them holds; names that are not in it stay what they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from eojax.data.columns import name_at
from eojax.data.dataset import Dataset
from eojax.errors import UserError

KEY = 'data.class_folders'


def parse(text: str) -> dict[str, str]:
    """The class that each folder holds; nothing for the empty text.

    Raises:
      UserError: a part that is not `folder=class`, or a folder or a class twice.
    """
    table: dict[str, str] = {}
    for part in text.split(',') if text.strip() else []:
        folder, equals, name = (piece.strip() for piece in part.partition('='))
        if not equals or not folder or not name or '=' in name:
            raise UserError(f'{KEY}: {part.strip()!r} is not folder=class')
        if folder in table or name in table.values():
            raise UserError(f'{KEY}: {folder if folder in table else name!r} is in it twice')
        table[folder] = name
    return table


def folders_of(class_names: Sequence[str], table: Mapping[str, str]) -> tuple[str, ...]:
    """The folder that holds each class."""
    by_class = {name: folder for folder, name in table.items()}
    return tuple(by_class.get(name, name) for name in class_names)


def as_classes(dataset: Dataset, table: Mapping[str, str]) -> Dataset:
    """The data set as if each folder had the name of its class.

    Classes in alphabetical order are so again, and places are in the order of their new names.

    Raises:
      UserError: two folders of one class, or a data set without class folders.
    """
    before = dataset.class_names
    names = [table.get(name, name) for name in before]
    if names == list(before):
        return dataset
    if dataset.facts.label != 'image':
        raise UserError(f'{KEY} is for images in class folders, and this data set has none')
    for name in names:
        if names.count(name) > 1:
            folders = [old for old, new in zip(before, names, strict=True) if new == name]
            raise UserError(f'{KEY}: the folders {" and ".join(folders)} are both of {name!r}')
    order = sorted(names) if list(before) == sorted(before) else names
    number = np.array([order.index(name) for name in names], np.int32)
    labels = np.where(dataset.labels < 0, -1, number[dataset.labels]).astype(np.int32)
    places = [_renamed(name_at(dataset.names, i), table) for i in range(dataset.places.num)]
    sequence = np.array(sorted(range(len(places)), key=places.__getitem__), np.int64)
    colours = {table.get(name, name): c for name, c in dataset.facts.class_colours.items()}
    renamed = dataset._replace(places=dataset.places._replace(names=tuple(places), labels=labels))
    return renamed.with_facts(class_names=tuple(order), class_colours=colours).subset(sequence)


def _renamed(place: str, table: Mapping[str, str]) -> str:
    folder, slash, file = place.partition('/')
    return f'{table.get(folder, folder)}{slash}{file}'
