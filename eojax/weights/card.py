"""The card of a trained network: what it is, what it was trained on, how good it is, its limits."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from typing import Any, NamedTuple, get_type_hints

_WIDTH = 88


class Card(NamedTuple):
    """A card; texts are for people.

    Attributes:
      title: in a line.
      method, network, data: of the run, in words.
      protocol: which images were learnt from, with how many labels, for how long.
      numbers: on the test split, as `evaluation.json` has them; empty where none were measured.
      limits: what it is not good for, a sentence each.
      licence: of the weights.
      data_licence: of the images that they were trained on.
      citation: of the method and the data; empty where none is known.
      classes: their names.
      image_size: side of the images in pixels.
      bands: of the images, in order.
      parameters: how many numbers were trained.
      version: of eojax that wrote it.
      date: of the day that it was written, as 2026-11-29.
    """

    title: str
    method: str
    network: str
    data: str
    protocol: str
    numbers: Mapping[str, float]
    limits: tuple[str, ...]
    licence: str
    data_licence: str
    citation: str
    classes: tuple[str, ...]
    image_size: int
    bands: tuple[str, ...]
    parameters: int
    version: str
    date: str

    def to_json(self) -> str:
        """The card as indented JSON."""
        return json.dumps(self._asdict(), indent=1, ensure_ascii=False)

    @property
    def score(self) -> tuple[str, float] | None:
        """The number that a list shows, with its name: accuracy, or mean IoU for pixels."""
        for key in ('accuracy', 'mean_iou', 'pixel_accuracy'):
            if key in self.numbers:
                return key, self.numbers[key]
        return None


def card_from_json(text: str) -> Card:
    """The card that `Card.to_json` wrote.

    Raises:
      ValueError, TypeError, KeyError: it is damaged.
    """
    plain = json.loads(text)
    values: dict[str, Any] = {}
    for name, kind in get_type_hints(Card).items():
        value = plain[name]
        if kind == tuple[str, ...]:
            values[name] = tuple(map(str, value))
        elif kind in (int, str):
            values[name] = kind(value)
        else:
            values[name] = {str(key): float(number) for key, number in value.items()}
    return Card(**values)


def described(card: Card, name: str, size: int, sha256: str) -> str:
    """The card as text for a terminal.

    Args:
      name: of the weights or the file.
      size: of the file in bytes.
      sha256: of the file.
    """
    rows = [
        ('method', card.method),
        ('network', f'{card.network}, {card.parameters:,} parameters'),
        ('data', card.data),
        ('images', f'{card.image_size} x {card.image_size} pixels; {", ".join(card.bands)}'),
        ('classes', ', '.join(card.classes)),
        ('protocol', card.protocol),
        ('licence', card.licence),
        ('data licence', card.data_licence),
        ('citation', card.citation),
        ('file', f'{size / 1e6:.2f} MB, SHA-256 {sha256}'),
        ('written', f'{card.date} by eojax {card.version}'),
    ]
    lines = [f'{name}: {card.title}', '']
    for key, value in rows:
        lines += _folded(key, value or 'none stated')
    lines += ['', 'On the test split:']
    main = {key: value for key, value in card.numbers.items() if not _of_a_class(key, card)}
    lines += [f'  {key:<28} {_number(value):>10}' for key, value in main.items()] or [
        '  not measured'
    ]
    lines += ['', 'Limits:']
    for limit in card.limits or ('none stated',):
        lines += textwrap.wrap(limit, _WIDTH, initial_indent='- ', subsequent_indent='  ')
    return '\n'.join(lines)


def _of_a_class(key: str, card: Card) -> bool:
    return any(key.endswith(f'_{name}') for name in card.classes)


def _number(value: float) -> str:
    return f'{value:,.0f}' if value == round(value) and abs(value) > 1 else f'{value:.4f}'


def _folded(key: str, value: str) -> list[str]:
    return textwrap.wrap(
        value, _WIDTH, initial_indent=f'{key:<14}', subsequent_indent=' ' * 14,
        break_long_words=False,
    )  # fmt: skip
