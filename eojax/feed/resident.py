"""Training data on the devices: placed once, and drawn from inside the compiled step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import Mesh

from eojax.data.columns import name_at
from eojax.data.facts import PIXEL_LABELS, Facts
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.feed import rows, shelves, windows
from eojax.feed.permutation import draw_indices
from eojax.feed.reading import Pixels, StrangePixels, in_threads
from eojax.feed.rows import Rows
from eojax.feed.streams import (
    PARTS,
    SplitData,
    Stream,
    grid_of,
    part_of,
    rasters_read,
    stream_keys,
)

# Stream to what was drawn of it, as stored: rasters at their own resolution, and the masks of those
# whose pixels may be without data; `truth` int32 `[N]`, or uint8 `[N, h, w]` where labels are per
# pixel; `labelled` bool `[N]`, whether a method may see it; `index`, and `row` and `column` of
# windows, int32 `[N]`.
StoredBatch = Mapping[str, Mapping[str, Array]]

# Places that are read by one thread at a time.
_AT_ONCE = 64


class Tiles(NamedTuple):
    """Where places of different sizes lie in one large picture.

    Attributes:
      heights, widths: int32 `[N]`, in pixels.
      tops, lefts: int32 `[N]`, the upper left corners.
      thresholds: by part, uint32, the shares of its places (`eojax.feed.windows.area_thresholds`).
    """

    heights: Array
    widths: Array
    tops: Array
    lefts: Array
    thresholds: Mapping[str, Array]


class Resident(NamedTuple):
    """The training places of a data set.

    Attributes:
      rasters: as stored, by name: rows of equally large places, or one picture
        `[height, width, C]` of all places where these differ in size; labels of pixels and masks
        without bands.
      truth: int32 `[N]`, classes; -1 where not known.
      labelled: bool `[N]`, whether methods may know the class.
      parts: by part (`labelled`, `unlabelled`, `train`), int32 indices into the above.
      tiles: None where all places are equally large.
    """

    rasters: Mapping[str, Rows | Array]
    truth: Array
    labelled: Array
    parts: Mapping[str, Array]
    tiles: Tiles | None = None


class Arranged(NamedTuple):
    """Where the training places of a data set will lie on the devices, before they are read.

    Attributes:
      resident: all arrays on the host, but of the rasters only shapes and types.
      pixels: reads them.
      places: int64 `[N]`, their numbers in the data set.
      size: height and width of every place; None where places differ.
    """

    resident: Resident
    pixels: Pixels
    places: np.ndarray
    size: tuple[int, int] | None

    def shapes(self, mesh: Mesh) -> Any:
        """Shapes, types and shardings of what `placed` gives; no device is touched."""
        everywhere = sharding.replicated(mesh)
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere), self.resident
        )

    def placed(self, mesh: Mesh) -> Resident:
        """Reads the rasters onto every device.

        Raises:
          StrangePixels, UserError: a place that cannot be read.
        """
        everywhere = sharding.replicated(mesh)

        def put(array: np.ndarray) -> Array:
            return jax.make_array_from_callback(array.shape, everywhere, lambda index: array[index])

        return jax.tree.map(put, self.resident._replace(rasters=self._read()))

    def _read(self) -> dict[str, Any]:
        if self.size is not None:
            read = _equal_places(self.pixels, self.places, *self.size)
            wanted: Mapping[str, Any] = self.resident.rasters
            return {
                name: Rows(array.reshape(wanted[name].values.shape), wanted[name].shape)
                for name, array in read.items()
            }
        assert self.resident.tiles is not None  # where places differ
        return _one_picture(self.pixels, self.places, self.resident.rasters, self.resident.tiles)


def arrange(data: SplitData, streams: Iterable[Stream]) -> Arranged:
    """Where the rasters of the training places that streams ask for will lie; reads nothing."""
    facts, places, splits = data.dataset.facts, data.dataset.places, data.splits
    streams = tuple(streams)
    pixels = Pixels(data.dataset.source, facts, rasters_read(streams, facts))
    held = {
        part: np.searchsorted(splits.train, part_of(splits, part)).astype(np.int32)
        for part in PARTS
    }
    resident: dict[str, Any] = {
        'truth': places.labels[splits.train].astype(np.int32),
        'labelled': np.isin(splits.train, splits.labelled),
        'parts': held,
    }
    if facts.size is not None:
        num, size = len(splits.train), facts.size
        windowed = any(stream.window is not None for stream in streams)
        resident['rasters'] = {
            n: rows.described(num, pixels.shape(n, *size), pixels.dtype(n), windowed)
            for n in pixels.rasters
        }
    else:
        heights, widths = places.heights[splits.train], places.widths[splits.train]
        plan = shelves.arrange(heights, widths, grid_of(facts))
        scales = [facts.stored(name).scale for name in pixels.rasters]
        height = shelves.uneven_height(plan.height, grid_of(facts), scales)
        resident['rasters'] = {
            n: jax.ShapeDtypeStruct(pixels.shape(n, height, plan.width), pixels.dtype(n))
            for n in pixels.rasters
        }
        tiles: dict[str, Any] = {
            'heights': heights.astype(np.int32),
            'widths': widths.astype(np.int32),
            'tops': plan.tops,
            'lefts': plan.lefts,
            'thresholds': {
                part: windows.area_thresholds(heights[chosen], widths[chosen])
                for part, chosen in held.items()
                if len(chosen)
            },
        }
        resident['tiles'] = Tiles(**tiles)
    return Arranged(Resident(**resident), pixels, splits.train, facts.size)


def place_training(data: SplitData, streams: Iterable[Stream], mesh: Mesh) -> Resident:
    """Reads the rasters of the training places that streams ask for, onto every device.

    Raises:
      UserError: a place that cannot be read.
    """
    try:
        return arrange(data, streams).placed(mesh)
    except StrangePixels as error:
        name = name_at(data.dataset.places.names, error.place)
        raise UserError(f'{name}: {error.reason}') from error


def _equal_places(
    pixels: Pixels, places: np.ndarray, height: int, width: int
) -> dict[str, np.ndarray]:
    rasters = pixels.empty(len(places), height, width)

    def read(task: int) -> None:
        some = slice(task * _AT_ONCE, (task + 1) * _AT_ONCE)
        for name, values in pixels.read_whole(places[some], height, width).items():
            rasters[name][some] = values

    in_threads(read, -(-len(places) // _AT_ONCE))
    return rasters


def _one_picture(
    pixels: Pixels, places: np.ndarray, shapes: Mapping[str, Any], tiles: Tiles
) -> dict[str, np.ndarray]:
    # Zeros take no memory until they are written to.
    rasters = {name: np.zeros(shape.shape, shape.dtype) for name, shape in shapes.items()}

    def read(i: int) -> None:
        into = {}
        for name, raster in rasters.items():
            rows, columns = pixels.shape(name, int(tiles.heights[i]), int(tiles.widths[i]))[:2]
            top, left = pixels.shape(name, int(tiles.tops[i]), int(tiles.lefts[i]))[:2]
            into[name] = raster[top : top + rows, left : left + columns]
        pixels.read(int(places[i]), None, into)

    in_threads(read, len(places))
    return rasters


def gather(
    resident: Resident,
    streams: Mapping[str, Stream],
    key: Array,
    step: Array,
    facts: Facts,
    everywhere: Callable[[Array], Array] = lambda indices: indices,
) -> StoredBatch:
    """The draws of streams from a data set at a step, as stored.

    Args:
      resident: the data set.
      streams: those that draw from it.
      key: of the run.
      step: int32, counted over the whole run.
      facts: of the data set.
      everywhere: keeps an array of indices on every device: finding them takes a loop over all,
        which devices with a share each would have to agree on.
    """
    return {
        name: _draw(resident, stream, stream_keys(key, name)[0], step, facts, everywhere)
        for name, stream in sorted(streams.items())
    }


def _draw(
    resident: Resident,
    stream: Stream,
    key: Array,
    step: Array,
    facts: Facts,
    everywhere: Callable[[Array], Array],
) -> dict[str, Array]:
    part, size, tiles = resident.parts[stream.part], stream.batch_size, resident.tiles
    names = rasters_read([stream], facts)
    if stream.window is None:
        chosen = part[everywhere(draw_indices(key, step * size, size, len(part)))]
        stored = {name: rows.gather(_rows(resident, name), chosen) for name in names}
        return _described(resident, stored, chosen)
    positions = step * size + jnp.arange(size, dtype=jnp.int32)
    seeds, grid = windows.window_seeds(key), grid_of(facts)
    if tiles is None:
        chosen = part[everywhere(draw_indices(key, step * size, size, len(part)))]
        heights, widths = (jnp.full(size, side, jnp.int32) for side in facts.size or ())
    else:
        thresholds = tiles.thresholds[stream.part]
        chosen = part[windows.draw_places(positions, seeds, thresholds)]
        heights, widths = tiles.heights[chosen], tiles.widths[chosen]
    row, column = windows.draw_corners(positions, seeds, heights, widths, stream.window, grid)
    stored = {}
    for name in names:
        scale = facts.stored(name).scale
        side = stream.window // scale
        if tiles is None:
            place = _rows(resident, name)
            stored[name] = rows.cut(place, chosen, row // scale, column // scale, side)
        else:
            tops, lefts = tiles.tops[chosen] + row, tiles.lefts[chosen] + column
            stored[name] = _cut(resident.rasters[name], tops // scale, lefts // scale, side)
    return _described(resident, stored, chosen) | {'row': row, 'column': column}


def _described(resident: Resident, stored: dict[str, Array], chosen: Array) -> dict[str, Array]:
    truth = stored.pop(PIXEL_LABELS, None)
    return {
        **stored,
        'truth': resident.truth[chosen] if truth is None else truth,
        'labelled': resident.labelled[chosen],
        'index': chosen,
    }


def _rows(resident: Resident, name: str) -> Rows:
    held = resident.rasters[name]
    assert isinstance(held, Rows)  # as the places are equally large
    return held


def _cut(picture: Any, tops: Array, lefts: Array, side: int) -> Array:
    """Windows `[N, side, side, ...]` of one picture `[height, width, ...]`."""
    bands = picture.shape[2:]

    def one(top: Array, left: Array) -> Array:
        start = (top, left, *(jnp.int32(0) for _ in bands))
        return lax.dynamic_slice(picture, start, (side, side, *bands))

    return jax.vmap(one)(tops, lefts)
