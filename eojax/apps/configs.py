"""Lists the configs that come with eojax, or shows one.

eojax configs
eojax configs jem_eurosat
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

from eojax.command_parser import CommandParser
from eojax.config.shipped import config_file, shipped_configs
from eojax.errors import one_line_errors
from eojax.program_name import program_name


def title_of(file: Path) -> str:
    """The first line of a config's docstring; nothing of it is executed."""
    words = ast.get_docstring(ast.parse(file.read_text())) or ''
    return words.partition('\n')[0]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = CommandParser(
        prog=program_name('eojax.apps.configs'),
        description='Lists the configs that come with eojax, or prints one.',
    )
    parser.add_argument('name', nargs='?', help='of a config: its file is printed')
    options = parser.parse_args(arguments)
    with one_line_errors():
        if options.name:
            print(config_file(options.name).read_text(), end='')
            return
        configs = shipped_configs()
        width = max(map(len, configs), default=0)
        for name, file in configs.items():
            print(f'{name:<{width}}  {title_of(file)}')


if __name__ == '__main__':
    main()
