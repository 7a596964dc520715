"""The common ground of all tests: the CPU, a cache of compiled programs, no file of the user's."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

import pytest

# Before anything imports jax, and for the processes that tests start.
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
# Twice as fast to compile, which is what tests spend their time on.
if 'xla_backend_optimization_level' not in os.environ.get('XLA_FLAGS', ''):
    flags = f'{os.environ.get("XLA_FLAGS", "")} --xla_backend_optimization_level=0'
    os.environ['XLA_FLAGS'] = flags.strip()
_CACHE = tempfile.mkdtemp(prefix='eojax-tests-')
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
os.environ['EOJAX_CACHE'] = _CACHE


def pytest_configure(config: pytest.Config) -> None:
    """Keeps compiled programs from one run of the tests to the next."""
    if config.cache is not None:
        compiled = str(config.cache.mkdir('compiled'))
        os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', compiled)
        os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.3')
