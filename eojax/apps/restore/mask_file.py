"""Reads which pixels are missing from a file of `eojax.apps.restore.command --mask`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from eojax.errors import UserError

_MASK_BYTES = 2**28


def read_mask(path: Path, height: int, width: int) -> np.ndarray:
    """Which pixels are missing, bool `[height, width]`, from a PNG, TIFF or npy file.

    Raises:
      UserError: not such a file, another size, nothing or everything missing.
    """
    try:
        if path.stat().st_size > _MASK_BYTES:
            raise UserError(f'--mask={path}: larger than a mask can be')
        if path.suffix.lower() == '.npy':
            values = np.load(path, allow_pickle=False)
        else:
            with Image.open(path, formats=('PNG', 'TIFF')) as file:
                values = np.asarray(file)
    except FileNotFoundError:
        raise UserError(f'--mask={path}: no such file') from None
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        reason = ' '.join(str(error).split())
        raise UserError(f'--mask={path}: not a PNG, TIFF or npy file ({reason})') from None
    values = values if values.ndim != 3 else values.any(-1)
    if values.shape != (height, width):
        found = ' x '.join(map(str, values.shape))
        raise UserError(f'--mask={path}: is {found} pixels; the images are {height} x {width}')
    mask = values != 0
    if mask.all() or not mask.any():
        said = 'everything' if mask.all() else 'nothing'
        raise UserError(f'--mask={path}: {said} is missing; nonzero pixels are the missing ones')
    return mask
