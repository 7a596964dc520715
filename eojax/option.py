"""An option of a config: its default, its meaning, the values that it may have, and its unit.

Each part (a method, a network, a data set, a sampler, ...) states its own options, once:

    OPTIONS: Options = {
        'threshold': Option(0.95, 'omega, the least confidence of a pseudo-label', SHARE),
        'teacher': Option('network', 'who makes the pseudo-labels', one_of('network', 'average')),
    }

The config takes its defaults from there, `check` its refusals, and `eojax options`, `--help` and
the page of all options their text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from eojax.errors import UserError, unknown_name


class Range(NamedTuple):
    """The values that an option may have, by a condition.

    Attributes:
      text: the values, for lists: `1 or more`.
      demand: what a message says of another value: `must be at least 1`.
      holds: whether a value, of the option's type and no NaN, is one of them.
    """

    text: str
    demand: str
    holds: Callable[[Any], bool]

    def refuse(self, key: str, value: Any) -> None:
        """Raises a `UserError` of one line unless the value is one of them."""
        if not self.holds(value):
            endless = isinstance(value, float) and math.isinf(value)
            demand = 'must be a finite number' if endless else self.demand
            raise UserError(f'{key} {demand}, not {value!r}')


class Choices(NamedTuple):
    """The values that an option may have, by their names."""

    names: tuple[str, ...]

    @property
    def text(self) -> str:
        """The names, for lists."""
        return ', '.join(name or "''" for name in self.names)

    def refuse(self, key: str, value: Any) -> None:
        """Raises a `UserError` of one line, with the nearest, unless the value is one of them."""
        if value not in self.names:
            raise unknown_name(key, value, self.names)


ANY = Range('', 'must be anything', lambda value: True)
POSITIVE = Range('above 0', 'must be positive', lambda value: 0.0 < value < math.inf)
NOT_NEGATIVE = Range('0 or more', 'must not be negative', lambda value: 0.0 <= value < math.inf)
OR_INFINITE = Range('0 or more, or inf', 'must not be negative', lambda value: value >= 0.0)
SHARE = Range('0 to 1', 'must lie in [0, 1]', lambda value: 0.0 <= value <= 1.0)
BELOW_ONE = Range('0 to below 1', 'must lie in [0, 1)', lambda value: 0.0 <= value < 1.0)
INSIDE = Range('above 0, below 1', 'must lie between 0 and 1', lambda value: 0.0 < value < 1.0)


def at_least(low: int) -> Range:
    """Whole numbers from `low` on."""
    return Range(f'{low} or more', f'must be at least {low}', lambda value: value >= low)


def between(low: float, high: float, demand: str = 'must lie between') -> Range:
    """Numbers from `low` to `high`, both among them; the message says `demand`, then the ends."""
    joined = 'to' if demand.endswith('from') else 'and'
    return Range(
        f'{low} to {high}', f'{demand} {low} {joined} {high}', lambda value: low <= value <= high
    )


def such(text: str, holds: Callable[[Any], bool]) -> Range:
    """Values by words of their own, as they follow `must be`."""
    return Range(text, f'must be {text}', holds)


def one_of(*names: str) -> Choices:
    """One of a few names."""
    return Choices(names)


def name_in(table: Iterable[str]) -> Choices:
    """One of the keys of a table, or of other names that are listed elsewhere."""
    return Choices(tuple(table))


class Option(NamedTuple):
    """One option.

    Attributes:
      default: its value where a config says no other. Its type is the option's: `int`, `float`,
        `bool`, `str` or a tuple of numbers.
      meaning: for people, a line that goes on from the option's name.
      within: the values that it may have.
      unit: of a number: `steps`, `pixels`, ...
      phase: whether it is the length of a stretch of the training's `steps`, and gets shorter and
        longer with them.
    """

    default: Any
    meaning: str
    within: Range | Choices = ANY
    unit: str = ''
    phase: Literal['', 'own', 'within'] = ''

    def but(self, default: Any) -> Option:
        """The same option with another default."""
        return self._replace(default=default)

    def refuse(self, key: str, value: Any) -> None:
        """Refuses a value of another type, and one that the option may not have.

        Raises:
          UserError: one line that names the key.
        """
        check_type(key, value, self.default)
        self.within.refuse(key, value)


# Of one group of a config; a group within it is a mapping of its own.
Options: TypeAlias = 'Mapping[str, Option | Options]'


def defaults(options: Options) -> dict[str, Any]:
    """The defaults of a group, and of the groups in it."""
    return {
        key: one.default if isinstance(one, Option) else defaults(one)
        for key, one in options.items()
    }


def with_defaults(options: Mapping[str, Option], **values: Any) -> dict[str, Option]:
    """The options of one group, some with other defaults.

    Raises:
      KeyError: there is no option of that name.
    """
    return {**options, **{key: options[key].but(value) for key, value in values.items()}}


def flat(options: Options, prefix: str = '') -> Iterator[tuple[str, Option]]:
    """Pairs of dotted key and option, in order."""
    for key, one in options.items():
        if isinstance(one, Option):
            yield f'{prefix}{key}', one
        else:
            yield from flat(one, f'{prefix}{key}.')


def check(options: Options, values: Mapping[str, Any], group: str = '') -> None:
    """Refuses values of another type than the options', and values that they may not have.

    Args:
      values: by key, complete; groups in them may hold more keys than the options.
      group: what the config calls them, for the messages.

    Raises:
      UserError: one line that names the key.
    """
    for key, one in options.items():
        title = f'{group}.{key}' if group else key
        if isinstance(one, Option):
            one.refuse(title, values[key])
        else:
            check(one, values[key], title)


def check_type(key: str, value: Any, default: Any) -> None:
    """Refuses a value that is not of the default's type; a whole number may stand for a float.

    Raises:
      UserError: one line that names the key.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(default, tuple):  # all of them hold numbers
        if not isinstance(value, (tuple, list)):
            raise UserError(f'{key} must be of type tuple, not {value!r}')
        for element in value:
            check_type(key, element, 0.0)
    elif not (isinstance(default, float) and number) and type(value) is not type(default):
        raise UserError(f'{key} must be of type {type(default).__name__}, not {value!r}')
    elif number and math.isnan(value):
        raise UserError(f'{key} must be a number, not {value!r}')


def as_text(value: Any, default: Any) -> Any:
    """A whole number that stands where text is expected, as its digits; else the value itself."""
    return str(value) if type(value) is int and isinstance(default, str) else value
