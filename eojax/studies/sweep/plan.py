"""The runs of a study of any options: every combination of the values of the keys that vary, or one
change of the config at a time."""

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
from eojax.studies.grid.series import check_evaluated, check_once

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
      base: where one key varies at a time, the values of all of them in the config; else None.
    """

    name: str
    keys: tuple[str, ...]
    base: dict[str, Any] | None = None

    @property
    def compared(self) -> tuple[str, ...]:
        """The keys but the seed, over which means are taken."""
        return tuple(key for key in self.keys if key != SEED)

    def changed(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """The compared keys that these values of a run have otherwise than the config."""
        base = self.base or {}
        return tuple(key for key in self.compared if values[key] != base.get(key))


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


def study_of(typed: Typed, axes: Sequence[Axis], one_at_a_time: bool) -> Study:
    """The study of a config by these axes.

    Raises:
      UserError: one key at a time, and one is a part of the config, which changes other keys too.
    """
    keys = tuple(axis.key for axis in axes)
    if not one_at_a_time:
        return Study(typed.name, keys)
    assert typed.config is not None
    for key in keys:
        if key in PARTS:
            raise UserError(
                f'--vary={key}=... puts another part in the config, with options of its own:'
                ' leave out --one_at_a_time'
            )
    values = values_of(typed.config.to_dict(), [key for key in keys if key != SEED])
    return Study(typed.name, keys, {key: _plain(value) for key, value in values.items()})


def cells_of(make: Make, axes: Sequence[Axis], study: Study, workdir: Path) -> list[Cell]:
    """A cell for each combination, the last axis turning fastest; where one key varies at a time,
    for the config as it is and for each value alone, each with all seeds.

    Raises:
      UserError: a key or a value that the config does not take.
    """
    cells: dict[Path, Cell] = {}
    for arguments in _alone(axes) if study.base is not None else _combined(axes):
        typed = make(arguments)
        assert typed.config is not None
        chosen = values_of(typed.config.to_dict(), study.keys)
        folder = workdir.joinpath(*(_folder(key, value) for key, value in chosen.items()))
        labels = labels_of(typed.config, study)
        title = ', '.join(f'{key}={value}' for key, value in chosen.items())
        if study.base is not None:
            title = f'{labels["config"]}, {SEED}={labels[SEED]}'
        # A value that the config has already is the config as it is.
        held = cells.setdefault(folder, Cell(folder, typed.config, labels, title, measures=()))
        if held.config.to_dict() != typed.config.to_dict():
            raise UserError(
                f'{held} and {title} would have the same folder, {folder}: make one of the two in a'
                ' study of its own'
            )
    return list(cells.values())


def _combined(axes: Sequence[Axis]) -> list[list[str]]:
    products = itertools.product(*(axis.values for axis in axes))
    return [
        [_argument(axis.key, value) for axis, value in zip(axes, values, strict=True)]
        for values in products
    ]


def _alone(axes: Sequence[Axis]) -> list[list[str]]:
    seeds = next((axis.values for axis in axes if axis.key == SEED), ())
    alone = [[_argument(axis.key, v)] for axis in axes if axis.key != SEED for v in axis.values]
    with_seed = [[_argument(SEED, seed)] for seed in seeds] or [[]]
    return [[*change, *seed] for change in [[], *alone] for seed in with_seed]


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
    """The values of a run but its seed, in words; where one key varies at a time, those that are
    not the config's; the config where nothing else is left."""
    told = study.compared if study.base is None else study.changed(values)
    return ', '.join(f'{key}={values[key]}' for key in told) or study.name


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, (tuple, list)) else value


def other_cells(
    workdir: Path, study: Study, cells: Sequence[Cell], make: Make | None = None
) -> list[Cell]:
    """The runs of the study's folder that are not among these cells, of earlier commands.

    Args:
      make: the config that a run must have; None trusts them.

    Raises:
      UserError: one differs in more than in the keys that vary, was evaluated otherwise, or is
        there twice.
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
        other = Cell(file.parent, config, labels_of(config, study), measures=())
        if make is not None:
            check_evaluated(other, typed.config)
        others.append(other)
    check_once([*cells, *others])
    return others


def check_study(workdir: Path, study: Study) -> None:
    """Refuses a folder of another study.

    Raises:
      UserError: the folder holds a study of another config or of other keys.
    """
    before = read_study(workdir)
    if before is not None and before != study:
        raise UserError(
            f'{workdir} holds a study of {_told(before)}, not of {_told(study)}; choose another'
            ' --workdir'
        )


def _told(study: Study) -> str:
    """A study in words, with all in which two can differ."""
    text = f'{study.name} by {", ".join(study.keys)}'
    if study.base is None:
        return text
    base = ', '.join(f'{key}={value}' for key, value in study.base.items())
    return f'{text}, one at a time from {base}'


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
        name, keys = str(values['name']), tuple(map(str, values['keys']))
        # Only studies of one key at a time have it.
        return Study(name, keys, dict(values['base']) if values.get('base') is not None else None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f'{file} is damaged: {error!r}; delete it') from error


def make_from(arguments: Sequence[str]) -> Make:
    """Configs by these arguments of a command line and more."""
    return lambda more: read_arguments([*arguments, *more])
