"""The trained networks that ship with eojax, by name; their cards are in the files."""

from __future__ import annotations

from pathlib import Path

from eojax.errors import UserError, unknown_name
from eojax.weights.run_file import SUFFIX

FOLDER = Path(__file__).parent / 'shipped'


def names() -> list[str]:
    """The names of all of them, sorted."""
    return sorted(file.name.removesuffix(SUFFIX) for file in FOLDER.glob(f'*{SUFFIX}'))


def path_of(name: str) -> Path:
    """The file of a name.

    Raises:
      UserError: an unknown name; the message has the nearest and all there are.
    """
    if name not in names():
        raise unknown_name('weights', name, names())
    return FOLDER / f'{name}{SUFFIX}'


def folder_or_file(place: str | Path) -> Path:
    """The run folder or the file that a place means: a path, or a name of shipped weights.

    A path that exists goes before a name.

    Raises:
      UserError: neither a path that exists nor a name; the message has the nearest name.
    """
    path = Path(place)
    if path.exists():
        return path
    name = str(place)
    if name in names():
        return path_of(name)
    if path.name != name or not name or path.suffix == SUFFIX:
        return path  # whoever reads it says that nothing is there
    raise UserError(f'no run folder of that name, and {unknown_name("weights", name, names())}')
