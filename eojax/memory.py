"""Refuses what cannot fit into the machine's memory, before any of it is allocated.

Linux hands out more memory than there is, and ends a process that then uses it, without a word.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

from eojax.errors import UserError

# The remedy for data that are drawn as often and as large as the config says.
FEWER = 'ask for fewer (data.num_images) or smaller ones (data.size)'
# Where a container or a batch system says how much it allows; cgroups of version 2 and 1.
_LIMITS = ('/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes')
_UNITS = ('bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB')


def check_fits(num_bytes: int, what: str, remedy: str) -> None:
    """Refuses what is larger than all memory of this machine, or of what it is allowed.

    Args:
      what: needs so much, for the message.
      remedy: what to do, for the message.

    Raises:
      UserError: it cannot fit.
    """
    most = machine_bytes()
    if num_bytes > most:
        raise UserError(
            f'{what} need {in_words(num_bytes)} of memory, and this machine has {in_words(most)}:'
            f' {remedy}'
        )


@functools.cache
def machine_bytes() -> int:
    """The memory of this machine in bytes, or what a container leaves of it."""
    most = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    for place in _LIMITS:
        try:
            text = Path(place).read_text(encoding='ascii').strip()
        except OSError:
            continue
        if text.isdecimal():  # `max` where there is no limit
            most = min(most, int(text))
    return most


def in_words(num_bytes: int) -> str:
    """A number of bytes with a unit: 3.5 GiB."""
    number, unit = float(num_bytes), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f'{number:,.1f} {_UNITS[unit]}' if unit else f'{num_bytes:,} bytes'
