"""A data set that configs can name: its options, their check, and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from eojax.data.dataset import Dataset
from eojax.data.facts import Facts
from eojax.data.published import PublishedImages
from eojax.data.sources.label_values import LabelValues
from eojax.errors import UserError
from eojax.option import Option


class StoredLabels(NamedTuple):
    """How the files of a data set store the class of each pixel.

    Attributes:
      class_names: of the data set, before `data.classes` joins some.
      values: the class of each stored number or colour.
    """

    class_names: tuple[str, ...]
    values: LabelValues


class DatasetKind(NamedTuple):
    """One entry of `eojax.data.sets.DATASETS`.

    Attributes:
      name: in configs and messages.
      check: refuses options of the config group `data` that are right by themselves and make no
        data set together, with a `UserError` of one line that names the key.
      from_config: reads the data set of the options; `progress` shows bars and counts on stderr.
      options: of the group that this data set alone has, and shared ones with a default or a range
        of its own (`eojax.data.shared_options`).
      class_names: in the order of their numbers; empty where the files say them.
      published: the facts of a published set; None for any other.
      finish: what is left to do when the splits are known, such as limits by the training images:
        `(dataset, train, options, kept, progress)`, with the numbers of the training images and
        the facts of the run that began with the data set, None for a new one. None where nothing
        is left.
      stored_labels: how its files store the class of each pixel, by the options; None where no
        files hold any.
      class_folders: whether its files, as the `source` says, lie in class folders, so that those of
        other names can be mapped (`eojax.data.class_folders`).
    """

    name: str
    check: Callable[[ConfigDict], None]
    from_config: Callable[[ConfigDict, bool], Dataset]
    options: Mapping[str, Option] = {}
    class_names: tuple[str, ...] = ()
    published: PublishedImages | None = None
    class_folders: bool = False
    stored_labels: Callable[[ConfigDict], StoredLabels | None] | None = None
    finish: Callable[[Dataset, np.ndarray, ConfigDict, Facts | None, bool], Dataset] | None = None


def check_read_from_files(name: str, options: ConfigDict) -> None:
    """Refuses another `source` than files.

    Raises:
      UserError: one line that names the key.
    """
    if options.source != 'files':
        raise UserError(f"data.source of the data set {name!r} is 'files', not {options.source!r}")


def check_drawn(name: str, options: ConfigDict) -> None:
    """Refuses files for a data set that is drawn and not read.

    Raises:
      UserError: one line that names the keys.
    """
    if options.source != 'files' or options.root:
        raise UserError(f'data.name {name} is generated: leave data.source and data.root alone')
