"""Image files of every kind: the values that they store, or the true reason in one line."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.io import MemoryFile

from eojax.data.reading.decode import decode_image
from eojax.data.reading.formats.encoded import read_encoded, size_of
from eojax.data.reading.image_folder import read_image_folder
from eojax.data.reading.raster import Raster
from eojax.errors import UserError
from tests.data.labelled_archives import encode, pixels, write_tree, write_zip

COLOURS = np.random.default_rng(0).integers(0, 256, (8, 12, 3)).astype(np.uint8)
GREY = COLOURS[..., 0]


def tiff(array: np.ndarray, driver: str = 'GTiff', **options: Any) -> bytes:
    """A file by GDAL of an array `[height, width, bands]`."""
    height, width, bands = array.shape
    with MemoryFile() as memory:
        with memory.open(
            driver=driver, height=height, width=width, count=bands, dtype=array.dtype, **options
        ) as file:
            file.write(np.moveaxis(array, -1, 0))
        return memory.read()


def pillow(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


DEEP = COLOURS.astype(np.uint16) * 257
PICTURE = Image.fromarray(COLOURS)
PALETTE = PICTURE.quantize(200)


@pytest.mark.parametrize('dtype', ['int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32'])
@pytest.mark.parametrize('bands', [1, 3])
def test_whole_numbers_keep_their_sign(dtype: str, bands: int) -> None:
    limits = np.iinfo(dtype)
    ends = [limits.min, limits.min + 1, 0, 1, limits.max - 1, limits.max]
    values = np.array(ends, dtype).reshape(2, 3, 1).repeat(bands, -1)
    pixels = read_encoded(tiff(values), 'x').pixels
    np.testing.assert_array_equal(pixels.astype(np.int64), values.astype(np.int64))


@pytest.mark.parametrize(
    'content',
    [
        tiff(DEEP, photometric='rgb'),
        tiff(DEEP, photometric='rgb', interleave='band'),
        tiff(DEEP),
        tiff(DEEP, 'PNG'),
        tiff(COLOURS, photometric='minisblack'),
        tiff(COLOURS, photometric='rgb', tiled=True, blockxsize=16, blockysize=16, BIGTIFF='YES'),
        tiff(COLOURS, photometric='rgb', interleave='band', compress='deflate'),
        tiff(COLOURS, compress='lerc'),
        pillow(PICTURE, 'WEBP', lossless=True),
        pillow(PICTURE, 'BMP'),
        pillow(PICTURE, 'PPM'),
        pillow(PICTURE, 'JPEG2000'),
        pillow(PICTURE.convert('RGBA'), 'PNG'),
        pillow(PICTURE.rotate(90, expand=True), 'PNG', exif=exif(6)),
        pillow(PICTURE.rotate(90, expand=True), 'TIFF', tiffinfo={274: 6}),
    ],
)
def test_colours_are_those_that_were_stored(content: bytes) -> None:
    np.testing.assert_array_equal(decode_image(content, 'x', size=(8, 12)), COLOURS)
    assert size_of(content, 'x') == (8, 12)


def test_one_band_is_grey_or_black_and_white() -> None:
    grey = Image.fromarray(GREY)
    for content in (
        pillow(grey, 'PNG'),
        pillow(grey.convert('LA'), 'PNG'),
        tiff(DEEP[..., :1]),
        tiff(DEEP[..., :1], 'PNG'),
    ):
        np.testing.assert_array_equal(decode_image(content, 'x', num_bands=1)[..., 0], GREY)
    black = pillow(Image.fromarray(GREY > 127), 'PNG')
    np.testing.assert_array_equal(
        decode_image(black, 'x', num_bands=1)[..., 0], np.where(GREY > 127, 255, 0)
    )


def test_a_palette_gives_its_colours_also_with_an_entry_that_no_pixel_has() -> None:
    expected = np.asarray(PALETTE.convert('RGB'))
    for content in (pillow(PALETTE, 'PNG'), pillow(PALETTE, 'PNG', transparency=250)):
        np.testing.assert_array_equal(decode_image(content, 'x'), expected)


@pytest.mark.parametrize('kind', ['PNG', 'WEBP', 'JPEG'])
def test_an_image_with_broken_metadata_is_read_as_it_is_stored(kind: str) -> None:
    file = io.BytesIO()
    options = {'lossless': True} if kind == 'WEBP' else {'quality': 100}
    image = np.full((6, 9, 3), 90, np.uint8)
    Image.fromarray(image).save(file, kind, exif=b'Exif\0\0garbage!!', **options)
    np.testing.assert_allclose(decode_image(file.getvalue(), 'a'), image, atol=2)


def test_the_order_of_bytes_changes_nothing() -> None:
    values = np.arange(24, dtype=np.uint16).reshape(4, 6) * 257
    for order in '<>':
        file = io.BytesIO()
        with MemoryFile() as memory:
            options = {'driver': 'GTiff', 'height': 4, 'width': 6, 'count': 1, 'dtype': 'uint16'}
            with memory.open(**options, ENDIANNESS='BIG' if order == '>' else 'LITTLE') as out:
                out.write(values, 1)
            file.write(memory.read())
        assert file.getvalue()[:2] == (b'MM' if order == '>' else b'II')
        decoded = decode_image(file.getvalue(), 'a.tif', num_bands=1)
        np.testing.assert_array_equal(decoded[..., 0], values // 257)


def test_four_bands_are_resampled_apart() -> None:
    # Near infrared in the place of an opacity must not weight the colours.
    four = np.zeros((8, 8, 4), np.uint8)
    four[:, ::2, :3], four[:, 1::2, 3] = 200, 255
    small = decode_image(tiff(four), 'x', num_bands=4, resize=4)
    np.testing.assert_allclose(small[:, 1:-1, :3], 100, atol=4)
    for band in range(4):
        alone = decode_image(encode(four[..., band]), 'x', num_bands=1, resize=4)
        np.testing.assert_array_equal(small[..., band], alone[..., 0])


def cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (tiff(COLOURS.astype(np.uint16) * 10, photometric='rgb'), r'type uint16, 0 to 2550; exp'),
        (tiff(COLOURS.astype(np.uint16) * 10, 'PNG'), r'type uint16, 0 to 2550; expected 8 bits'),
        (tiff(COLOURS.astype(np.uint16) * 10, interleave='band'), r'pixels of type uint16, 0 to'),
        (tiff(COLOURS.astype(np.float32)), r'pixels of type float32, 0 to 255; expected 8 bits'),
        (tiff(COLOURS.astype(np.int16)), r'pixels of type int16, 0 to 255; expected 8 bits'),
        (tiff(COLOURS[..., :2]), r'2 band\(s\); expected 3'),
        (tiff(np.repeat(COLOURS, 2, -1)), r'6 band\(s\); expected 3'),
        (pillow(PICTURE.convert('CMYK'), 'JPEG'), r'CMYK colours, for printing'),
        (pillow(PICTURE.convert('CMYK'), 'TIFF'), r'CMYK colours, for printing'),
        (pillow(PICTURE.convert('LAB'), 'TIFF'), r'CIELAB colours'),
        (pillow(PALETTE, 'PNG', transparency=0), r'has transparent pixels'),
        (tiff(np.dstack([COLOURS, GREY]), photometric='rgb', alpha='yes'), r'has transparent'),
        (pillow(PICTURE, 'TIFF', save_all=True, append_images=[PICTURE] * 2), r'holds 3 images'),
        (
            pillow(PICTURE, 'GIF', save_all=True, append_images=[PALETTE.rotate(180)]),
            r'holds 2 images',
        ),
        (b'P6 2 1 1023\n' + bytes(12), r'its values go to 1023'),
        (b'', r'an empty file \(0 bytes\)'),
        (bytes(600), r'only zero bytes'),
        (b' <!DOCTYPE html><html>not here</html>', r'a web page, no image'),
        (b'version https://git-lfs.github.com/spec/v1', r'git lfs pull'),
        (b'\0\0\0\x18ftypheic', r'a HEIC picture: save it as JPEG'),
        (cut(pillow(PICTURE, 'JPEG', progressive=True)), r'broken image \(image file is trunc'),
        (cut(tiff(DEEP, 'PNG')), r'broken image'),
        (cut(tiff(DEEP, photometric='rgb')), r'broken or truncated image'),
        (cut(pillow(PICTURE, 'JPEG2000')), r'broken or truncated image'),
    ],
)
def test_the_true_reason_in_one_line(content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=f'^x: .*{message}') as caught:
        decode_image(content, 'x')
    assert '\n' not in str(caught.value)


def test_overviews_and_masks_are_no_further_images(tmp_path: Path) -> None:
    path = tmp_path / 'x.tif'
    path.write_bytes(tiff(np.repeat(np.repeat(COLOURS, 8, 0), 8, 1), photometric='rgb'))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, 'r+') as file:
        file.build_overviews([2, 4])
        file.write_mask(True)
    np.testing.assert_array_equal(decode_image(path.read_bytes(), 'x')[::8, ::8], COLOURS)


@pytest.mark.parametrize(
    ('content', 'line'),
    [
        (pillow(PICTURE, 'TIFF', save_all=True, append_images=[PICTURE] * 2), 'holds 3 images'),
        (pillow(PICTURE.convert('CMYK'), 'TIFF'), 'CMYK colours, for printing'),
    ],
)
def test_scenes_are_one_image_in_rgb_or_grey(content: bytes, line: str, tmp_path: Path) -> None:
    path = tmp_path / 'scene.tif'
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf'scene\.tif: {line}'):
        Raster(path, ('red', 'green', 'blue'))


@pytest.mark.parametrize('write', [write_tree, write_zip])
def test_what_no_reader_takes_is_counted_and_named(
    write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = Image.fromarray(pixels(0, 8, 8))
    files = {
        'A/1.jfif': pillow(image, 'JPEG'),
        'A/2.webp': pillow(image, 'WEBP'),
        'A/3.PNG': pillow(image, 'PNG'),
        'A/4.heic': b'x',
        'A/5.heic': b'x',
        'A/notes.txt': b'x',
    }
    dataset = read_image_folder(write(tmp_path / 'set', files), progress=False)
    assert dataset.names == ('A/1.jfif', 'A/2.webp', 'A/3.PNG')
    line = capsys.readouterr().err
    assert '3 file(s) that no reader takes are left out: 2 .heic, 1 .txt (A/4.heic)' in line
