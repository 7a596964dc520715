"""Where the tests find real imagery; a test that needs it skips, and says why, if it is absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def real_data(name: str) -> Path:
    """The path of the file or folder `name` among the real data, or a skipped test.

    Looks in the folder named by `EOJAX_TEST_DATA`, else in `../shared/data` beside the checkout.
    """
    beside = Path(__file__).resolve().parents[2] / 'shared' / 'data'
    path = Path(os.environ.get('EOJAX_TEST_DATA', beside)) / name
    if not path.exists():
        pytest.skip(f'real data not found: {path} (set EOJAX_TEST_DATA to its folder)')
    return path
