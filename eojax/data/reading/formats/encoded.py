"""Encoded images (JPEG, PNG, TIFF, ...) to the values that they store, or the reason why not.

The kind of a file is seen from its content, whatever it is called; no interpreter of any language
is ever behind one of `FORMATS`. Pillow reads nearly all of them. GDAL reads what Pillow would cut
to 8 bits in silence, or does not know: colours of 16 bits a band, TIFFs of any bands, JPEG 2000.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from rasterio.enums import ColorInterp

from eojax.data.reading.formats import memory_raster
from eojax.data.reading.formats.not_an_image import kind_of
from eojax.data.reading.formats.tiff_pages import count_pages
from eojax.errors import UserError

FORMATS = ('JPEG', 'PNG', 'TIFF', 'WEBP', 'GIF', 'BMP', 'DIB', 'AVIF', 'PPM')
_NO_KIND = 'not a JPEG, PNG or TIFF image, nor WebP, GIF, BMP, AVIF, PPM or JPEG 2000'
# Decoded; a larger one is a mistake or a decompression bomb.
MAX_DECODED_BYTES = 2**30

_JPEG_2000_MAGIC = (b'\0\0\0\x0cjP  ', b'\xff\x4f\xff\x51')
TIFF_MAGIC = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
_ORIENTATION, _UPRIGHT = 0x0112, (0, 1)
# Tags of TIFF.
_BITS, _SAMPLES, _SAMPLE_FORMAT = 258, 277, 339
_UNSIGNED, _SIGNED = 1, 2
# Of Pillow's modes, those whose values stand for colours and opacity.
_MODES = ('1', 'L', 'LA', 'RGB', 'RGBA', 'I;16', 'I;16B', 'I', 'F')
_COLOUR_SYSTEMS = {'CMYK': memory_raster.CMYK, 'LAB': memory_raster.LAB}


class Encoded(NamedTuple):
    """The values of an image.

    Attributes:
      pixels: `[height, width, bands]` as stored; bool for an image of 1 bit.
      alpha: whether the last band is the opacity, 0 where a pixel is transparent.
    """

    pixels: np.ndarray
    alpha: bool


def read_encoded(data: bytes, name: str, *, palette: bool = False, turn: bool = True) -> Encoded:
    """The values of an encoded image.

    Args:
      data: the content of the file.
      name: for messages.
      palette: whether an image with a palette is read as the numbers of its entries; else as their
        colours.
      turn: whether an image is turned upright as its EXIF orientation says; else one that would
        have to be is refused.

    Raises:
      UserError: broken, no image, several images, or colours that are neither grey nor RGB.
    """
    with _opened(data, name) as image:
        if image is None:
            return _by_gdal(data, name)
        if not turn:
            _check_upright(image, name)
        if image.format == 'TIFF' and _only_gdal_reads(image):
            _check_upright(image, name)
            return _by_gdal(data, name)
        if _is_deep_png(data, image):
            _check_upright(image, name)
            return _by_gdal(data, name)
        return _by_pillow(image, name, palette)


def size_of(data: bytes, name: str, *, turn: bool = True) -> tuple[int, int]:
    """Height and width of an image, of which no pixel is decoded.

    Raises:
      UserError: as `read_encoded`, as far as the start of the file shows it.
    """
    with _opened(data, name) as image:
        if image is None:
            with memory_raster.opened(data, name) as file:
                return file.height, file.width
        if not turn:
            _check_upright(image, name)
        width, height = image.size
        # Pillow has turned a TIFF's size already.
        lies = image.format != 'TIFF' and image.getexif().get(_ORIENTATION, 1) >= 5
        return (width, height) if lies else (height, width)


def most_bands(data: bytes, name: str) -> int:
    """How many bands `read_encoded` gives at most; no pixel is decoded.

    Raises:
      UserError: as `size_of`.
    """
    with _opened(data, name) as image:
        if image is None:
            with memory_raster.opened(data, name) as file:
                return file.count
        colours = 3 if image.mode in ('P', 'PA') else len(image.getbands())
        hidden = image.mode == 'PA' or 'transparency' in image.info
        return colours + (hidden and colours in (1, 3))


def without_opaque_alpha(encoded: Encoded) -> Encoded:
    """The image without its opacity where that is full everywhere; else all bands."""
    pixels = encoded.pixels
    if not encoded.alpha or (pixels[..., -1] != np.iinfo(pixels.dtype).max).any():
        return encoded
    return Encoded(pixels[..., :-1], False)


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[Image.Image | None]:
    """The image, its header read; None where GDAL is to read it. Errors become `UserError`."""
    try:
        if data.startswith(_JPEG_2000_MAGIC):
            yield None
            return
        try:
            image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
        except UnidentifiedImageError:
            if not data.startswith(TIFF_MAGIC):
                reason = kind_of(data) or _NO_KIND
                raise UserError(f'{name}: {reason}') from None
            yield None
            return
        with image:
            _check_one(data, image, name)
            yield image
    except UserError:
        raise
    except Exception as error:  # damaged content makes the decoders raise nearly anything
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise UserError(f'{name}: broken image ({reason})') from None


def _check_one(data: bytes, image: Image.Image, name: str) -> None:
    """Refuses several images in one file; overviews, masks and a camera's previews are none."""
    images = 1
    if image.format == 'TIFF':
        images = count_pages(data)
    elif image.format != 'MPO':
        images = getattr(image, 'n_frames', 1)
    if images > 1:
        raise UserError(
            f'{name}: holds {images} images; an image file has one: write each to its own file'
        )


