"""Lists the trained networks that come with eojax, or shows the card of one, or of a file.

    eojax weights
    eojax weights jem-eurosat-64
    eojax weights mine.safetensors

Wherever a command takes `--workdir`, it takes such a name or file.
"""

from __future__ import annotations

from collections.abc import Sequence

from eojax.command_parser import CommandParser
from eojax.errors import UserError, one_line_errors
from eojax.program_name import program_name
from eojax.tables import plain_table
from eojax.weights import encoder_file, shipped
from eojax.weights.card import described
from eojax.weights.run_file import read_card
from eojax.weights.unpacked import sha256_of


def listed() -> list[str]:
    """The lines of the list: name, size of the images, main number, size of the file, title."""
    rows = [('name', 'pixels', 'on the test split', 'MB', 'what')]
    for name in shipped.names():
        path = shipped.path_of(name)
        card = read_card(path)
        score = '' if card.score is None else f'{card.score[0]} {100 * card.score[1]:.1f}%'
        score = score.replace('_', ' ')
        size = f'{path.stat().st_size / 1e6:.1f}'
        rows.append((name, str(card.image_size), score, size, card.title))
    return plain_table(rows, left=(0, 2, 4))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = CommandParser(
        prog=program_name('eojax.apps.weights'),
        description='Lists the trained networks that come with eojax, or shows the card of one.',
    )
    parser.add_argument('name', nargs='?', help='of weights, or a file: its card is shown')
    options = parser.parse_args(arguments)
    with one_line_errors():
        if not options.name:
            print('\n'.join(listed()))
            return
        path = shipped.folder_or_file(options.name)
        if path.is_dir():
            raise UserError(f'{path} is a run folder: eojax export makes a file with a card of it')
        if path.is_file() and encoder_file.is_encoder(path):
            print(encoder_file.described(encoder_file.read(path), options.name))
            return
        size = path.stat().st_size if path.is_file() else 0
        print(described(read_card(path), options.name, size, sha256_of(path)))


if __name__ == '__main__':
    main()
