"""The common ground of all tests: the CPU, a cache of compiled programs, no file of the user's."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.quick import make_quick

if TYPE_CHECKING:  # both import jax, before which the lines below come
    from eojax.data.dataset import Dataset
    from tests.training_runs import CompileOnce

# Before anything imports jax, and for the processes that tests start.
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
# Compiling is what tests spend their time on: without LLVM's optimisations it takes half as long,
# and without the emitters that jaxlib 0.10 generates fused loops by, half of that. XLA ends a
# process that names a flag it does not know, hence the version.
_FAST = {'xla_backend_optimization_level': '0', 'xla_llvm_disable_expensive_passes': 'true'}
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
    cache = getattr(config, 'cache', None)  # none with -p no:cacheprovider
    if cache is not None:
        compiled = str(cache.mkdir('compiled'))
        os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', compiled)
        os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.1')


@pytest.fixture(scope='session', autouse=True)
def quick() -> None:
    """This process does without some of what takes time in it and in those that tests fork."""
    make_quick()


@pytest.fixture(scope='session', autouse=True)
def landscapes_drawn_once() -> None:
    """Landscapes that were drawn before in this process are not drawn again: most runs have them.

    Whoever writes to them gets an error.
    """
    from eojax.data.sets import landscape_cover, landscapes

    draw = landscapes.generate
    draw_tiles = landscape_cover.draw_dataset

    @functools.lru_cache(maxsize=16)
    def drawn(num: int, size: int, seed: int) -> Dataset:
        dataset = draw(num, size, seed)
        return _unchanging(dataset)

    def generate(
        num: int, size: int = 64, seed: int = 0, labels: np.ndarray | None = None
    ) -> Dataset:
        return drawn(num, size, seed) if labels is None else draw(num, size, seed, labels)

    @functools.lru_cache(maxsize=16)
    def drawn_tiles(*args: Any, **options: Any) -> Dataset:
        return _unchanging(draw_tiles(*args, **options))

    def generate_tiles(*args: Any, **options: Any) -> Dataset:
        plain = len(args) <= 5 and not {'views', 'shape'} & options.keys()
        return (drawn_tiles if plain else draw_tiles)(*args, **options)

    landscapes.generate = generate
    landscape_cover.draw_dataset = generate_tiles


def _unchanging(dataset: Dataset) -> Dataset:
    for array in (*dataset.source.arrays.values(), dataset.places.labels):
        array.flags.writeable = False
    return dataset


@pytest.fixture(scope='module')
def compiled_once(programs_of_the_session: CompileOnce) -> Iterator[None]:
    """Trainings of the same config compile once in this session: see `CompileOnce`."""
    from eojax.runs import run as runs
    from eojax.training import loop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, 'build', programs_of_the_session.build)
        patch.setattr(loop, 'compile_phase', programs_of_the_session.compile_phase)
        yield


@pytest.fixture(scope='session')
def programs_of_the_session() -> CompileOnce:
    from tests.training_runs import CompileOnce

    return CompileOnce()


# The files that take longest. They come first, so that at the end, when no file is left for a
# worker that is done, the other one has a quick file before it.
_LONGEST = (
    'config/test_configs.py', 'devices/test_processes.py', 'studies/test_transfer_study.py',
    'training/test_train.py', 'methods/test_fixmatch_jem.py', 'studies/test_papers.py',
    'methods/test_fixmatch_then_jem.py', 'methods/test_image_synthesis.py',
    'methods/test_berundanet.py', 'methods/test_vae.py', 'apps/test_map_scene.py',
    'methods/test_swd_transfer.py', 'methods/test_fixmatch.py', 'benchmarks/test_flops.py',
    'methods/test_jem.py', 'feed/test_inputs.py', 'test_pages.py',
    'benchmarks/test_training_step.py', 'apps/test_compare_domains.py', 'test_tutorial.py',
    'benchmarks/test_augmentation.py', 'benchmarks/test_scaling.py', 'benchmarks/test_run.py',
    'augment/test_randaugment.py', 'apps/test_restore.py', 'apps/test_generate.py',
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; the others stay in their order."""
    here = Path(__file__).parent
    rank = {here / name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))
