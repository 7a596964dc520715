"""Messages of the program to its user beside its results, a line at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tqdm import tqdm


def counted(num: int, noun: str) -> str:
    """A number and what it counts: 1 image, 2,000 images, 3 classes."""
    ending = 'es' if noun.endswith(('s', 'x', 'ch')) else 's'
    return f'{num:,} {noun}{"" if num == 1 else ending}'


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
