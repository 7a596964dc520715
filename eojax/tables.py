"""Tables of text whose columns are equally wide: as plain lines, and as Markdown.

A table is its rows of cells, the titles of the columns first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence


def plain_table(rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> list[str]:
    """The lines of a table for a terminal.

    Args:
      left: numbers of the columns that are aligned to the left; the others are to the right.
    """
    return ['  '.join(cells).rstrip() for cells in _padded(rows, left)]


def markdown_table(rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> str:
    """A Markdown table that can be read as plain text too.

    Args:
      left: numbers of the columns that are aligned to the left; the others are to the right.
    """
    head, *others = _padded(rows, left, narrowest=3)
    rules = [
        '-' * (len(cell) + 2) if number in left else '-' * (len(cell) + 1) + ':'
        for number, cell in enumerate(head)
    ]
    lines = [f'| {" | ".join(cells)} |' for cells in (head, *others)]
    return '\n'.join([lines[0], f'|{"|".join(rules)}|', *lines[1:]])


def _padded(
    rows: Sequence[Sequence[str]], left: Collection[int], narrowest: int = 0
) -> list[list[str]]:
    widths = [max(narrowest, *map(len, column)) for column in zip(*rows, strict=True)]
    return [
        [
            cell.ljust(width) if number in left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]
