"""Tiny runs in one file each, in place of the weights that ship with eojax.

What the shipped networks compute takes a minute on a core, and is looked at by test_shipped.py.
Whether a page's lines run as they are printed is seen with any network of the same size of image.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

import pytest

from eojax.evaluation import reference
from eojax.exporting.card_of_run import Words
from eojax.exporting.export_run import Wishes, export_run
from eojax.weights import shipped
from eojax.weights.run_file import SUFFIX
from tests.tiny_runs import tiny_run

WISHES = Wishes('last', buffer=20, examples=20, words=Words(title='a tiny run', licence='MIT'))


@functools.cache
def tiny_file(size: int) -> Path:
    """A tiny joint model of images of `size` pixels, with all that a run keeps of its images."""
    tiny = tiny_run('jem', size, 'convnet')
    folder = Path(tempfile.mkdtemp(prefix='tiny-file-'))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    reference.keep(tiny.run, tiny.state)  # as training does at its end
    export_run(tiny.run, tiny.state, WISHES, folder / f'tiny{SUFFIX}')
    return folder / f'tiny{SUFFIX}'


def ship_tiny_file(name: str, size: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets `name` mean a tiny network of images of `size` pixels, and no weights else be shipped.

    Args:
      folder: for the file.
    """
    folder.mkdir()
    shutil.copyfile(tiny_file(size), folder / f'{name}{SUFFIX}')
    monkeypatch.setattr(shipped, 'FOLDER', folder)
