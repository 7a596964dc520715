"""The one exception for what a user can mend: bad input, bad options, missing files."""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import signal
import sys
from collections.abc import Iterable, Iterator

from eojax.interrupt import started


class UserError(Exception):
    """A mistake in the input or the options; its message is one line that says what to do."""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UserError:
    """A `UserError` for a name that is not in `known`, with the nearest and all valid ones."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f'; did you mean {near[0]!r}?' if near else ''
    return UserError(f'unknown {kind} {str(name)!r}{hint} (known: {", ".join(names)})')


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turns a `UserError`, and what the operating system refuses, into one line and exit code 1.

    Ctrl-C is one line and exit code 130. Set `EOJAX_DEBUG=1` to see the traceback as well.
    """
    started()
    # A name that the terminal cannot show is no reason to lose a result.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == 'strict':
            stream.reconfigure(errors='backslashreplace')
    try:
        yield
    except UnicodeEncodeError as error:
        # A file's name whose bytes are not UTF-8 is kept with lone surrogates.
        if os.environ.get('EOJAX_DEBUG') or error.reason != 'surrogates not allowed':
            raise
        print(f'eojax: {error.object!a} is no name in UTF-8; rename it', file=sys.stderr)
        raise SystemExit(1) from None
    except BrokenPipeError:
        # Who read the output, such as head, has what it wanted.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(128 + signal.SIGPIPE) from None
    except (UserError, OSError, MemoryError, KeyboardInterrupt) as error:
        if os.environ.get('EOJAX_DEBUG'):
            raise
        stopped = isinstance(error, KeyboardInterrupt)
        message = ' '.join(str(error).split()) or ('stopped' if stopped else repr(error))
        if isinstance(error, MemoryError):
            what = '' if message == repr(error) else f' ({message})'
            message = f'there is not enough memory{what}: ask for fewer or smaller images at a time'
        print(f'eojax: {message}', file=sys.stderr)
        raise SystemExit(130 if stopped else 1) from None
