"""A trace of some training steps, for XProf or Perfetto: `--config.profile=true`."""

from __future__ import annotations

from pathlib import Path

import jax
from jax import Array

from eojax.messages import say

# The first calls after compilation warm caches up; a few are enough to see what repeats.
_SKIPPED_CALLS = 3
_TRACED_CALLS = 5


class Trace:
    """Records a few calls of each phase's step, in a folder for each phase.

    Open `profile/<phase>` with `xprof --logdir`, or the `.trace.json.gz` in it with Perfetto. Every
    process of a run writes what its own devices do.
    """

    def __init__(self, folder: Path, wanted: bool) -> None:
        self._folder, self._wanted = folder, wanted
        self._phase, self._calls, self._running = '', 0, False

    def begin_phase(self, name: str) -> None:
        """A phase's step has been compiled; a phase that was recorded already is not again."""
        self.end()
        self._phase = name
        self._calls = 0 if self._wanted and not (self._folder / name).exists() else -1

    def at_call(self, ticket: Array) -> None:
        """A call of the step has been dispatched; `ticket` is ready when it is done."""
        if self._calls < 0:
            return
        self._calls += 1
        if self._calls == _SKIPPED_CALLS:
            ticket.block_until_ready()
            jax.profiler.start_trace(str(self._folder / self._phase))
            self._running = True
        elif self._calls == _SKIPPED_CALLS + _TRACED_CALLS:
            ticket.block_until_ready()
            self.end()

    def end(self) -> None:
        """Writes what was recorded, if anything."""
        self._calls = -1
        if self._running:
            self._running = False
            jax.profiler.stop_trace()
            say(f'a trace of the {self._phase} step is in {self._folder / self._phase}')
