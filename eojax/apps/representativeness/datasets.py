"""Places out of a data set: its groups (cities), or the parts of its split where it has none.

Where labels are per pixel, each window's class shares are those of its known pixels; where they are
per image, the image's class has all. Labels that a split keeps from training are shown too.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import numpy as np

from eojax.apps.representativeness.paths import fitted
from eojax.apps.representativeness.places import (
    LABELLED,
    TEST,
    UNLABELLED,
    Form,
    Piece,
    Place,
    as_colours,
)
from eojax.data.columns import name_at
from eojax.data.dataset import Dataset, Window
from eojax.data.facts import IMAGES, PIXEL_LABELS, UNKNOWN, UNSEEN
from eojax.errors import UserError
from eojax.runs.domains import Domain


def places_of(domain: Domain, form: Form, option: str) -> list[Place]:
    """The places of a split data set: of each part, each group that it has.

    Args:
      form: in which the network sees images; the data set must have its rasters.

    Raises:
      UserError: rasters that the data set does not have, or windows that do not fit.
    """
    dataset, splits = domain.dataset, domain.splits
    if not form.colours:
        _check_rasters(dataset, form, option)
    found = []
    for part, rows in (
        (LABELLED, splits.labelled), (UNLABELLED, splits.unlabelled), (TEST, splits.test)
    ):  # fmt: skip
        groups = dataset.places.groups
        if groups is None:
            held = {part: rows}
        else:
            numbers = groups[rows]
            held = {_title(dataset, int(n)): rows[numbers == n] for n in np.unique(numbers)}
        found += [_place(dataset, name, part, own, form) for name, own in held.items() if len(own)]
    return found


def _title(dataset: Dataset, group: int) -> str:
    names = dataset.facts.group_names
    return names[group] if names else f'group {group}'


def _check_rasters(dataset: Dataset, form: Form, option: str) -> None:
    facts = dataset.facts
    for name, raster in form.rasters.items():
        held = facts.rasters.get(name)
        if held is None:
            raise UserError(
                f'{option}: {facts.title or facts.name} has no raster {name!r}, which the run sees'
                f' (it has {", ".join(facts.rasters)})'
            )
        if (held.bands, held.dtype, held.limits) != (raster.bands, raster.dtype, raster.limits):
            raise UserError(
                f'{option}: {name} of {facts.title or facts.name} have the bands'
                f' {", ".join(held.bands)} ({held.dtype}), and the run sees'
                f' {", ".join(raster.bands)} ({raster.dtype}) or other limits'
            )


def _place(dataset: Dataset, name: str, part: str, rows: np.ndarray, form: Form) -> Place:
    """A place of the tiles at `rows`."""
    if form.window is None:
        if dataset.facts.size is None and form.side is None:
            raise UserError(
                f'the tiles of {dataset.facts.title or dataset.facts.name} differ in size: say by'
                ' --window=PIXELS how they are cut'
            )
        return Place(name, part, len(rows), functools.partial(_whole, dataset, rows, form))
    side, grid = form.window, math.lcm(*(raster.scale for raster in form.rasters.values()))
    if side % grid:
        raise UserError(
            f'--window={side} must be a multiple of {grid}, as a pixel of a raster covers so many'
        )
    down, across = (
        lengths[rows].astype(np.int64) // side
        for lengths in (dataset.places.heights, dataset.places.widths)
    )
    if not (down * across).all():
        small = int(rows[np.flatnonzero(down * across == 0)[0]])
        raise UserError(
            f'{name_at(dataset.places.names, small)}: {dataset.places.widths[small]}x'
            f'{dataset.places.heights[small]} pixels, smaller than a window of {side}x{side};'
            ' --window=N takes smaller ones'
        )
    firsts = np.concatenate([[0], np.cumsum(down * across)])

    def read(numbers: np.ndarray) -> Iterator[Piece]:
        for number in numbers:
            tile = int(np.searchsorted(firsts, number, 'right')) - 1
            row, column = divmod(int(number - firsts[tile]), int(across[tile]))
            window = Window(row * side, column * side, side, side)
            piece = _piece(dataset, int(rows[tile]), window, form)
            if piece is not None:
                yield piece

    return Place(name, part, int(firsts[-1]), read)


def _whole(dataset: Dataset, rows: np.ndarray, form: Form, numbers: np.ndarray) -> Iterator[Piece]:
    for number in numbers:
        piece = _piece(dataset, int(rows[number]), None, form)
        if piece is not None:
            yield piece


def _piece(dataset: Dataset, place: int, window: Window | None, form: Form) -> Piece | None:
    """A window or a whole tile; None where one of its pixels holds no data, as of scenes."""
    wanted, facts = tuple(form.rasters), dataset.facts
    masks = facts.masks((IMAGES,) if form.colours else wanted)
    pixelwise = facts.label == 'pixel'
    entries = (*wanted, *masks, *((PIXEL_LABELS,) if pixelwise else ()))
    read = dataset.source.read(place, window, entries)
    if not all(read[mask].all() for mask in masks):
        return None
    name = name_at(dataset.places.names, place)
    if window is not None:
        name = f'{name} row {window.row} column {window.column}'
    if pixelwise:
        shares = pixel_shares(read[PIXEL_LABELS], dataset.num_classes, name)
    else:
        label = int(dataset.places.labels[place])
        shares = np.eye(dataset.num_classes)[label] if label >= 0 else None
    if form.colours:
        image = as_colours(read[IMAGES], dataset.facts.images)
        return Piece(name, (fitted(image, form),), shares)
    return Piece(name, tuple(fitted(read[raster], form) for raster in wanted), shares)


def pixel_shares(labels: np.ndarray, num_classes: int, name: str) -> np.ndarray | None:
    """The share of each class among the pixels of a map whose class is known."""
    counts = np.bincount(labels.ravel(), minlength=UNKNOWN + 1)
    if counts[num_classes:UNSEEN].any():
        raise UserError(
            f'{name}: a pixel has class {num_classes + int(np.argmax(counts[num_classes:] > 0))};'
            f' the data set has {num_classes} classes, and {UNKNOWN} for what is unknown'
        )
    known = counts[:num_classes].sum()
    return counts[:num_classes] / known if known else None
