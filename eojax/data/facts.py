"""The facts of a data set without its pixels: one value, which a run's folder keeps.

Whoever opens a trained run needs these facts (classes, bands, limits, metres per pixel) and not the
images; `data.json` in the run's folder holds them (`eojax.runs`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

# Per band the values that become -1 and +1.
Limits = tuple[tuple[float, float], ...]

# The kinds of label: a class for each image, a class for each pixel, or none at all.
LABELS = ('image', 'pixel', 'none')
# The raster that every data set has, and the one that holds a class for each pixel.
IMAGES, PIXEL_LABELS = 'images', 'labels'
# What a stored map of classes holds where a pixel's class is unknown; in a batch it is -1.
UNKNOWN = 255
# Likewise where it is of a class that is kept from training (`eojax.data.unseen_classes`); in an
# evaluation it is -2, in the batches of training -1.
UNSEEN = 254
# Data sets whose values are what the user's own files store, in units that nobody else knows.
_OWN = ('pixel_folder',)
# Data sets that are drawn by `eojax.synthetic`: no satellite has seen them.
DRAWN = ('landscapes', 'landscape_cover', 'landscape_pairs', 'landscape_zones')
DRAWN_TEXT = 'drawn landscapes, not real images'
# `Raster.decibels` of files that hold amplitudes, or powers.
AMPLITUDE, POWER = 20.0, 10.0
# Of the entries of a source that say which pixels of a raster hold data (`valid_of`).
_VALID = 'valid:'
# What `data.json` says of a raster only where it is not the default: older ones do not have it.
_LATER = ('missing', 'decibels', 'unit_metres', 'surface')


class Raster(NamedTuple):
    """One kind of measurement of every place.

    Attributes:
      bands: a name for each band, `('red', 'green', 'blue')`.
      dtype: of the stored values, as NumPy names it.
      limits: for each band the values that become -1 and +1; None for uint8, 0 and 255.
      scale: how many pixels of the place one of this raster covers along each axis: 1, or 2 where
        the raster has half the resolution.
      missing: whether pixels may be without data. A source then says which ones hold some
        (`valid_of`), and batches have a mask.
      decibels: 0 where files hold what the raster does; `AMPLITUDE` or `POWER` where they hold
        these, and the raster their decibels (`decibels_of`). Sources give decibels, and the limits
        are in decibels.
      surface: whether Sentinel-2's values are reflectance at the surface (level 2A); else they are
        at the top of the atmosphere, as EuroSAT's are.
      unit_metres: of heights, how many metres a value of 1 means: 0.1 for decimetres; 0 where the
        data set does not say, and of all that are no heights.
    """

    bands: tuple[str, ...] = ('red', 'green', 'blue')
    dtype: str = 'uint8'
    limits: Limits | None = None
    scale: int = 1
    missing: bool = False
    decibels: float = 0.0
    unit_metres: float = 0.0
    surface: bool = False

    @property
    def empty(self) -> np.ndarray:
        """The values of a pixel without data, `[bands]`: the lower limits, as far as the type holds
        them; 0 where there are no limits."""
        dtype = np.dtype(self.dtype)
        lowest = np.array([low for low, _ in self.limits or ((0.0, 0.0),) * len(self.bands)])
        if dtype.kind in 'ui':
            lowest = lowest.clip(np.iinfo(dtype).min, np.iinfo(dtype).max)
        return lowest.astype(dtype)

    @property
    def beyond(self) -> np.ndarray:
        """The values of what lies beyond an image, `[bands]`, as training pads: those of a pixel
        without data, but 0 of 8 bits, whose values are 0 to 255 whatever the limits are."""
        return np.zeros_like(self.empty) if self.dtype == 'uint8' else self.empty


class Files(NamedTuple):
    """Image files of the kind that the data set was read from, so that others can be read.

    Attributes:
      format: a key of `eojax.data.reading.file_formats.FORMATS`.
      bands: in the order in which the files hold them; empty where that is the raster's order.
      size: height and width that every file has, in pixels; None where they vary.
      dtype: of the values in files that may be of several types; else empty.
      lowest: of each band of the raster what a pixel without data gets; empty where none lacks it.
      nodata: the value that stands for no data although the files do not say so; None for none.
    """

    format: str = '8-bit'
    bands: tuple[str, ...] = ()
    size: int | None = None
    dtype: str = ''
    lowest: tuple[float, ...] = ()
    nodata: float | None = None


class Facts(NamedTuple):
    """All that is known of a data set without reading it.

    Attributes:
      name: of the data set in configs.
      title: for people.
      class_names: one for each class, in the order of their numbers.
      rasters: what is measured, by name; `images` is among them.
      label: one of `LABELS`.
      class_colours: of maps, `#rrggbb` by class name; those that are missing are chosen.
      group_names: of the groups of places by their numbers (cities); empty where they have none.
      metres: the side of a pixel on the ground, as the network sees it; None where it is unknown.
      size: height and width of every place in pixels; None where places differ.
      files: of the images; None for a data set that is not read from image files.
      licence, citation, homepage: for people.
    """

    name: str = ''
    title: str = ''
    class_names: tuple[str, ...] = ()
    rasters: Mapping[str, Raster] = {IMAGES: Raster()}
    label: str = 'image'
    class_colours: Mapping[str, str] = {}
    group_names: tuple[str, ...] = ()
    metres: float | None = None
    size: tuple[int, int] | None = None
    files: Files | None = None
    licence: str = ''
    citation: str = ''
    homepage: str = ''

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def images(self) -> Raster:
        """The raster that every data set has."""
        return self.rasters[IMAGES]

    def stored(self, entry: str) -> Raster:
        """The kind of an entry that a source reads; of labels and masks, one without bands.

        Args:
          entry: a raster, `labels`, or the mask of a raster (`valid_of`).
        """
        if entry == PIXEL_LABELS:
            return Raster((), 'uint8')
        if entry.startswith(_VALID):
            return Raster((), 'bool', scale=self.rasters[entry.removeprefix(_VALID)].scale)
        return self.rasters[entry]

    def shape(self, entry: str, height: int, width: int) -> tuple[int, ...]:
        """The shape of an entry (`stored`) of so many pixels: labels and masks have no bands."""
        stored = self.stored(entry)
        bands = (len(stored.bands),) if stored.bands else ()
        return (height // stored.scale, width // stored.scale, *bands)

    def masks(self, rasters: Iterable[str]) -> tuple[str, ...]:
        """The masks of those rasters whose pixels may be without data."""
        return tuple(valid_of(name) for name in rasters if self.rasters[name].missing)

    def without_missing(self) -> Facts:
        """The facts as if no pixel could be without data."""
        plain = {name: raster._replace(missing=False) for name, raster in self.rasters.items()}
        return self._replace(rasters=plain)

    @property
    def own_units(self) -> bool:
        """Whether values that are not 8-bit are as the user's own files store them."""
        files = self.files
        return self.name in _OWN or (files is not None and files.dtype not in ('', 'uint8'))

    @property
    def synthetic(self) -> bool:
        """Whether its images are drawn: what is learnt from them says little of real ones."""
        return self.name in DRAWN

    @property
    def trained_on(self) -> str:
        """The data set in words, for whoever sees what a model of it has made."""
        title = self.title or self.name or 'a data set without a title'
        return f'{title}: {DRAWN_TEXT}' if self.synthetic else title

    @property
    def extent_metres(self) -> float | None:
        """The side of an image on the ground; None where pixels or sizes are not known."""
        if self.metres is None or self.size is None:
            return None
        return self.metres * self.size[0]


