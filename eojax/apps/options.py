"""Lists the options of a config: key, value, what it may be, and what it means.

    python -m eojax.apps.options --config=configs/jem_eurosat_small.py
    python -m eojax.apps.options --config=configs/jem_eurosat_small.py sampler
    python -m eojax.apps.options --method=fixmatch --data=folder threshold
    python -m eojax.apps.options learning_rate
    python -m eojax.apps.options --markdown > docs/options.md

With a config, or parts of one, its options with their values there; without, those of all parts. A
word lists the options whose key has it in it. `--markdown` writes the page of all options.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from eojax.command_parser import CommandParser
from eojax.config import listing
from eojax.config.command_line import read_arguments
from eojax.config.page import as_markdown
from eojax.errors import UserError, one_line_errors
from eojax.program_name import program_name


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = CommandParser(
        prog=program_name('eojax.apps.options'),
        usage='%(prog)s [--config=NAME] [--method=NAME] [--model=NAME] [--data=NAME] [KEY]',
        description='Lists options: key, value, what it may be, and what it means.',
        epilog='--config.KEY=VALUE changes the config first, as in training.',
    )
    parser.add_argument('--markdown', action='store_true', help='the page of all options')
    given, others = parser.parse_known_args(arguments)
    with one_line_errors():
        typed = read_arguments(others)
        words = [word for word in typed.rest if not word.startswith('-')]
        unknown = [word for word in typed.rest if word.startswith('-')] + words[1:]
        if unknown:
            raise UserError(f'unknown argument {unknown[0]!r}')
        if given.markdown:
            sys.stdout.write(as_markdown(listing.of_all_parts()))
            return
        for note in typed.notes:
            print(note)
        config = typed.config
        sections = listing.of_all_parts() if config is None else listing.of_config(config)
        print(listing.as_text(listing.matching(sections, words[0] if words else '')))


if __name__ == '__main__':
    main()
