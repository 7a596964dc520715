"""tinyMiniFrance: 3,500 sub-tiles of 1,000 px of MiniFrance, by a rule of our own.

Source: as `eojax.data.sets.pixels.minifrance`. There, sub-tiles are drawn evenly in each region, so
that the regions keep their shares of the tiles and every tile gives at least one; labelled,
unlabelled and test cities stay what they are.

Notes:
  Seed and list of the published sub-tiles are not public. Here each tile is cut into a grid of
  squares of `data.window` pixels; each region gets its share of `data.num_windows` by its number of
  tiles (largest remainders), the squares of a region come in the order of SHA-256 of
  `<data.seed>:<name>`, and the first square of each tile, then the first of all others, are taken.
  So the result is the same everywhere, and it is not the published one.
"""

from __future__ import annotations

import hashlib

import numpy as np
from ml_collections import ConfigDict

from eojax.data.columns import name_at
from eojax.data.dataset import Dataset, Places
from eojax.data.sets.pixels import minifrance
from eojax.data.sets.pixels.published import published_pixels
from eojax.data.sources.cut_windows import windows_as_places
from eojax.errors import UserError
from eojax.option import NOT_NEGATIVE, Option, at_least

FACTS = minifrance.FACTS._replace(name='tiny_minifrance', title='tinyMiniFrance')
OPTIONS: dict[str, Option] = {
    **minifrance.OPTIONS,
    'window': Option(1000, 'side of a sub-tile', at_least(1), 'pixels'),
    'num_windows': Option(3500, 'sub-tiles in all', at_least(1), 'sub-tiles'),
    'seed': Option(0, 'seed by which sub-tiles are chosen', NOT_NEGATIVE),
}


def draw_windows(dataset: Dataset, side: int, num: int, seed: int) -> Dataset:
    """Square windows of the tiles of a data set as its places, by the rule of the docstring.

    Args:
      dataset: with groups.
      side: of the windows in pixels; a tile gives those of a grid from its upper left corner.
      num: how many.
      seed: another seed draws others.

    Raises:
      UserError: a tile smaller than a window, fewer windows than tiles, or more than there are.
    """
    places = dataset.places
    assert places.groups is not None
    rows, columns = places.heights // side, places.widths // side
    small = np.flatnonzero((rows < 1) | (columns < 1))
    if len(small):
        place = int(small[0])
        raise UserError(
            f'{name_at(places.names, place)}: {places.widths[place]}x{places.heights[place]} pixels'
            f' hold no window of data.window={side}'
        )
    if not places.num <= num <= int((rows * columns).sum()):
        raise UserError(
            f'data.num_windows={num}: there are {places.num} tiles with'
            f' {int((rows * columns).sum())} windows; choose a number from the one to the other'
        )
    chosen: list[tuple[str, int, int, int]] = []
    for group, wanted in _shares(places.groups, rows * columns, num).items():
        members = np.flatnonzero(places.groups == group)
        chosen += _drawn(places, members, rows, columns, wanted, seed)
    chosen.sort()
    tiles = np.array([tile for _, tile, _, _ in chosen])
    corners = np.array([(row * side, column * side) for _, _, row, column in chosen], np.int32)
    names = tuple(name for name, *_ in chosen)
    return windows_as_places(dataset, tiles, corners, side, names)


def _shares(groups: np.ndarray, windows: np.ndarray, num: int) -> dict[int, int]:
    """How many windows each group gives: by its tiles, at least one each, not more than it has."""
    numbers, tiles = np.unique(groups, return_counts=True)
    most = np.array([int(windows[groups == number].sum()) for number in numbers])
    exact = num * tiles / tiles.sum()
    shares = np.clip(exact.astype(int), tiles, most)
    while shares.sum() != num:
        step = 1 if shares.sum() < num else -1
        free = (shares < most) if step > 0 else (shares > tiles)
        # The group that is furthest from its exact share.
        lack = np.where(free, step * (exact - shares), -np.inf)
        shares[int(np.argmax(lack))] += step
    return dict(zip(numbers.tolist(), shares.tolist(), strict=True))


def _drawn(
    places: Places,
    members: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    wanted: int,
    seed: int,
) -> list[tuple[str, int, int, int]]:
    """Names, tiles, rows and columns of the windows that a group gives."""
    windows = [
        (f'{name_at(places.names, tile)}/{row:03}_{column:03}', tile, row, column)
        for tile in members.tolist()
        for row in range(rows[tile])
        for column in range(columns[tile])
    ]
    windows.sort(key=lambda window: hashlib.sha256(f'{seed}:{window[0]}'.encode()).digest())
    first = {window[1]: window for window in reversed(windows)}
    firsts = list(first.values())
    others = [window for window in windows if first[window[1]] is not window]
    return firsts + others[: wanted - len(firsts)]


def _finish(dataset: Dataset, options: ConfigDict) -> Dataset:
    return draw_windows(dataset, options.window, options.num_windows, options.seed)


KIND = published_pixels(
    FACTS,
    minifrance.WHERE,
    lambda options, path: (FACTS, minifrance.arrange(options, path)[1]),
    OPTIONS,
    _finish,
)
