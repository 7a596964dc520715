"""The image files of a folder or a zip archive: listing and reading them, without extracting."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from eojax.data.reading.listing.archive import list_members, open_zip, read_member
from eojax.data.reading.listing.folder import walk_folder
from eojax.data.reading.listing.names import stored_path
from eojax.errors import UserError

# Of images that Pillow decodes as a whole, of TIFF, and of JPEG 2000.
PICTURE_SUFFIXES = (
    *('.jpg', '.jpeg', '.jfif', '.jpe', '.png', '.webp', '.gif', '.bmp', '.dib', '.avif'),
    *('.ppm', '.pgm', '.pbm', '.pnm'),
)
TIFF_SUFFIXES = ('.tif', '.tiff')
JPEG_2000_SUFFIXES = ('.jp2', '.j2k', '.j2c', '.jpc', '.jpf', '.jpx')
IMAGE_SUFFIXES = (*PICTURE_SUFFIXES, *TIFF_SUFFIXES, *JPEG_2000_SUFFIXES)
# Read since 2026; runs that began before have none of these.
LATER_SUFFIXES = tuple(
    suffix for suffix in IMAGE_SUFFIXES if suffix not in ('.jpg', '.jpeg', '.png', *TIFF_SUFFIXES)
)
# For messages: where there are no images at all.
_IMAGES_TEXT = 'images (.jpg, .png, .tif, .webp, .gif, .bmp, .jp2, ...)'
# One image file; a longer one is a mistake or a decompression bomb.
MAX_FILE_BYTES = 2**28
# Suffixes that a line about other files names.
_NAMED = 5


class ImageFiles(NamedTuple):
    """The image files below one folder or in one zip archive.

    Attributes:
      path: the folder or the archive.
      files: image files relative to `path`, with forward slashes, sorted; each name in its one
        spelling (`eojax.data.reading.listing.names`), by which `read` finds it.
      folders: all folders relative to `path`, those without images too; sorted.
      read: the content of one of `files`; may be called from several threads.
      others: files that no reader takes, as `files`.
    """

    path: Path
    files: tuple[str, ...]
    folders: tuple[str, ...]
    read: Callable[[str], bytes]
    others: tuple[str, ...] = ()


@contextlib.contextmanager
def open_image_files(path: Path) -> Iterator[ImageFiles]:
    """Opens a folder or a zip archive; hidden files and `__MACOSX` are left out.

    Files that no reader takes are left out too, and a line on stderr counts and names them.

    Raises:
      UserError: `path` is missing, unreadable, no zip archive or a truncated one. `read` raises it
        for a member that is truncated, damaged (CRC), encrypted or longer than `MAX_FILE_BYTES`.
    """
    if path.is_dir():
        yield _said(_folder_files(path))
        return
    with open_zip(path) as archive:
        yield _said(_zip_files(path, archive))


# Paths of which the line was printed in this process.
_SAID: set[tuple[Path, tuple[str, ...]]] = set()


def _said(listing: ImageFiles) -> ImageFiles:
    """Says once what is left out."""
    if listing.files and listing.others and (listing.path, listing.others) not in _SAID:
        _SAID.add((listing.path, listing.others))
        print(f'eojax: {listing.path}: {describe_left_out(listing.others)}', file=sys.stderr)
    return listing


def no_images(listing: ImageFiles) -> UserError:
    """What to say where no file is an image."""
    others = f'; {describe_left_out(listing.others)}' if listing.others else ''
    return UserError(f'{listing.path}: no {_IMAGES_TEXT} in it{others}')


def describe_left_out(files: Sequence[str]) -> str:
    """How many files are left out, of which suffixes, and one of them, in words."""
    endings = Counter(Path(file).suffix.lower() or 'without suffix' for file in files)
    named = ', '.join(f'{count} {ending}' for ending, count in endings.most_common(_NAMED))
    more = ', ...' if len(endings) > _NAMED else ''
    return f'{len(files)} file(s) that no reader takes are left out: {named}{more} ({files[0]})'


def list_files(path: Path, suffixes: tuple[str, ...]) -> tuple[str, ...]:
    """All files with one of the suffixes below a folder or in a zip archive, sorted.

    Hidden files and `__MACOSX` are left out; names are relative to `path`, with forward slashes.

    Raises:
      UserError: as `open_image_files`.
    """
    if path.is_dir():
        files = list(walk_folder(path, IMAGE_SUFFIXES).files)
    else:
        with open_zip(path) as archive:
            files = list(list_members(path, archive, IMAGE_SUFFIXES).files)
    return tuple(sorted(name for name in files if name.lower().endswith(suffixes)))


class FileReader:
    """Reads files of one folder or zip archive by name, without listing the folder.

    It pickles as its path. An archive is opened at the first read, once in each process: processes
    that shared an open file would move each other's place in it. Threads may read at a time.
    """

    def __init__(self, path: Path) -> None:
        self.__setstate__({'path': path})

    def __getstate__(self) -> dict[str, Path]:
        return {'path': self.path}

    def __setstate__(self, state: dict[str, Path]) -> None:
        self.path = state['path']
        self._lock = threading.Lock()
        # The process that opened it, and the reader: one value, so that threads see both or none.
        self._opened: tuple[int, Callable[[str], bytes]] | None = None

    def __call__(self, name: str) -> bytes:
        """The content of a file.

        Raises:
          UserError: as `open_image_files` and its `read`.
        """
        opened = self._opened
        if opened is None or opened[0] != os.getpid():
            opened = self._open()
        return opened[1](name)

    def _open(self) -> tuple[int, Callable[[str], bytes]]:
        with self._lock:
            if self._opened is None or self._opened[0] != os.getpid():
                if self.path.is_dir():
                    read = _folder_reader(self.path)
                else:
                    read = _zip_files(self.path, open_zip(self.path)).read
                self._opened = (os.getpid(), read)
            return self._opened


def fingerprint(path: Path) -> str:
    """A short text that changes with the size or time of the file, or of any below the folder."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        if path.is_dir():
            for name, file in walk_folder(path, IMAGE_SUFFIXES).files.items():
                status = os.stat(file)
                digest.update(f'{name}:{status.st_size}:{status.st_mtime_ns}\n'.encode())
        else:
            status = path.stat()
            digest.update(f'{status.st_size}:{status.st_mtime_ns}'.encode())
    except FileNotFoundError:
        raise UserError(f'no such file or folder: {path}') from None
    except OSError as error:
        raise UserError(f'cannot read {error.filename}: {error.strerror}') from None
    return digest.hexdigest()


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def _folder_files(root: Path) -> ImageFiles:
    tree = walk_folder(root, IMAGE_SUFFIXES)
    images, others = _divided(tree.files)
    return ImageFiles(root, images, tuple(tree.folders), _folder_reader(root), others)


def _divided(files: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Images and other files, sorted."""
    names = sorted(files)
    return tuple(filter(_is_image, names)), tuple(n for n in names if not _is_image(n))


def _folder_reader(root: Path) -> Callable[[str], bytes]:
    def read(name: str) -> bytes:
        file = stored_path(root, name)
        try:
            if file.stat().st_size > MAX_FILE_BYTES:
                raise UserError(f'{file}: larger than {MAX_FILE_BYTES >> 20} MB')
            return file.read_bytes()
        except OSError as error:
            raise UserError(f'{file}: cannot be read ({error.strerror})') from None

    return read


def _zip_files(path: Path, archive: zipfile.ZipFile) -> ImageFiles:
    """Names are only ever looked up in the archive, so that none of them can reach the disk."""
    members = list_members(path, archive, IMAGE_SUFFIXES)
    images, others = _divided(members.files)

    def read(name: str) -> bytes:
        if name not in members.files:
            raise UserError(f'{path}: {name} is no longer in the archive')
        return read_member(path, archive, members.files[name], MAX_FILE_BYTES)

    return ImageFiles(path, images, tuple(sorted(members.folders)), read, others)
