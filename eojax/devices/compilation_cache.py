"""XLA's persistent compilation cache: the second run of a program starts at once."""

from __future__ import annotations

import os

import jax

from eojax.home import cache_folder


def enable() -> None:
    """Keeps compiled programs in `$JAX_COMPILATION_CACHE_DIR`, else in eojax's cache folder."""
    if os.environ.get('JAX_COMPILATION_CACHE_DIR'):
        return
    folder = cache_folder()
    if folder is None:
        return
    jax.config.update('jax_compilation_cache_dir', str(folder / 'compiled'))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 1.0)
