"""The common ground of all tests: the CPU, a cache of compiled programs, no file of the user's."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from importlib.metadata import version

import pytest

# Before anything imports jax, and for the processes that tests start.
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
# Compiling is what tests spend their time on: without LLVM's optimisations it takes half as long,
# and without the emitters that jaxlib 0.10 generates fused loops by, half of that. XLA ends a
# process that names a flag it does not know, hence the version.
_FAST = {'xla_backend_optimization_level': '0'}
if version('jaxlib').startswith('0.10.'):
    _FAST['xla_cpu_use_fusion_emitters'] = 'false'
for name, value in _FAST.items():
    flags = os.environ.get('XLA_FLAGS', '')
    if name not in flags:
        os.environ['XLA_FLAGS'] = f'{flags} --{name}={value}'.strip()
_CACHE = tempfile.mkdtemp(prefix='eojax-tests-')
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
os.environ['EOJAX_CACHE'] = _CACHE


def pytest_configure(config: pytest.Config) -> None:
    """Keeps compiled programs from one run of the tests to the next."""
    if config.cache is not None:
        compiled = str(config.cache.mkdir('compiled'))
        os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', compiled)
        os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.1')
