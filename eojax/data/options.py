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

from eojax import option
from eojax.data import class_folders, class_groups, unseen_classes
from eojax.data.sets import DATASETS
from eojax.data.shared_options import SHARED
from eojax.data.splits import check_rule, rule_of
from eojax.errors import UserError, unknown_name
from eojax.memory import check_fits
from eojax.option import Option, name_in

_LOWER = 'set it lower'


def options_of(name: str) -> dict[str, Option]:
    """The options of the group of a data set.

    Raises:
      UserError: for an unknown name.
    """
    if name not in DATASETS:
        raise unknown_name('data set', name, DATASETS)
    named = Option(name, 'the data set', name_in(DATASETS))
    return {'name': named, **SHARED, **DATASETS[name].options}


def defaults(name: str) -> dict[str, Any]:
    """The complete group of a data set, with the default of each option.

    Raises:
      UserError: for an unknown name.
    """
    return option.defaults(options_of(name))


def check(options: ConfigDict, group: str) -> None:
    """Refuses what makes no data set.

    Args:
      options: complete, each of the right type.
      group: what the config calls them.

    Raises:
      UserError: one line that names the key.
    """
    with errors_name_group(group, options):
        option.check(options_of(options.name), options, 'data')
        # Of one band alone: as numbers with a fraction, which resampling and drawing make of it.
        check_fits(4 * options.size**2, f'data.size {options.size}: the pixels of an image', _LOWER)
        class_groups.parse(options.classes)
        class_folders.parse(options.class_folders)
        unseen_classes.parse(options.unseen_classes)
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
