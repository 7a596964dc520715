"""Messages of the program to its user beside its results, a line at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tqdm import tqdm


def say_some(messages: Iterable[str], most: int = 5) -> None:
    """The first of many lines, and how many more there are."""
    listed = list(dict.fromkeys(messages))
    for message in listed[:most]:
        say(message)
    if len(listed) > most:
        say(f'... and {len(listed) - most:,} more lines like these')


def say(message: str) -> None:
    """One line to stderr, above any progress bar."""
    tqdm.write(f'eojax: {message}', file=sys.stderr)
