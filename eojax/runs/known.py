"""A run's knowledge of its data sets without their pixels: `data.json` in its folder.

Whoever uses a trained run opens it by this file alone (`eojax.runs.opening`): the images need not
be there any more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import normalize

from eojax.atomic_file import write_atomically
from eojax.data import facts as data_facts
from eojax.data.facts import Facts, Raster
from eojax.data.splits import Splits
from eojax.errors import UserError
from eojax.runs.domains import TARGET, Domain

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
    text = known_json(known)
    write_atomically(folder / FILE, lambda file: file.write(text.encode()))


def known_json(known: Mapping[str, Known]) -> str:
    """The text of `data.json`."""
    plain = {
        group: {**one._asdict(), 'facts': data_facts.to_json(one.facts), 'counts': {**one.counts}}
        for group, one in known.items()
    }
    return json.dumps(plain, indent=2) + '\n'


def _known_from(plain: Mapping[str, Any]) -> Known:
    known = Known(
        data_facts.from_json(plain['facts']),
        tuple(map(str, plain['own_classes'])),
        {part: int(num) for part, num in plain['counts'].items()},
        tuple(map(int, plain['label_counts'])),
    )
    if set(known.counts) != set(Splits._fields) or min(known.counts.values()) < 0:
        raise ValueError(f'counts {plain["counts"]}: one of each of {", ".join(Splits._fields)}')
    if len(known.label_counts) != known.facts.num_classes:
        raise ValueError(f'{len(known.label_counts)} label_counts; one of each class')
    return known


def verify_facts(title: str, kept: Facts, read: Facts) -> None:
    """Refuses a data set that is not what a run was trained on, where numbers depend on it.

    Args:
      title: of the run's folder or file, for the message.
      kept: in the run's folder.
      read: with the data set.

    Raises:
      UserError: other classes, rasters, labels or sizes, by name.
    """
    read = data_facts.from_json(json.loads(json.dumps(data_facts.to_json(read))))
    kept, read = _as_seen(kept), _as_seen(read)
    for name in ('class_names', 'rasters', 'label', 'size'):
        before, now = getattr(kept, name), getattr(read, name)
        same = before == now
        if name == 'class_names':  # earlier versions kept macOS's spelling of é
            same = [normalize('NFC', one) for one in before] == list(now)
        if not same:
            raise UserError(
                f'{title}: the run was trained on data with {name} {_plain(before)}, and this data'
                f' set has {_plain(now)}; use the same data, or another folder'
                f'{_renamed(before, now) if name == "class_names" else ""}'
            )


def _as_seen(facts: Facts) -> Facts:
    """The facts without what networks do not see.

    Whether pixels may lack data is of the files as they are now, and units are words for people.
    """
    plain = facts.without_missing()
    rasters = {name: raster._replace(unit_metres=0.0) for name, raster in plain.rasters.items()}
    return plain._replace(rasters=rasters)


def _renamed(before: tuple[str, ...], now: tuple[str, ...]) -> str:
    """The table that would say that class folders were only renamed."""
    missing = [name for name in before if name not in now]
    new = [name for name in now if name not in before]
    if not missing or len(missing) != len(new):
        return ''
    folder = new[0]
    example = (
        f'--class_folders={folder}={missing[0]}' if len(new) == 1 else '--class_folders=NEW=OLD'
    )
    training = example.replace('--', '--config.data.')
    return f' (where folders were only renamed, say {example}; in training, {training})'


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return '; '.join(f'{name}: {_plain(one)}' for name, one in value.items())
    if isinstance(value, Raster):
        return ', '.join(f'{key} {one}' for key, one in value._asdict().items())
    return ', '.join(map(str, value)) if isinstance(value, tuple) else str(value)


def read_known(folder: Path) -> dict[str, Known]:
    """The facts that `write_known` wrote.

    Raises:
      UserError: the file is absent or damaged.
    """
    file = folder / FILE
    try:
        plain: dict[str, Any] = json.loads(file.read_bytes())
        known = {group: _known_from(one) for group, one in plain.items()}
        if TARGET not in known:
            raise ValueError(f'it tells nothing of {TARGET!r}')
        return known
    except OSError as error:
        raise UserError(f'{file} is not there: train the run first') from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f'{file} is damaged: {error!r}; delete it and give the command that trained the run'
            ' once more, which writes it anew'
        ) from error
