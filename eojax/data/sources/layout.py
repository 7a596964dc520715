"""Data sets out of folders and archives of any layout, which file patterns describe.

    layout = Layout(
        {
            'images': layer('{group}/{name}_rgb.jp2'),
            'elevation': layer('{group}/{name}_dem.tif'),
            'labels': layer('{group}/{name}_seg.tif', values={0: None, 1: 0, 2: 1}),
        }
    )
    dataset = read_layout('GeoNRW', facts, layout)

Three fields of the pattern of `images` have a meaning: `{group}`, which no split cuts; `{part}`,
where the split is published; `{class}`, of labels per image. A group may also be several fields
together, and the split may be published as a list of groups.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eojax.data.dataset import Dataset, Places
from eojax.data.facts import IMAGES, PIXEL_LABELS, Facts, Raster
from eojax.data.reading.image_files import list_files
from eojax.data.sources.files import SUFFIXES, FileSource, Layer
from eojax.data.sources.label_values import label_values
from eojax.data.sources.patterns import Pattern, place_name
from eojax.errors import UserError, unknown_name
from eojax.home import expanded

_GROUP, _PART, _CLASS = 'group', 'part', 'class'
# Headers that are read at a time, and by one thread one after the other.
_THREADS, _AT_ONCE = 8, 64


class Layout(NamedTuple):
    """Where the files of a data set lie.

    Attributes:
      layers: of each raster of the facts, and of `labels`.
      parts: what each `{part}` is: 0 train, 1 validation, 2 test; None leaves its places out.
      size: height and width of all places in pixels; None reads them from the files.
      group_fields: whose values, with underscores between them, name a place's group.
      group_parts: as `parts`, of groups; it counts for more than a `{part}` does.
      unlabelled_parts: each `{part}` whose files of labels are not to be known.
      needed: rasters without whose file a place is left out, as where radar has not seen all tiles.
      crop: whether a place ends where the last whole pixel of its coarsest raster does, as where
        the files of one place do not cover quite the same ground.
    """

    layers: Mapping[str, Layer]
    parts: Mapping[str, int | None] = {}
    size: tuple[int, int] | None = None
    group_fields: tuple[str, ...] = (_GROUP,)
    group_parts: Mapping[str, int | None] = {}
    unlabelled_parts: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    crop: bool = False


def layer(
    *patterns: str,
    bands: Sequence[str | int] = (),
    values: Mapping[int | str, int | None] | None = None,
    optional: bool = False,
    any_type: bool = False,
) -> Layer:
    """The files of one raster.

    Args:
      patterns: of its file, or of one file for each band (`eojax.data.sources.patterns`).
      bands, optional, any_type: as in `Layer`.
      values: of a file of labels, the class of each stored number or colour `#rrggbb`; None where
        the pixel's class is unknown.
    """
    return Layer(
        tuple(map(Pattern, patterns)),
        tuple(map(str, bands)),
        None if values is None else label_values(values),
        optional,
        any_type,
    )


def read_layout(root: str | Path, facts: Facts, layout: Layout) -> Dataset:
    """The data set in a folder or zip archive; no pixel is read yet.

    Args:
      root: folder or archive.
      facts: of the data set; `label`, `rasters` and `class_names` say what there must be. The
        result's have `group_names`, where all places are equally large `size`, and where images
        have no class as a whole, which rasters may be without data in some pixels.
      layout: where the files lie.

    Raises:
      UserError: no place, a place without one of its files, a `{part}` or `{class}` that is not
        known, a file whose size cannot be read; by name.
    """
    _check(facts, layout)
    path = expanded(root)
    files = list_files(path, SUFFIXES)
    layers = {
        name: one._replace(patterns=tuple(pattern.with_suffix(files) for pattern in one.patterns))
        for name, one in layout.layers.items()
    }
    layout = layout._replace(layers=layers)
    pattern = layers[IMAGES].patterns[0]
    places = {
        place_name(pattern.fields, values): values for values in pattern.match(files).values()
    }
    if not places:
        example = f'; it has, for example, {files[0]}' if files else '; it has no images at all'
        raise UserError(f'{path}: no file is like {pattern.text}{example}')
    places = _with_needed(path, places, set(files), layout)
    parts = {name: _part(path, values, layout) for name, values in places.items()}
    names = tuple(sorted(name for name in places if parts[name] is not None))
    if not names:
        raise UserError(f'{path}: all of its places are of parts that are left out')
    lacking = _lacking(path, [places[name] for name in names], set(files), layout)
    grouped = set(layout.group_fields) <= set(pattern.fields)
    group_of = {name: _group(places[name], layout) for name in names} if grouped else {}
    _check_labels(path, {name: places[name] for name in group_of}, group_of, layers)
    groups = sorted(set(group_of.values()))
    numbers = {group: number for number, group in enumerate(groups)}
    published = _PART in pattern.fields or bool(layout.group_parts)
    unread = np.zeros(len(names), np.int32)

    def source_of(sizes: tuple[np.ndarray, np.ndarray], spare: int = 0) -> FileSource:
        return FileSource(
            path, names, pattern.fields, sizes, layout.layers, facts.rasters, lacking, spare
        )

    heights, widths = _sizes(
        source_of((unread, unread)), [places[name] for name in names], facts, layout
    )
    spare = 0
    if layout.crop:
        coarsest = math.lcm(*(raster.scale for raster in facts.rasters.values()))
        heights, widths = (sides // coarsest * coarsest for sides in (heights, widths))
        spare = coarsest - 1
    source = source_of((heights, widths), spare)
    if facts.label != 'image':
        # Of another source, so that the one of the data set has opened nothing yet.
        values = [places[name] for name in names]
        rasters = _with_missing(source_of((unread, unread)), values, facts)
        facts = facts._replace(rasters=rasters)
    equal = len(set(zip(heights.tolist(), widths.tolist(), strict=True))) == 1
    facts = facts._replace(
        group_names=tuple(groups),
        size=(int(heights[0]), int(widths[0])) if equal else None,
    )
    columns = Places(
        names,
        heights,
        widths,
        np.array([_label(path, places[name], facts) for name in names], np.int32),
        np.array([numbers[group_of[n]] for n in names], np.int32) if grouped else None,
        np.array([parts[name] for name in names], np.int8) if published else None,
        None if lacking is None else ~lacking,
    )
    return Dataset(facts, columns, source)


def _with_needed(
    path: Path, places: Mapping[str, dict[str, str]], files: set[str], layout: Layout
) -> dict[str, dict[str, str]]:
    """The places that have the files of all rasters that are needed."""
    kept = dict(places)
    for raster in layout.needed:
        patterns = layout.layers[raster].patterns
        kept = {
            name: values
            for name, values in kept.items()
            if all(pattern.fill(values) in files for pattern in patterns)
        }
        if not kept:
            raise UserError(
                f'{path}: none of its {len(places)} places has the raster {raster}: no file is like'
                f' {patterns[0].text}'
            )
    return kept


def _check(facts: Facts, layout: Layout) -> None:
    """Refuses a layout that is not of these facts: a mistake in code."""
    expected = {*facts.rasters, *([PIXEL_LABELS] if facts.label == 'pixel' else [])}
    if set(layout.layers) != expected:
        raise ValueError(f'layers of {sorted(layout.layers)}; the facts have {sorted(expected)}')
    fields = set(layout.layers[IMAGES].patterns[0].fields)
    for name, one in layout.layers.items():
        if (name == PIXEL_LABELS) != (one.values is not None):
            raise ValueError(f'{name}: labels alone have a table of values')
        for pattern in one.patterns:
            if not set(pattern.fields) <= fields:
                raise ValueError(f'{pattern.text}: has fields that the pattern of images lacks')
        if len(one.patterns) > 1 and len(one.patterns) != len(facts.rasters[name].bands):
            raise ValueError(f'{name}: one pattern, or one for each band')


def _group(values: Mapping[str, str], layout: Layout) -> str:
    return '_'.join(values[field] for field in layout.group_fields)


def _part(path: Path, values: Mapping[str, str], layout: Layout) -> int | None:
    if layout.group_parts and set(layout.group_fields) <= set(values):
        group = _group(values, layout)
        if group in layout.group_parts:
            return layout.group_parts[group]
    if _PART not in values:
        return 0
    if values[_PART] not in layout.parts:
        raise UserError(f'{path}: {unknown_name("part", values[_PART], layout.parts)}')
    return layout.parts[values[_PART]]


def _label(path: Path, values: Mapping[str, str], facts: Facts) -> int:
    if facts.label != 'image' or _CLASS not in values:
        return -1
    if values[_CLASS] not in facts.class_names:
        raise UserError(
            f'{path}: {unknown_name("class folder", values[_CLASS], facts.class_names)}'
        )
    return facts.class_names.index(values[_CLASS])


def _lacking(
    path: Path, places: Sequence[Mapping[str, str]], files: set[str], layout: Layout
) -> np.ndarray | None:
    """Which places have no file of labels, where they may lack it; None where all have one."""
    lacking = np.array([values.get(_PART) in layout.unlabelled_parts for values in places])
    for name, one in layout.layers.items():
        for pattern in one.patterns:
            for number, values in enumerate(places):
                if pattern.fill(values) in files or (name == PIXEL_LABELS and lacking[number]):
                    continue
                if name != PIXEL_LABELS or not one.optional:
                    raise UserError(
                        f'{path}: {pattern.fill(values)} is missing: the {name} of that place'
                    )
                lacking[number] = True
    return lacking if lacking.any() else None


def _check_labels(
    path: Path,
    places: Mapping[str, Mapping[str, str]],
    group_of: Mapping[str, str],
    layers: Mapping[str, Layer],
) -> None:
    """Refuses one file of labels for places of two groups: its pattern lacks a field."""
    holder: dict[str, str] = {}
    for name, values in places.items() if PIXEL_LABELS in layers else ():
        file = layers[PIXEL_LABELS].patterns[0].fill(values)
        other = holder.setdefault(file, name)
        if group_of[other] != group_of[name]:
            raise UserError(
                f'{path}: {other} and {name} would both have the labels {file}: write {{{_GROUP}}}'
                ' in the pattern of the masks too'
            )


def _with_missing(
    source: FileSource, places: Sequence[Mapping[str, str]], facts: Facts
) -> dict[str, Raster]:
    """The rasters, with those marked of which a pixel of any place may be without data."""

    def missing(name: str, first: int) -> bool:
        some = places[first : first + _AT_ONCE]
        return any(source.may_miss(name, values) for values in some)

    rasters = {}
    with ThreadPoolExecutor(_THREADS) as executor:
        for name, raster in facts.rasters.items():
            # The first place tells of all where they are floats, and no other header is read.
            firsts = range(0, len(places), _AT_ONCE)
            may_miss = source.may_miss(name, places[0]) or any(
                executor.map(functools.partial(missing, name), firsts)
            )
            rasters[name] = raster._replace(missing=may_miss)
    return rasters


def _sizes(
    source: FileSource, places: Sequence[Mapping[str, str]], facts: Facts, layout: Layout
) -> tuple[np.ndarray, np.ndarray]:
    """Heights and widths of the places, of a raster that is not coarser than they are."""
    if layout.size is not None:
        height, width = layout.size
        return np.full(len(places), height, np.int32), np.full(len(places), width, np.int32)
    finest = next(name for name, raster in facts.rasters.items() if raster.scale == 1)
    pattern = layout.layers[finest].patterns[0]
    with ThreadPoolExecutor(_THREADS) as executor:
        sizes = list(executor.map(lambda values: source.size_of(pattern.fill(values)), places))
    heights, widths = np.array(sizes, np.int32).T
    return heights.copy(), widths.copy()
