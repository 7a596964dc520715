"""The visible members of a zip archive, read without extracting."""

from __future__ import annotations

import functools
import stat
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

from eojax.data.reading.listing.folder import is_hidden
from eojax.data.reading.listing.names import Spellings
from eojax.errors import UserError
from eojax.messages import counted, say

_UTF8 = 0x800  # the flag of a member whose name is UTF-8


class Members(NamedTuple):
    """What an archive holds.

    Attributes:
      files: by their names, with forward slashes.
      folders: their names.
    """

    files: dict[str, zipfile.ZipInfo]
    folders: set[str]


def open_zip(path: Path) -> zipfile.ZipFile:
    """An open archive.

    Raises:
      UserError: there is none, or it is no zip archive or a truncated one.
    """
    try:
        with open(path, 'rb') as file:
            start = file.read(4)
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise UserError(f'no such file or folder: {path}') from None
    except zipfile.BadZipFile:
        # A zip archive starts with the header of a member and ends with the list of members.
        if start == b'PK\x03\x04':
            raise UserError(
                f'{path}: truncated zip archive, its list of members is missing; get the file again'
            ) from None
        raise UserError(f'{path}: neither a folder nor a zip archive') from None
    except (OSError, ValueError, NotImplementedError) as error:
        raise UserError(f'{path}: cannot be read ({error})') from None


def list_members(path: Path, archive: zipfile.ZipFile, once: tuple[str, ...]) -> Members:
    """All visible files and folders of an archive.

    Args:
      path: of the archive, for messages.
      archive: an open one.
      once: suffixes of files that must not be in it twice.

    Raises:
      UserError: a file twice, or two names that are one in two spellings.
    """
    files: dict[str, zipfile.ZipInfo] = {}
    folders: set[str] = set()
    spellings = Spellings(str(path))
    outside = 0
    for info in archive.infolist():
        stored = stored_name(info)
        parts = [part for part in stored.split('/') if part not in ('', '.')]
        outside += '..' in parts and not stored.endswith('/')
        if not parts or any(map(is_hidden, parts)):
            continue
        is_folder = stored.endswith('/')
        name = ''
        for end in range(1, len(parts) + 1):
            name = spellings.add('/'.join(parts[:end]))
            if end < len(parts) or is_folder:
                folders.add(name)
        if not is_folder:
            if name in files and name.lower().endswith(once):
                raise UserError(f'{path}: {name} is in the archive twice')
            files[name] = info
    if outside:
        _say_outside(path, outside)
    return Members(files, folders)


@functools.cache  # once, however often the archive is listed
def _say_outside(path: Path, num: int) -> None:
    say(f'{path}: {counted(num, "file")} left out, as ".." in a name leads out of the archive')


def stored_name(info: zipfile.ZipInfo) -> str:
    """The name of a member as it was meant, with forward slashes.

    Some archivers on Windows write backslashes; that of macOS writes UTF-8 without saying so, which
    would be read as letters and lines of code page 437.
    """
    name = info.filename.replace('\\', '/')
    if name.isascii() or info.flag_bits & _UTF8:
        return name
    try:
        return name.encode('cp437').decode()
    except UnicodeError:
        return name


def names_for_gdal(path: Path, archive: zipfile.ZipFile) -> dict[str, str]:
    """By the names of an archive's files, those that GDAL gives them.

    Args:
      path: of the archive, for messages.
      archive: an open one.
    """
    files = list_members(path, archive, ()).files
    return {
        name: info.filename.replace('\\', '/').removeprefix('./') for name, info in files.items()
    }


def read_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
    """The content of a member.

    Args:
      path: of the archive, for messages.
      archive: an open one.
      info: of the member.
      most: bytes that it may have.

    Raises:
      UserError: it is longer, damaged, truncated, encrypted or a link.
    """
    title = f'{path}: {info.filename}'
    if info.file_size > most:
        raise UserError(f'{title}: larger than {most >> 20} MB')
    if stat.S_ISLNK(info.external_attr >> 16):
        raise UserError(f'{title}: a link, and no file; make the archive anew with the file itself')
    try:
        return archive.read(info)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        reason = str(error) or 'ends too early'
        raise UserError(
            f'{title}: damaged or truncated ({reason}); get the archive again'
        ) from None
    except (NotImplementedError, RuntimeError) as error:  # encryption, unknown compression
        raise UserError(f'{title}: cannot be unpacked ({error})') from None
