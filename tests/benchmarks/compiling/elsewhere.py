"""Devices that are not here, where the compiler for them is."""

from __future__ import annotations

import pytest

from benchmarks.compiling import targets
from benchmarks.compiling.targets import Target


def target_or_skip(name: str) -> Target:
    """The target of that name; skips the test where its compiler is not installed."""
    target = targets.parse(name)
    lacking = targets.missing(target)
    if lacking:
        pytest.skip(f'needs {lacking}')
    return target
