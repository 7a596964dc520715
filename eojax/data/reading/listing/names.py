"""One spelling of the names of files, however a disk or an archive writes them.

Names are compared, shown and kept in NFC, the composed form of Unicode: macOS writes é as two
characters, other systems as one. A name that is no UTF-8 is read as Windows-1252, of which Latin-1
is a part. Readers find the file by either spelling.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from eojax.errors import UserError


def readable(name: str) -> str:
    """A file's name or path in its one spelling.

    Args:
      name: as Python lists it, with surrogates for bytes that are no UTF-8.
    """
    if name.isascii():
        return name
    return unicodedata.normalize('NFC', '/'.join(map(_decoded, name.split('/'))))


def _decoded(part: str) -> str:
    try:
        part.encode()
    except UnicodeEncodeError:
        raw = os.fsencode(part)
        try:
            return raw.decode('cp1252')
        except UnicodeDecodeError:
            return raw.decode('latin-1')
    return part


class Spellings:
    """The names of one folder: refuses two that are one name in two spellings."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._stored: dict[str, str] = {}

    def add(self, stored: str) -> str:
        """The one spelling of a name.

        Args:
          stored: as the disk or the archive writes it.

        Raises:
          UserError: another name has the same one.
        """
        name = readable(stored)
        other = self._stored.setdefault(name, stored)
        if other != stored:
            raise UserError(
                f'{self._where}: {name!r} is there twice, as {other!a} and {stored!a},'
                ' which are one name in two spellings: join them, or rename one'
            )
        return name


def stored_path(root: Path, name: str) -> Path:
    """The path below a folder whose name has this one spelling; `root / name` where there is none.

    Args:
      root: the folder.
      name: relative to it, with forward slashes.
    """
    if name.isascii() or (root / name).exists():
        return root / name
    path = root
    for part in name.split('/'):
        path /= _stored_part(path, part)
    return path


def _stored_part(folder: Path, part: str) -> str:
    if part.isascii() or (folder / part).exists():
        return part
    try:
        names = os.listdir(folder)
    except OSError:
        return part
    return next((name for name in names if readable(name) == part), part)
