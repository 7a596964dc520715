"""Data sets of Sentinel-2 scenes whose bands lie in files of their own: what all of them share.

Images are reflectance times 10,000, uint16, on the grid of 10 m
(`eojax.data.reading.bands.mosaic`): bands of 20 and 60 m come by bilinear interpolation.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from eojax.data.dataset import Dataset, Places
from eojax.data.facts import IMAGES, Facts, Files, Limits, Raster
from eojax.data.kinds import check_read_from_files
from eojax.data.reading.bands.files import BandFiles, open_band_files
from eojax.data.reading.bands.mosaic import open_mosaic
from eojax.data.reading.bands.names import BANDS
from eojax.data.reading.sentinel2 import DISPLAY_LIMITS, RGB
from eojax.data.sets.pixels.patterned import parse_limits
from eojax.data.sources.cut_windows import cut_into_squares
from eojax.data.sources.label_values import LabelValues
from eojax.data.sources.scene_bands import SceneSource, Stored
from eojax.errors import UserError, unknown_name
from eojax.option import NOT_NEGATIVE, Option

# Headers that are read at a time.
_THREADS = 8
# As the papers cut scenes that they compare EuroSAT with.
SQUARE = 64
OPTIONS: dict[str, Option] = {
    'bands': Option(
        ','.join(RGB), 'bands, in the order wanted: all, or names with a comma between'
    ),
    'limits': Option(
        f'{DISPLAY_LIMITS[0]:g}:{DISPLAY_LIMITS[1]:g}',
        'reflectance x 10,000 that becomes -1 and +1: low:high, once or for each band',
    ),
    'cut': Option(
        SQUARE,
        'side of the squares that scenes are cut into, each a place; 0: whole scenes',
        NOT_NEGATIVE,
        'pixels',
    ),
}


class Scenes(NamedTuple):
    """The scenes of a data set.

    Attributes:
      names: of their folders or products below the root, sorted.
      groups: the name of each one's group, such as a city; empty where there are none.
      parts: of each, where the split is published; empty where it is not.
      labels: of each, the file of its labels below the root, empty for none; none where the data
        set has no labels of pixels.
      stored: of each, what its values mean; none where all are reflectance times 10,000.
    """

    names: Sequence[str]
    groups: Sequence[str] = ()
    parts: Sequence[int] = ()
    labels: Sequence[str] = ()
    stored: Sequence[Stored] = ()


def check_root(name: str, options: ConfigDict, where: str) -> None:
    """Refuses another source than files, none at all, and bands or limits that make no sense.

    Raises:
      UserError: one line that names the key.
    """
    check_read_from_files(name, options)
    if not options.root:
        raise UserError(f'the data set {name!r} needs --config.data.root=FOLDER_OR_ZIP; {where}')


def chosen_bands(text: str, known: Sequence[str] = BANDS) -> tuple[str, ...]:
    """The bands of `data.bands`: all, or names in the order wanted.

    Raises:
      UserError: a name that there is not, or one twice.
    """
    if text.strip() == 'all':
        return tuple(known)
    bands = tuple(band.strip() for band in text.split(','))
    for number, band in enumerate(bands):
        if band not in known:
            raise unknown_name('band in data.bands', band, (*known, 'all'))
        if band in bands[:number]:
            raise UserError(f'data.bands: {band} is in it twice')
    return bands


def chosen_limits(text: str, bands: Sequence[str]) -> Limits:
    """The limits of `data.limits`, a pair for each band.

    Raises:
      UserError: no pairs of numbers, or another number of them than one or one a band.
    """
    pairs = parse_limits(text, (IMAGES,)).get(IMAGES, ())
    if len(pairs) not in (1, len(bands)):
        raise UserError(f'data.limits: {len(pairs)} pairs for {len(bands)} band(s)')
    return pairs if len(pairs) > 1 else pairs * len(bands)


def images_of(options: ConfigDict, known: Sequence[str] = BANDS, surface: bool = False) -> Raster:
    """The raster `images` that the options ask for.

    Args:
      known: the bands that the data set has.
      surface: as in `Raster`.
    """
    bands = chosen_bands(options.bands, known)
    return Raster(bands, 'uint16', chosen_limits(options.limits, bands), surface=surface)


def read_scenes(
    root: Path,
    facts: Facts,
    images: Raster,
    scenes: Scenes,
    cut: int = 0,
    values: LabelValues | None = None,
) -> Dataset:
    """The data set of some scenes; their headers are read, and no pixel.

    Args:
      root: folder or archive.
      facts: of the data set; the rasters, groups, sizes and metres are added here.
      images: the raster; its pixels may be without data, as at the edge of what a satellite saw.
      scenes: at least one.
      cut: side of the squares that become places, in pixels; 0 for whole scenes.
      values: of the files of labels.

    Raises:
      UserError: a scene that lacks a band or cannot be read, by name.
    """
    names = tuple(scenes.names)
    images = images._replace(missing=True)

    def look(name: str) -> tuple[int, int, float | None]:
        opened, _ = open_mosaic(open_band_files(root / name), images.bands)
        with opened:
            metres = abs(opened.transform.a) if opened.crs and opened.crs.is_projected else None
            return (*opened.shape, metres)

    with ThreadPoolExecutor(_THREADS) as executor:
        looked = list(executor.map(look, names))
    heights, widths = (np.array([one[i] for one in looked], np.int32) for i in (0, 1))
    metres = {one[2] for one in looked}
    groups = sorted(set(scenes.groups))
    numbers = [groups.index(group) for group in scenes.groups]
    one_size = len(set(zip(heights.tolist(), widths.tolist(), strict=True))) == 1
    source = SceneSource(
        root, names, (heights, widths), images,
        stored=scenes.stored, labels=scenes.labels, values=values,
    )  # fmt: skip
    places = Places(
        names,
        heights,
        widths,
        np.full(len(names), -1, np.int32),
        np.array(numbers, np.int32) if groups else None,
        np.array(scenes.parts, np.int8) if scenes.parts else None,
        np.array([bool(file) for file in scenes.labels]) if any(scenes.labels) else None,
    )
    if places.annotated is not None and places.annotated.all():
        places = places._replace(annotated=None)
    facts = facts._replace(
        rasters={IMAGES: images},
        group_names=tuple(groups),
        size=(int(heights[0]), int(widths[0])) if one_size else None,
        metres=metres.pop() if len(metres) == 1 else None,
        files=Files('geotiff', images.bands),
    )
    dataset = Dataset(facts, places, source)
    return cut_into_squares(dataset, cut, 'data.cut') if cut else dataset


def band_files_of(root: Path, names: Sequence[str]) -> list[BandFiles]:
    """The files of each scene, with the metadata of its product."""
    return [open_band_files(root / name) for name in names]
