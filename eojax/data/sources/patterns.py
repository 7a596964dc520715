"""File patterns: where the files of a place lie, and what their paths say of it.

    {group}/{name}_rgb.jp2
    {part}/{group}/BDORTHO/{name}.tif
    flair_aerial_train/{group}/{zone}/img/IMG_{name}.tif

A field in braces stands for one or more characters of one folder's or file's name, the same ones
wherever it stands again; everything else is as written. The values of all fields, in the order in
which they first stand, with slashes between them, are the place's name. So a file of another raster
follows from the name, and nothing else has to be kept: `{group}/{name}_dem.tif` is the elevation
of the first example's places.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from eojax.errors import UserError

_FIELD = re.compile(r'\{([a-z_]+)\}')


class Pattern:
    """A file pattern; it pickles as its text.

    Attributes:
      text: as it was written.
      fields: the names of its fields, each once, in their order.
    """

    def __init__(self, text: str) -> None:
        """Reads a pattern.

        Raises:
          UserError: it has no field, or a brace that belongs to none.
        """
        self.text = text
        self.fields: tuple[str, ...] = tuple(dict.fromkeys(_FIELD.findall(text)))
        if not self.fields or re.search(r'[{}]', _FIELD.sub('', text)):
            raise UserError(
                f'file pattern {text!r}: write fields of small letters in braces, such as'
                ' {group}/{name}.tif'
            )

    def __reduce__(self) -> tuple[type[Pattern], tuple[str]]:
        return Pattern, (self.text,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def match(self, files: Iterable[str]) -> dict[str, dict[str, str]]:
        """The fields of every file that fits, by file.

        Args:
          files: relative to the root, with forward slashes.
        """
        seen: set[str] = set()
        expression = ''
        for literal, field in re.findall(r'([^{]*)(?:\{([a-z_]+)\})?', self.text):
            expression += re.escape(literal)
            if field:
                expression += f'(?P={field})' if field in seen else f'(?P<{field}>[^/]+?)'
                seen.add(field)
        compiled = re.compile(expression)
        matches = ((file, compiled.fullmatch(file)) for file in files)
        return {file: match.groupdict() for file, match in matches if match}

    def with_suffix(self, files: Iterable[str]) -> Pattern:
        """The pattern with the one suffix that its files have, where it ends in `.*`; else itself.

        Args:
          files: relative to the root, with forward slashes.

        Raises:
          UserError: its files have different suffixes.
        """
        if not self.text.endswith('.*'):
            return self
        stem = self.text.removesuffix('.*')
        endings = {file[file.rfind('.') :] for file in files if '.' in file.rpartition('/')[2]}
        fitting = [end for end in sorted(endings) if Pattern(stem + end).match(files)]
        if len(fitting) > 1:
            raise UserError(
                f'file pattern {self.text}: there are files with {" and ".join(fitting)}; write one'
                ' of them in place of .*'
            )
        return Pattern(stem + fitting[0]) if fitting else self

    def fill(self, values: Mapping[str, str]) -> str:
        """The file with these fields."""
        return _FIELD.sub(lambda match: values[match.group(1)], self.text)


def place_name(fields: Sequence[str], values: Mapping[str, str]) -> str:
    """The name of the place with these values."""
    return '/'.join(values[field] for field in fields)


def place_values(fields: Sequence[str], name: str) -> dict[str, str]:
    """The values of a place's fields, out of its name."""
    return dict(zip(fields, name.split('/'), strict=True))
