"""The lock on a run's folder: one training at a time, `lock.json` names whose.

The lock is a file that can be made but once (`O_CREAT | O_EXCL`, which local disks, NFS, Lustre,
SMB and FUSE do on the server). `flock` is not asked: on network disks it fails (ENOLCK, ENOSYS) or
locks nothing beyond its own machine. What `flock` would give, that a crash releases the lock, comes
from two signs of life:

- On the same machine, the table of processes: the holder's number, and when that process began. A
  holder that is not in it has crashed, and its lock is taken over at once.
- From another machine or container, or where the table hides the holder, the file's time: the
  holder touches it every few seconds, and silence for `SILENCE` seconds is a crash. Who comes
  earlier waits for that, so that a job that is started again elsewhere needs nobody's help, and is
  refused at the first sign of life. Both times that are compared, that of the lock and that of a
  file made now, are of the disk's own clock, so that the machines' clocks need not agree.

A holder that was only frozen looks at the file before it writes anything (`Lock.check`), and writes
no more where it has lost the lock. Of several processes of one run the first one holds the lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from eojax.atomic_file import write_atomically
from eojax.devices import processes, sharding
from eojax.errors import UserError
from eojax.messages import say

FILE = 'lock.json'
# Seconds from one sign of life to the next, and without any until a holder elsewhere counts as
# gone.
SIGN_EVERY, SILENCE = 10.0, 120.0
# Seconds from one look at a lock that may be left over to the next.
_LOOK_EVERY = 1.0
# Seconds that a shared disk may take to show one machine what another one has written.
_SEEN_WITHIN = 90.0


class Holder(NamedTuple):
    """The process that holds a lock, as `lock.json` has it.

    Attributes:
      host, pid: for people.
      since: date and time, UTC.
      machine: of the machine since it was started, and of the container; empty where unknown.
      began: when the process began, as the machine counts; empty where unknown.
      token: another one for each time that a lock was taken.
    """

    host: str
    pid: int
    since: str
    machine: str
    began: str
    token: str

    @property
    def text(self) -> str:
        return f'process {self.pid} on {self.host}, since {self.since}'


class Lock:
    """A lock that is held; `check` before what must not be written by two."""

    def __init__(self, file: Path | None, holder: Holder) -> None:
        """Starts the signs of life.

        Args:
          file: None in processes of a run that hold none: the first one does.
        """
        self._file, self._holder = file, holder
        self._lost = ''
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        if file is not None:
            self._thread = threading.Thread(target=self._give_signs, args=(file,), daemon=True)
            self._thread.start()

    def check(self) -> None:
        """Goes on where the lock is still held, as the file says now.

        Raises:
          UserError: another process has taken it, since this one gave no sign of life for long.
        """
        self.sign()
        if self._lost:
            raise UserError(self._lost)

    def sign(self) -> None:
        """A sign of life, given by a thread too; or the news that the lock is lost."""
        file = self._file
        if file is None:
            return
        try:
            now = read_holder(file)
            if now is None or now.token != self._holder.token:
                how = (
                    'gone: was the folder moved, deleted or emptied? Nothing more is written; run'
                    ' the command again where the folder lies now'
                    if now is None
                    else f'lost to {now.text}: nothing more is written; run the command again once'
                    ' that one has ended'
                )
                self._lost = f'{file.parent}: the lock of this process is {how}'
                return
            os.utime(file)
        except OSError:
            return  # a disk that does not answer for a moment; the next sign may come through

    def release(self) -> None:
        """Ends the signs of life and removes the file, unless another process took the lock."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            now = read_holder(self._file)
            if now is not None and now.token == self._holder.token:
                self._file.unlink()

    def _give_signs(self, file: Path) -> None:
        while not self._lost and not self._ended.wait(SIGN_EVERY):
            self.sign()


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[Lock]:
    """Holds the lock of a run's folder, which exists, while it is open.

    Of several processes of one run only the first takes it; where it is refused, it fails and all
    of them end (`eojax.devices.processes`).

    Raises:
      UserError: another process holds it; the message says which and what to do. Or the processes
        of this run do not share the folder.
    """
    first = sharding.is_main_process()
    holder = this_process()
    if first:
        _take(folder / FILE, holder)
    processes.wait_for_first()
    if not first:
        _await_shared(folder / FILE)
    lock = Lock(folder / FILE if first else None, holder)
    try:
        yield lock
    finally:
        lock.release()


def _await_shared(file: Path) -> None:
    """Waits until this process sees the lock of the first one.

    Where each has a folder of its own, a checkpoint would be whole in none of them.
    """
    deadline = time.monotonic() + _SEEN_WITHIN
    while not file.exists():
        if time.monotonic() > deadline:
            raise UserError(
                f'{file.parent} on {socket.gethostname()} is not the folder of the first process:'
                ' choose a --workdir on storage that all processes share'
            )
        time.sleep(_LOOK_EVERY / 10)


def held_by_another(folder: Path) -> str:
    """What `hold` would refuse this process with; empty where it would not."""
    try:
        _refuse_if_held(folder / FILE)
    except UserError as error:
        return str(error)
    return ''


