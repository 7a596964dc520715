"""Worker processes that work ahead, in the way of a PyTorch `DataLoader`, and can be waited for.

A `DataLoader` goes on filling its queue while somebody else is being timed, and finds its batches
for nothing when its turn comes again. Here `settle` waits until all that was asked for is done: at
the end of each turn the queue is as full as at its beginning, so that n steps pay for n batches.
"""

from __future__ import annotations

import collections
import multiprocessing
import multiprocessing.pool
from collections.abc import Callable, Iterator
from typing import Any

_held: Any = None


def _hold(held: Any) -> None:
    global _held
    _held = held


def _work(function: Callable[[Any, Any], Any], task: Any) -> Any:
    return function(_held, task)


class Workers:
    """Results of `function(held, task)` for the tasks of an endless iterator, in their order.

    Args:
      function: of a module, so that processes can import it.
      held: what every process has from the beginning, such as a data set.
      tasks: small: each is sent to a process.
      num: processes; 0 computes in this one, when a result is asked for.
      ahead: how many tasks of each process are under way.
    """

    def __init__(
        self,
        function: Callable[[Any, Any], Any],
        held: Any,
        tasks: Iterator[Any],
        num: int,
        ahead: int = 2,
    ) -> None:
        self._function, self._held, self._tasks, self.num = function, held, tasks, num
        self._pending: collections.deque[multiprocessing.pool.AsyncResult] = collections.deque()
        self._pool: multiprocessing.pool.Pool | None = None
        if num:
            # Not forked: jax and torch have threads, and a fork copies their locks as they are.
            context = multiprocessing.get_context('spawn')
            self._pool = context.Pool(num, _hold, (held,))
            for _ in range(num * ahead):
                self._ask()

    def __next__(self) -> Any:
        """The next result."""
        if self._pool is None:
            return self._function(self._held, next(self._tasks))
        result = self._pending.popleft().get()
        self._ask()
        return result

    def settle(self) -> None:
        """Waits until no process works any more."""
        for pending in self._pending:
            pending.wait()

    def close(self) -> None:
        """Ends the processes."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool.join()
            self._pool = None

    def _ask(self) -> None:
        assert self._pool is not None
        task = (self._function, next(self._tasks))
        self._pending.append(self._pool.apply_async(_work, task))
