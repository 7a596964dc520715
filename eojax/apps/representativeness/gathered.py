"""The features of a sample of every place's images, and the file that keeps them.

The file is an npz without objects: nothing in it is ever unpickled. Others can write one too:
`features` `[N, D]`, `groups` `[N]` (text: the name of each image's place) and `parts` `[N]` (text:
`labelled`, `unlabelled`, `test` or `beside`; `train` is `labelled`). What may be there besides:
`names` `[N]`, `thumbnails` uint8 `[N, h, w, 3]`, and `shares` `[N, K]`, of each of `class_names`
`[K]` in an image (a row of NaN where it is unknown), with `class_colours` `[K]` as `#rrggbb`.
"""

from __future__ import annotations

import io
import itertools
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.colors import is_color_like
from tqdm import tqdm

from eojax.apps.representativeness.encoders import Encoder
from eojax.apps.representativeness.places import (
    BESIDE,
    LABELLED,
    PARTS,
    TEST,
    UNLABELLED,
    Piece,
    Place,
    as_colours,
    even_sample,
)
from eojax.atomic_file import write_atomically
from eojax.data.facts import IMAGES
from eojax.data.reading.patches import resample
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.messages import counted

THUMBNAIL = 48  # pixels
_TEXTS = ('groups', 'parts')


class Gathered(NamedTuple):
    """Features of N images of all places.

    Attributes:
      features: float32 `[N, D]`.
      places: name and part of each place.
      place: int `[N]`, the number of each image's place.
      names: of the images.
      thumbnails: uint8 `[N, h, w, 3]`; None where there are none.
      shares: float64 `[N, classes]`, NaN where no class is known; `[N, 0]` without classes.
      class_names, class_colours: of the shares; colours as `#rrggbb`.
    """

    features: np.ndarray
    places: tuple[tuple[str, str], ...]
    place: np.ndarray
    names: tuple[str, ...]
    thumbnails: np.ndarray | None
    shares: np.ndarray
    class_names: tuple[str, ...]
    class_colours: tuple[str, ...]

    def numbers(self, *parts: str) -> list[int]:
        """The numbers of the places of some parts, in their order."""
        return [n for part in parts for n, (_, own) in enumerate(self.places) if own == part]


def gather(
    places: Sequence[Place],
    encoder: Encoder,
    most: int,
    seed: int,
    class_names: Sequence[str],
    class_colours: Sequence[str],
) -> Gathered:
    """Encodes an even, seeded sample of each place; all processes of a run call it together.

    No more than a batch of images is held at a time, and of each a thumbnail.

    Args:
      most: images of each place.

    Raises:
      UserError: an image that cannot be read, which shows before any is encoded, or features that
        are not finite.
    """
    samples = [even_sample(p.total, most, seed, f'{p.part}:{p.name}') for p in places]
    _read_ahead(places, samples)
    members: list[int] = []
    names: list[str] = []
    thumbnails: list[np.ndarray] = []
    shares: list[np.ndarray] = []
    unknown = np.full(len(class_names), np.nan)
    images = encoder.form.rasters[IMAGES]

    def noted(number: int, piece: Piece) -> Piece:
        members.append(number)
        names.append(piece.name)
        thumbnails.append(resample(as_colours(piece.rasters[0], images)[None], THUMBNAIL)[0])
        shares.append(unknown if piece.shares is None else piece.shares)
        return piece

    def batches() -> Iterator[tuple[np.ndarray, ...]]:
        pieces = (
            noted(number, piece)
            for number, (place, sample) in enumerate(zip(places, samples, strict=True))
            for piece in place.read(sample)
        )
        while batch := [*itertools.islice(pieces, encoder.batch_size)]:
            yield tuple(_stacked(batch, i) for i in range(len(encoder.form.rasters)))

    features = []
    total = sum(map(len, samples))
    with tqdm(
        total=total, desc='features', unit='img', leave=False,
        disable=not sharding.is_main_process(),
    ) as bar:  # fmt: skip
        for encoded in encoder.encode(batches()):
            features.append(encoded)
            bar.update(len(encoded))
    if not features:
        raise UserError('no image of any place has data in all of its pixels')
    return Gathered(
        np.concatenate(features),
        tuple((place.name, place.part) for place in places),
        np.array(members),
        tuple(names),
        np.stack(thumbnails),
        np.stack(shares),
        tuple(class_names),
        tuple(class_colours),
    )


def _read_ahead(places: Sequence[Place], samples: Sequence[np.ndarray]) -> None:
    """Reads all that will be encoded, so that a broken image shows before the first is."""
    first: Piece | None = None
    with tqdm(
        total=sum(map(len, samples)), desc='checking', unit='img', leave=False,
        disable=not sharding.is_main_process(),
    ) as bar:  # fmt: skip
        for place, sample in zip(places, samples, strict=True):
            for piece in place.read(sample):
                first = piece if first is None else first
                for raster in range(len(piece.rasters)):
                    _stacked((first, piece), raster)
                bar.update()


