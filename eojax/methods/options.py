"""Checks of the config keys that many methods have."""

from __future__ import annotations

from ml_collections import ConfigDict

from eojax.augment import AUGMENTATIONS
from eojax.errors import UserError, unknown_name


def check_shared(method: ConfigDict) -> None:
    """Refuses values of `augment` and `average_decay` that do not work, where there are such keys.

    Args:
      method: the config group of that name.

    Raises:
      UserError: one line that names the key.
    """
    for key in ('augment', 'likelihood_augment'):
        if key in method and method[key] not in AUGMENTATIONS:
            raise unknown_name(f'method.{key}', method[key], AUGMENTATIONS)
    decay = method.get('average_decay', 0.0)
    if not 0.0 <= decay < 1.0:
        raise UserError(f'method.average_decay must lie in [0, 1), not {decay}')
