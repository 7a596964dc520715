"""Several processes of one run: start-up before any look at the devices, and staying together.

Each process computes its part of every step and waits for the others in it, so one that ends would
leave the others waiting. A thread in each gives a sign of life every few seconds through jax's
coordination service and ends its process, with a line that says why, where another one's is missing
or another one has failed. The coordinator itself, process 0, is watched by jax: without it, jax
aborts the others at once.
"""

from __future__ import annotations

import contextlib
import faulthandler
import itertools
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

import jax

from eojax.errors import UserError

_NAMES = ('EOJAX_COORDINATOR', 'EOJAX_NUM_PROCESSES', 'EOJAX_PROCESS_ID')
# Seconds that the processes of a run wait for each other at the start.
_PATIENCE = 300
_SIGN_EVERY = 2.0
# Without a sign for so many seconds a process counts as gone.
_SILENCE = 30.0
# Seconds that the others wait for work that one process alone has to do.
_LONGEST_WORK = 24 * 3600
_FINISHED = 'finished'
_meetings = itertools.count()
_finished = threading.Event()


def start() -> None:
    """Joins the other processes of the run, if there are any.

    On TPU pods and under SLURM with several tasks no arguments are needed. Elsewhere
    `EOJAX_COORDINATOR=host:port`, `EOJAX_NUM_PROCESSES` and `EOJAX_PROCESS_ID` say it. Without any
    of these the process is alone.

    Raises:
      UserError: the variables are incomplete, or the others do not answer.
    """
    values = [os.environ.get(name, '') for name in _NAMES]
    try:
        if all(values):
            number, count = int(values[2]), int(values[1])
            if not 0 <= number < count:
                raise UserError(f'EOJAX_PROCESS_ID={number} must lie in 0 to {count - 1}')
            if count == 1:
                return
            _await_coordinator(values[0], number, count)
            jax.distributed.initialize(
                values[0],
                count,
                number,
                # What is said wins: jax would still take the number of GPUs from a cluster it sees.
                cluster_detection_method='deactivate',
                initialization_timeout=_PATIENCE,
            )
        elif any(values):
            missing = ', '.join(n for n, v in zip(_NAMES, values, strict=True) if not v)
            raise UserError(f'several processes need {", ".join(_NAMES)}; missing: {missing}')
        elif int(os.environ.get('SLURM_NTASKS', '1')) > 1 or _on_pod():
            jax.distributed.initialize()
        else:
            return
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f'the processes of this run did not find each other: {reason}') from error
    # What jax says when the coordinator is gone is enough; Python would add all threads' stacks.
    faulthandler.disable()
    threading.Thread(target=_watch_others, daemon=True).start()


def several() -> bool:
    """Whether the run has other processes beside this one."""
    return _client() is not None


def wait_for_first() -> None:
    """Waits until all processes of the run are here: one of them may have minutes of work first.

    The devices' own computations would not wait for it so long. All processes call it in the same
    order; where one fails before, all of them end.
    """
    client = _client()
    if client is not None:
        client.wait_at_barrier(f'eojax/here/{next(_meetings)}', _LONGEST_WORK * 1000)


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Around all that the processes of a run do together: where one fails, all end.

    Alone in its run, a process just goes on with the error.
    """
    try:
        yield
    except SystemExit as stop:  # what all of them agreed on
        if not several() or isinstance(stop.code, str):
            raise
        _say_finished()
        raise
    except BaseException as error:
        if not several():
            raise
        _fail(error)
    else:
        if several():
            _say_finished()


def _fail(error: BaseException) -> NoReturn:
    """Says what went wrong, here and to the others, and ends the process."""
    message = ' '.join(str(error).split()) or repr(error)
    if isinstance(error, (UserError, OSError, MemoryError)) and not os.environ.get('EOJAX_DEBUG'):
        print(f'eojax: {message}', file=sys.stderr)
    elif isinstance(error, jax.errors.JaxRuntimeError):
        # Mostly the connection to a process that has ended; its own log says why.
        message = f'a computation of all processes failed: {message[:300]}'
        print(f'eojax: {message}; start all processes again', file=sys.stderr)
    else:
        traceback.print_exception(error)
    with contextlib.suppress(RuntimeError):  # nobody is left to tell
        _set(f'failed/{jax.process_index()}', message)
    sys.stdout.flush()
    sys.stderr.flush()
    if jax.process_index() == 0:  # jax aborts the others once the coordinator is gone
        time.sleep(2.0 * _SIGN_EVERY)
    # Not by an exception: on its way out jax would wait for the others, who wait for this one.
    os._exit(1)


def _on_pod() -> bool:
    return len(os.environ.get('TPU_WORKER_HOSTNAMES', '').split(',')) > 1


def _await_coordinator(address: str, number: int, count: int) -> None:
    """Waits until the coordinator listens: jax itself aborts where it does not."""
    host, colon, port = address.rpartition(':')
    if not colon or not port.isdigit():
        raise UserError(f'EOJAX_COORDINATOR={address!r}: expected host:port')
    if number == 0:
        print(f'eojax: waiting for {count - 1} more process(es) at {address}', file=sys.stderr)
        return
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection((host.strip('[]'), int(port)), timeout=5.0).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                reason = error.strerror or error
                raise UserError(
                    f'process 0 of this run does not answer at {address}: {reason}'
                ) from error
            time.sleep(0.2)


def _client() -> Any:
    """jax's client of the coordination service; None for a process that is alone."""
    from jax._src import distributed  # not public; Orbax takes the same way

    return distributed.global_state.client


def _set(name: str, value: str) -> None:
    _client().key_value_set(f'eojax/{name}', value, allow_overwrite=True)


def _get(folder: str) -> dict[int, str]:
    """By process, what each has set in a folder."""
    entries = _client().key_value_dir_get(f'eojax/{folder}/')
    return {int(name.rpartition('/')[2]): value for name, value in entries}


def _say_finished() -> None:
    _finished.set()
    with contextlib.suppress(RuntimeError):  # the coordinator has ended, and so has the run
        _set(f'alive/{jax.process_index()}', _FINISHED)


def _watch_others() -> None:
    own, count = jax.process_index(), 0
    seen: dict[int, tuple[str, float]] = {}
    while not _finished.wait(_SIGN_EVERY):
        count += 1
        try:
            _set(f'alive/{own}', str(count))
            if _finished.is_set():  # in between: the last sign stands
                _say_finished()
            failed, signs = _get('failed'), _get('alive')
        except (RuntimeError, AttributeError):
            return  # the coordinator is gone, and jax sees to that
        for number, message in failed.items():
            if number != own:
                _give_up(f'process {number} of this run failed: {message}')
        gone = _gone(seen, signs, own, time.monotonic())
        if gone is not None:
            _give_up(f'process {gone} of this run is gone: no sign of it for {_SILENCE:.0f} s')


def _gone(
    seen: dict[int, tuple[str, float]], signs: dict[int, str], own: int, now: float
) -> int | None:
    """A process whose sign has not changed for too long; `seen` remembers when each did."""
    for number, sign in signs.items():
        if number not in seen or seen[number][0] != sign:
            seen[number] = (sign, now)
        elif sign != _FINISHED and number != own and now - seen[number][1] > _SILENCE:
            return number
    return None


def _give_up(reason: str) -> None:
    line = f'eojax: {reason}; start all processes again to go on from the last checkpoint'
    print(f'\n{line}', file=sys.stderr, flush=True)
    os._exit(1)