def _stacked(pieces: Sequence[Piece], raster: int) -> np.ndarray:
    first = pieces[0].rasters[raster].shape
    for piece in pieces:
        if piece.rasters[raster].shape != first:
            height, width = piece.rasters[raster].shape[:2]
            raise UserError(
                f'{piece.name}: {width}x{height} pixels, and others {first[1]}x{first[0]}; cut all'
                ' into windows of one size by --window=PIXELS'
            )
    return np.stack([piece.rasters[raster] for piece in pieces])


def by_part(gathered: Gathered) -> Gathered:
    """The same images, all of a part as one place."""
    parts = list(dict.fromkeys(part for _, part in gathered.places))
    number = np.array([parts.index(part) for _, part in gathered.places])
    places = tuple((part, part) for part in parts)
    return gathered._replace(places=places, place=number[gathered.place])


def save(gathered: Gathered, path: Path) -> None:
    """Writes the file that `load` reads."""
    groups, parts = (np.array([p[i] for p in gathered.places])[gathered.place] for i in (0, 1))
    arrays = {
        'features': gathered.features,
        'groups': groups,
        'parts': parts,
        'names': np.array(gathered.names),
        'shares': gathered.shares,
        'class_names': np.array(gathered.class_names, np.str_),
        'class_colours': np.array(gathered.class_colours, np.str_),
    }
    if gathered.thumbnails is not None:
        arrays['thumbnails'] = gathered.thumbnails
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    write_atomically(path, lambda f: f.write(file.getvalue()))


def holds_features(path: Path) -> bool:
    """Whether an npz holds features, and not the weights of a network.

    Raises:
      UserError: no npz.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return 'features' in getattr(file, 'files', ())
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise UserError(
            f'{path}: cannot be read as an npz of features or of weights'
            f' ({" ".join(str(error).split())})'
        ) from error


def load(path: Path) -> Gathered:
    """Features that `save` or others wrote.

    Raises:
      UserError: an array that is missing, or has another shape or type than the module says.
    """
    arrays = _read(path)
    num = len(arrays['features'])
    parts = [LABELLED if part == 'train' else str(part) for part in arrays['parts']]
    for part in parts:
        if part not in PARTS:
            raise UserError(f'{path}: parts holds {part!r}; it may hold train, {", ".join(PARTS)}')
    keys = [*zip(map(str, arrays['groups']), parts, strict=True)]
    places = tuple(dict.fromkeys(keys))
    order = {key: number for number, key in enumerate(places)}
    class_names = tuple(map(str, arrays.get('class_names', ())))
    colours = tuple(map(str, arrays.get('class_colours', ())))
    if colours and (len(colours) != len(class_names) or not all(map(is_color_like, colours))):
        raise UserError(f'{path}: class_colours must be a #rrggbb for each of class_names')
    shares = arrays.get('shares', np.full((num, len(class_names)), np.nan)).astype(np.float64)
    if shares.shape[-1] != len(class_names):
        raise UserError(f'{path}: shares {shares.shape} and {len(class_names)} class_names')
    known = shares[~np.isnan(shares).any(1)]
    if (known < 0).any() or ((np.abs(known.sum(1) - 1.0) > 1e-3).any() and len(class_names)):
        raise UserError(f'{path}: each row of shares must be shares that add up to 1, or NaN')
    return Gathered(
        arrays['features'].astype(np.float32),
        places,
        np.array([order[key] for key in keys]),
        tuple(map(str, arrays.get('names', np.arange(num)))),
        arrays.get('thumbnails'),
        shares,
        class_names,
        colours,
    )


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = ' '.join(str(error).split())
        raise UserError(f'{path}: cannot be read as an npz of features ({reason})') from error
    features = arrays['features']
    if features.ndim != 2 or features.dtype.kind != 'f' or not np.isfinite(features).all():
        raise UserError(
            f'{path}: features must be finite floating point [N, D], not {features.dtype}'
            f' {features.shape}'
        )
    for name in _TEXTS:
        if name not in arrays:
            raise UserError(f'{path}: no array {name!r} beside features')
    for name in (*_TEXTS, 'names', 'shares', 'thumbnails'):
        if name in arrays and len(arrays[name]) != len(features):
            raise UserError(f'{path}: {len(arrays[name])} {name} for {len(features)} features')
    shown = arrays.get('thumbnails')
    if shown is not None and (shown.dtype != np.uint8 or shown.ndim != 4 or shown.shape[-1] != 3):
        raise UserError(f'{path}: thumbnails must be uint8 [N, h, w, 3], not {shown.shape}')
    return arrays


def check_places(gathered: Gathered, least: int) -> None:
    """Refuses places that are too small, and sets that lack training or test places.

    Args:
      least: images that a region needs.

    Raises:
      UserError: one line with the place.
    """
    counts = np.bincount(gathered.place, minlength=len(gathered.places))
    for (name, part), count in zip(gathered.places, counts, strict=True):
        if part != BESIDE and count < least:
            raise UserError(
                f'{name} ({part}) has {counted(count, "image")}, and a place needs {least}: cut its'
                ' images into smaller windows (--window=PIXELS), or leave it out'
            )
    if not gathered.numbers(LABELLED, UNLABELLED):
        raise UserError('no training places: name some by --train, --unlabelled or --config')
    if not gathered.numbers(TEST):
        raise UserError('no test places: name some by --test or --config')
