"""Reads which pixels are missing from a file of `eojax.apps.restore.command --mask`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.transform import Affine

from eojax.data.reading.formats.encoded import read_encoded, without_opaque_alpha
from eojax.data.reading.raster import SUFFIXES
from eojax.data.reading.scenes.same_pixels import same_pixels
from eojax.errors import UserError

_MASK_BYTES = 2**28
_SAME = 0.01  # of a pixel: places that nowhere differ by more are the same
# How the formats start that keep every value: PNG, TIFF, GIF, BMP, PBM and PGM.
_LOSSLESS = (b'\x89PNG', b'II', b'MM', b'GIF8', b'BM', b'P1', b'P2', b'P4', b'P5')


def read_mask(path: Path, height: int, width: int) -> np.ndarray:
    """Which pixels are missing, bool `[height, width]`, from a PNG, TIFF, GIF, BMP or npy file.

    Of grey values, 1 bit and arrays, 0 is known and everything else is missing; of colours, also
    those of a palette, black is known and every other colour is missing. Transparency says
    nothing: some paint what is missing, and some erase it.

    Raises:
      UserError: not such a file, another size, transparent pixels, nothing or everything missing.
    """
    title = f'--mask={path}'
    try:
        if path.stat().st_size > _MASK_BYTES:
            raise UserError(f'{title}: larger than a mask can be')
        if path.suffix.lower() == '.npy':
            values = np.load(path, allow_pickle=False)
        else:
            values = _image_values(path.read_bytes(), title)
    except FileNotFoundError:
        raise UserError(f'{title}: no such file') from None
    except (OSError, ValueError) as error:
        reason = ' '.join(str(error).split())
        raise UserError(f'{title}: not a PNG, TIFF or npy file ({reason})') from None
    if values.dtype.kind == 'f' and np.isnan(values).any():
        raise UserError(f'{title}: holds NaN; 0 is known, and other numbers are missing')
    values = values if values.ndim != 3 else values.any(-1)
    if values.shape != (height, width):
        found = ' x '.join(map(str, values.shape))
        raise UserError(f'{title}: is {found} pixels; the images are {height} x {width}')
    mask = values != 0
    if mask.all() or not mask.any():
        said = 'everything' if mask.all() else 'nothing'
        raise UserError(
            f'{title}: {said} is missing; nonzero pixels are the missing ones, of colours all but'
            ' black'
        )
    return mask


def check_place(path: Path, scene: Path, transform: Affine) -> None:
    """Refuses the mask of a scene whose pixels lie elsewhere on Earth, as far as its file says.

    Args:
      scene: for messages.
      transform: of the scene.

    Raises:
      UserError: so it is.
    """
    if path.suffix.lower() not in SUFFIXES:
        return
    try:
        with rasterio.open(path) as file:
            crs, own, size = file.crs, file.transform, file.shape
    except RasterioError:
        return
    # Neither says anything without a system.
    if crs is None or own.is_identity or transform.is_identity:
        return
    if not same_pixels(own, transform, size[0], size[1], _SAME):
        raise UserError(
            f'--mask={path}: its pixels lie elsewhere than those of {scene}: bring it onto them'
            ' first (gdalwarp -t_srs ... -te ... -ts ..., or rio warp --like)'
        )


def _image_values(data: bytes, title: str) -> np.ndarray:
    """Values `[height, width, bands]` of an image that is opaque."""
    if data and not data.startswith(_LOSSLESS):
        raise UserError(f'{title}: not a PNG, TIFF or npy file; others may blur the mask')
    encoded = without_opaque_alpha(read_encoded(data, title, turn=False))
    if encoded.alpha:
        raise UserError(
            f'{title}: has transparent pixels, which some mean as missing and some as known: save'
            ' it without transparency, black where known and white where missing'
        )
    return encoded.pixels
