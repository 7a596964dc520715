"""A run's knowledge of its data sets without their pixels: `data.json` in its folder.

Whoever uses a trained run opens it by this file alone (`eojax.runs.opening`): the images need not
be there any more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from eojax.atomic_file import write_atomically
from eojax.data import facts as data_facts
from eojax.data.facts import Facts
from eojax.errors import UserError
from eojax.runs.domains import Domain

FILE = 'data.json'


class Known(NamedTuple):
    """The facts of a data set, and of its split, that are known without reading it.

    Attributes:
      facts: its classes are those of the run.
      own_classes: the names of the data set's classes, before any were grouped.
      counts: how many places there are in each part: `train`, `validation`, `test`, and of
        `train` the `labelled` and the `unlabelled` ones.
      label_counts: labelled training images of each class; all 0 where labels are per pixel.
    """

    facts: Facts
    own_classes: tuple[str, ...]
    counts: Mapping[str, int]
    label_counts: tuple[int, ...]


def known_of(domain: Domain) -> Known:
    """The facts of a data set that was read."""
    counts = {name: part.places for name, part in domain.record.parts.items()}
    return Known(domain.dataset.facts, domain.own_classes, counts, domain.record.class_counts)


def write_known(folder: Path, known: Mapping[str, Known]) -> None:
    """Writes `data.json`: what is known of each data set, by the config's group."""
    plain = {
        group: {**one._asdict(), 'facts': data_facts.to_json(one.facts), 'counts': {**one.counts}}
        for group, one in known.items()
    }
    text = json.dumps(plain, indent=2) + '\n'
    write_atomically(folder / FILE, lambda file: file.write(text.encode()))


def read_known(folder: Path) -> dict[str, Known]:
    """The facts that `write_known` wrote.

    Raises:
      UserError: the file is absent or damaged.
    """
    file = folder / FILE
    try:
        plain: dict[str, Any] = json.loads(file.read_bytes())
        return {
            group: Known(
                data_facts.from_json(one['facts']),
                tuple(map(str, one['own_classes'])),
                {part: int(num) for part, num in one['counts'].items()},
                tuple(map(int, one['label_counts'])),
            )
            for group, one in plain.items()
        }
    except OSError as error:
        raise UserError(f'{file} is not there: train the run first') from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f'{file} is damaged: {error!r}; train the run again') from error
