"""What the values of masks mean, as people write it: a number or a colour, and the class's name.

    1=water,2=forest,0=none                      in the config
    #e2a929=water,#8429f6=land,#9b9b9b=none
    {"1": "water", "2": "forest", "0": null}     in a .json file
    1,water                                      in a .csv or .txt file, a line for each value

`none` stands for pixels whose class is unknown. The classes are numbered in the order in which
their names first stand; several values may have one class.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable
from typing import NamedTuple

from eojax.errors import UserError
from eojax.home import expanded

KEY = 'data.mask_values'
NONE = 'none'
_COLOUR, _NUMBER = re.compile(r'#[0-9a-fA-F]{6}'), re.compile(r'-?[0-9]{1,9}')
# Classes are uint8, and 255 is the unknown one.
_MOST_CLASSES = 255


class MaskValues(NamedTuple):
    """The classes of a set of masks.

    Attributes:
      class_names: in the order of their numbers.
      values: the class of each number or colour `#rrggbb`; None where it is unknown.
      colours: the first colour of each class, by its name; none where masks hold numbers.
    """

    class_names: tuple[str, ...]
    values: dict[int | str, int | None]
    colours: dict[str, str]


def mask_values(text: str, key: str = KEY) -> MaskValues:
    """The meaning of `data.mask_values`: the values themselves, or the file that lists them.

    Args:
      key: of the option, for messages.

    Raises:
      UserError: no such file, a line that is no value with a name, a value that is there twice,
        numbers and colours together, or no class at all.
    """
    text = text.strip()
    if not text:
        raise UserError(f'{key} is empty: write value=class,value=class,... or name a file')
    if '=' in text or text.startswith('{'):
        return _meaning(_inline(text, key), key)
    path = expanded(text)
    try:
        content = path.read_text('utf-8-sig')
    except FileNotFoundError:
        raise UserError(
            f'{key}={text!r}: no such file; write value=class,... or name a file of such lines'
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f'{key}={text!r}: cannot be read ({error})') from None
    if path.suffix.lower() == '.json':
        return _meaning(_json(content, str(path)), str(path))
    return _meaning(_lines(content, str(path)), str(path))


def _inline(text: str, key: str) -> list[tuple[str, str]]:
    if text.startswith('{'):
        return _json(text, key)
    pairs = []
    for part in text.split(','):
        value, equals, name = (piece.strip() for piece in part.partition('='))
        if not (value and equals and name):
            raise UserError(f'{key}: {part.strip()!r} is no value=class')
        pairs.append((value, name))
    return pairs


def _json(text: str, title: str) -> list[tuple[str, str]]:
    try:
        # As pairs: an object with a key twice would lose one.
        pairs = json.loads(text, object_pairs_hook=list)
        if not isinstance(pairs, list):
            raise ValueError('no object')
        return [(str(value), NONE if name is None else _text(name)) for value, name in pairs]
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(
            f'{title}: not a JSON object of class names by value, as {{"1": "water"}} ({error})'
        ) from None


def _text(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f'{name!r} is no name')
    return name.strip()


def _lines(text: str, title: str) -> list[tuple[str, str]]:
    """The pairs of lines `value,name`, after a header where there is one."""
    pairs = []
    for number, row in enumerate(csv.reader(text.splitlines(), skipinitialspace=True), 1):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if number == 1 and len(cells) == 2 and not _is_value(cells[0]):
            continue
        if len(cells) != 2 or not all(cells):
            raise UserError(f'{title}: line {number} is no value,class')
        pairs.append((cells[0], cells[1]))
    return pairs


def _is_value(text: str) -> bool:
    return bool(_COLOUR.fullmatch(text) or _NUMBER.fullmatch(text))


def _meaning(pairs: Iterable[tuple[str, str]], title: str) -> MaskValues:
    names: dict[str, int] = {}
    values: dict[int | str, int | None] = {}
    colours: dict[str, str] = {}
    for text, name in pairs:
        if not _is_value(text):
            raise UserError(f'{title}: {text!r} is no whole number and no colour #rrggbb')
        value: int | str = text.lower() if text.startswith('#') else int(text)
        if value in values:
            raise UserError(f'{title}: {text} is in it twice')
        if values and isinstance(value, str) != isinstance(next(iter(values)), str):
            raise UserError(f'{title}: {text}: write numbers or colours, not both')
        if name.lower() == NONE:
            values[value] = None
            continue
        if not name or any(sign in name for sign in ',=+'):
            raise UserError(f'{title}: {name!r}: class names hold no comma, plus or equals sign')
        values[value] = names.setdefault(name, len(names))
        if isinstance(value, str):
            colours.setdefault(name, value)
    if not 1 <= len(names) < _MOST_CLASSES:
        raise UserError(f'{title}: {len(names)} classes; there must be 1 to {_MOST_CLASSES - 1}')
    return MaskValues(tuple(names), values, colours)
