"""Messages of the program to its user beside its results, a line at a time."""

from __future__ import annotations

import sys

from tqdm import tqdm


def say(message: str) -> None:
    """One line to stderr, above any progress bar."""
    tqdm.write(f'eojax: {message}', file=sys.stderr)
