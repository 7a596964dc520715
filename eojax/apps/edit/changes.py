"""Changes of the inputs of synthesis: rising water, and one class in place of another.

"Synthesizing Optical and SAR Imagery From Land Cover Maps and Auxiliary Raster Data" (Baier et al.,
2021), section III-F. With an elevation z and a height of the water h,

    M = erosion(z < h),    class = water on M,    z = h on M,

and both go to the generator. The paper names neither the structuring element of the erosion nor
how often it is done; here they are options. Farmland in place of forest is a change of class.

Notes:
  With `connected`, only ground that is joined to present water is flooded, which the paper does not
  ask: low ground behind a dam stays dry.
  Beyond the edge of the map, and where it has no data, the erosion sees water: a flood is not eaten
  away there, and a frame without data around a map changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from eojax.apps.synthesise.land_cover import STRIP, CoverPart, LandCover
from eojax.apps.synthesise.windows import Beside
from eojax.data.reading.raster import Part
from eojax.errors import UserError, unknown_name

# Of a map of changed classes: nothing changes here.
SAME = 255
# Of heights that a pixel lies below: none, and not known as there are no data.
_DRY, _NO_DATA = 255, 254
_MOST_HEIGHTS = 254
_DIGITS = 9  # of heights: float32 holds no more
_ELEMENTS = ('cross', 'square', 'disk')
_WATER = (
    'water', 'open water', 'water body', 'water bodies', 'sea', 'ocean', 'lake', 'lakes', 'river',
    'rivers', 'sea and lake', 'sealake', 'sea or lake',
)  # fmt: skip


class Erosion(NamedTuple):
    """How a flood is freed of small perturbations.

    Attributes:
      element: the structuring element, bool `[n, n]`.
      iterations: how often; 0 for never.
    """

    element: np.ndarray
    iterations: int

    def of(self, mask: np.ndarray) -> np.ndarray:
        """The eroded mask, bool `[H, W]`."""
        if not self.iterations:
            return mask
        return ndimage.binary_erosion(mask, self.element, self.iterations, border_value=1)


class Edit(NamedTuple):
    """One change of the inputs.

    Attributes:
      name: of its folder.
      title: in words, for pictures.
      classes: uint8 `[H, W]`, the new class, `SAME` where nothing changes.
      changed: bool `[H, W]`, where the class becomes another one; of a flood that is its mask
        without the water that was there.
      level: the new elevation where inputs change; None where it stays.
    """

    name: str
    title: str
    classes: np.ndarray
    changed: np.ndarray
    level: float | None = None

    @property
    def mask(self) -> np.ndarray:
        """Where inputs change, bool `[H, W]`."""
        return self.classes != SAME


def element_of(text: str) -> np.ndarray:
    """The structuring element `cross`, `square` (3 x 3 pixels), or `disk:RADIUS`.

    Raises:
      UserError: another word or radius.
    """
    name, colon, radius = text.partition(':')
    if name not in _ELEMENTS:
        raise unknown_name('structuring element', name, _ELEMENTS)
    if name != 'disk':
        if colon:
            raise UserError(f'--element={text}: only disk has a radius')
        return ndimage.generate_binary_structure(2, 1 if name == 'cross' else 2)
    if not (radius.isdigit() and int(radius) >= 1):
        raise UserError(f'--element={text}: expected disk:RADIUS, a whole number of pixels from 1')
    reach = np.arange(-int(radius), int(radius) + 1)
    return reach[:, None] ** 2 + reach**2 <= int(radius) ** 2


def parse_heights(text: str) -> list[float]:
    """The heights of `--flood=HEIGHT,...`, ascending and each once.

    Raises:
      UserError: one that is no number, or too many.
    """
    try:
        heights = sorted({float(part) for part in text.split(',')})
    except ValueError:
        heights = []
    if not heights or not np.isfinite(heights).all() or len(heights) > _MOST_HEIGHTS:
        raise UserError(f'--flood={text}: expected heights with a comma between, such as 120,125')
    return heights


def parse_replacements(text: str) -> list[tuple[str, str]]:
    """The pairs of `--replace=FROM:TO,...`.

    Raises:
      UserError: another form, or a class that is replaced twice.
    """
    pairs = [tuple(name.strip() for name in part.split(':')) for part in text.split(',')]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise UserError(f'--replace={text}: expected FROM:TO, such as forest:agricultural')
    if len({pair[0] for pair in pairs}) < len(pairs):
        raise UserError(f'--replace={text}: a class is replaced twice')
    return [(pair[0], pair[1]) for pair in pairs]


def water_class(names: Sequence[str], said: str = '') -> int:
    """The number of the class that is water.

    Args:
      names: of the classes.
      said: its name; empty to find it.

    Raises:
      UserError: no such class, or none or several whose names say so.
    """
    if said:
        if said not in names:
            raise unknown_name('class in --water', said, names)
        return names.index(said)
    plain = [name.lower().replace('_', ' ') for name in names]
    fitting = [i for i, name in enumerate(plain) if name in _WATER]
    fitting = fitting or [i for i, name in enumerate(plain) if 'water' in name.split()]
    if len(fitting) != 1:
        which = ', '.join(names[i] for i in fitting) or f'none of {", ".join(names)}'
        raise UserError(f'which class is water ({which})? Say --water=NAME')
    return fitting[0]


class Survey(NamedTuple):
    """A map and its elevation, looked through once.

    Attributes:
      first: uint8 `[H, W]`, the number of the first height that a pixel lies below; 255 where it
        lies below none, 254 where the map or the elevation has no data.
      water: bool `[H, W]`, where there is water now.
    """

    first: np.ndarray
    water: np.ndarray


def survey(cover: LandCover, elevation: Beside, heights: Sequence[float], number: int) -> Survey:
    """Looks through a map and its elevation, by strips.

    Args:
      heights: ascending, in the units of the elevation.
      number: of the class that is water.
    """
    first = np.full((cover.height, cover.width), _DRY, np.uint8)
    water = np.zeros(first.shape, bool)
    for top in range(0, cover.height, STRIP):
        window = top, 0, min(STRIP, cover.height - top), cover.width
        labels, part = cover.read(*window), elevation.read(*window)
        surface, rows = part.pixels[..., 0], first[top : top + STRIP]
        # In the elevation's type: a float32 of 12.2 lies below the 12.2 of double precision.
        levels = np.asarray(heights, surface.dtype if surface.dtype.kind == 'f' else None)
        below = np.searchsorted(levels, surface, 'right')
        wet = below < len(heights)
        rows[wet] = below[wet]
        rows[~(part.valid & labels.valid)] = _NO_DATA
        water[top : top + STRIP] = labels.labels == number
    return Survey(first, water)


def joined_to(mask: np.ndarray, water: np.ndarray) -> np.ndarray:
    """The part of a mask that is joined to water, by sides of pixels, through the mask alone.

    Args:
      mask, water: bool `[H, W]`.
    """
    parts, num = ndimage.label(mask | water)
    touching = np.zeros(num + 1, bool)
    touching[parts[water]] = True
    touching[0] = False
    return mask & touching[parts]


def flood(
    seen: Survey,
    heights: Sequence[float],
    number: int,
    erosion: Erosion,
    connected: bool = False,
    region: np.ndarray | None = None,
    unit_metres: float = 0.0,
) -> list[Edit]:
    """Rising water, an edit for each height.

    Args:
      seen: of these heights.
      heights: ascending.
      number: of the class that is water.
      connected: whether only ground that is joined to present water is flooded.
      region: bool `[H, W]`, where anything may change; None for everywhere.
      unit_metres: metres that a height of 1 means; 0 where that is not known.
    """
    edits, empty = [], seen.first == _NO_DATA
    for order, height in enumerate(heights):
        mask = seen.first <= order
        if connected:
            mask = joined_to(mask, seen.water)
        mask = erosion.of(mask | empty) & ~empty
        if region is not None:
            mask &= region
        classes = np.where(mask, np.uint8(number), np.uint8(SAME))
        changed = mask & ~seen.water
        title = f'below {height_text(height, unit_metres)}'
        edits.append(Edit(flood_name(height), title, classes, changed, height))
    return edits


def flood_name(height: float) -> str:
    """The folder of a flood: another one for each height, as far as these are told apart."""
    return f'flood_{height:.{_DIGITS}g}'


def height_text(height: float, unit_metres: float) -> str:
    """A height in metres, or as it is where its unit is not known."""
    text = f'{height * (unit_metres or 1.0):.{_DIGITS}g}'
    return f'{text} m' if unit_metres else text


def replace(
    cover: LandCover, pairs: Sequence[tuple[str, str]], region: np.ndarray | None = None
) -> Edit:
    """Classes in place of others; the elevation stays.

    Args:
      pairs: names of classes, from and to; from `any` for all of them, also unknown ones.
      region: bool `[H, W]`, where anything may change; None for everywhere.

    Raises:
      UserError: a class that there is not; or nothing would change.
    """
    names = cover.class_names
    new = np.full(len(names) + 1, SAME, np.uint8)  # by old class, the unknown one first
    for old, wanted in sorted(pairs, key=lambda pair: pair[0] != 'any'):
        for name in (old, wanted):
            if name not in names and not (name == old == 'any'):
                raise unknown_name('class in --replace', name, (*names, 'any'))
        if old == 'any':
            new[:] = names.index(wanted)
        else:
            new[1 + names.index(old)] = names.index(wanted)
    new[1:][new[1:] == np.arange(len(names))] = SAME
    classes = np.full((cover.height, cover.width), SAME, np.uint8)
    for top in range(0, cover.height, STRIP):
        part = cover.read(top, 0, min(STRIP, cover.height - top), cover.width)
        classes[top : top + STRIP] = np.where(part.valid, new[part.labels + 1], SAME)
    if region is not None:
        classes[~region] = SAME
    if (classes == SAME).all():
        shown = ', '.join(f'{old}:{wanted}' for old, wanted in pairs)
        where = ' in the region' if region is not None else ''
        raise UserError(f'--replace={shown}: no pixel{where} would change')
    title = ', '.join(f'{old} to {wanted}' for old, wanted in pairs)
    return Edit('replaced', title, classes, classes != SAME)


class EditedCover(NamedTuple):
    """A map of land cover after an edit, read by windows."""

    cover: LandCover
    edit: Edit

    @property
    def height(self) -> int:
        return self.cover.height

    @property
    def width(self) -> int:
        return self.cover.width

    def read(self, row: int, column: int, height: int, width: int) -> CoverPart:
        """As `LandCover.read`."""
        part = self.cover.read(row, column, height, width)
        new = self.edit.classes[row : row + height, column : column + width]
        changed = (new != SAME) & part.valid
        labels = part.labels.copy()
        labels[changed] = new[changed]
        return CoverPart(labels, part.valid)

    def stored(
        self, row: int, column: int, height: int, width: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `LandCover.stored`: what does not change is as it was, to the bit."""
        values, valid = self.cover.stored(row, column, height, width)
        new = self.edit.classes[row : row + height, column : column + width]
        values = values.copy()
        for number in np.unique(new[new != SAME]).tolist():
            values[(new == number) & valid] = self.cover.code(number)
        return values, valid


class EditedRaster(NamedTuple):
    """An elevation after an edit, read by windows."""

    raster: Beside
    edit: Edit

    def read(self, row: int, column: int, height: int, width: int) -> Part:
        """As `eojax.apps.map_scene.companions.Companion.read`."""
        part = self.raster.read(row, column, height, width)
        if self.edit.level is None:
            return part
        changed = self.edit.mask[row : row + height, column : column + width] & part.valid
        pixels = part.pixels.copy()
        pixels[changed] = self.edit.level
        return Part(pixels, part.valid)
