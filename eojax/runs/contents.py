"""Images of a run by what they show: `contents.npz` in its folder (`eojax.data.contents`).

Names alone say which image is which only as long as no file is renamed. Files that were numbered
anew have the same names and are other images; a folder beside the run's own may hold images that it
was trained on.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from eojax.data import contents
from eojax.data.columns import spread
from eojax.data.contents import Contents
from eojax.data.dataset import Dataset
from eojax.data.splits import Splits
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.messages import say
from eojax.runs.domains import TARGET, Domain, kept_record
from eojax.runs.known import Known

FILE = 'contents.npz'
# Of images that were equal when a run began, so many are read to see whether one still is.
_EQUAL_READ = 16


def keep(domains: Mapping[str, Domain], folder: Path) -> None:
    """Writes the contents of a run's data sets to its folder where it has none yet."""
    if not sharding.is_main_process() or (folder / FILE).exists():
        return
    made = {
        group: contents.contents_of(one.dataset, one.splits, progress=True)
        for group, one in domains.items()
    }
    contents.write(folder / FILE, made)


def verify(folder: Path, group: str, domain: Domain) -> None:
    """Refuses images whose names were exchanged since a run began; a line tells of edited ones.

    A folder without contents, of an earlier version, takes any. An image was renamed where it had
    another name, and the image of that name is another one now; else it was edited, such as to one
    more blank tile.

    Raises:
      UserError: images that the run knows by other names; the message says how many, and of how
        many of the test it was trained on.
    """
    kept = contents.read(folder / FILE, group)
    if kept is None:
        return
    places = {part: _places_of(kept, domain, part) for part in contents.PARTS}
    for part in reversed(contents.PARTS):
        rows = spread(len(places[part]), contents.most_read(domain.dataset, places[part]))
        now = contents.hashes(domain.dataset, places[part][rows])
        other = now != kept.hashes[part][rows]
        if not other.any():
            continue
        moved = np.isin(now, _moved(domain.dataset, places, kept, now[other])) & other
        if moved.any():
            _refuse(folder, group, part, now[moved], len(now), kept)
        if sharding.is_main_process():
            num = int(np.isin(now[other], kept.learnt).sum())
            same = f'; {num} of them are now like images that it has learnt from' if num else ''
            say(
                f'{group}: {int(other.sum())} of {len(now)} {part} images have the same names as'
                f' when {folder} was trained, and other pixels: edited, or written anew?{same}'
            )


def _places_of(kept: Contents, domain: Domain, part: str) -> np.ndarray:
    """The places whose hashes were kept, by the names of now."""
    places = np.asarray(getattr(domain.splits, part))
    return places[spread(len(places), len(kept.hashes[part]))]


def _moved(
    dataset: Dataset, places: Mapping[str, np.ndarray], kept: Contents, now: np.ndarray
) -> np.ndarray:
    """Those of some hashes, of images that are new under their names, that other names have lost.

    Args:
      places: by part, those of the hashes that were kept.
    """
    before = np.concatenate([kept.hashes[part] for part in contents.PARTS])
    every = np.concatenate([places[part] for part in contents.PARTS])
    known = np.unique(now[np.isin(now, before)])
    order = np.argsort(before, kind='stable')
    first, last = (np.searchsorted(before[order], known, side) for side in ('left', 'right'))
    # Of many equal images, some of which still stand there, one is found soon.
    num = np.minimum(last - first, _EQUAL_READ)
    rows = [order[start : start + many] for start, many in zip(first, num, strict=True)]
    owner = np.repeat(np.arange(len(known)), num)
    read = contents.hashes(dataset, every[np.concatenate(rows)] if rows else every[:0])
    kept_there = np.zeros(len(known), bool)
    kept_there[owner[read == known[owner]]] = True
    return known[~kept_there]


def by_contents(folder: Path, group: str, domain: Domain) -> Domain | None:
    """The parts that a run began with, found by the pixels of images whose files were renamed.

    Images that the run did not begin with are in no part. None where an image of the run is not
    there, or lies in another class, or where not all of them are known by their pixels; or where
    labels are per pixel and images are equal: which of them has which labels is not known.
    """
    kept, record = contents.read(folder / FILE, group), kept_record(folder, group)
    whole = kept is not None and all(
        len(kept.hashes[part]) == record.parts[part].places for part in contents.PARTS
    )
    if kept is None or kept.labels is None or kept.labelled is None or not whole:
        return None
    if not contents.in_memory(domain.dataset):
        return None
    dataset, places = domain.dataset, collections.defaultdict[tuple[int, int], list[int]](list)
    now = contents.hashes(dataset, np.arange(dataset.places.num))
    if dataset.facts.label == 'pixel' and len(np.unique(now)) < len(now):
        return None
    for place, key in enumerate(zip(now.tolist(), dataset.labels.tolist(), strict=True)):
        places[key].append(place)
    same = record.parts['validation'] == record.parts['test']  # validated on the test
    order: list[int] = []
    ends: dict[str, np.ndarray] = {}
    for part in contents.PARTS[: 2 if same else 3]:
        keys = zip(kept.hashes[part].tolist(), kept.labels[part].tolist(), strict=True)
        found = [places[key].pop(0) if places[key] else -1 for key in keys]
        if -1 in found:
            return None
        ends[part] = np.arange(len(order), len(order) + len(found), dtype=np.int32)
        order += found
    train, validation = ends['train'], ends['validation']
    test = validation if same else ends['test']
    parts = Splits(train, validation, test, train[kept.labelled], train[~kept.labelled])
    return Domain(dataset.subset(np.array(order)), parts, domain.own_classes, record)


def learnt_share(folder: Path, group: str, domain: Domain) -> str:
    """How many images that would be the test a run has learnt from, in words; empty for none."""
    kept = contents.read(folder / FILE, group)
    if kept is None:
        return ''
    test = np.asarray(domain.splits.test)
    test = test[spread(len(test), contents.most_read(domain.dataset, test))]
    now = contents.hashes(domain.dataset, test)
    learnt = int(np.isin(now, kept.learnt).sum())
    if not learnt:
        return ''
    return f'; of {len(now)} images that would be the test the run has learnt from {learnt}'


def _refuse(
    folder: Path, group: str, part: str, moved: np.ndarray, num: int, kept: Contents
) -> None:
    known = int(np.isin(moved, np.concatenate([*kept.hashes.values()])).sum())
    learnt = int(np.isin(moved, kept.learnt).sum())
    what = f'{known} of {num} {part} images had other names'
    trained = f', and the run has learnt from {learnt} of them' if part == 'test' and learnt else ''
    raise UserError(
        f'{folder / FILE}: files of {group} were renamed since the run was trained: {what}'
        f'{trained}; use the data with the names that they had'
    )


def known_by_pixels(folder: Path, known: Known) -> tuple[int, int]:
    """How many images that a run has learnt from it knows by their pixels, and how many there are.

    Args:
      known: of the run's target.
    """
    kept = contents.read(folder / FILE, TARGET)
    num = known.counts['train'] + known.counts['validation']
    return (0 if kept is None else len(kept.learnt)), num


def learnt_from(folder: Path, dataset: Dataset) -> np.ndarray:
    """Which images of another folder a run has been trained on or chosen by, bool `[num]`.

    They are known by their pixels, as the run reads them, as far as it does (`known_by_pixels`).
    """
    kept = contents.read(folder / FILE, TARGET)
    if kept is None:
        return np.zeros(dataset.places.num, bool)
    now = contents.hashes(dataset, np.arange(dataset.places.num), sharding.is_main_process())
    return np.isin(now, kept.learnt)
