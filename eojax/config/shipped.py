"""The configs that come with eojax: `configs/` of a clone, inside the package in a wheel."""

from __future__ import annotations

import difflib
from pathlib import Path

from eojax.errors import UserError
from eojax.home import expanded

_PACKAGE = Path(__file__).parents[1]


def shipped_configs() -> dict[str, Path]:
    """The files of the configs by name, in the order of their names."""
    for folder in (_PACKAGE / 'configs', _PACKAGE.parent / 'configs'):
        if (folder / 'quickstart.py').is_file():
            return {f.stem: f for f in sorted(folder.glob('*.py')) if not f.stem.startswith('_')}
    return {}


def config_file(named: str) -> Path:
    """The file of a config.

    Args:
      named: path of a Python file, or the name of a config that comes with eojax.

    Raises:
      UserError: neither; the nearest name is in the message.
    """
    path = expanded(named)
    if path.is_file():
        return path
    shipped = shipped_configs()
    if named in shipped:
        return shipped[named]
    if '.py:' in named:
        hint = ' (a config takes no arguments: use --config.key=value)'
    elif path.stem in shipped:  # a path of the clone, from elsewhere
        hint = f'; one of that name comes with eojax: --config={path.stem}'
    else:
        near = difflib.get_close_matches(path.stem, shipped, n=1, cutoff=0.5)
        hint = f'; of those that come with eojax, the nearest is {near[0]}' if near else ''
    raise UserError(f'config file not found: {named}{hint}')
