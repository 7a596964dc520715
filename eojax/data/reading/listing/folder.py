"""The visible files and folders below a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from eojax.data.reading.listing.names import Spellings
from eojax.errors import UserError


def is_hidden(part: str) -> bool:
    """Whether a file or folder of this name is left out without a word."""
    return part.startswith('.') or part == '__MACOSX'


class Tree(NamedTuple):
    """What lies below a folder.

    Attributes:
      files: the path of each file, by its name relative to the folder, with forward slashes.
      folders: likewise relative, sorted.
    """

    files: dict[str, str]
    folders: list[str]


def walk_folder(root: Path, needed: tuple[str, ...]) -> Tree:
    """All visible files and folders below `root`; links are followed.

    Args:
      root: the folder.
      needed: suffixes of files that must not be broken links, nor pipes and the like; a broken link
        without any suffix may have been a folder, and is refused too.

    Raises:
      UserError: a folder that cannot be read, or is met twice by links; a broken link; two names
        that are one in two spellings.
    """
    files: dict[str, str] = {}
    folders: list[str] = []
    seen: dict[str, str] = {}
    todo = [(str(root), '')]
    while todo:
        path, below = todo.pop()
        real = os.path.realpath(path)
        if real in seen:  # also ends a link that leads back to a folder above it
            raise UserError(f'{path} is the same folder as {seen[real]}; remove one of the two')
        seen[real] = path
        spellings = Spellings(path)
        for entry in _entries(path):
            name = below + spellings.add(entry.name)
            kind = _kind(entry, needed)
            if kind == 'folder':
                folders.append(name)
                todo.append((entry.path, f'{name}/'))
            elif kind == 'file':
                files[name] = entry.path
    return Tree(dict(sorted(files.items())), sorted(folders))


def _entries(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return sorted(
                (entry for entry in entries if not is_hidden(entry.name)), key=lambda e: e.name
            )
    except OSError as error:
        raise UserError(f'cannot read {path}: {error.strerror}') from None


def _kind(entry: os.DirEntry[str], needed: tuple[str, ...]) -> str:
    """`folder`, `file`, or empty for what is neither and not needed."""
    try:
        if entry.is_dir():
            return 'folder'
        if entry.is_file():
            return 'file'
        broken = entry.is_symlink() and not os.path.exists(entry.path)
    except OSError as error:  # a link in a circle
        raise UserError(f'cannot read {entry.path}: {error.strerror}') from None
    wanted = entry.name.lower().endswith(needed)
    if broken and (wanted or '.' not in entry.name):
        raise UserError(
            f'{entry.path} is a link to {os.readlink(entry.path)}, which does not exist; remove the'
            ' link, or bring back what it leads to'
        )
    if wanted and not broken:
        raise UserError(f'{entry.path} is a pipe or a device, and no file')
    return ''
