"""The part of a report about what the apps wrote: their figures, and their JSON files as tables.

An app's folder is known by what lies in it, and any JSON file is told as tables; so an app needs no
code here to appear in a report.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from eojax.apps.report.page import Table
from eojax.apps.report.pictures import Picture, read_picture
from eojax.apps.report.wording import number, words
from eojax.errors import UserError

# What an app is known by -> its name, and the title of its output; the first that is there counts.
KINDS = {
    'iou.csv': ('representativeness', 'Places of training and of the test compared'),
    'strip.png': ('edit', 'Land cover edited'),
    'summary.json': ('map_scene', 'Land cover of a scene'),
    'domains.json': ('compare_domains', 'Domains compared'),
    'restoration.json': ('restore', 'Restored images'),
    'calibration.json': ('calibration', 'Calibration'),
    'samples.npz': ('generate', 'Generated images'),
}
# What a run folder holds besides.
_NOT_OUTPUTS = ('checkpoints', 'best', 'tensorboard', 'samples', 'profile')
_FIRST = ('overview', 'domains', 'table', 'restoration', 'calibration', 'grid', 'filmstrip')
_CAPTIONS = {
    ('map_scene', 'areas'): 'The share of each class, as the map counts it and corrected for its'
    ' errors, with 95 % intervals.',
    ('map_scene', 'overview'): 'The scene, its land cover, and how sure the run is of it.',
    ('compare_domains', 'overview'): 'All domains beside the training images.',
    ('calibration', 'calibration'): 'How often each run is right, by how sure it is; a calibrated '
    'one lies on the dashed line.',
    ('restore', 'grid'): 'A row for each image: damaged, repaired and true, as the columns say.',
    ('generate', 'grid'): 'All images, in the order in which they were drawn.',
    ('generate', 'filmstrip'): 'The course of the first chains, from left to right.',
}
_SINGLE_IMAGE = re.compile(r'.+_\d{4,}')  # image_0001, restored_0001
_PICTURES_AT_MOST, _ROWS_AT_MOST, _LONG = 12, 100, 8


class Output(NamedTuple):
    """A folder that an app wrote.

    Attributes:
      folder: where it lies.
      app: its name; empty where it is not known.
      title: of its part of the report.
      values: what each JSON file in it holds, by name.
      pictures: its figures, the main ones first; without single images.
    """

    folder: Path
    app: str
    title: str
    values: Mapping[str, Any]
    pictures: Sequence[Path]


def read_value(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
      UserError: it is damaged.
    """
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f'{path} is damaged: {error}') from error


def find_outputs(run_folder: Path, included: Sequence[Path] = ()) -> list[Output]:
    """The outputs of apps below a run folder, and in other folders.

    Args:
      included: folders elsewhere; each must hold something.

    Raises:
      UserError: a folder that is not there or holds nothing to show, or a damaged JSON file.
    """
    found: dict[Path, Output] = {}
    for top in (run_folder, *included):
        outputs = list(_below(top, skip_top=top is run_folder))
        if top is not run_folder and not outputs and not (top / 'evaluation.json').is_file():
            raise UserError(f'--include={top} holds no figures (PNG) and no numbers (JSON)')
        for output in outputs:
            found.setdefault(output.folder.resolve(), output)
    return list(found.values())


def _below(top: Path, skip_top: bool) -> Iterator[Output]:
    for place, folders, files in os.walk(top):
        folder = Path(place)
        visible = sorted(name for name in files if not name.startswith('.'))
        apart = _NOT_OUTPUTS if skip_top and folder == top else ()
        folders[:] = sorted(f for f in folders if not f.startswith('.') and f not in apart)
        # An evaluation has a part of its own.
        evaluation = 'evaluation.json' in visible and folder in (top, *top.glob('*/'))
        if (skip_top and folder == top) or evaluation:
            continue
        output = _output(folder, visible)
        if output is not None:
            yield output


