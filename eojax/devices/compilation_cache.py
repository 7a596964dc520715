"""XLA's persistent compilation cache: the second run of a program starts at once."""

from __future__ import annotations

import os
from pathlib import Path

import jax


def enable() -> None:
    """Keeps compiled programs in `$JAX_COMPILATION_CACHE_DIR`, else in eojax's cache folder."""
    if os.environ.get('JAX_COMPILATION_CACHE_DIR'):
        return
    home = os.environ.get('EOJAX_CACHE') or Path.home() / '.cache' / 'eojax'
    jax.config.update('jax_compilation_cache_dir', str(Path(home) / 'compiled'))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 1.0)
