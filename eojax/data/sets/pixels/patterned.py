"""Data sets whose file patterns a config states: bands and types are those of the first files."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eojax.data.dataset import Dataset
from eojax.data.facts import IMAGES, PIXEL_LABELS, Facts, Limits, Raster
from eojax.data.reading.image_files import describe_left_out, list_files
from eojax.data.sources.files import SUFFIXES, FileSource, Layer
from eojax.data.sources.label_values import label_values
from eojax.data.sources.layout import Layout, read_layout
from eojax.data.sources.patterns import Pattern
from eojax.errors import UserError, unknown_name

LIMITS_KEY = 'data.limits'
# The side of the square of pixels that an error about limits reports on.
_LOOK = 512


class Wanted(NamedTuple):
    """The files and bands that a config asks for.

    Attributes:
      images: the pattern of the images.
      masks: of the masks; None where there are none.
      masks_optional: whether an image may be without a mask.
      rasters: the patterns of further rasters, by name.
      bands: of the images, by name or by number from 1; all where empty.
      limits: by raster: one pair for each band, or one for all.
      parts: as in `eojax.data.sources.layout.Layout`.
    """

    images: Pattern
    masks: Pattern | None
    masks_optional: bool = False
    rasters: Mapping[str, Pattern] = {}
    bands: tuple[str, ...] = ()
    limits: Mapping[str, Limits] = {}
    parts: Mapping[str, int | None] = {}


def parse_limits(text: str, rasters: Sequence[str]) -> dict[str, Limits]:
    """The limits of rasters: `0:3000`, `0:3000,0:4000` or `images=0:3000;elevation=-10:190`.

    Args:
      text: without a name they are those of `images`; empty where there are none.
      rasters: their names.

    Raises:
      UserError: what is no pair of numbers, lower one first, or names no raster.
    """
    limits: dict[str, Limits] = {}
    for part in text.split(';') if text.strip() else []:
        name, equals, pairs = (piece.strip() for piece in part.rpartition('='))
        name = name if equals else IMAGES
        if name not in rasters:
            raise unknown_name(f'raster in {LIMITS_KEY}', name, rasters)
        limits[name] = tuple(_pair(pair) for pair in pairs.split(','))
    return limits


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
        name: Layer((pattern,), wanted.bands if name == IMAGES else ())
        for name, pattern in patterns.items()
    }
    if wanted.masks is not None:
        masks = wanted.masks.with_suffix(files)
        layers[PIXEL_LABELS] = Layer((masks,), (), label_values(values), wanted.masks_optional)
    rasters = {name: Raster() for name in patterns}
    first = patterns[IMAGES].match(files)
    if first:
        rasters = _rasters(root, layers, min(first.values(), key=_sorted), wanted)
    return read_layout(root, facts._replace(rasters=rasters), Layout(layers, wanted.parts))


def _say_left_out(root: Path, patterns: Iterable[Pattern | None]) -> None:
    """Counts and names the files that fit a pattern but for a suffix that no reader takes."""
    others = [file for file in list_files(root, ('',)) if not file.lower().endswith(SUFFIXES)]
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
        names, dtype = source.bands_of(file)
        bands = _band_names(names, layer.bands, f'{root}: {file}')
        limits = wanted.limits.get(name)
        if limits is None and dtype != 'uint8':
            raise UserError(_without_limits(source, file, name, dtype, f'{root}: {file}'))
        if limits is not None and dtype == 'uint8':
            raise UserError(f'{LIMITS_KEY}: {name} is uint8, of which 0 becomes -1 and 255 is 1')
        if limits is not None and len(limits) not in (1, len(bands)):
            raise UserError(
                f'{LIMITS_KEY}: {len(limits)} pairs for {name}, which has {len(bands)} band(s)'
            )
        limits = limits if limits is None or len(limits) > 1 else limits * len(bands)
        scale = _scale(size, source.size_of(file), f'{root}: {file}')
        rasters[name] = Raster(bands, dtype, limits, scale)
    return rasters


def _band_names(names: Sequence[str], wanted: Iterable[str], title: str) -> tuple[str, ...]:
    """A name for each band that is wanted."""
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


def _without_limits(source: FileSource, file: str, name: str, dtype: str, title: str) -> str:
    """What to say of pixels of a type whose range nobody knows."""
    low, high = source.range_of(file, _LOOK)
    key = f'{LIMITS_KEY}=LOW:HIGH' if name == IMAGES else f"{LIMITS_KEY}='{name}=LOW:HIGH'"
    return (
        f'{title}: pixels of type {dtype}: say with {key} which values become -1 and +1 (in its'
        f' middle they go from {low:g} to {high:g})'
    )
