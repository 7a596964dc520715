"""The lock of a run's folder: one holder, named, and none that outlives its process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from eojax.devices import sharding
from eojax.errors import UserError
from eojax.runs import lock
from eojax.runs.lock import FILE, SILENCE, Holder, hold, read_holder, this_process


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """Another process of this machine that lives."""
    with subprocess.Popen(['sleep', '60']) as process:
        yield process
        process.kill()


def _left(folder: Path, **changes: object) -> Holder:
    """A lock in the folder, of this process but for the changes."""
    holder = this_process()._replace(**changes)  # type: ignore[arg-type]
    (folder / FILE).write_text(json.dumps(holder._asdict()))
    return holder


def _silent(folder: Path, seconds: float) -> None:
    """Moves the last sign of life into the past."""
    now = os.stat(folder / FILE).st_mtime
    os.utime(folder / FILE, (now, now - seconds))


def _began(pid: int) -> str:
    """The field `starttime` of proc(5), of a process whose name has no space."""
    return Path(f'/proc/{pid}/stat').read_text().split()[21]


def test_a_lock_names_its_holder_and_is_gone_after(tmp_path: Path) -> None:
    with hold(tmp_path) as held:
        held.check()
        kept = json.loads((tmp_path / FILE).read_text())
        assert (kept['pid'], kept['host']) == (os.getpid(), socket.gethostname())
        pattern = f'being trained by process {os.getpid()} on .*, since .* UTC: wait'
        with pytest.raises(UserError, match=pattern), hold(tmp_path):
            pass
        assert json.loads((tmp_path / FILE).read_text()) == kept
    assert not list(tmp_path.iterdir())
    with pytest.raises(KeyError), hold(tmp_path):
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_a_crash_on_this_machine_releases_at_once(
    tmp_path: Path, other: subprocess.Popen[bytes]
) -> None:
    _left(tmp_path, pid=other.pid, began=_began(other.pid))
    with pytest.raises(UserError, match=f'process {other.pid} on'), hold(tmp_path):
        pass
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet waited for
    with hold(tmp_path):
        assert read_holder(tmp_path / FILE) == this_process()._replace(
            **{k: getattr(read_holder(tmp_path / FILE), k) for k in ('since', 'token')}
        )


def test_a_number_that_another_process_has_now_holds_nothing(
    tmp_path: Path, other: subprocess.Popen[bytes]
) -> None:
    _left(tmp_path, pid=other.pid, began='1')
    with hold(tmp_path):
        assert read_holder(tmp_path / FILE).pid == os.getpid()  # type: ignore[union-attr]


@pytest.mark.parametrize('whole', [True, False])
def test_elsewhere_only_signs_of_life_count(
    tmp_path: Path, whole: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process of another machine, whose number may be anybody's here; or a file cut off."""
    _left(tmp_path, host='node7', machine='another')
    if not whole:
        (tmp_path / FILE).write_text('')
    name = r'process \d+ on node7' if whole else 'a process that has just begun'
    monkeypatch.setattr(lock.time, 'sleep', lambda seconds: os.utime(tmp_path / FILE))
    _silent(tmp_path, 60)
    with pytest.raises(UserError, match=f'{name}.*last sign of life is 0 s old'), hold(tmp_path):
        pass
    assert f'waiting up to {SILENCE - 60:.0f} s' in capsys.readouterr().err
    now = os.stat(tmp_path / FILE).st_mtime
    os.utime(tmp_path / FILE, (now, now - SILENCE - 1))
    with hold(tmp_path):
        assert read_holder(tmp_path / FILE).pid == os.getpid()  # type: ignore[union-attr]


@pytest.mark.parametrize('released', [True, False])
def test_a_job_that_is_started_again_elsewhere_waits_and_goes_on(
    tmp_path: Path,
    released: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its first run was killed on another node, or ends while the second one waits."""
    _left(tmp_path, host='node7', machine='another')
    _silent(tmp_path, 30)
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if released and len(slept) == 3:
            (tmp_path / FILE).unlink()
        elif not released:
            _silent(tmp_path, seconds)

    monkeypatch.setattr(lock.time, 'sleep', sleep)
    with hold(tmp_path):
        assert read_holder(tmp_path / FILE).pid == os.getpid()  # type: ignore[union-attr]
    assert sum(slept) == pytest.approx(3 if released else SILENCE - 30, abs=2)
    assert 'on node7' in capsys.readouterr().err


def test_a_process_that_the_table_hides_is_not_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's, on a machine whose /proc is mounted with `hidepid`."""
    _left(tmp_path, pid=1234567, began='55')
    began = lock._began
    monkeypatch.setattr(lock, '_began', lambda pid: None if pid == 1234567 else began(pid))

    def kill(pid: int, number: int) -> None:
        assert (pid, number) == (1234567, 0)
        raise PermissionError

    monkeypatch.setattr(lock.os, 'kill', kill)
    monkeypatch.setattr(lock.time, 'sleep', lambda seconds: os.utime(tmp_path / FILE))
    _silent(tmp_path, 20)
    with pytest.raises(UserError, match='process 1234567 on'), hold(tmp_path):
        pass


def test_signs_of_life_and_the_news_that_the_lock_is_lost(tmp_path: Path) -> None:
    with hold(tmp_path) as held:
        os.utime(tmp_path / FILE, (0, 0))
        held.sign()
        assert os.stat(tmp_path / FILE).st_mtime > 1e9
        held.check()
        theirs = _left(tmp_path, host='node7', token='theirs')
        with pytest.raises(UserError, match=r'lost to process .* on node7'):
            held.check()
    assert read_holder(tmp_path / FILE) == theirs  # it is theirs to release


def test_a_folder_that_was_moved_away_is_written_to_no_more(tmp_path: Path) -> None:
    (tmp_path / 'run').mkdir()
    with hold(tmp_path / 'run') as held:
        (tmp_path / 'run').rename(tmp_path / 'other')
        with pytest.raises(UserError, match='was the folder moved, deleted or emptied'):
            held.check()


def test_of_many_that_find_a_lock_left_over_one_gets_it(tmp_path: Path) -> None:
    _left(tmp_path, began='1')
    holders = [this_process() for _ in range(16)]

    def take(holder: Holder) -> bool:
        try:
            lock._take(tmp_path / FILE, holder)
            return True
        except UserError:
            return False

    with ThreadPoolExecutor(16) as threads:
        taken = list(threads.map(take, holders))
    assert [h for h, got in zip(holders, taken, strict=True) if got] == [
        read_holder(tmp_path / FILE)
    ]


def test_of_several_processes_of_a_run_the_first_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharding, 'is_main_process', lambda: False)
    first = _left(tmp_path)
    with hold(tmp_path) as one, hold(tmp_path) as another:
        one.check()
        another.sign()
    assert read_holder(tmp_path / FILE) == first
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_a_folder_that_the_first_process_does_not_share_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharding, 'is_main_process', lambda: False)
    monkeypatch.setattr(lock, '_SEEN_WITHIN', 0.0)
    with pytest.raises(UserError, match='storage that all processes share'), hold(tmp_path):
        pass