def _output(folder: Path, files: Sequence[str]) -> Output | None:
    known_first = sorted(files, key=lambda name: (name not in KINDS, name))
    values = {name: read_value(folder / name) for name in known_first if name.endswith('.json')}
    pictures = [
        folder / name for name in files
        if name.endswith('.png') and not _SINGLE_IMAGE.fullmatch(Path(name).stem)
    ]  # fmt: skip
    if not values and not pictures:
        return None
    order = {stem: place for place, stem in enumerate(_FIRST)}
    pictures.sort(key=lambda path: (order.get(path.stem, len(order)), path.name))
    app, title = next(
        (KINDS[name] for name in KINDS if name in files), ('', words(folder.name).capitalize())
    )
    return Output(folder, app, title, values, pictures)


class OutputPart(NamedTuple):
    """The part of the page about one folder.

    Attributes:
      title: its heading.
      folder: its name on the page.
      pictures: the main ones.
      left_out: how many more there are, in words; empty where there are none.
      tables: of its JSON files.
    """

    title: str
    folder: str
    pictures: Sequence[Picture]
    left_out: str
    tables: Sequence[Table]


def describe_output(output: Output, folder: str) -> OutputPart:
    """The part of the page about what an app wrote.

    Args:
      folder: its name on the page.
    """
    shown = output.pictures[:_PICTURES_AT_MOST]
    captions = [_CAPTIONS.get((output.app, path.stem), words(path.stem)) for path in shown]
    left_out = len(output.pictures) - len(shown)
    return OutputPart(
        output.title,
        folder,
        [
            read_picture(path, f'{output.title}: {caption}', caption)
            for path, caption in zip(shown, captions, strict=True)
        ],
        f'{left_out:,}' if left_out else '',
        [
            table
            for name, value in output.values.items()
            for table in tables_of(value, '' if name in KINDS else words(Path(name).stem))
        ],
    )


def tables_of(value: Any, title: str = '') -> Iterator[Table]:
    """The tables of a JSON file: one for its numbers, and one for each group of objects.

    Args:
      value: as `json.loads` gives it.
      title: of the group.
    """
    if isinstance(value, list):
        value = {str(place): item for place, item in enumerate(value, 1)}
    if not isinstance(value, dict):
        value = {'value': value}
    if value and all(isinstance(item, dict) for item in value.values()):
        yield from _table_of_objects(value, title)
        return
    single = {key: item for key, item in value.items() if not _nested(item)}
    if single:
        rows = [[words(key), _cell(item, key)] for key, item in single.items()]
        yield _cut(['', ''], rows, title)
    for key, item in value.items():
        if _nested(item):
            yield from tables_of(item, f'{title}: {words(key)}' if title else words(key))


def _table_of_objects(objects: Mapping[str, Mapping[str, Any]], title: str) -> Iterator[Table]:
    flat = {name: dict(_flatten(item)) for name, item in objects.items()}
    columns = list(dict.fromkeys(key for item in flat.values() for key in item))
    # Of series, such as the counts of a histogram, a table would only say how long they are.
    columns = [c for c in columns if not all(_long(item.get(c, [])) for item in flat.values())]
    if not columns:
        return
    rows = [[name, *(_cell(item.get(c), c) for c in columns)] for name, item in flat.items()]
    yield _cut(['', *map(words, columns)], rows, title)


def _cut(header: Sequence[str], rows: list[list[str]], title: str) -> Table:
    more = len(rows) - _ROWS_AT_MOST
    note = f'{more:,} more rows are in the file.' if more > 0 else ''
    return Table(title or 'Numbers', header, rows[:_ROWS_AT_MOST], bool(title), note)


def _flatten(values: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flatten(value, f'{prefix}{key} ')
        else:
            yield f'{prefix}{key}', value


def _nested(value: Any) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(item, dict) for item in value)
    )


def _long(value: Any) -> bool:
    return value == [] or (isinstance(value, list) and len(value) > _LONG)


def _cell(value: Any, key: str) -> str:
    if isinstance(value, list):
        return f'{len(value):,} values' if _long(value) else ', '.join(_cell(v, key) for v in value)
    return number(value, key)
