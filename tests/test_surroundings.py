"""Odd surroundings: no home folder, disks without fsync, a closed terminal, Ctrl-C at once."""

from __future__ import annotations

import argparse
import errno
import gc
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from orbax.checkpoint._src.serialization import tensorstore_utils

from eojax import interrupt
from eojax.atomic_file import can_flush, write_atomically
from eojax.data.dataset import image_dataset
from eojax.data.reading.pixel_cache import cached_dataset
from eojax.devices import compilation_cache
from eojax.errors import UserError, one_line_errors
from eojax.home import cache_folder, expand_paths, expanded
from eojax.runs.checkpoint import Checkpoints
from eojax.training.stopping import leave_terminal, stop_signals

ROOT = Path(__file__).parents[1]


def refuse_sync(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, 'fsync', fsync)


@pytest.mark.parametrize('number', [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_disks_without_sync_are_written_to(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert can_flush(tmp_path)
    refuse_sync(monkeypatch, number)
    write_atomically(tmp_path / 'a', lambda file: file.write(b'whole'))
    assert (tmp_path / 'a').read_bytes() == b'whole'
    assert not can_flush(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / 'a']


def test_a_disk_that_breaks_is_still_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_sync(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match='Input/output error'):
        write_atomically(tmp_path / 'a', lambda file: file.write(b'half'))
    assert not list(tmp_path.iterdir())


def test_checkpoints_are_saved_on_disks_without_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts = tensorstore_utils._BASE_TS_CONTEXT, tensorstore_utils._DEFAULT_OCDBT_TS_CONTEXT
    for context in contexts:
        monkeypatch.setitem(context, 'file_io_sync', True)  # put back at the end
    refuse_sync(monkeypatch, errno.EINVAL)
    values = {'a': jnp.arange(5.0)}
    kept = Checkpoints(tmp_path / 'kept', 1)
    kept.save(3, values, {})
    # TensorStore calls the system by itself: that it is told not to is what there is to see.
    assert [context['file_io_sync'] for context in contexts] == [False, False]
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    like = {'a': jax.ShapeDtypeStruct((5,), jnp.float32, sharding=device)}
    restored, _ = kept.restore(3, like)
    np.testing.assert_array_equal(restored['a'], np.arange(5.0))
    kept.close()


def test_without_a_home_folder_nothing_is_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def home() -> Path:
        raise RuntimeError('Could not determine home directory.')

    monkeypatch.setattr(Path, 'home', home)
    for name in ('EOJAX_CACHE', 'JAX_COMPILATION_CACHE_DIR'):
        monkeypatch.delenv(name, raising=False)
    assert cache_folder() is None
    before = jax.config.jax_compilation_cache_dir
    compilation_cache.enable()
    assert jax.config.jax_compilation_cache_dir == before
    images = image_dataset(
        np.zeros((2, 4, 4, 3), np.uint8), np.array([0, 0]), ('a/1', 'a/2'), ('a',)
    )
    assert cached_dataset(None, 'x', {}, '', lambda: images) is images
    monkeypatch.setenv('EOJAX_CACHE', str(tmp_path))
    assert cache_folder() == tmp_path
    with pytest.raises(UserError, match=r'~nobody_here/x: no home folder is known for ~'):
        expanded('~nobody_here/x')


def test_a_home_folder_is_meant_wherever_a_path_begins_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('HOME', str(tmp_path))
    paths = [Path('~/b'), Path('c'), 'd~']
    options = argparse.Namespace(out=Path('~/a/x'), scene=paths, name='~', num=[1])
    expand_paths(options)
    assert options.out == tmp_path / 'a' / 'x'
    assert options.scene == [tmp_path / 'b', Path('c'), 'd~']
    assert (options.name, options.num) == ('~', [1])


def test_a_closed_terminal_stops_like_a_scheduler() -> None:
    # The tests themselves may run under nohup.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with stop_signals() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert stop == [signal.SIGHUP]
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_under_nohup_a_closed_terminal_is_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_signals() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_is_said_to_a_terminal_that_is_gone_is_lost_and_nothing_else(
    tmp_path: Path,
) -> None:
    saved = os.dup(1), os.dup(2)
    above, below = pty.openpty()
    try:
        with open(tmp_path / 'log', 'wb') as kept:
            os.dup2(kept.fileno(), 1)
        os.dup2(below, 2)
        os.close(below)
        os.close(above)
        with pytest.raises(OSError, match='Input/output error'):
            os.write(2, b'x')
        leave_terminal()
        os.write(2, b'into nothing')
        os.write(1, b'as before')
    finally:
        for number, descriptor in enumerate(saved, 1):
            os.dup2(descriptor, number)
            os.close(descriptor)
    assert (tmp_path / 'log').read_bytes() == b'as before'


@pytest.mark.parametrize('name', ['main', 'evaluate', 'apps.restore'])
def test_ctrl_c_during_imports_is_one_line(name: str, tmp_path: Path) -> None:
    # Presses Ctrl-C in the middle of the imports: when jax is looked for.
    (tmp_path / 'sitecustomize.py').write_text(
        'import signal, sys\n'
        # A shell's background jobs ignore it.
        'signal.signal(signal.SIGINT, signal.default_int_handler)\n'
        'class Finder:\n'
        '    def find_spec(self, name, path=None, target=None):\n'
        "        if name == 'numpy':\n"
        '            signal.raise_signal(signal.SIGINT)\n'
        'sys.meta_path.insert(0, Finder())\n'
    )
    done = subprocess.run(
        [sys.executable, '-m', f'eojax.{name}'],
        env={**os.environ, 'PYTHONPATH': f'{tmp_path}:{ROOT}'},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, '', '\neojax: stopped\n')


def test_ctrl_c_while_garbage_is_collected_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python drops what a callback of its collector raises, and JAX has such a callback."""
    dropped: list[object] = []
    monkeypatch.setattr(sys, 'unraisablehook', dropped.append)
    before = signal.signal(signal.SIGINT, interrupt._stop)

    def callback(phase: str, _: dict[str, int]) -> None:
        if phase == 'start':
            signal.raise_signal(signal.SIGINT)

    def collect() -> None:
        gc.callbacks.append(callback)
        gc.collect()
        gc.callbacks.remove(callback)
        time.sleep(10.0)  # ended by the signal

    gc.collect()  # what other tests left: Python drops what is raised in finalisers too
    gc.freeze()
    try:
        interrupt.started()
        with pytest.raises(KeyboardInterrupt):
            collect()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        gc.unfreeze()
        signal.signal(signal.SIGINT, before)
        gc.callbacks[:] = [one for one in gc.callbacks if one is not callback]
    assert not dropped


def test_a_name_that_no_text_can_hold_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    write: Callable[[], bytes] = 'caf\udce9'.encode
    with pytest.raises(SystemExit), one_line_errors():
        write()
    error = capsys.readouterr().err
    assert error == "eojax: 'caf\\udce9' is no name in UTF-8; rename it\n"
