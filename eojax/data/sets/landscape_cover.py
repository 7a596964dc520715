"""Drawn tiles of country with a class for each pixel: what covers the ground.

A stand-in for data sets such as MiniFrance, with tiles from regions that differ, a class for each
pixel and the elevation at half the resolution; it is always there. Nothing in it is real imagery:
results on it say whether a method works, not how well it would do on Earth.

Rasters, of one and the same place:

- `images`: true colour, uint8, in Sentinel-2's usual scaling, 10 m a pixel;
- `elevation`: the surface with trees and buildings, metres above the sea, as int16 in decimetres,
  20 m a pixel; -10 m becomes -1 and 190 m becomes 1.

The regions (`eojax.synthetic.regions`) are the groups of places: each has a landscape, a season and
a light of its own. With `data.palette` above 0 it has soils, leaves, walls and roofs of its own too
(`eojax.synthetic.palettes`), so that regions differ as cities do. A pixel that two classes share
has the class of its greater part; with `data.least_share` above 0.5 its class is unknown where that
part is smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from eojax.data.dataset import ArraySource, Dataset, Places
from eojax.data.facts import IMAGES, PIXEL_LABELS, UNKNOWN, Facts, Files, Raster
from eojax.data.kinds import DatasetKind, check_drawn
from eojax.data.shared_options import SHARED
from eojax.errors import UserError
from eojax.memory import FEWER, check_fits
from eojax.option import NOT_NEGATIVE, Option, at_least, between, such
from eojax.synthetic.country import make_tiles
from eojax.synthetic.palettes import in_palette, make_palette
from eojax.synthetic.regions import make_region
from eojax.synthetic.scene import PIXEL_SIZE, Material, Scene
from eojax.synthetic.views.render_rgb import render_rgb

__all__ = ['CLASS_COLOURS', 'CLASS_NAMES', 'draw_dataset', 'land_cover_labels']

NAME = 'landscape_cover'
MIN_SIZE = 32

CLASSES: Mapping[str, tuple[str, tuple[Material, ...]]] = {
    'water': ('#003380', (Material.WATER,)),
    'bare ground': ('#ccb280', (Material.BARE_SOIL, Material.SAND, Material.ROCK)),
    'crops': ('#ffe666', (Material.CROP,)),
    'grass': ('#66b21a', (Material.GRASS,)),
    'shrubs': ('#808033', (Material.SHRUB,)),
    'trees': ('#336633', (Material.TREE,)),
    'roads and yards': ('#4c4c4c', (Material.ROAD, Material.TRACK, Material.PAVED)),
    'buildings': ('#b20000', (Material.ROOF_TILE, Material.ROOF_METAL, Material.ROOF_DARK)),
}
"""A colour and the materials of every class."""
CLASS_NAMES = tuple(CLASSES)
CLASS_COLOURS = {name: colour for name, (colour, _) in CLASSES.items()}
_CLASS_OF = np.zeros(len(Material), np.uint8)
for _class, (_, _materials) in enumerate(CLASSES.values()):
    _CLASS_OF[list(_materials)] = _class

OPTIONS: dict[str, Option] = {
    'size': SHARED['size']._replace(
        default=128,
        meaning='side of a tile',
        within=such(
            f'an even number from {MIN_SIZE}', lambda size: size >= MIN_SIZE and size % 2 == 0
        ),
    ),
    'num_images': Option(480, 'tiles that are drawn', at_least(1), 'tiles'),
    'regions': Option(8, 'regions that they are of', at_least(1), 'regions'),
    'seed': Option(0, 'seed of the drawing', NOT_NEGATIVE),
    'least_share': Option(
        0.5, 'share of a pixel below which its greater class is not known', between(0.5, 1)
    ),
    'palette': Option(
        0.0, 'how far regions have soils, leaves, walls and roofs of their own', between(0, 3)
    ),
}
# Pixels in one batch: its layers then fit in a core's cache.
_BATCH_PIXELS = 2**16


class View(NamedTuple):
    """One raster of a scene.

    Attributes:
      raster: bands, type, limits and scale.
      render: scenes to stored values `[N, H / scale, W / scale, bands]`.
    """

    raster: Raster
    render: Callable[[Scene], np.ndarray]


def _colour(scene: Scene) -> np.ndarray:
    return render_rgb(scene, cast_shadows=True)


def surface_view(scale: int, highest: float = 190.0) -> View:
    """The elevation of the surface, in decimetres, `scale` pixels of 10 m a side.

    -10 m becomes -1, and `highest`, in metres, becomes 1.
    """

    def render(scene: Scene) -> np.ndarray:
        surface = scene.elevation + scene.height
        count, height, width = surface.shape
        parts = surface.reshape(count, height // scale, scale, width // scale, scale)
        return np.rint(10.0 * parts.mean((2, 4), dtype=np.float32)).astype(np.int16)[..., None]

    limits = ((-100.0, 10.0 * highest),)
    return View(Raster(('surface',), 'int16', limits, scale, unit_metres=0.1), render)


COLOUR = View(Raster(), _colour)
VIEWS: Mapping[str, View] = {IMAGES: COLOUR, 'elevation': surface_view(scale=2)}


def land_cover_labels(scene: Scene, least_share: float = 0.5) -> np.ndarray:
    """The class of each pixel.

    Args:
      scene: `[N, H, W]`.
      least_share: the share of a pixel, 0.5 to 1, that its class must cover to be known.

    Returns:
      uint8 `[N, H, W]`, indices into `CLASS_NAMES`; 255 where the class is unknown.
    """
    main, second = _CLASS_OF[scene.land_cover], _CLASS_OF[scene.mixed_with]
    # Two materials of one class make a pure pixel.
    unknown = (main != second) & (scene.fraction < least_share)
    return np.where(unknown, np.uint8(UNKNOWN), main)


def draw_dataset(
    num: int,
    size: int = 128,
    regions: int = 8,
    seed: int = 0,
    least_share: float = 0.5,
    views: Mapping[str, View] = VIEWS,
    palette: float = 0.0,
    shape: Callable[[Scene], Scene] | None = None,
) -> Dataset:
    """Draws `num` tiles, one region after the other in turns.

    Tile i lies in region `i % regions`, depends on `seed`, i, its region and `size` alone, and is
    called `<region>/<i>`: a smaller data set is a part of a larger one of the same seed and the
    same regions.

    Args:
      num: how many, at least one a region.
      size: their height and width in pixels of 10 m, even, at least 32.
      regions: how many; they are the groups of places.
      seed: at least 0.
      least_share: as in `land_cover_labels`.
      views: the rasters.
      palette: how far the colours of regions lie apart, 0 to 3; 0 leaves those of the materials.
      shape: what is done to a scene before all views of it, such as steeper hills.

    Returns:
      A data set in the order of names.

    Raises:
      UserError: for arguments outside these ranges.
    """
    _check(num, size, regions, seed, least_share, palette)
    pixels = num * size**2
    num_bytes = pixels + sum(
        pixels
        // view.raster.scale**2
        * len(view.raster.bands)
        * np.dtype(view.raster.dtype).itemsize
        for view in views.values()
    )
    check_fits(num_bytes, f'{num:,} landscapes of {size} x {size} pixels', FEWER)
    arrays = {
        name: np.empty(
            (num, size // view.raster.scale, size // view.raster.scale, len(view.raster.bands)),
            view.raster.dtype,
        )
        for name, view in views.items()
    }
    arrays[PIXEL_LABELS] = np.empty((num, size, size), np.uint8)
    names, groups = np.empty(num, object), np.arange(num, dtype=np.int32) % regions
    step = max(1, _BATCH_PIXELS // size**2)
    country = [make_region(seed, number) for number in range(regions)]
    for number, region in enumerate(country):
        tiles = np.arange(number, num, regions)
        names[tiles] = [f'{region.name}/{tile:06d}' for tile in tiles]
        for start in range(0, len(tiles), step):
            part = tiles[start : start + step]
            scene = make_tiles(region, part, size, seed)
            if palette:
                scene = in_palette(scene, make_palette(seed, number, palette))
            if shape is not None:
                scene = shape(scene)
            arrays[PIXEL_LABELS][part] = land_cover_labels(scene, least_share)
            for name, view in views.items():
                arrays[name][part] = view.render(scene)
    order = np.argsort(names)
    sides = np.full(num, size, np.int32)
    unlabelled = np.full(num, -1, np.int32)  # as images: their pixels have labels
    facts = Facts(
        name=NAME,
        title='drawn land cover',
        class_names=CLASS_NAMES,
        rasters={name: view.raster for name, view in views.items()},
        label='pixel',
        class_colours=CLASS_COLOURS,
        group_names=tuple(region.name for region in country),
        metres=PIXEL_SIZE,
        size=(size, size),
        files=Files(),
        licence='MIT, as the program that draws it',
    )
    places = Places(tuple(names[order]), sides, sides.copy(), unlabelled, groups[order])
    return Dataset(facts, places, ArraySource({k: array[order] for k, array in arrays.items()}))


def _check(
    num: int, size: int, regions: int, seed: int, least_share: float, palette: float
) -> None:
    values = {'size': size, 'num_images': num, 'regions': regions, 'seed': seed}
    for key, value in {**values, 'least_share': least_share, 'palette': palette}.items():
        OPTIONS[key].within.refuse(f'data.{key}', value)
    if num < regions:
        raise UserError(f'data.num_images must be at least one a region ({regions}), not {num}')


def check(options: ConfigDict) -> None:
    """Refuses options of the config group `data` that make no data set.

    Raises:
      UserError: one line that names the key.
    """
    check_drawn(options.name, options)
    _check(
        options.num_images, options.size, options.regions, options.seed, options.least_share,
        options.palette,
    )  # fmt: skip


def _from_config(options: ConfigDict, progress: bool) -> Dataset:
    return draw_dataset(
        options.num_images, options.size, options.regions, options.seed, options.least_share,
        palette=options.palette,
    )  # fmt: skip


KIND = DatasetKind(
    NAME,
    check,
    _from_config,
    OPTIONS,
    CLASS_NAMES,
)
