"""Commands of grids as tests call them: what is typed, how runs are started, what is printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from eojax.studies.grid import process as grid_process
from eojax.studies.grid.runner import Listener, Start

# Of a run, as in its `provenance.json`.
PROVENANCE: dict[str, Any] = {
    'commit': '0123456789abcdef-dirty', 'hardware': {'device': 'H9000', 'count': 1},
    'date': '2026-11-25', 'versions': {'jax': '0.10.2'}, 'seconds': 600.0,
}  # fmt: skip


def never(arguments: Sequence[str], listener: Listener) -> int:
    """A `Start` of a grid that has nothing to start."""
    raise AssertionError(f'started {arguments}')


def here(arguments: Sequence[str], listener: Listener) -> int:
    """A `Start` without another process: faster, and what tests patch is patched in it."""
    try:
        grid_process.work(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def run_grid_command(
    main: Callable[..., None], *arguments: str, start: Start | None = None, code: int = 0
) -> None:
    """Calls a grid's command, which trains nothing unless `start` does, and ends with `code`."""
    if not code:
        main([*arguments], start or never)
        return
    with pytest.raises(SystemExit) as stopped:
        main([*arguments], start or never)
    assert stopped.value.code == code


def cells_of(line: str) -> list[str]:
    """The cells of a line of a Markdown table."""
    return [cell.strip() for cell in line.strip('|').split('|')]


def one_error(capsys: pytest.CaptureFixture[str]) -> str:
    """The only line that is printed about an error."""
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith('eojax: ')]
    return line
