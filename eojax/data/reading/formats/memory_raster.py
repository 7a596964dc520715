"""GDAL's reading of files whose content is in memory."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import rasterio
from rasterio.enums import PhotometricInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, MemoryFile

from eojax.errors import UserError

DRIVERS = ('GTiff', 'PNG', 'JP2OpenJPEG')
CMYK, LAB = 'CMYK colours, for printing', 'CIELAB colours'
# GDAL makes colours of the first by a formula of its own.
_NOT_RGB = {
    PhotometricInterp.cmyk: CMYK,
    PhotometricInterp.cielab: LAB,
    PhotometricInterp.icclab: LAB,
    PhotometricInterp.itulab: LAB,
}

warnings.filterwarnings('ignore', category=NotGeoreferencedWarning)
# What goes wrong is raised as well.
logging.getLogger('rasterio').setLevel(logging.CRITICAL)


@contextmanager
def opened(
    data: bytes, name: str, drivers: tuple[str, ...] = DRIVERS, kind: str = 'image'
) -> Iterator[DatasetReader]:
    """An open file without its place on Earth, which would take two thirds of the time.

    Args:
      data: the content; not empty, of which rasterio would make a new file.
      name, kind: of the file, for messages.
      drivers: GDAL's names of the formats that are tried.

    Raises:
      UserError: broken or truncated, also while it is read; several images in one TIFF.
    """
    options = {'driver': list(drivers), 'GEOREF_SOURCES': 'NONE'}
    try:
        with rasterio.Env(), MemoryFile(data) as memory, memory.open(**options) as file:
            check_layout(file, name)
            yield file
    except UserError:
        raise
    except (RasterioError, OSError, ValueError) as error:
        # Without the name that the file has in memory.
        reason = re.sub(
            r'^[0-9a-f-]{36}\.\w+[:,] ', '', ' '.join(str(error.__cause__ or error).split())
        )
        raise UserError(f'{name}: broken or truncated {kind} ({reason})') from None


def check_layout(file: DatasetReader, name: str) -> None:
    """Refuses a TIFF of several images, of which GDAL would read the first, and no RGB or grey.

    Overviews and masks are no images.

    Raises:
      UserError: one line that says what to do.
    """
    if file.driver == 'GTiff' and len(file.subdatasets) > 1:
        raise UserError(
            f'{name}: holds {len(file.subdatasets)} images; an image file has one: write each to'
            ' its own file'
        )
    if file.photometric in _NOT_RGB:
        raise UserError(f'{name}: {_NOT_RGB[file.photometric]}; save it in RGB or grey')
