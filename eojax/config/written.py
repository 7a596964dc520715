"""Values of a written config, by whatever version of the code it was written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def get(config: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key; None where the config has no such key."""
    value: Any = config
    for part in key.split('.'):
        value = value.get(part) if isinstance(value, Mapping) else None
    return None if isinstance(value, Mapping) else value


def name_of(config: Mapping[str, Any], group: str) -> str | None:
    """The name of the method, model or data set; None where the config does not say it."""
    found = get(config, f'{group}.name') or get(config, group)
    return str(found) if found else None


def network_of(config: Mapping[str, Any]) -> str | None:
    """The network, as papers write it; None where the config does not say it."""
    depth, width = get(config, 'model.depth'), get(config, 'model.width')
    if name_of(config, 'model') == 'wide_resnet' and depth and width:
        return f'WRN-{depth}-{width}'
    return name_of(config, 'model')
