"""Data sets whose file patterns a config states: bands and types are those of the first files.

What is said of single rasters is written `images=0:3000;elevation=-10:190`, each raster by its name
with semicolons between; without a name it is said of the images.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eojax.data.columns import name_at
from eojax.data.dataset import Dataset, Window
from eojax.data.facts import AMPLITUDE, IMAGES, PIXEL_LABELS, POWER, Facts, Limits, Raster, valid_of
from eojax.data.reading.image_files import describe_left_out, list_files
from eojax.data.sources.files import SUFFIXES, FileSource, Layer
from eojax.data.sources.label_values import label_values
from eojax.data.sources.layout import Layout, read_layout
from eojax.data.sources.patterns import Pattern
from eojax.errors import UserError, unknown_name

BANDS_KEY, LIMITS_KEY, DECIBELS_KEY = 'data.bands', 'data.limits', 'data.decibels'
_SINGLE = 'float32'
# The side of the square of pixels that an error about limits reports on.
_LOOK = 512
# Places whose values are compared with the limits, and the share of a place beyond them that is
# said.
_LOOKED_AT, _MOST_CUT = 6, 0.95


class Wanted(NamedTuple):
    """The files and bands that a config asks for.

    Attributes:
      images: the pattern of the images.
      masks: of the masks; None where there are none.
      masks_optional: whether an image may be without a mask.
      rasters: the patterns of further rasters, by name.
      bands: by raster: names, or numbers from 1, of those that are wanted; all where it has none.
      limits: by raster: one pair for each band, or one for all.
      decibels: by raster, as in `eojax.data.facts.Raster`.
      parts: as in `eojax.data.sources.layout.Layout`.
    """

    images: Pattern
    masks: Pattern | None
    masks_optional: bool = False
    rasters: Mapping[str, Pattern] = {}
    bands: Mapping[str, tuple[str, ...]] = {}
    limits: Mapping[str, Limits] = {}
    decibels: Mapping[str, float] = {}
    parts: Mapping[str, int | None] = {}


def by_raster(text: str, key: str, rasters: Sequence[str]) -> dict[str, str]:
    """What a text says of each raster; see the module's docstring.

    Args:
      text: empty where it says nothing.
      key: of the option, for messages.
      rasters: their names.

    Raises:
      UserError: a name that is none of theirs, or one twice.
    """
    said: dict[str, str] = {}
    for part in text.split(';') if text.strip() else []:
        name, equals, words = (piece.strip() for piece in part.rpartition('='))
        name = name if equals else IMAGES
        if name not in rasters:
            raise unknown_name(f'raster in {key}', name, rasters)
        if name in said:
            raise UserError(f'{key}: {name} is in it twice')
        said[name] = words
    return said


def parse_limits(text: str, rasters: Sequence[str]) -> dict[str, Limits]:
    """The limits of rasters: `0:3000`, `0:3000,0:4000` or `images=0:3000;elevation=-10:190`.

    Raises:
      UserError: what is no pair of numbers, lower one first; or as `by_raster`.
    """
    said = by_raster(text, LIMITS_KEY, rasters)
    return {name: tuple(_pair(pair) for pair in pairs.split(',')) for name, pairs in said.items()}


def parse_bands(text: str, rasters: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The bands of rasters: `4,3,2` or `images=4,3,2;sar=vv`; see `by_raster`."""
    said = by_raster(text, BANDS_KEY, rasters)
    return {name: tuple(band.strip() for band in bands.split(',')) for name, bands in said.items()}


def parse_decibels(text: str, rasters: Sequence[str]) -> dict[str, float]:
    """The rasters that become decibels, by what their files hold: `sar=power`.

    Raises:
      UserError: another kind of value; or as `by_raster`.
    """
    kinds = {'power': POWER, 'amplitude': AMPLITUDE}
    said = by_raster(text, DECIBELS_KEY, rasters)
    for kind in said.values():
        if kind not in kinds:
            raise unknown_name(f'kind of values in {DECIBELS_KEY}', kind, kinds)
    return {name: kinds[kind] for name, kind in said.items()}