def valid_of(raster: str) -> str:
    """The entry of a source that says which pixels of a raster hold data, bool `[h, w]`."""
    return _VALID + raster


def decibels_of(stored: np.ndarray, raster: Raster) -> np.ndarray:
    """The values of a raster whose files hold amplitudes or powers, in its type.

    Args:
      stored: `[..., bands]` as a file holds them, linear. What has no logarithm (0 and less) gets
        the lower limit, as whatever lies below it does.
      raster: with `decibels`.
    """
    values = stored.astype(np.float64)
    no_logarithm = values <= 0.0  # false of what is no number, which stays none
    logarithms = raster.decibels * np.log10(np.where(no_logarithm, 1.0, values))
    return np.where(no_logarithm, raster.empty, logarithms).astype(raster.dtype)


def is_mask(entry: str) -> bool:
    """Whether an entry of a source is the mask of a raster."""
    return entry.startswith(_VALID)


def to_json(facts: Facts) -> dict[str, Any]:
    """The facts as plain values that `from_json` takes."""
    plain = facts._asdict()
    plain['rasters'] = {name: _plain(raster) for name, raster in facts.rasters.items()}
    plain['class_colours'] = dict(facts.class_colours)
    plain['files'] = None if facts.files is None else _plain_files(facts.files)
    return plain


