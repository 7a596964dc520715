"""A source of places whose rasters lie in files: images, GeoTIFF, JPEG 2000, in a folder or zip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eojax.data.columns import Names, name_at
from eojax.data.dataset import Window, check_window
from eojax.data.facts import IMAGES, PIXEL_LABELS, UNKNOWN, Raster, decibels_of, valid_of
from eojax.data.reading.scenes.validity import stands_in_all_bands
from eojax.data.sources import raster_windows, whole_images
from eojax.data.sources.label_values import LabelValues
from eojax.data.sources.patterns import Pattern, place_values
from eojax.data.sources.raster_windows import Part, RasterWindows
from eojax.data.sources.whole_images import WholeImages
from eojax.errors import UserError

SUFFIXES = (*whole_images.SUFFIXES, *raster_windows.SUFFIXES)
# Of pictures, those that have no band of opacity.
_OPAQUE = ('.jpg', '.jpeg')
# Of the files of labels, which have no facts of their own.
_LABELS = Raster(('label',), '')


class Layer(NamedTuple):
    """The files of one raster of a place.

    Attributes:
      patterns: of its file, or of one file for each band.
      bands: names or numbers from 1 of the file's bands that are wanted, in that order; empty where
        these are all, and where each band has a file.
      values: of a file of labels, what they mean.
      optional: whether a place may be without the labels, so that all its pixels are unknown.
      any_type: whether files may hold values of any type, which become the raster's.
    """

    patterns: tuple[Pattern, ...]
    bands: tuple[str, ...] = ()
    values: LabelValues | None = None
    optional: bool = False
    any_type: bool = False


class FileSource:
    """Reads windows of files; see `eojax.data.dataset.Source`.

    Pixels lack data as in scenes (`eojax.data.reading.scenes.validity`), but that
    a file which says nothing lacks none. Bands in files of their own are taken as those of one
    file. Where a picture has a band of opacity that is not among those that are wanted, transparent
    pixels are without data.

    Pixels without data in a raster that is not of labels hold the lowest of its limits, or 0 where
    it has none; where that is in `images`, the pixel's label is unknown.

    Of a raster with `decibels`, files hold amplitudes or powers of any type, and decibels are read.
    """

    def __init__(
        self,
        root: Path,
        names: Names,
        fields: Sequence[str],
        sizes: tuple[np.ndarray, np.ndarray],
        layers: Mapping[str, Layer],
        rasters: Mapping[str, Raster],
        lacking: np.ndarray | None = None,
        spare: int = 0,
    ) -> None:
        """Reads nothing yet.

        Args:
          root: folder or zip archive.
          names: of the places, the values of their fields (`eojax.data.sources.patterns`).
          fields: the names of the fields.
          sizes: heights and widths of the places.
          layers: the files of each raster, and of `labels`.
          rasters: the facts of each, without `labels`.
          lacking: bool `[num]`, which places have no file of labels; None where all have one.
          spare: how many pixels a file may have more than its place along each axis; they are left.
        """
        self._root, self._names, self._fields = root, names, tuple(fields)
        self._sizes, self._layers, self._rasters = sizes, dict(layers), dict(rasters)
        self._lacking, self._spare = lacking, spare
        self._windows, self._images = RasterWindows(root), WholeImages(root)
        # By raster and pattern, a file with its scale and offset, which all must share, and the
        # names of its bands.
        self._lines: dict[tuple[str, str], tuple[str, raster_windows.Line, tuple[str, ...]]] = {}

    def read(
        self, place: int, window: Window | None, rasters: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """See `Source.read`."""
        height, width = (int(column[place]) for column in self._sizes)
        name = name_at(self._names, place)
        window = Window(0, 0, height, width) if window is None else window
        check_window(window, (height, width), f'{self._root}: {name}')
        values = place_values(self._fields, name)
        read: dict[str, np.ndarray] = {}
        parts = {}
        for raster, facts in self._rasters.items():
            if raster in rasters or valid_of(raster) in rasters:
                part = self._part(raster, facts, values, window, (height, width))
                parts[raster] = part
                read[raster] = _filled(part, facts)
                read[valid_of(raster)] = _valid(part)
        if PIXEL_LABELS in rasters:
            read[PIXEL_LABELS] = self._labels(place, values, window, parts.get(IMAGES))
        return {raster: read[raster] for raster in rasters}

    def subset(self, indices: np.ndarray) -> FileSource:
        """See `Source.subset`."""
        names = self._names
        chosen = FileSource(
            self._root,
            names[indices] if isinstance(names, np.ndarray) else tuple(names[i] for i in indices),
            self._fields,
            (self._sizes[0][indices], self._sizes[1][indices]),
            self._layers,
            self._rasters,
            None if self._lacking is None else self._lacking[indices],
            self._spare,
        )
        chosen._lines = dict(self._lines)
        return chosen

    def _labels(
        self, place: int, values: Mapping[str, str], window: Window, images: Part | None
    ) -> np.ndarray:
        """The classes of a window's pixels; `images` are those, where they were read."""
        layer = self._layers[PIXEL_LABELS]
        if self._lacking is not None and self._lacking[place]:
            return np.full((window.height, window.width), UNKNOWN, np.uint8)
        if layer.values is None:
            raise ValueError('files of labels need a table of their values')
        size = (int(self._sizes[0][place]), int(self._sizes[1][place]))
        file = layer.patterns[0].fill(values)
        stored = self._part(PIXEL_LABELS, _LABELS, values, window, size)
        if stored.valid is not None:
            # Whatever lies there, it is no label.
            stored.pixels[~stored.valid] = layer.values.blank()
        corner = (window.row, window.column)
        labels = layer.values.apply(stored.pixels, f'{self._root}: {file}', corner)
        valid = self._valid_images(values, window, size, images)
        for mask in (stored.valid, valid):
            labels = labels if mask is None else np.where(mask, labels, np.uint8(UNKNOWN))
        return labels

    def _valid_images(
        self,
        values: Mapping[str, str],
        window: Window,
        size: tuple[int, int],
        images: Part | None,
    ) -> np.ndarray | None:
        """Which pixels of a window hold data in `images`; None where all do."""
        facts = self._rasters[IMAGES]
        if images is None:
            if not self.may_miss(IMAGES, values):
                return None
            images = self._part(IMAGES, facts, values, window, size)
        valid = images.valid
        if valid is None or facts.scale == 1:
            return valid
        return valid.repeat(facts.scale, 0).repeat(facts.scale, 1)

    def _part(
        self,
        raster: str,
        facts: Raster,
        values: Mapping[str, str],
        window: Window,
        size: tuple[int, int],
    ) -> Part:
        """A window of one raster as its files hold it, the band of each file one after the other.

        Args:
          window: in pixels of the place.
          size: of the place.
        """
        layer, scale = self._layers[raster], facts.scale
        scaled = Window(*(length // scale for length in window))
        if any(length % scale for length in window):
            raise ValueError(f'{window} is not a multiple of the scale {scale} of {raster}')
        parts, together = [], []
        converted = layer.any_type or facts.decibels != 0.0
        dtype = None if converted or not facts.dtype else facts.dtype
        for pattern in layer.patterns:
            file = pattern.fill(values)
            self._check_line(raster, pattern, file)
            expected = (size[0] / scale, size[1] / scale)
            together.append(self._by_all_bands(file))
            part = self._read(file, scaled, expected, layer, dtype)
            floats = raster == IMAGES and layer.any_type and not facts.decibels
            if floats and part.pixels.dtype.kind != 'f':
                # Of images, numbers of another kind are in other units.
                raise UserError(
                    f'{self._root}: {file}: pixels of type {part.pixels.dtype}; expected floats, as'
                    ' the first image has: bring all images to one type, in the same units'
                )
            parts.append(_in_type(part, facts) if converted else part)
            wanted = 1 if len(layer.patterns) > 1 else len(facts.bands)
            if facts.dtype and parts[-1].pixels.shape[-1] != wanted:
                raise UserError(
                    f'{self._root}: {file}: {parts[-1].pixels.shape[-1]} band(s); expected {wanted}'
                )
        if len(parts) == 1:
            return parts[0]
        pixels = np.concatenate([part.pixels for part in parts], -1)
        masks = [part.valid for part in parts if part.valid is not None]
        if all(together):
            valid = np.logical_or.reduce(masks) if len(masks) == len(parts) else None
            if pixels.dtype.kind == 'f':
                finite = np.isfinite(pixels).all(-1)
                valid = finite if valid is None else valid & finite
        else:
            valid = np.logical_and.reduce(masks) if masks else None
        return Part(pixels, valid)

    def _read(
        self,
        file: str,
        window: Window,
        size: tuple[float, float],
        layer: Layer,
        dtype: str | None,
    ) -> Part:
        """A window of one file, which must have this size and, unless it is None, this type."""
        title = f'{self._root}: {file}'
        if not file.lower().endswith(whole_images.SUFFIXES):
            _check_size(self._windows.size(file), size, title, self._spare)
            colours = layer.values is not None and layer.values.colours
            if layer.values is not None:
                layer.values.check_no_data(self._windows.no_data(file), title)
            part = self._windows.read(file, window, layer.bands, dtype)
            return part._replace(pixels=part.pixels[..., :3]) if colours else part
        palette = layer.values is not None and not layer.values.colours
        pixels = self._images.pixels(file, palette)
        _check_size(pixels.shape[:2], size, title, self._spare)
        if dtype is not None and pixels.dtype != dtype:
            raise UserError(f'{title}: pixels of type {pixels.dtype}; expected {dtype}')
        row, column, height, width = window
        cut = pixels[row : row + height, column : column + width]
        if layer.values is not None and layer.values.colours:
            cut = cut[..., :3]
        if not layer.bands:
            return Part(cut.copy(), None)
        numbers = whole_images.band_numbers(layer.bands, pixels.shape[-1], title)
        valid = None
        if layer.values is None and whole_images.hides(pixels.shape[-1], numbers):
            valid = cut[..., -1] > 0
        return Part(cut[..., numbers], None if valid is None or valid.all() else valid)

    def _check_line(self, raster: str, pattern: Pattern, file: str) -> None:
        """Refuses a file whose values have another scale or offset than those read before, or whose
        bands are the same by their names and in another order.

        Values are taken as stored, in training and in maps: they must mean the same in all files.
        """
        if raster == PIXEL_LABELS or file.lower().endswith(whole_images.SUFFIXES):
            return
        line, names = self._windows.line(file), self._windows.names(file)
        first, known, before = self._lines.setdefault((raster, pattern.text), (file, line, names))
        (here, _), (there, _) = line, known
        if len(here) != len(there):
            raise UserError(
                f'{self._root}: {file} has {len(here)} band(s), and {first} has {len(there)}: all'
                ' files of a raster need the same bands'
            )
        if known != line:
            raise UserError(
                f'{self._root}: {file} has bands of another scale or offset ({_line_text(line)})'
                f' than {first} ({_line_text(known)}): bring all files to the same first'
            )
        bands = self._layers[raster].bands
        by_order = not bands or any(band.isdigit() for band in bands)
        if by_order and names != before and sorted(names) == sorted(before):
            raise UserError(
                f'{self._root}: {file} has the bands {", ".join(names)}, and {first} has'
                f' {", ".join(before)}: bring all files to one order, or name the bands to take'
            )

    def _by_all_bands(self, file: str) -> bool:
        """Whether a pixel is without data only where all bands are: the value that stands for none
        may be measured in one of them."""
        if file.lower().endswith(whole_images.SUFFIXES):
            return False
        value = self._windows.no_data(file)
        return value is not None and stands_in_all_bands(value, self._windows.bands(file)[1])

    def _may_lack_data(self, file: str, bands: Sequence[str]) -> bool:
        if not file.lower().endswith(whole_images.SUFFIXES):
            return self._windows.may_lack_data(file, bands)
        if not bands or file.lower().endswith(_OPAQUE):
            return False
        count = self._images.num_bands(file)
        if not whole_images.hides(count, ()):
            return False
        numbers = whole_images.band_numbers(bands, count, f'{self._root}: {file}')
        return whole_images.hides(count, numbers)

    def may_miss(self, raster: str, values: Mapping[str, str]) -> bool:
        """Whether pixels of a raster of a place may be without data, by its files' headers.

        Args:
          values: of the place's fields.

        Raises:
          UserError: a file that cannot be read, by name.
        """
        layer = self._layers[raster]
        files = [pattern.fill(values) for pattern in layer.patterns]
        for pattern, file in zip(layer.patterns, files, strict=True):
            self._check_line(raster, pattern, file)
        return any(self._may_lack_data(file, layer.bands) for file in files)

    def size_of(self, file: str) -> tuple[int, int]:
        """Height and width of a file.

        Raises:
          UserError: it cannot be read, by name.
        """
        if file.lower().endswith(whole_images.SUFFIXES):
            return self._images.size(file)
        return self._windows.size(file)

    def bands_of(self, file: str) -> tuple[tuple[str, ...], str]:
        """The names of a file's bands, as far as it has any, and the type of its pixels.

        Raises:
          UserError: it cannot be read, by name, or its bands have different types.
        """
        if file.lower().endswith(whole_images.SUFFIXES):
            return self._images.bands(file)
        return self._windows.bands(file)

    def range_of(self, file: str, side: int) -> tuple[float, float]:
        """The lowest and highest value of all bands in a square in the middle of a file.

        Args:
          side: of the square, in pixels.

        Raises:
          UserError: it cannot be read, by name.
        """
        height, width = self.size_of(file)
        rows, columns = min(height, side), min(width, side)
        window = Window((height - rows) // 2, (width - columns) // 2, rows, columns)
        part = self._read(file, window, (height, width), Layer(()), None)
        pixels = part.pixels if part.valid is None else part.pixels[part.valid]
        return (float(pixels.min()), float(pixels.max())) if pixels.size else (0.0, 0.0)


def _in_type(part: Part, facts: Raster) -> Part:
    """A part of any real type in the raster's own, in decibels where the raster is."""
    if facts.decibels:
        return part._replace(pixels=decibels_of(part.pixels, facts))
    return part._replace(pixels=part.pixels.astype(facts.dtype))


def _check_size(
    held: tuple[int, ...], expected: tuple[float, float], title: str, spare: int
) -> None:
    if not all(0 <= has - wants <= spare for has, wants in zip(held, expected, strict=True)):
        raise UserError(
            f'{title}: {held[1]}x{held[0]} pixels; expected {expected[1]:g}x{expected[0]:g}, as its'
            ' place has'
        )


def _filled(part: Part, facts: Raster) -> np.ndarray:
    """The pixels, with the lowest of the limits where there is no data."""
    if part.valid is not None:
        part.pixels[~part.valid] = facts.empty
    return np.ascontiguousarray(part.pixels)


def _valid(part: Part) -> np.ndarray:
    return np.ones(part.pixels.shape[:2], bool) if part.valid is None else part.valid


def _line_text(line: raster_windows.Line) -> str:
    scales, offsets = (', '.join(f'{v:g}' for v in dict.fromkeys(values)) for values in line)
    return f'scale {scales}, offset {offsets}'