def _check_upright(image: Image.Image, name: str) -> None:
    turned = image.getexif().get(_ORIENTATION, 1)
    if turned not in _UPRIGHT:
        raise UserError(
            f'{name}: its EXIF orientation is {turned}, so that viewers turn it and others do not:'
            ' write it upright, with orientation 1'
        )


def _only_gdal_reads(image: Image.Image) -> bool:
    """Whether Pillow cuts a TIFF's values to 8 bits, takes signed ones for unsigned or the other
    way round, leaves bands out, or lacks the decoder."""
    tags = image.tag_v2  # type: ignore[attr-defined]
    samples, bits = tags.get(_SAMPLES, 1), max(tags.get(_BITS, (1,)))
    kind = max(tags.get(_SAMPLE_FORMAT, (_UNSIGNED,)))
    return (
        (samples > 1 and bits > 8)
        or (kind, bits) in ((_SIGNED, 8), (_UNSIGNED, 32))
        or samples != len(image.getbands())
        or image.mode == 'RGBX'  # an extra band of no stated meaning
        or image.info.get('compression') == 'webp'
    )


def _is_deep_png(data: bytes, image: Image.Image) -> bool:
    """Whether a PNG has 16 bits a band, of which Pillow keeps 8 where there are several bands."""
    return image.format == 'PNG' and data[24] == 16


def _by_pillow(image: Image.Image, name: str, palette: bool) -> Encoded:
    if image.format == 'PPM':
        _check_ppm(image, name)
    image.load()
    if image.format != 'TIFF':  # a TIFF was turned when it was loaded
        # Of metadata that cannot be read nobody knows a turn: the image stays as it is stored.
        with suppress(Exception):
            ImageOps.exif_transpose(image, in_place=True)
    if image.mode == 'P' and palette:
        return Encoded(np.asarray(image)[..., None], False)
    transparent = image.mode == 'PA' or 'transparency' in image.info
    if image.mode in ('P', 'PA') or (transparent and image.mode in ('1', 'L', 'RGB')):
        grey = image.mode in ('1', 'L')
        image = image.convert('LA' if grey else 'RGBA' if transparent else 'RGB')
    if image.mode not in _MODES:
        what = _COLOUR_SYSTEMS.get(image.mode, f'pixels of type {image.mode!r}')
        raise UserError(f'{name}: {what}; save it in RGB or grey')
    pixels = np.asarray(image)
    pixels = pixels.astype(pixels.dtype.newbyteorder('='), copy=False)
    encoded = Encoded(pixels.reshape(*pixels.shape[:2], -1), image.mode in ('LA', 'RGBA'))
    # A palette may well hold a transparent entry that no pixel has.
    return without_opaque_alpha(encoded) if transparent else encoded


def _check_ppm(image: Image.Image, name: str) -> None:
    """Refuses a PPM of other than 8 bits, which Pillow would bring to 8."""
    tiles = image.tile  # type: ignore[attr-defined]
    arguments = tiles[0][3] if tiles else ()
    most = arguments[1] if isinstance(arguments, tuple) and len(arguments) == 2 else 0
    if isinstance(most, int) and most not in (0, 255):
        raise UserError(f'{name}: its values go to {most}; of PPM files those to 255 are read')


def _by_gdal(data: bytes, name: str) -> Encoded:
    with memory_raster.opened(data, name) as file:
        if len(set(file.dtypes)) > 1:
            raise UserError(f'{name}: bands of the types {", ".join(sorted(set(file.dtypes)))}')
        if file.count * file.width * file.height > MAX_DECODED_BYTES:
            raise UserError(f'{name}: {file.width}x{file.height} pixels are too many')
        pixels = np.ascontiguousarray(np.moveaxis(file.read(), 0, -1))
        return Encoded(pixels, file.count > 1 and file.colorinterp[-1] is ColorInterp.alpha)
