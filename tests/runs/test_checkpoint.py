"""Checkpoints: whole or not at all, bit for bit, and refused where they do not fit."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from jax.experimental import multihost_utils

from eojax.errors import UserError
from eojax.runs.checkpoint import Checkpoints
from eojax.samplers.replay_buffer import ReplayBuffer


class State(NamedTuple):
    step: Any
    tree: Any
    nothing: Any = None


def state(seed: int = 0) -> State:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((3, 4)).astype(np.float32)
    values[0, 0], values[0, 1] = np.float32(-0.0), np.float32(1e-42)  # a denormal too
    tree = {
        'a': jnp.asarray(values),
        'b': (jnp.asarray(values[0], jnp.bfloat16), jnp.asarray([True, False])),
        'c': jnp.asarray(rng.integers(0, 255, (2, 2)), jnp.uint8),
        'd': jnp.asarray(values + 1j * values),
    }
    return State(jnp.asarray(seed, jnp.int32), tree)


def like(tree: Any) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), tree)


def opened(folder: Path, keep: int = 3) -> Checkpoints:
    return Checkpoints(folder, keep, clean_up=True)


def assert_equal(first: Any, second: Any) -> None:
    assert str(jax.tree.structure(first)) == str(jax.tree.structure(second))
    for one, two in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        assert one.dtype == two.dtype
        assert np.asarray(one).tobytes() == np.asarray(two).tobytes()


def test_round_trip_bit_for_bit(tmp_path: Path) -> None:
    checkpoints = opened(tmp_path / 'new' / 'folder')
    assert checkpoints.steps() == []
    checkpoints.save(7, state(), {'attempt': 2, 'best_accuracy': 0.1})
    checkpoints.close()
    again = Checkpoints(tmp_path / 'new' / 'folder', 3)
    restored, meta = again.restore(7, like(state()))
    assert_equal(restored, state())
    assert isinstance(restored, State)
    assert meta == {'attempt': 2, 'best_accuracy': 0.1}
    again.close()
    again.close()


def test_only_the_newest_are_kept_and_one_can_be_deleted(tmp_path: Path) -> None:
    checkpoints = opened(tmp_path, keep=2)
    for step in (1, 2, 3):
        checkpoints.save(step, state(step), {})
    assert checkpoints.steps() == [2, 3]
    checkpoints.delete(3)
    assert checkpoints.steps() == [2]
    checkpoints.save(3, state(30), {})  # after a rollback the same step comes again
    assert int(checkpoints.restore(3, like(state()))[0].step) == 30
    checkpoints.save(3, state(31), {})  # what is there stays
    assert int(checkpoints.restore(3, like(state()))[0].step) == 30
    with pytest.raises(UserError, match='step 1 could not be saved'):
        checkpoints.save(1, state(1), {})  # orbax would leave it out in silence
    checkpoints.close()


def test_what_a_kill_left_half_written_is_no_checkpoint(tmp_path: Path) -> None:
    checkpoints = opened(tmp_path)
    checkpoints.save(1, state(1), {})
    checkpoints.close()
    half = tmp_path / '2.orbax-checkpoint-tmp'
    (half / 'state').mkdir(parents=True)
    reader = Checkpoints(tmp_path, 3)  # somebody evaluates while training saves
    assert reader.steps() == [1]
    reader.close()
    assert half.exists()
    checkpoints = opened(tmp_path)
    assert checkpoints.steps() == [1]
    checkpoints.save(2, state(2), {})
    assert int(checkpoints.restore(2, like(state()))[0].step) == 2
    checkpoints.close()
    assert not half.exists()


@pytest.mark.parametrize(
    ('changed', 'line'),
    [
        ({'a': jnp.zeros((3, 5))}, r'tree\.a has shape \(3, 4\) float32, not \(3, 5\) float32'),
        # Orbax would cast this in silence.
        ({'a': jnp.zeros((3, 4), jnp.bfloat16)}, r'tree\.a has shape .* not \(3, 4\) bfloat16'),
        ({'e': jnp.zeros(1)}, r'tree\.e is in one only'),
    ],
)
def test_another_model_is_refused(tmp_path: Path, changed: dict[str, Any], line: str) -> None:
    checkpoints = opened(tmp_path)
    checkpoints.save(1, state(), {})
    other = state()._replace(tree=state().tree | changed)
    with pytest.raises(UserError, match=rf'checkpoint .*1 is of another model: {line}'):
        checkpoints.restore(1, like(other))
    checkpoints.close()


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    checkpoints = opened(tmp_path)
    checkpoints.save(1, state(), {})
    checkpoints.close()
    for file in sorted((tmp_path / '1' / 'state').rglob('*')):
        if file.is_file() and 'd' in file.parent.name:
            file.write_bytes(b'')
    with pytest.raises(UserError) as caught:
        Checkpoints(tmp_path, 3).restore(1, like(state()))
    assert caught.match(f'checkpoint {tmp_path}/1 cannot be read')
    assert caught.match('delete that folder to go on from the one before')
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'error',
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        ValueError('RESOURCE_EXHAUSTED: Error writing\n"a/0": No space left on device'),
    ],
)
def test_a_full_disk_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def save(*arguments: Any, **options: Any) -> bool:
        raise error

    checkpoints = opened(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(ocp.CheckpointManager, 'save', save)
        with pytest.raises(UserError, match=r'step 1 could not be saved .* there is none yet'):
            checkpoints.save(1, state(1), {})
    checkpoints.save(1, state(1), {})
    monkeypatch.setattr(ocp.CheckpointManager, 'save', save)
    with pytest.raises(UserError, match='the disk is full; the one of step 1 is intact') as caught:
        checkpoints.save(2, state(2), {})
    assert '\n' not in str(caught.value)
    checkpoints.close()
    assert_equal(opened(tmp_path).restore(1, like(state()))[0], state(1))


@contextlib.contextmanager
def _small_disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir()
    command = ['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip('a small file system cannot be mounted here')
    try:
        yield
    finally:
        subprocess.run(['umount', '-l', str(folder)], check=True)


@pytest.mark.skipif(os.getuid() != 0, reason='only root may mount a small file system')
def test_a_disk_that_is_really_full(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    noise = np.random.default_rng(0).integers(0, 255, 2**20)
    big = State(jnp.zeros((), jnp.int32), {'a': jnp.asarray(noise, jnp.uint8)})
    with _small_disk(tmp_path / 'disk', '2500k'):
        checkpoints = opened(tmp_path / 'disk' / 'checkpoints')
        checkpoints.save(1, big, {})

        def fill() -> None:
            for step in range(2, 6):
                checkpoints.save(step, big, {})

        with pytest.raises(UserError, match='the disk is full; the one of step') as caught:
            fill()
        assert '\n' not in str(caught.value)
        checkpoints.close()
        again = opened(tmp_path / 'disk' / 'checkpoints')
        assert_equal(again.restore(again.steps()[-1], like(big))[0], big)
        again.close()
    # Orbax would log the tracebacks of its threads.
    assert not [record for record in caplog.records if record.name == 'absl']


@pytest.mark.parametrize(('shape', 'rows'), [((4, 5, 1), (3, 20)), ((4, 5, 1000), (6, 10_000))])
def test_the_images_of_an_older_replay_buffer_are_read_as_rows(
    tmp_path: Path, shape: tuple[int, ...], rows: tuple[int, ...]
) -> None:
    images = np.random.default_rng(0).standard_normal((2, 3, *shape)).astype(np.float32)
    labels = jnp.arange(6, dtype=jnp.int32).reshape(2, 3)
    checkpoints = opened(tmp_path)
    older = {'buffer': {'images': jnp.asarray(images), 'labels': labels}}
    checkpoints.save(1, older, {})
    wanted = like({'buffer': ReplayBuffer.of(jnp.asarray(images), labels)})
    restored, _ = checkpoints.restore(1, wanted)
    assert restored['buffer'].rows.shape == (2, *rows)
    assert restored['buffer'].rows.sharding == wanted['buffer'].rows.sharding
    np.testing.assert_array_equal(restored['buffer'].images, images)
    # Saved again, it is the same buffer; and one of other images is another model's.
    checkpoints.save(2, restored, {})
    assert_equal(checkpoints.restore(2, wanted)[0], restored)
    other = like({'buffer': ReplayBuffer.of(jnp.zeros((2, 3, 4, 4, shape[-1])), labels)})
    for step in (1, 2):
        with pytest.raises(UserError, match=r'of another model: buffer\.images has shape'):
            checkpoints.restore(step, other)
    checkpoints.close()


def test_saving_does_not_ask_whether_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(multihost_utils, 'reached_preemption_sync_point', asked.append)
    checkpoints = opened(tmp_path)
    checkpoints.save(5000, state(), {})
    checkpoints.close()
    assert checkpoints.steps() == [5000]
    assert not asked  # training asks by calls, and jax stops at the number after the highest