def from_json(plain: Mapping[str, Any]) -> Facts:
    """The facts that `to_json` wrote, out of JSON again.

    Raises:
      ValueError, TypeError, KeyError: it is not what `to_json` wrote.
    """
    rasters = {name: _raster(raster) for name, raster in plain['rasters'].items()}
    files = plain['files']
    facts = Facts(
        **{
            **plain,
            'class_names': tuple(plain['class_names']),
            'group_names': tuple(plain.get('group_names', ())),
            'rasters': rasters,
            'size': None if plain['size'] is None else _pair(plain['size']),
            'files': None if files is None else _files(files),
        }
    )
    if facts.label not in LABELS or IMAGES not in rasters:
        raise ValueError(f'label {facts.label!r}, rasters {", ".join(rasters)}')
    if isinstance(plain['class_names'], str) or len(set(facts.class_names)) < facts.num_classes:
        raise ValueError(f'class_names {plain["class_names"]!r}: a list of different names')
    if not isinstance(facts.class_colours, dict):
        raise TypeError(f'class_colours {facts.class_colours!r}: a colour by class name')
    if not isinstance(facts.metres, float | int | None) or (facts.metres or 1) <= 0:
        raise ValueError(f'metres {facts.metres!r}: a positive number or null')
    return facts


def _plain(raster: Raster) -> dict[str, Any]:
    plain = raster._asdict()
    # What was written before there were these stays as it is.
    return {k: v for k, v in plain.items() if v or k not in _LATER}


def _plain_files(files: Files) -> dict[str, Any]:
    plain = files._asdict()
    # What was written before there were these stays as it is.
    later = {key: plain.pop(key) for key in ('dtype', 'lowest', 'nodata')}
    return {**plain, **(later if files.dtype else {})}


def _files(plain: Mapping[str, Any]) -> Files:
    lowest = tuple(float(value) for value in plain.get('lowest', ()))
    return Files(**{**plain, 'bands': tuple(plain['bands']), 'lowest': lowest})


def _raster(plain: Mapping[str, Any]) -> Raster:
    limits = plain['limits']
    raster = Raster(
        tuple(plain['bands']),
        plain['dtype'],
        None if limits is None else tuple((float(low), float(high)) for low, high in limits),
        int(plain['scale']),
        bool(plain.get('missing', False)),
        float(plain.get('decibels', 0.0)),
        float(plain.get('unit_metres', 0.0)),
        bool(plain.get('surface', False)),
    )
    if not raster.bands or (raster.limits and len(raster.limits) != len(raster.bands)):
        raise ValueError(f'bands {raster.bands}, limits {raster.limits}')
    if raster.limits and any(not low < high for low, high in raster.limits):
        raise ValueError(f'limits {raster.limits}: the lower one first')
    if raster.decibels not in (0.0, AMPLITUDE, POWER):
        raise ValueError(f'decibels {raster.decibels}')
    if np.dtype(raster.dtype).kind not in 'uif' or raster.scale < 1:
        raise ValueError(f'dtype {raster.dtype!r}, scale {raster.scale}')
    return raster


def _pair(values: Any) -> tuple[int, int]:
    height, width = values
    return int(height), int(width)
