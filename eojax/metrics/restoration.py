"""How well missing pixels were repaired, and what classical methods make of them.

PSNR and SSIM (Wang et al., "Image Quality Assessment: From Error Visibility to Structural
Similarity", 2004) are taken over the repaired pixels alone: over whole images, the share of pixels
that were never missing would decide. The classical methods are biharmonic inpainting (Damelin and
Hoang, "On Surface Completion and Image Inpainting by Biharmonic Functions", 2018), of
scikit-image, and the median of the nearest known pixels.
"""

from __future__ import annotations

import numpy as np

_SSIM_WINDOW = 7  # scikit-image's own


def psnr(repaired: np.ndarray, true: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio of the missing pixels of each image, in decibels.

    Args:
      repaired, true: `[num, height, width, bands]`, values 0 to 255, of any type.
      masks: bool `[num, height, width]`, true where missing; somewhere in each image.

    Returns:
      float64 `[num]`: `10 log10(255^2 / MSE)`; infinite where all is as it was.
    """
    squares = np.square(np.asarray(repaired, np.float64) - true).mean(-1)
    errors = (squares * masks).sum((1, 2)) / masks.sum((1, 2))
    with np.errstate(divide='ignore'):
        return 10.0 * np.log10(255.0**2 / errors)


def ssim(repaired: np.ndarray, true: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Structural similarity around the missing pixels of each image: float64 `[num]`.

    The mean over missing pixels and bands of the similarity of the 7 x 7 windows about them (a
    smaller odd window in smaller images).

    Args:
      repaired, true, masks: as in `psnr`.
    """
    from skimage.metrics import structural_similarity  # slow to import: only where it is used

    side = min(_SSIM_WINDOW, *true.shape[1:3])
    values = []
    for image, reference, mask in zip(repaired, true, masks, strict=True):
        _, full = structural_similarity(
            reference.astype(np.float64),
            image.astype(np.float64),
            win_size=side - (side % 2 == 0),
            data_range=255.0,
            channel_axis=-1,
            full=True,
        )
        values.append(full[mask].mean())
    return np.asarray(values)


def biharmonic(images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Missing pixels by biharmonic inpainting, as scikit-image does it; known ones untouched.

    Args:
      images: float32 `[num, height, width, bands]`; what stands at missing pixels is not read.
      masks: bool `[num, height, width]`, true where missing.
    """
    from skimage.restoration import inpaint_biharmonic  # slow to import: only where it is used

    repaired = images.copy()
    for image, mask in zip(repaired, masks, strict=True):
        if mask.any():
            empty = np.where(mask[..., None], np.float32(0.0), image)
            image[mask] = inpaint_biharmonic(empty, mask, channel_axis=-1)[mask]
    return repaired


def median_of_known(images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Missing pixels by the median of the known ones around them, band by band.

    The window about a pixel begins at 3 x 3 and grows until it holds a known pixel.

    Args:
      images, masks: as in `biharmonic`; some pixel of each image is known.
    """
    repaired = images.copy()
    for image, mask in zip(repaired, masks, strict=True):
        known = image.copy()
        for row, column in np.argwhere(mask):
            reach = 1
            while True:
                rows = slice(max(row - reach, 0), row + reach + 1)
                columns = slice(max(column - reach, 0), column + reach + 1)
                near = ~mask[rows, columns]
                if near.any():
                    break
                reach += 1
            image[row, column] = np.median(known[rows, columns][near], axis=0)
    return repaired
