"""From a grid's cells to its table and figures: the part that all commands of grids share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from eojax.devices import processes
from eojax.errors import UserError
from eojax.messages import say
from eojax.runs.command import open_folder_for_writing
from eojax.studies.grid.cells import Cell, Row, check, unfinished_lines
from eojax.studies.grid.runner import Ended, Start, finish, run_grid
from eojax.studies.grid.tables import write_table


class Results(NamedTuple):
    """The outputs that a command makes of its runs.

    Attributes:
      rows: all rows of the table, sorted, given those of the grid's own cells.
      markdown: the table for people, of these.
      measure: what is measured of trained runs, in processes of their own, given all rows; returns
        the number of the signal that stopped it, or 0.
      draw: writes the figures of all rows.
      files: further files of text, by their names in the grid's folder, of all rows.
    """

    rows: Callable[[list[Row]], list[Row]]
    markdown: Callable[[Sequence[Row]], str]
    measure: Callable[[Sequence[Row]], int]
    draw: Callable[[Sequence[Row]], None]
    files: Callable[[Sequence[Row]], Mapping[str, str]] = lambda rows: {}


def start_alone() -> None:
    """Starts jax's processes, of which there is to be one.

    Raises:
      UserError: there are several.
    """
    processes.start()
    if processes.several():
        raise UserError(
            'a grid runs in one process; train its folders by eojax.main in all processes, and'
            ' write the table by --table_only'
        )


def train_and_write(
    cells: Sequence[Cell],
    workdir: Path,
    results: Results,
    start: Start,
    table_only: bool,
    jobs: int = 1,
    found: Sequence[Cell] = (),
) -> None:
    """Checks and runs the cells, and writes the table after each and the figures at the end.

    Args:
      table_only: measures nothing.
      jobs: how many cells run at once.
      found: runs that were begun in the folder before: with `table_only`, lines say which of them
        the table is without, and how far they are.

    Raises:
      UserError: see `check`; or a folder that cannot be written to.
      SystemExit: see `finish`.
    """
    check(cells)
    open_folder_for_writing(workdir, '--workdir')
    for line in unfinished_lines(found) if table_only else ():
        say(f'not in the table: {line}')

    def write(own: list[Row]) -> list[Row]:
        rows = results.rows(own)
        write_table(workdir, rows, results.markdown(rows), results.files(rows))
        return rows

    ended = run_grid(cells, write, start, jobs)
    rows = write(ended.rows)
    if not (table_only or ended.stopped):
        ended = Ended(ended.rows, results.measure(rows))
    results.draw(rows)
    print(results.markdown(rows))
    print(f'table.md, table.json and the figures are in {workdir}', flush=True)
    finish(ended)
