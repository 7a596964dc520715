"""The user's home folder, which containers and batch systems may lack, and what lies in it."""

from __future__ import annotations

import argparse
import functools
import os
from pathlib import Path

from eojax.errors import UserError
from eojax.messages import say


def expanded(path: str | Path) -> Path:
    """A path in which `~` is the home folder.

    Raises:
      UserError: nobody knows that folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UserError(f'{path}: no home folder is known for ~; write the whole path') from None


def expand_paths(options: argparse.Namespace) -> None:
    """Puts the home folder in place of `~` in all paths of a command line.

    Shells do so where a word begins with it, and not in `--out=~/maps`.

    Raises:
      UserError: nobody knows that folder.
    """
    for name, value in vars(options).items():
        if isinstance(value, Path):
            setattr(options, name, expanded(value))
        elif isinstance(value, list):
            paths = [expanded(one) if isinstance(one, Path) else one for one in value]
            setattr(options, name, paths)


def cache_folder() -> Path | None:
    """`$EOJAX_CACHE`, else `~/.cache/eojax`; not created here. None where there is no home folder.

    Raises:
      UserError: `$EOJAX_CACHE` begins with a `~` that nobody knows.
    """
    folder = os.environ.get('EOJAX_CACHE')
    if folder:
        return expanded(folder)
    try:
        return Path.home() / '.cache' / 'eojax'
    except RuntimeError:  # no $HOME, and the user has no entry among the system's users
        _say_no_home()
        return None


@functools.cache
def _say_no_home() -> None:
    say('no home folder is known, so nothing is cached; name a folder by EOJAX_CACHE=FOLDER')
