"""Runs many commands of `eojax.main` in one process that imports once and forks for each.

Reads a JSON list of argument lists from stdin; writes a JSON list of `[code, stdout, stderr]`.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings

from absl import app

from eojax import main
from eojax.training import loop as train

assert train  # imported here, so that no child has to


def run(arguments: list[str]) -> tuple[int, str, str]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            # Not only given: ml_collections looks for the config's keys in here.
            sys.argv = [main.__file__, *arguments]
            try:
                app.run(main.main, flags_parser=main.parse_flags)
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                code = 1
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        _, status = os.waitpid(child, 0)
        out.seek(0)
        err.seek(0)
        return os.waitstatus_to_exitcode(status), out.read().decode(), err.read().decode()


if __name__ == '__main__':
    warnings.simplefilter('ignore', RuntimeWarning)  # jax warns of forks; no device is started yet
    json.dump([run(arguments) for arguments in json.load(sys.stdin)], sys.stdout)
