"""A config group that says which data set, what of it, and where it lives: `data` or `source`.

What works on data sets knows one group and calls it `data`, in its errors too; those are turned to
the group that is meant by `errors_name_group`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from eojax.data import class_folders, class_groups, unseen_classes
from eojax.data.sets import DATASETS
from eojax.data.splits import check_rule, rule_of
from eojax.errors import UserError, unknown_name


def defaults(name: str) -> dict[str, Any]:
    """The complete group of a data set.

    Raises:
      UserError: for an unknown name.
    """
    if name not in DATASETS:
        raise unknown_name('data set', name, DATASETS)
    return {
        'name': name,
        'source': 'files',
        'root': '',
        'size': 64,
        'classes': '',
        'class_folders': '',
        'labels_per_class': 'all',
        'labelled_in_all': 0,
        'labelled_groups': '',
        'labelled_share': 1.0,
        'test_groups': '',
        'validation_groups': '',
        'validation_by': 'group',
        'resident_gigabytes': 4.0,
        'workers': 2,
        'test_fraction': 0.2,
        'validation_fraction': 0.1,
        'unseen_classes': '',
        'unseen_share': 0.01,
        **DATASETS[name].defaults,
    }


def check(options: ConfigDict, group: str) -> None:
    """Refuses what makes no data set.

    Args:
      options: complete, each of the right type.
      group: what the config calls them.

    Raises:
      UserError: one line that names the key.
    """
    with errors_name_group(group, options):
        if options.size < 1:
            raise UserError(f'data.size must be at least 1, not {options.size}')
        for key in ('resident_gigabytes', 'workers'):
            if options[key] < 0:
                raise UserError(f'data.{key} must not be negative, not {options[key]}')
        class_groups.parse(options.classes)
        class_folders.parse(options.class_folders)
        unseen_classes.check(options.unseen_classes, options.unseen_share)
        DATASETS[options.name].check(options)
        check_rule(rule_of(options, seed=0))


@contextlib.contextmanager
def errors_name_group(group: str, options: ConfigDict) -> Iterator[None]:
    """Lets errors about `data.KEY`, for a key of the options, name the key of the group."""
    try:
        yield
    except UserError as error:
        keys = rf'\bdata\.(?=(?:{"|".join(map(re.escape, options))})\b)'
        raise UserError(re.sub(keys, f'{group}.', str(error))) from error
