"""How the program that runs was called: for its help, and for the commands in its messages."""

from __future__ import annotations

import sys

CONSOLE = 'eojax'


def program_name(module: str) -> str:
    """`eojax map` where it was called so, else `python -m` and the module."""
    called = sys.argv[0] if sys.argv else ''
    return called if called.startswith(f'{CONSOLE} ') else f'python -m {module}'
