"""The domains of a run: the data set that is evaluated, and another one that it may learn from too.

A config group each, of the same form: `data`, the target, and `source`. Everything else about them
is a mapping with these names. Whoever uses a trained run reads neither: the run's folder keeps all
that there is to know of them besides their pixels (`eojax.runs.known`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from eojax.data import class_groups, kept_splits, split_record, splits, unseen_classes
from eojax.data.dataset import Dataset
from eojax.data.options import errors_name_group
from eojax.data.sets import DATASETS
from eojax.data.split_record import SplitRecord
from eojax.data.splits import Splits
from eojax.devices import sharding
from eojax.errors import UserError

TARGET, SOURCE = 'data', 'source'
# In a run's folder.
_SPLITS = {TARGET: 'splits.json', SOURCE: 'source_splits.json'}


class Domain(NamedTuple):
    """A data set, split, and what may be learnt from it.

    Attributes:
      dataset: all images, on the host or read on access; its classes are those of the run.
      splits: indices into `dataset`.
      own_classes: the names of the data set's classes, before any were grouped.
      record: of the splits, which a run's folder keeps.
    """

    dataset: Dataset
    splits: Splits
    own_classes: tuple[str, ...]
    record: SplitRecord

    @property
    def training(self) -> Dataset:
        """The training images, with label -1 outside the labelled subset.

        Where labels are per pixel, it is 0 for the places whose pixels a method may know. It
        copies what is in memory: ask once.
        """
        train = self.dataset.subset(self.splits.train)
        labelled = np.isin(self.splits.train, self.splits.labelled)
        known = 0 if train.facts.label == 'pixel' else train.labels
        return train.with_labels(np.where(labelled, known, -1).astype(np.int32))


def load_domains(config: ConfigDict) -> dict[str, Domain]:
    """Every domain of a config, by its group.

    Raises:
      UserError: see the data set's `from_config`, `regroup` and `make_splits`; or domains of
        different classes.
    """
    found = {group: load_domain(config, group) for group in (TARGET, SOURCE) if group in config}
    for domain in found.values():
        _check_classes(found[TARGET].dataset.class_names, domain.dataset.class_names)
    return found


def load_domain(config: ConfigDict, group: str = TARGET) -> Domain:
    """The data set of a config's group, with its classes grouped, and split."""
    options = config[group]
    with errors_name_group(group, options):
        own = DATASETS[options.name].from_config(options, sharding.is_main_process())
        dataset = class_groups.regroup(own, class_groups.parse(options.classes))
        rule = splits.rule_of(options, config.seed)
        unseen = unseen_classes.parse(options.unseen_classes)
        dataset = unseen_classes.mark_unseen(dataset, unseen)
        split, record = kept_splits.split_and_record(dataset, rule)
        if unseen:
            split = unseen_classes.leave_out(dataset, split, options.unseen_share)
            record = split_record.record_of(split, dataset, rule)
    return Domain(dataset, split, own.class_names, record)


def keep(domains: Mapping[str, Domain], folder: Path) -> None:
    """Writes the splits to a run's folder where it has none of them yet."""
    if not sharding.is_main_process():
        return
    for group, domain in domains.items():
        if not (folder / _SPLITS[group]).exists():
            split_record.write(folder / _SPLITS[group], domain.record)


def verify(domains: Mapping[str, Domain], folder: Path) -> None:
    """Refuses to go on with other data than a run began with; a folder without splits takes any.

    Raises:
      UserError: other data; the message names the part that differs.
    """
    for group, domain in domains.items():
        if (folder / _SPLITS[group]).exists():
            verify_splits(folder, group, domain)


def verify_splits(folder: Path, group: str, domain: Domain) -> None:
    """Refuses other data than a run began with.

    Raises:
      UserError: other data; the message names the part that differs.
    """
    split_record.verify(folder / _SPLITS[group], domain.record)


def kept_record(folder: Path, group: str) -> SplitRecord:
    """The record of the splits that a run began with.

    Raises:
      UserError: it is not there, or damaged.
    """
    return split_record.read(folder / _SPLITS[group])


def described(domains: Mapping[str, Domain]) -> str:
    """How many images there are for what."""
    split = domains[TARGET].splits
    text = (
        f'{len(split.train)} training images ({len(split.labelled)} labelled),'
        f' {len(split.validation)} for validation, {len(split.test)} for testing'
    )
    if SOURCE in domains:
        split = domains[SOURCE].splits
        text += f'; of the source {len(split.train)} ({len(split.labelled)} labelled)'
    return text


def _check_classes(ours: tuple[str, ...], theirs: tuple[str, ...]) -> None:
    if ours == theirs:
        return
    alone = [f'{name!r} (only in {group})'
             for group, names, others in (('data', ours, theirs), ('source', theirs, ours))
             for name in names if name not in others]  # fmt: skip
    what = ', '.join(alone) or f'their order is {", ".join(ours)} and {", ".join(theirs)}'
    raise UserError(
        f'data and source must have the same classes: {what}; group them by data.classes and'
        ' source.classes'
    )
