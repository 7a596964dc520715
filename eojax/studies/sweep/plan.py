"""The runs of a study of any options: every combination of the values of the keys that vary."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from eojax.atomic_file import write_atomically
from eojax.config.base import differing_keys, from_json
from eojax.config.command_line import Typed, read_arguments
from eojax.config.swap import PARTS
from eojax.config.written import get, name_of, network_of
from eojax.errors import UserError
from eojax.studies.grid.cells import Cell

SEED = 'seed'
_FILE = 'study.json'


class Axis(NamedTuple):
    """A key that varies, and its values as they are typed.

    Attributes:
      key: of the config, or one of `PARTS`.
    """

    key: str
    values: tuple[str, ...]


class Study(NamedTuple):
    """What a study varies; `study.json` in its folder.

    Attributes:
      name: of the config.
      keys: that vary, in their order.
    """

    name: str
    keys: tuple[str, ...]

    @property
    def compared(self) -> tuple[str, ...]:
        """The keys but the seed, over which means are taken."""
        return tuple(key for key in self.keys if key != SEED)


# Makes the config of a command line, of which these arguments are the last.
Make = Callable[[Sequence[str]], Typed]


def parse_vary(texts: Sequence[str]) -> tuple[Axis, ...]:
    """The axes of `--vary=KEY=VALUE,VALUE`.

    Commas in brackets part no values, and none does where there is a semicolon.

    Raises:
      UserError: one is no key and values; a key or a value twice.
    """
    axes: list[Axis] = []
    for text in texts:
        key, equals, listed = text.partition('=')
        values = [value.strip() for value in _split(listed)]
        if not equals or not key or not all(values):
            raise UserError(f'--vary={text}: write KEY=VALUE,VALUE,..., such as seed=0,1,2')
        if key in (axis.key for axis in axes):
            raise UserError(f'--vary={text}: {key} varies already; give all its values at once')
        for value in values:
            if values.count(value) > 1:
                raise UserError(f'--vary={text}: {value} is given twice')
        axes.append(Axis(key, tuple(values)))
    return tuple(axes)


def _split(text: str) -> list[str]:
    if ';' in text:
        return text.split(';')
    return re.split(r',(?![^(\[]*[)\]])', text)


def cells_of(make: Make, axes: Sequence[Axis], study: Study, workdir: Path) -> list[Cell]:
    """A cell for each combination, the last axis turning fastest.

    Raises:
      UserError: a key or a value that the config does not take.
    """
    cells = []
    for values in itertools.product(*(axis.values for axis in axes)):
        typed = make([_argument(axis.key, v) for axis, v in zip(axes, values, strict=True)])
        assert typed.config is not None
        chosen = values_of(typed.config.to_dict(), study.keys)
        folder = workdir.joinpath(*(_folder(key, value) for key, value in chosen.items()))
        title = ', '.join(f'{key}={value}' for key, value in chosen.items())
        cells.append(Cell(folder, typed.config, labels_of(typed.config, study), title, measures=()))
    return cells


def _argument(key: str, value: str) -> str:
    return f'--{key}={value}' if key in PARTS else f'--config.{key}={value}'


def _folder(key: str, value: Any) -> str:
    return f'{key}={re.sub(r"[^A-Za-z0-9_.+-]+", "_", str(value)).strip("_") or "none"}'


def values_of(config: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """The values of keys, and the names of parts, in a config."""
    return {key: name_of(config, key) if key in PARTS else get(config, key) for key in keys}


def labels_of(config: ConfigDict, study: Study) -> dict[str, Any]:
    """What the row of a run says of it besides what is measured."""
    values = config.to_dict()
    chosen = {key: _plain(value) for key, value in values_of(values, study.keys).items()}
    return {
        'config': title_of(chosen, study),
        'data': name_of(values, 'data'),
        'method': name_of(values, 'method'),
        'network': network_of(values),
        **chosen,
        SEED: get(values, SEED),
    }


def title_of(values: Mapping[str, Any], study: Study) -> str:
    """The values of a run but its seed, in words; the config where only the seed varies."""
    return ', '.join(f'{key}={values[key]}' for key in study.compared) or study.name


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, (tuple, list)) else value


def other_cells(
    workdir: Path, study: Study, cells: Sequence[Cell], make: Make | None = None
) -> list[Cell]:
    """The runs of the study's folder that are not among these cells, of earlier commands.

    Args:
      make: the config that a run must have; None trusts them.

    Raises:
      UserError: one differs in more than in the keys that vary.
    """
    known = {cell.folder for cell in cells}
    others = []
    for file in sorted(workdir.glob('/'.join([*('*' for _ in study.keys), 'config.json']))):
        if file.parent in known:
            continue
        config = from_json(file)
        if make is not None:
            values = values_of(config.to_dict(), study.keys)
            typed = make([_argument(key, str(value)) for key, value in values.items()])
            assert typed.config is not None
            differing = differing_keys(typed.config.to_dict(), config.to_dict())
            if differing:
                raise UserError(
                    f'{file.parent} holds a run of another config ({"; ".join(differing)});'
                    ' choose another --workdir, or delete it'
                )
        others.append(Cell(file.parent, config, labels_of(config, study), measures=()))
    return others


def check_study(workdir: Path, study: Study) -> None:
    """Refuses a folder of another study.

    Raises:
      UserError: the folder holds a study of another config or of other keys.
    """
    before = read_study(workdir)
    if before is not None and before != study:
        raise UserError(
            f'{workdir} holds a study of {before.name} by {", ".join(before.keys)}, not of'
            f' {study.name} by {", ".join(study.keys)}; choose another --workdir'
        )


def write_study(workdir: Path, study: Study) -> None:
    """Writes `study.json`."""
    text = json.dumps(study._asdict(), indent=2) + '\n'
    workdir.mkdir(parents=True, exist_ok=True)
    write_atomically(workdir / _FILE, lambda file: file.write(text.encode()))


def read_study(workdir: Path) -> Study | None:
    """The study of a folder; None where there is none.

    Raises:
      UserError: its file is damaged.
    """
    file = workdir / _FILE
    if not file.exists():
        return None
    try:
        values = json.loads(file.read_bytes())
        return Study(str(values['name']), tuple(map(str, values['keys'])))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f'{file} is damaged: {error!r}; delete it') from error


def make_from(arguments: Sequence[str]) -> Make:
    """Configs by these arguments of a command line and more."""
    return lambda more: read_arguments([*arguments, *more])
