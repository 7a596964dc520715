"""The domains of a run: the data set that is evaluated, and another one that it may learn from too.

A config group each, of the same form: `data`, the target, and `source`. Everything else about them
is a mapping with these names. Whoever uses a trained run reads neither: the run's folder keeps all
that there is to know of them besides their pixels (`eojax.runs.known`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from eojax.data import (
    class_folders,
    class_groups,
    kept_splits,
    split_record,
    splits,
    synthesised,
    unseen_classes,
)
from eojax.data.columns import name_at
from eojax.data.dataset import Dataset
from eojax.data.facts import Facts
from eojax.data.options import errors_name_group
from eojax.data.reading.image_files import LATER_SUFFIXES
from eojax.data.sets import DATASETS
from eojax.data.split_record import SplitRecord
from eojax.data.splits import Splits
from eojax.devices import sharding
from eojax.errors import UserError

TARGET, SOURCE = 'data', 'source'
# In a run's folder.
_SPLITS = {TARGET: 'splits.json', SOURCE: 'source_splits.json'}


# Of the options of a data set: what there is of it, before its classes are grouped.
Reader = Callable[[ConfigDict], Dataset]


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


def read_dataset(options: ConfigDict) -> Dataset:
    """The data set that the options name, from where they say.

    Raises:
      UserError: see the data set's `from_config`.
    """
    return DATASETS[options.name].from_config(options, sharding.is_main_process())


def load_domains(
    config: ConfigDict,
    kept: Mapping[str, Facts] = MappingProxyType({}),
    read: Reader = read_dataset,
) -> dict[str, Domain]:
    """Every domain of a config, by its group.

    Args:
      kept: the facts of the run that began with them, by group; none for a new one.
      read: reads a data set.

    Raises:
      UserError: see the data set's `from_config`, `regroup` and `make_splits`; or domains of
        different classes.
    """
    found = {
        group: load_domain(config, group, kept.get(group), read)
        for group in (TARGET, SOURCE)
        if group in config
    }
    for domain in found.values():
        _check_classes(found[TARGET].dataset.class_names, domain.dataset.class_names)
    return found


def load_domain(
    config: ConfigDict,
    group: str = TARGET,
    kept: Facts | None = None,
    read: Reader = read_dataset,
) -> Domain:
    """The data set of a config's group, with its classes grouped, and split.

    Args:
      kept: the facts of the run that began with it; None for a new one.
      read: reads the data set.
    """
    options = config[group]
    with errors_name_group(group, options):
        _check_class_folders(options)
        own = read(options)
        dataset = class_groups.regroup(own, class_groups.parse(options.classes))
        dataset = unseen_classes.mark_unseen(dataset, unseen_classes.parse(options.unseen_classes))
        if options.synthesised:
            dataset = synthesised.with_images(dataset, synthesised.read_images(options.synthesised))
        domain = _split(dataset, own.class_names, config, group)
        finish = DATASETS[options.name].finish
        if finish is None:
            return domain
        train, progress = domain.splits.train, sharding.is_main_process()
        return domain._replace(dataset=finish(domain.dataset, train, options, kept, progress))


def _split(
    dataset: Dataset, own_classes: tuple[str, ...], config: ConfigDict, group: str
) -> Domain:
    options = config[group]
    rule = splits.rule_of(options, config.seed)
    split, record = kept_splits.split_and_record(dataset, rule)
    if unseen_classes.parse(options.unseen_classes):
        split = unseen_classes.leave_out(dataset, split, options.unseen_share)
        record = split_record.record_of(split, dataset, rule)
    if options.synthesised:
        images = synthesised.read_images(options.synthesised)
        split = synthesised.chosen_splits(dataset, split, images, options.synthesised_use)
        record = split_record.record_of(split, dataset, rule)
    return Domain(dataset, split, own_classes, record)


def _check_class_folders(options: ConfigDict) -> None:
    """Refuses a table of folders where the data set would not look at it."""
    used = DATASETS[options.name].class_folders and options.source == 'files'
    if class_folders.parse(options.class_folders) and not used:
        raise UserError(
            f'{class_folders.KEY} {options.class_folders!r} is for images in class folders, and'
            f' data.name {options.name!r} from data.source {options.source!r} has none: leave it'
            ' empty'
        )


def as_begun(domain: Domain, folder: Path, config: ConfigDict, group: str) -> Domain:
    """The domain with the spelling of names that a run began with, where only that differs.

    Earlier versions kept the decomposed spelling (NFD) of macOS, and drew the splits by it.
    """
    file = folder / _SPLITS[group]
    if not file.exists():
        return domain
    kept, names = split_record.read(file), domain.dataset.names
    if kept.parts == domain.record.parts or kept.rule != domain.record.rule:
        return domain
    now = [name_at(names, i) for i in range(len(names))]
    before = [unicodedata.normalize('NFD', name) for name in now]
    if before == now:
        return domain
    places = domain.dataset.places._replace(names=tuple(before))
    order = np.array(sorted(range(len(before)), key=before.__getitem__), np.int64)
    dataset = domain.dataset._replace(places=places).subset(order)
    with errors_name_group(group, config[group]):
        other = _split(dataset, domain.own_classes, config, group)
    return other if other.record.parts == kept.parts else domain


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
    file = folder / _SPLITS[group]
    try:
        split_record.verify(file, domain.record)
    except UserError as error:
        raise UserError(f'{error}{_more_read(split_record.read(file), domain)}') from error


def _more_read(kept: SplitRecord, domain: Domain) -> str:
    """Says so where the only new places are of suffixes that earlier versions left out."""
    names = domain.dataset.names
    before, now = (
        sum(parts[part].places for part in ('train', 'validation', 'test'))
        for parts in (kept.parts, domain.record.parts)
    )
    if now <= before:
        return ''
    new = [
        name for name in (name_at(names, i) for i in range(len(names)))
        if name.lower().endswith(LATER_SUFFIXES)
    ]  # fmt: skip
    if len(new) != now - before:
        return ''
    endings = ', '.join(sorted({Path(name).suffix.lower() for name in new}))
    return (
        f' (earlier versions left out files that end in {endings}, and {len(new)} are among these'
        f' data, such as {new[0]}: move them elsewhere)'
    )


def keeps_splits(folder: Path) -> bool:
    """Whether a run's folder has the record of the splits of what it is about."""
    return (folder / _SPLITS[TARGET]).exists()


def kept_record(folder: Path, group: str) -> SplitRecord:
    """The record of the splits that a run began with.

    Raises:
      UserError: it is not there, or damaged.
    """
    return split_record.read(folder / _SPLITS[group])


def validated_on_test(folder: Path) -> bool:
    """Whether the validation images of a run are its test images (`data.validation_by=test`).

    False of a folder that keeps no record of its splits.
    """
    if not keeps_splits(folder):
        return False
    parts = kept_record(folder, TARGET).parts
    return bool(parts['test'].places) and parts['validation'] == parts['test']


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
