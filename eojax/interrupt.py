"""Ctrl-C: while a command still imports what it needs, one line and exit code 130, no traceback;
afterwards an exception that is not lost.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from types import FrameType


def _stop(number: int, frame: FrameType | None) -> None:
    # Not by an exception: libraries that are being imported turn it into errors of their own.
    os.write(2, b'\neojax: stopped\n')
    os._exit(130)


def stop_at_once_while_importing() -> None:
    """Called first of all where `python -m eojax.NAME` starts; does nothing in a notebook."""
    arguments = sys.orig_argv
    module = arguments.index('-m') + 1 if '-m' in arguments else len(arguments)
    if not (sys.argv[:1] == ['-m'] and arguments[module : module + 1]):
        return
    if not arguments[module].startswith('eojax.'):
        return
    stop_at_once()


def stop_at_once() -> None:
    """The same for the command `eojax`, which is known to start."""
    default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if default and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _stop)


def started() -> None:
    """The command works now: Ctrl-C is an exception again, so that all is put in order."""
    if signal.getsignal(signal.SIGINT) is _stop:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Python drops an exception in a callback of its garbage collector, such as JAX has: again after
    # it, then.
    callbacks = {getattr(callback, '__code__', None) for callback in gc.callbacks}
    while frame is not None:
        if frame.f_code in callbacks:
            again = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
            again.daemon = True
            again.start()
            return
        frame = frame.f_back
    raise KeyboardInterrupt