def this_process() -> Holder:
    """The holder that this process would be."""
    since = datetime.now(UTC).strftime('%Y-%m-%d %H:%M:%S UTC')
    began = _began(os.getpid()) or ''
    return Holder(socket.gethostname(), os.getpid(), since, _machine(), began, uuid.uuid4().hex)


def read_holder(file: Path) -> Holder | None:
    """The holder of a lock; None where there is none, or the file is not whole.

    Raises:
      OSError: it cannot be read.
    """
    try:
        plain = json.loads(file.read_bytes())
        texts = {name: str(plain[name]) for name in Holder._fields if name != 'pid'}
        return Holder(pid=int(plain['pid']), **texts)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _take(file: Path, holder: Holder) -> None:
    """Makes the lock, or takes over that of a process that has crashed."""
    try:
        while not _make(file, holder):
            _wait_for_silence(file)
            left = _refuse_if_held(file)
            if file.exists() and _take_over(file, left, holder):
                who = 'a process' if left is None else left.text
                say(f'{file.parent}: {who}, ended without releasing its lock: taken over')
                return
    except OSError as error:
        raise UserError(f'{file} cannot be written: {error.strerror or error}') from error


def _take_over(file: Path, left: Holder | None, holder: Holder) -> bool:
    """Whether this process took over the lock that another one has left, in place of others."""
    # Of several that find the same lock left over, one at a time: the next one looks again.
    taking = file.with_name(f'.{file.name}.taking')
    if not _make(taking, holder) and _silent_for(taking) < SILENCE:
        time.sleep(_LOOK_EVERY / 10)
        return False
    try:
        if not file.exists() or _refuse_if_held(file) != left:
            return False
        write_atomically(file, lambda out: out.write(_content(holder)))
        return read_holder(file) == holder
    finally:
        taking.unlink(missing_ok=True)


def _make(file: Path, holder: Holder) -> bool:
    """Whether the file was made; false where it is there."""
    try:
        with open(file, 'xb') as out:
            out.write(_content(holder))
        return True
    except FileExistsError:
        return False


def _content(holder: Holder) -> bytes:
    return (json.dumps(holder._asdict(), indent=1) + '\n').encode()


def _wait_for_silence(file: Path) -> None:
    """Waits until a holder that only its signs of life can tell of has been silent for long.

    It ends at once where there is no such holder, and as soon as it gives a sign.
    """
    left = read_holder(file)
    silent = _silent_for(file)
    if silent >= SILENCE or (left is not None and _lives_here(left) is not None):
        return
    who = 'a process that has just begun' if left is None else left.text
    say(
        f'{file.parent} is locked by {who}: waiting up to {SILENCE - silent:.0f} s for a sign of'
        ' life; without one its lock is taken over'
    )
    while silent < SILENCE:
        time.sleep(_LOOK_EVERY)
        before, silent = silent, _silent_for(file)
        if silent < before or read_holder(file) != left:
            return


def _refuse_if_held(file: Path) -> Holder | None:
    """The holder that has crashed; None where the file says none.

    Raises:
      UserError: the holder lives, as far as can be told.
    """
    holder = read_holder(file)
    lives = None if holder is None else _lives_here(holder)
    if holder is not None and lives is not None:
        if not lives:
            return holder
        raise UserError(
            f'{file.parent} is being trained by {holder.text}: wait until it has ended, or choose'
            ' another --workdir'
        )
    silent = _silent_for(file)
    if silent < SILENCE:
        who = 'a process that has just begun' if holder is None else holder.text
        raise UserError(
            f'{file.parent} is being trained by {who}; its last sign of life is {silent:.0f} s old:'
            ' wait until it has ended (after a crash its lock counts no more once that is'
            f' {SILENCE:.0f} s old), or choose another --workdir'
        )
    return holder


def _lives_here(holder: Holder) -> bool | None:
    """Whether a holder lives, by this machine's table of processes; None where it cannot tell."""
    if not holder.machine or holder.machine != _machine():
        return None
    began = _began(holder.pid)
    if began is not None:
        return began == holder.began
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user, whose processes the table may hide (`hidepid`)
        return None
    return None


def _silent_for(file: Path) -> float:
    """Seconds since a file was touched, by the clock of the disk that it lies on."""
    try:
        # Opened, not only asked for: NFS clients ask the server then, and not their memory.
        with open(file, 'rb') as held, tempfile.NamedTemporaryFile(dir=file.parent) as new:
            new.write(b'.')
            new.flush()
            now = os.fstat(new.fileno()).st_mtime
            return max(now - os.fstat(held.fileno()).st_mtime, 0.0)
    except FileNotFoundError:  # released at this moment
        return SILENCE


def _machine() -> str:
    """The machine since it was started, and the container, whose process numbers are its own."""
    try:
        boot = Path('/proc/sys/kernel/random/boot_id').read_text().strip()
        return f'{boot} {os.readlink("/proc/self/ns/pid")}'
    except OSError:
        return ''


def _began(pid: int) -> str | None:
    """When a process of this machine began, in the kernel's count.

    Empty where it has ended and nobody has asked for its exit code; None where it is not shown.
    """
    try:
        # The name, in brackets, may hold anything.
        fields = Path(f'/proc/{pid}/stat').read_text(errors='replace').rpartition(')')[2].split()
    except OSError:
        return None
    return '' if fields[0] in 'ZX' else fields[19]
