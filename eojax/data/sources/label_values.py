"""The meaning of a label file's values: from stored numbers or colours to classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from eojax.data.facts import UNKNOWN, UNSEEN
from eojax.errors import UserError


class LabelValues(NamedTuple):
    """From stored values to classes; it pickles.

    Attributes:
      values: sorted, int64: numbers, or colours as `0xRRGGBB`.
      classes: uint8, of each value; `UNKNOWN` where it stands for no class.
      colours: whether the values are colours.
    """

    values: np.ndarray
    classes: np.ndarray
    colours: bool

    def apply(self, stored: np.ndarray, title: str, corner: tuple[int, int] = (0, 0)) -> np.ndarray:
        """Classes uint8 `[height, width]`, `UNKNOWN` where there is none.

        Args:
          stored: whole numbers `[height, width, 1]`, or colours uint8 `[height, width, 3]`.
          title: of the file, for messages.
          corner: row and column in the file of the first pixel, for messages.

        Raises:
          UserError: a value that the table does not know; files of another kind.
        """
        bands = 3 if self.colours else 1
        if stored.shape[-1] != bands:
            kind = 'colours of three bands' if self.colours else 'one band'
            raise UserError(f'{title}: {stored.shape[-1]} band(s); labels are {kind}')
        if self.colours:
            if stored.size and stored.max() > 255:
                raise UserError(f'{title}: {stored.dtype} above 255; colours are 8 bits a band')
            red, green, blue = (stored[..., band].astype(np.int64) for band in range(3))
            numbers = red << 16 | green << 8 | blue
        else:
            numbers = _whole(stored[..., 0], title) * self._one_of(stored)
        places = np.searchsorted(self.values, numbers).clip(max=len(self.values) - 1)
        known = self.values[places] == numbers
        if not known.all():
            number = int(numbers[~known][0])
            row, column = np.argwhere(~known)[0] + corner
            raise UserError(
                f'{title}: label {self._text(number)} in row {row}, column {column} is none of'
                f' {", ".join(self._text(int(value)) for value in self.values)}'
            )
        return self.classes[places]

    def _one_of(self, stored: np.ndarray) -> int:
        """By what to multiply: 1, or 255 of 1 bit where the table knows it, and not 1."""
        if stored.dtype != np.bool_:
            return 1
        return 255 if 255 in self.values and 1 not in self.values else 1

    def blank(self) -> np.ndarray:
        """A value that the table knows, as files store it: a number, or red, green and blue."""
        value = int(self.values[0])
        return np.array([value >> 16, value >> 8 & 255, value & 255] if self.colours else [value])

    def check_no_data(self, value: float | None, title: str) -> None:
        """Refuses a file whose value for no data has a class: its pixels would lose it unnoticed.

        Args:
          value: for no data in each band, as the file says; None where it says none.
          title: of the file, for messages.

        Raises:
          UserError: one line that says what to do.
        """
        if value is None or not float(value).is_integer():
            return
        number = int(value) * 0x010101 if self.colours else int(value)
        if self.classes[self.values == number].tolist() not in ([], [UNKNOWN]):
            raise UserError(
                f'{title}: the file says that {value:g} is no data, and it stands for a class: take'
                ' that note away (gdal_edit.py -unsetnodata FILE), or give the value no class'
            )

    def _text(self, value: int) -> str:
        return f'#{value:06x}' if self.colours else str(value)


def label_values(table: Mapping[int | str, int | None]) -> LabelValues:
    """The meaning of stored values.

    Args:
      table: the class of each number, or of each colour `#rrggbb`; None where it stands for none,
        so that the pixel's class is unknown.

    Raises:
      ValueError: numbers and colours in one table, a class that uint8 does not hold, or no value.
    """
    colours = any(isinstance(value, str) for value in table)
    numbers: dict[int, int] = {}
    for value, number in table.items():
        if isinstance(value, str) != colours:
            raise ValueError('a table of labels holds numbers or colours')
        if number is not None and not 0 <= number < UNSEEN:
            raise ValueError(f'class {number} is not among 0 to {UNSEEN - 1}')
        key = int(value.removeprefix('#'), 16) if isinstance(value, str) else int(value)
        numbers[key] = UNKNOWN if number is None else number
    if not numbers:
        raise ValueError('a table of labels needs a value')
    order = sorted(numbers)
    classes = np.array([numbers[value] for value in order], np.uint8)
    return LabelValues(np.array(order, np.int64), classes, colours)


def _whole(stored: np.ndarray, title: str) -> np.ndarray:
    if stored.dtype.kind not in 'iub':
        rounded = np.rint(np.nan_to_num(stored, nan=-1.0))
        if not (rounded == np.nan_to_num(stored, nan=-1.0)).all():
            raise UserError(f'{title}: labels of type {stored.dtype} that are no whole numbers')
        return rounded.astype(np.int64)
    return stored.astype(np.int64)
