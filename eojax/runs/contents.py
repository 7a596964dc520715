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

FILE = 'contents.npz'


def keep(domains: Mapping[str, Domain], folder: Path) -> None:
    """Writes the contents of a run's data sets to its folder where it has none yet."""
    if not sharding.is_main_process() or (folder / FILE).exists():
        return
    made = {group: contents.contents_of(one.dataset, one.splits) for group, one in domains.items()}
    contents.write(folder / FILE, made)


def verify(folder: Path, group: str, domain: Domain) -> None:
    """Refuses images whose names were exchanged since a run began; a line tells of edited ones.

    A folder without contents, of an earlier version, takes any.

    Raises:
      UserError: images that the run knows by other names; the message says how many, and of how
        many of the test it was trained on.
    """
    kept = contents.read(folder / FILE, group)
    if kept is None:
        return
    known = np.concatenate([*kept.hashes.values()])
    for part in reversed(contents.PARTS):
        before, places = kept.hashes[part], getattr(domain.splits, part)
        chosen = places[spread(len(places), len(before))]
        now = contents.hashes(domain.dataset, chosen)
        other = now != before
        if np.isin(now[other], known).any():
            _refuse(folder, group, part, now[other], len(now), kept)
        if other.any() and sharding.is_main_process():
            say(
                f'{group}: {int(other.sum())} of {len(now)} {part} images have the same names as'
                f' when {folder} was trained, and other pixels: edited, or written anew?'
            )


def by_contents(folder: Path, group: str, domain: Domain) -> Domain | None:
    """The parts that a run began with, found by the pixels of images whose files were renamed.

    Images that the run did not begin with are in no part. None where an image of the run is not
    there, or lies in another class, or where not all of them are known by their pixels.
    """
    kept, record = contents.read(folder / FILE, group), kept_record(folder, group)
    whole = kept is not None and all(
        len(kept.hashes[part]) == record.parts[part].places for part in contents.PARTS
    )
    if kept is None or not whole or not contents.in_memory(domain.dataset):
        return None
    dataset, places = domain.dataset, collections.defaultdict[tuple[int, int], list[int]](list)
    now = contents.hashes(dataset, np.arange(dataset.places.num))
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
    now = contents.contents_of(domain.dataset, domain.splits).hashes['test']
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


def learnt_from(folder: Path, dataset: Dataset) -> np.ndarray:
    """Which images of another folder a run has been trained on or chosen by, bool `[num]`.

    They are known by their pixels, as the run reads them; none where the run knows no contents.
    """
    kept = contents.read(folder / FILE, TARGET)
    if kept is None:
        return np.zeros(dataset.places.num, bool)
    return np.isin(contents.hashes(dataset, np.arange(dataset.places.num)), kept.learnt)
