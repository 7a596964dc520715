"""Files that a thread keeps open, or decoded, between two reads of the same file."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar('Value')


class Kept(Generic[Value]):
    """The values of the last keys, of each thread of each process its own.

    Open files are not shared: processes would move each other's place in them, and GDAL's must not
    be used by two threads at a time. A forked process opens its files anew. It pickles empty.
    """

    def __init__(self, most: int, close: Callable[[Value], object] | None = None) -> None:
        """An empty store.

        Args:
          most: how many values each thread keeps; the one that was used longest ago goes first.
          close: called with a value that goes.
        """
        self._most, self._close = most, close
        self._local = threading.local()

    def __reduce__(self) -> tuple[type[Kept], tuple]:
        return Kept, (self._most, self._close)

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value that is kept under a key, made now where there is none."""
        local = self._local
        if getattr(local, 'process', None) != os.getpid():
            local.process, local.values = os.getpid(), OrderedDict()
        values: OrderedDict[Hashable, Value] = local.values
        if key in values:
            values.move_to_end(key)
            return values[key]
        value = make()
        values[key] = value
        if len(values) > self._most:
            _, old = values.popitem(last=False)
            if self._close is not None:
                self._close(old)
        return value
