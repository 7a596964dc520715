"""Writing a file so that a reader finds either the old content or the new, never half of it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


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
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