def _pair(text: str) -> tuple[float, float]:
    low, _, high = text.partition(':')
    try:
        pair = float(low), float(high)
    except ValueError:
        pair = np.nan, np.nan
    if not (pair[0] < pair[1] and np.isfinite(pair).all()):
        raise UserError(f'{LIMITS_KEY}: {text.strip()!r} is no low:high')
    return pair


def check_patterns(wanted: Wanted) -> None:
    """Refuses patterns that do not belong together.

    Raises:
      UserError: one that has a field that the pattern of the images lacks.
    """
    others = {'masks': wanted.masks, **wanted.rasters}
    for name, pattern in others.items():
        strange = set(pattern.fields if pattern else ()) - set(wanted.images.fields)
        if pattern is not None and strange:
            raise UserError(
                f'the pattern of {name} {pattern.text!r} has {{{min(strange)}}}, which the pattern'
                f' of the images {wanted.images.text!r} lacks'
            )


def read_patterns(
    root: Path, facts: Facts, wanted: Wanted, values: Mapping[int | str, int | None]
) -> Dataset:
    """The data set in a folder or archive; no pixel is read yet but of the first place.

    Args:
      root: folder or archive.
      facts: of the data set; the rasters are added here.
      wanted: which files and bands.
      values: of the masks, as in `eojax.data.sources.layout.layer`.

    Raises:
      UserError: as `eojax.data.sources.layout.read_layout`; or bands without limits, or that there
        are not.
    """
    files = list_files(root, SUFFIXES)
    _say_left_out(root, (wanted.images, wanted.masks, *wanted.rasters.values()))
    patterns = {IMAGES: wanted.images, **wanted.rasters}
    patterns = {name: pattern.with_suffix(files) for name, pattern in patterns.items()}
    layers = {
        name: Layer((pattern,), wanted.bands.get(name, ())) for name, pattern in patterns.items()
    }
    if wanted.masks is not None:
        masks = wanted.masks.with_suffix(files)
        layers[PIXEL_LABELS] = Layer((masks,), (), label_values(values), wanted.masks_optional)
    rasters = {name: Raster() for name in patterns}
    first = patterns[IMAGES].match(files)
    if first:
        rasters = _rasters(root, layers, min(first.values(), key=_sorted), wanted)
        for name, raster in rasters.items():
            layers[name] = layers[name]._replace(any_type=raster.dtype == _SINGLE)
    dataset = read_layout(root, facts._replace(rasters=rasters), Layout(layers, wanted.parts))
    _say_cut_values(dataset, root)
    return dataset


def _say_cut_values(dataset: Dataset, root: Path) -> None:
    """Names a raster that the limits leave nothing of, in the middle of one of a few places."""
    places = dataset.places
    looked_at = np.unique(np.linspace(0, places.num - 1, _LOOKED_AT).astype(int)).tolist()
    for name, raster in dataset.facts.rasters.items():
        for place in looked_at if raster.limits else ():
            window = _middle(int(places.heights[place]), int(places.widths[place]), raster.scale)
            read = dataset.source.read(place, window, (name, valid_of(name)))
            values, (low, high) = read[name][read[valid_of(name)]], np.array(raster.limits).T
            if len(values) and ((values <= low) | (values >= high)).all(-1).mean() > _MOST_CUT:
                print(
                    f'eojax: {root}: nearly all values of {name} in the middle of'
                    f' {name_at(places.names, place)}, {values.min():g} to {values.max():g}, lie'
                    f' beyond its limits, so that the network sees nothing of them: {LIMITS_KEY}',
                    file=sys.stderr,
                )
                break


