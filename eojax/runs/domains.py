"""The domains of a run: the data set that is evaluated, and another one that it may learn from too.

A config group each, of the same form: `data`, the target, and `source`. Everything else about them
is a mapping with these names. What a trained run is used for needs no source: the run's folder
keeps what there is to know of it besides its pixels (`source.json`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from eojax.atomic_file import write_atomically
from eojax.config.data_options import errors_name_group
from eojax.data import class_groups, split_record, splits
from eojax.data.dataset import Dataset, image_dataset
from eojax.data.sets import DATASETS
from eojax.data.split_record import SplitRecord
from eojax.data.splits import Splits
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.feed.pipeline import training_set

TARGET, SOURCE = 'data', 'source'
# In a run's folder.
_SPLITS = {TARGET: 'splits.json', SOURCE: 'source_splits.json'}
_FACTS = 'source.json'


class Domain(NamedTuple):
    """A data set, split, and what may be learnt from it.

    Attributes:
      dataset: all images, on the host or read on access; its classes are those of the run.
      splits: indices into `dataset`.
      training: its training images, with label -1 outside the labelled subset.
      parts: by part (`labelled`, `unlabelled`, `train`), int32 indices into `training`.
      own_classes: the names of the data set's classes, before any were grouped.
      record: of the splits, which a run's folder keeps.
    """

    dataset: Dataset
    splits: Splits
    training: Dataset
    parts: Mapping[str, np.ndarray]
    own_classes: tuple[str, ...]
    record: SplitRecord

    @property
    def truth(self) -> np.ndarray:
        """The classes of the training images, int32, those kept from the method among them."""
        return np.asarray(self.dataset.labels[self.splits.train], np.int32)


class UnreadImages:
    """Images that are not read: all that is known of them is their shape and type."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.shape, self.dtype = shape, dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        raise UserError('the images of the source domain are read for training alone')


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
        split, record = split_record.split_and_record(dataset, rule)
    return Domain(dataset, split, *training_set(dataset, split), own.class_names, record)


def open_domains(config: ConfigDict, folder: Path) -> dict[str, Domain]:
    """Every domain of a trained run, the source as `keep` left it in the run's folder.

    Raises:
      UserError: as `load_domains`; or what is kept of the source is absent or damaged.
    """
    found = {TARGET: load_domain(config)}
    if SOURCE in config:
        found[SOURCE] = _without_pixels(folder, found[TARGET].dataset.class_names)
    return found


def keep(domains: Mapping[str, Domain], folder: Path) -> None:
    """Writes the splits to a run's folder, or refuses to go on with other data than it began with.

    Raises:
      UserError: other data; the message names the part that differs.
    """
    for group, domain in domains.items():
        file = folder / _SPLITS[group]
        if file.exists():
            split_record.verify(file, domain.record)
        elif sharding.is_main_process():
            split_record.write(file, domain.record)
    if SOURCE in domains and sharding.is_main_process():
        text = json.dumps(_facts(domains[SOURCE].training)) + '\n'
        write_atomically(folder / _FACTS, lambda file: file.write(text.encode()))


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


def _facts(training: Dataset) -> dict[str, Any]:
    return {
        'shape': training.images.shape,
        'dtype': str(training.images.dtype),
        'bands': training.bands,
        'limits': training.limits,
        'labels': training.labels.tolist(),
        'names': list(training.names),
    }


def _without_pixels(folder: Path, class_names: tuple[str, ...]) -> Domain:
    """The training images of the source domain as `keep` wrote of them."""
    file = folder / _FACTS
    record = split_record.read(folder / _SPLITS[SOURCE])
    try:
        facts = json.loads(file.read_bytes())
        images: Any = UnreadImages(tuple(facts['shape']), np.dtype(facts['dtype']))
        labels = np.asarray(facts['labels'], np.int32)
        names = tuple(map(str, facts['names']))
        if not len(images) == len(labels) == len(names) == record.parts['train'].places:
            raise ValueError('it is of other data than the splits')
        limits = facts['limits'] and tuple(
            (float(low), float(high)) for low, high in facts['limits']
        )
        bands = tuple(facts['bands'])
    except OSError as error:
        raise UserError(f'{file} is not there: train the run first') from error
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f'{file} is damaged: {error}') from error
    training = image_dataset(images, labels, names, class_names, bands, limits)
    everything = np.arange(len(labels), dtype=np.int32)
    labelled, unlabelled = everything[labels >= 0], everything[labels < 0]
    nothing = everything[:0]
    parts = {'labelled': labelled, 'unlabelled': unlabelled, 'train': everything}
    split = Splits(everything, nothing, nothing, labelled, unlabelled)
    return Domain(training, split, training, parts, class_names, record)
