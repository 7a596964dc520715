"""One image of any kind, as a trained network is to see it.

A file of the kind that the run was trained on is decoded as its training images were. A GeoTIFF of
another kind (16 bits for a run of 8-bit pictures, more bands, other names; of Sentinel-2, another
level, or something that was added to its values, as its name or tags say) is read by the rules of
scenes (`eojax.data.reading.raster`): bands by their names, values as reflectance or as the user
says.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from eojax.data.facts import Facts
from eojax.data.reading.file_formats import format_of
from eojax.data.reading.formats.encoded import TIFF_MAGIC, size_of
from eojax.data.reading.own.decode import resampled, valid_pixels
from eojax.data.reading.own.kind import opened
from eojax.data.reading.raster import DEFAULT_READING, Raster, Reading
from eojax.data.reading.scenes.band_names import find_bands
from eojax.data.reading.scenes.evidence import stated_level, stated_offset
from eojax.data.reading.scenes.footprint import Footprint, footprint_of
from eojax.data.reading.scenes.ground import find_ground
from eojax.data.reading.sentinel2 import Level
from eojax.errors import UserError

# Of the ground that training images show: an image that shows more or less than so many times it
# is said to.
_MUCH_MORE, _MUCH_LESS = 1.5, 1 / 1.5


class ReadImage(NamedTuple):
    """An image as the network takes it.

    Attributes:
      pixels: `[height, width, bands]`, of the data set's type and units; pixels without data are
        the lowest value of each band.
      missing: the share of its pixels that hold no data.
      footprint: the ground that it shows; None where it does not say.
      how: what its values were taken for, in words; empty where it was read as training images are.
      notes: what the user should know, a line each, without the file's name.
    """

    pixels: np.ndarray
    missing: float = 0.0
    footprint: Footprint | None = None
    how: str = ''
    notes: tuple[str, ...] = ()


class ImageReader(NamedTuple):
    """Reads images for a run; threads may share it.

    Attributes:
      facts: of the run's data set.
      side: of the network's input in pixels; None for a network that takes any size.
      reading: how GeoTIFFs are read.
      resize: whether images of another size than those of training are resampled.
    """

    facts: Facts
    side: int | None
    reading: Reading = DEFAULT_READING
    resize: bool = False

    def read(self, data: bytes, title: str) -> ReadImage:
        """The image of a file.

        Args:
          data: its content.
          title: its name, for messages.

        Raises:
          UserError: it is broken, has other bands, another size, or values whose meaning has to be
            said; one line that begins with the title.
        """
        if not data.startswith(TIFF_MAGIC):
            return ReadImage(self._decoded(data, title, size_of(data, title)))
        with opened(data, title) as file:
            image = ReadImage(np.zeros(0), footprint=footprint_of(file), notes=self._ground(file))
            if self._is_like_training(file, title):
                pixels = self._decoded(data, title, size_of(data, title))
                return image._replace(pixels=pixels, missing=self._missing(file))
        return self._as_scene(data, title, image)

    def _is_like_training(self, file: DatasetReader, title: str) -> bool:
        """Whether a TIFF has the bands and the type of the run's own files."""
        if self.reading != DEFAULT_READING or self._means_otherwise(file, title):
            return False
        files, images = self.facts.files, self.facts.images
        names = images.bands if files is None or not files.bands else files.bands
        dtype = 'uint8' if files is None or files.format == '8-bit' else images.dtype
        alpha = file.colorinterp[-1] is ColorInterp.alpha and file.count == len(names) + 1
        if file.count - alpha != len(names) or set(file.dtypes) != {dtype}:
            return False
        indexes, _ = find_bands(title, file.descriptions, file.colorinterp, names)
        return indexes == list(range(1, len(names) + 1))

    def _means_otherwise(self, file: DatasetReader, title: str) -> bool:
        """Whether a file of Sentinel-2 says of its values what was not so in training."""
        files, images = self.facts.files, self.facts.images
        if files is None or files.format != 'geotiff':
            return False
        added, _ = stated_offset(title, file.tags())
        level = stated_level(title, file.tags())
        return bool(added) or level not in (None, Level.L2A if images.surface else Level.L1C)

    def _missing(self, file: DatasetReader) -> float:
        """The share of pixels without data of a file that is read as training images are."""
        files, bands = self.facts.files, self.facts.images.bands
        names = bands if files is None or not files.bands else files.bands
        nodata = None if files is None else files.nodata
        masked = any(MaskFlags.all_valid not in flags for flags in file.mask_flag_enums)
        if not masked and nodata is None and np.dtype(file.dtypes[0]).kind != 'f':
            return 0.0
        indexes = [names.index(band) + 1 for band in bands]
        return float(1.0 - valid_pixels(file, indexes, file.read(indexes), nodata).mean())

    def _decoded(self, data: bytes, title: str, size: tuple[int, int]) -> np.ndarray:
        resize = self._resampled_to(size, title)
        decode = format_of(self.facts.files).decode
        return decode(data, title, bands=self.facts.images.bands, size=None, resize=resize)

    def _as_scene(self, data: bytes, title: str, image: ReadImage) -> ReadImage:
        facts, images = self.facts, self.facts.images
        with Raster(
            title,
            images.bands,
            images.limits,
            self.reading,
            images.dtype,
            facts.own_units,
            data,
            images.decibels,
            images.surface,
        ) as scene:
            resize = self._resampled_to((scene.height, scene.width), title)
            part = scene.read(0, 0, scene.height, scene.width)
            notes = (*image.notes, *(note.removeprefix(f'{title}: ') for note in scene.notes))
            how = scene.scale_text
        if not part.valid.any():
            raise UserError(f'{title}: no pixel of it holds data')
        pixels = part.pixels
        # 8-bit values are 0 to 255 whatever the limits are.
        eight_bits = pixels.dtype == np.uint8
        empty = np.zeros(len(images.bands), np.uint8) if eight_bits else images.empty
        pixels[~part.valid] = empty
        pixels, _ = resampled(pixels, part.valid, resize, empty)
        return image._replace(
            pixels=pixels, missing=float(1.0 - part.valid.mean()), how=how, notes=notes
        )

    def _resampled_to(self, size: tuple[int, int], title: str) -> int | None:
        """The side to resample an image to; None where it is as it should be.

        Raises:
          UserError: another size than that of training, and nobody asked for other ones.
        """
        if self.side is None:
            return None
        files = self.facts.files
        # Files of any size were resampled in training too.
        any_size = files is not None and files.size is None
        expected = self.side if files is None or files.size is None else files.size
        if not (self.resize or any_size or size == (expected, expected)):
            raise UserError(
                f'{title}: {size[1]}x{size[0]} pixels; the run was trained on images of'
                f' {expected}x{expected}: --resize resamples others, and eojax map takes scenes'
            )
        return None if size == (self.side, self.side) else self.side

    def _ground(self, file: DatasetReader) -> tuple[str, ...]:
        """A note where an image shows much more, or less, ground than training images do."""
        extent = self.facts.extent_metres
        if self.side is None or extent is None or file.crs is None:
            return ()
        ground = find_ground(file.crs, file.transform, file.height, file.width)
        if ground is None:
            return ()
        shown = float(np.sqrt(ground.centre * file.height * file.width))
        if _MUCH_LESS < shown / extent < _MUCH_MORE:
            return ()
        return (
            f'shows {shown:,.0f} m of ground, and training images {extent:,.0f} m: what it shows'
            ' looks smaller or larger than the network has learnt',
        )