def _middle(height: int, width: int, scale: int) -> Window:
    """A window in the middle of a place, at most `_LOOK` pixels a side."""
    rows, columns = (min(length, _LOOK) // scale * scale for length in (height, width))
    row, column = ((height - rows) // 2 // scale, (width - columns) // 2 // scale)
    return Window(row * scale, column * scale, rows, columns)


def _say_left_out(root: Path, patterns: Iterable[Pattern | None]) -> None:
    """Counts and names the files that fit a pattern but for a suffix that no reader takes."""
    # A mask beside an image, `1.tif.msk`, is read with it.
    read = (*SUFFIXES, *(f'{suffix}.msk' for suffix in SUFFIXES))
    others = [file for file in list_files(root, ('',)) if not file.lower().endswith(read)]
    endings = {Path(file).suffix for file in others} - {''}
    stems = [one.text.removesuffix('.*') for one in patterns if one and one.text.endswith('.*')]
    fitting = {
        file
        for stem in stems
        for ending in endings
        for file in Pattern(stem + ending).match(others)
    }
    if fitting:
        print(f'eojax: {root}: {describe_left_out(sorted(fitting))}', file=sys.stderr)


def _sorted(values: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(values.values())


def _rasters(
    root: Path, layers: Mapping[str, Layer], values: Mapping[str, str], wanted: Wanted
) -> dict[str, Raster]:
    """The facts of each raster, out of the files of one place."""
    nothing = (np.zeros(0, np.int32), np.zeros(0, np.int32))
    source = FileSource(root, (), (), nothing, {}, {})
    size = source.size_of(layers[IMAGES].patterns[0].fill(values))
    rasters = {}
    for name, layer in layers.items():
        if name == PIXEL_LABELS:
            continue
        file = layer.patterns[0].fill(values)
        names, stored = source.bands_of(file)
        decibels = wanted.decibels.get(name, 0.0)
        # Devices have no floats of 64 bits.
        dtype = _SINGLE if decibels or stored == 'float64' else stored
        bands = _band_names(names, layer.bands, f'{root}: {file}')
        limits = wanted.limits.get(name)
        if limits is None and dtype != 'uint8':
            raise UserError(_without_limits(source, file, name, stored, decibels, str(root)))
        if limits is not None and dtype == 'uint8':
            raise UserError(f'{LIMITS_KEY}: {name} is uint8, of which 0 becomes -1 and 255 is 1')
        if limits is not None and len(limits) not in (1, len(bands)):
            raise UserError(
                f'{LIMITS_KEY}: {len(limits)} pairs for {name}, which has {len(bands)} band(s)'
            )
        limits = limits if limits is None or len(limits) > 1 else limits * len(bands)
        scale = _scale(size, source.size_of(file), f'{root}: {file}')
        rasters[name] = Raster(bands, dtype, limits, scale, decibels=decibels)
    return rasters


def _band_names(names: Sequence[str], wanted: Iterable[str], title: str) -> tuple[str, ...]:
    """A name for each band that is wanted."""
    # Names that several bands share tell nothing of any of them.
    names = [name if names.count(name) == 1 else '' for name in names]
    numbered = [name or f'band {number}' for number, name in enumerate(names, 1)]
    if not any(names) and len(names) == 1:
        numbered = ['value']
    known = [name.lower() for name in numbered]
    bands = []
    for band in wanted:
        if band.isdigit() and 1 <= int(band) <= len(names):
            bands.append(numbered[int(band) - 1])
        elif band.lower() in known:
            bands.append(numbered[known.index(band.lower())])
        else:
            raise UserError(f'{title}: no band {band!r}; it has {", ".join(numbered)}')
    return tuple(bands) or tuple(numbered)


def _scale(size: tuple[int, int], held: tuple[int, int], title: str) -> int:
    """How many pixels of the image one of a raster covers along each axis."""
    scale = max(1, round(size[0] / held[0]))
    if (held[0] * scale, held[1] * scale) != size:
        raise UserError(
            f'{title}: {held[1]}x{held[0]} pixels do not fit those of its image,'
            f' {size[1]}x{size[0]}: one must cover whole pixels of the other'
        )
    return scale


def _without_limits(
    source: FileSource, file: str, name: str, dtype: str, decibels: float, root: str
) -> str:
    """What to say of pixels of a type whose range nobody knows."""
    low, high = source.range_of(file, _LOOK)
    title = f'{root}: {file}'
    key = f'{LIMITS_KEY}=LOW:HIGH' if name == IMAGES else f"{LIMITS_KEY}='{name}=LOW:HIGH'"
    if decibels:
        low, high = (decibels * np.log10(max(value, np.finfo(float).tiny)) for value in (low, high))
        dtype = 'decibels'
    return (
        f'{title}: pixels of type {dtype}: say with {key} which values become -1 and +1 (in its'
        f' middle they go from {low:g} to {high:g})'
    )
