"""A run's file as a run's folder: unpacked once, into the cache.

All commands work on folders, so a file becomes one: the config, what is known of the data, what
`reference/` kept, and `weights.safetensors`, the file itself, in place of checkpoints. The folder
is named by the file, below its SHA-256, so that another file of the same name has another folder.
"""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
from pathlib import Path

import numpy as np

from eojax.errors import UserError
from eojax.home import cache_folder
from eojax.weights import run_file, shipped

WEIGHTS = 'weights.safetensors'
WORKDIR_HELP = 'folder of the run, its file, or the name of weights that "eojax weights" lists'


def run_folder(place: str | Path) -> Path:
    """The folder of a trained run.

    Args:
      place: that folder, a file that `eojax export` wrote, or the name of shipped weights.

    Raises:
      UserError: an unknown name, or a file that is damaged or of another kind.
    """
    path = shipped.folder_or_file(place)
    return unpacked(path) if path.is_file() else path


def is_file(place: str | Path) -> bool:
    """Whether a place is a file or a name, which commands do not write beside."""
    return shipped.folder_or_file(place).is_file()


def is_unpacked(folder: Path) -> bool:
    """Whether the folder of an opened run is that of a file, in which nobody looks for results."""
    return (folder / WEIGHTS).is_file()


def unpacked(path: Path) -> Path:
    """The folder that a file was unpacked into, now or before.

    Where there is no cache it is a temporary one, which goes with the process.

    Raises:
      UserError: the file is damaged or of another kind, or the cache cannot be written to.
    """
    cache = cache_folder()
    place = _temporary() if cache is None else cache / 'weights'
    name = path.name.removesuffix(run_file.SUFFIX)
    folder = place / sha256_of(path)[:12] / name  # its name stands in figures and summaries
    if (folder / WEIGHTS).is_file():
        return folder
    content = run_file.read(path)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Several processes may do so at the same time: the first whole folder stays.
        new = Path(tempfile.mkdtemp(prefix=f'.{name}-', dir=place))
        try:
            _write(new, content)
            shutil.copyfile(path, new / WEIGHTS)
            new.chmod(0o755)  # mkdtemp's folders are for their maker alone
            try:
                new.rename(folder)
            except OSError:
                if not (folder / WEIGHTS).is_file():
                    raise
        finally:
            shutil.rmtree(new, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f'{path} cannot be unpacked into {place} ({error.strerror or error}): name another'
            ' folder by EOJAX_CACHE=FOLDER'
        ) from error
    return folder


def _write(folder: Path, content: run_file.RunFile) -> None:
    """Writes all but the state; the names were checked as the file was read."""
    for name, text in content.texts.items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding='utf-8')
    for group, arrays in content.arrays.items():
        file = folder / f'{group}.npz'
        file.parent.mkdir(exist_ok=True)
        np.savez(file, **arrays)  # type: ignore[arg-type]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits.

    Raises:
      UserError: it cannot be read.
    """
    try:
        with open(path, 'rb') as file:
            return hashlib.file_digest(file, 'sha256').hexdigest()
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror or error}') from error


def _temporary() -> Path:
    folder = Path(tempfile.mkdtemp(prefix='eojax-weights-'))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
