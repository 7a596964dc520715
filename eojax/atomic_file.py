"""Writing a file so that a reader finds either the old content or the new, never half of it."""

from __future__ import annotations

import errno
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

# What disks say that have no such call: some that lie behind a network, FUSE and containers.
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


@contextmanager
def on_disks_without_sync() -> Iterator[None]:
    """Lets `fsync` be refused by a disk that knows no such call."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def flush_to_disk(file: IO[Any]) -> None:
    """Has what was written to an open file on the disk, as far as that disk offers it.

    Raises:
      OSError: the disk is full or broken.
    """
    file.flush()
    with on_disks_without_sync():
        os.fsync(file.fileno())


def can_flush(folder: Path) -> bool:
    """Whether the disk of a folder has a call that waits until a file is on it.

    Raises:
      OSError: the folder cannot be written to, or the disk is full or broken.
    """
    with tempfile.TemporaryFile(dir=folder) as file, on_disks_without_sync():
        os.fsync(file.fileno())
        return True
    return False


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Fills a temporary file beside `path` by `write(file)`, then renames it to `path`.

    Raises:
      OSError: the folder is not writable or the disk is full; `path` is as it was before, and the
        temporary file is gone.
    """
    # The name is unique, so that several processes may write the same file at the same time.
    temporary = path.with_name(f'.{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp')
    try:
        with open(temporary, 'xb') as file:
            write(file)
            flush_to_disk(file)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
