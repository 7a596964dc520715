"""Options of commands: a mistake in them is one line that says what to do, as all others are."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

_KINDS = {'int': 'a whole number', 'float': 'a number'}
_WRONG_KIND = re.compile(rf'argument (\S+): invalid ({"|".join(_KINDS)}) value: (.*)', re.DOTALL)
_EXIT_CODE = 2  # as argparse has it


class CommandParser(argparse.ArgumentParser):
    """A parser that names the option nearest to one that does not exist.

    argparse prints all options before its message, and knows no nearest one. Mistakes end in one
    line and exit code 2.
    """

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> argparse.Namespace:
        """As argparse does; all words must be options that are known, or their values."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(self.unknown_option(unknown[0]))
        return found

    def error(self, message: str) -> NoReturn:
        """Ends the program with one line.

        Raises:
          SystemExit: always, with exit code 2.
        """
        wrong = _WRONG_KIND.fullmatch(message)
        if wrong is not None:
            message = f'{wrong[1]} must be {_KINDS[wrong[2]]}, not {wrong[3]}'
        text = ' '.join(message.removeprefix('argument ').split())
        print(f'eojax: {text} ({self.prog} --help says more)', file=sys.stderr)
        raise SystemExit(_EXIT_CODE)

    def unknown_option(self, word: str) -> str:
        """What is wrong with a word that is neither an option nor the value of one."""
        if not word.startswith('-'):
            return f'{word!r} belongs to no option; a value with blanks needs quotes'
        name = word.partition('=')[0]
        near = difflib.get_close_matches(name, self._option_string_actions, n=1, cutoff=0.6)
        hint = f'; did you mean {near[0]!r}?' if near else ''
        return f'unknown option {name!r}{hint}'
