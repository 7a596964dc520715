"""GeoTIFF files: values, band order, resampling, and what is refused by name."""

from __future__ import annotations

import functools
import zipfile
from typing import Any

import numpy as np
import pytest
import rasterio

from eojax.data.reading.geotiff import decode_geotiff
from eojax.errors import UserError
from tests.data.rasters import write_raster
from tests.data.sets.geotiff_archives import encode_geotiff
from tests.real_data import real_data

# rasterio warns where a file is without a place on Earth; the module's own filter is not pytest's.
pytestmark = pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')

BANDS = ('a', 'b', 'c', 'd')
decode = functools.partial(decode_geotiff, file_bands=BANDS, bands=BANDS)


def image(size: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**16, (size, size, 4), np.uint16)


@pytest.mark.parametrize(
    'options',
    [{}, {'interleave': 'band'}, {'compress': 'deflate'}, {'tiled': True, 'blockxsize': 16,
     'blockysize': 16}, {'crs': None, 'transform': None}],
)  # fmt: skip
def test_values_are_as_they_are_stored(options: dict[str, Any]) -> None:
    found = decode(encode_geotiff(image(), **options), 'x.tif')
    assert found.dtype == np.uint16
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, image())


@pytest.mark.parametrize(
    ('scale', 'offset', 'read'), [(1e-4, 0.0, True), (1e-4, -0.1, False), (2e-5, 0.0, False)]
)
def test_values_that_are_no_reflectance_times_10000_are_refused(
    scale, offset, read, tmp_path
) -> None:
    (tmp_path / 'x.tif').write_bytes(encode_geotiff(image()))
    with rasterio.open(tmp_path / 'x.tif', 'r+') as file:
        file.scales, file.offsets = (scale,) * 4, (offset,) * 4
    content = (tmp_path / 'x.tif').read_bytes()
    if read:
        np.testing.assert_array_equal(decode(content, 'x.tif'), image())
        return
    with pytest.raises(UserError, match=f'x.tif: bands with scale {scale:g} and offset {offset:g}'):
        decode(content, 'x.tif')


def test_bands_come_in_the_order_asked_for() -> None:
    found = decode(encode_geotiff(image()), 'x.tif', bands=('d', 'b'))
    np.testing.assert_array_equal(found, image()[..., [3, 1]])


def test_bands_of_another_order_are_read_by_their_names(tmp_path) -> None:
    path = write_raster(tmp_path / 'x.tif', image()[..., ::-1], BANDS[::-1])
    np.testing.assert_array_equal(decode(path.read_bytes(), 'x.tif'), image())
    # Other names, as publishers write them, say nothing of the order.
    path = write_raster(tmp_path / 'x.tif', image(), ('d', 'c', 'b', 'x'))
    np.testing.assert_array_equal(decode(path.read_bytes(), 'x.tif'), image())


@pytest.mark.parametrize(
    ('name', 'tags', 'said'),
    [
        ('x.tif', {'PROCESSING_BASELINE': '05.09'}, 'its tag PROCESSING_BASELINE=05.09'),
        ('x.tif', {'BOA_ADD_OFFSET': '-1000'}, 'its tag BOA_ADD_OFFSET=-1000'),
        ('S2A_MSIL1C_20230601T103631_N0509_R008_T32UPU_3.tif', {}, 'its name'),
    ],
)
def test_values_to_which_something_was_added_are_refused(tmp_path, name, tags, said) -> None:
    path = write_raster(tmp_path / name, image(), tags=tags)
    with pytest.raises(UserError, match=f'{said} says that 1000 was added to its values'):
        decode(path.read_bytes(), f'set.zip: River/{name}')
    old = write_raster(tmp_path / 'y.tif', image(), tags={'PROCESSING_BASELINE': '02.14'})
    np.testing.assert_array_equal(decode(old.read_bytes(), 'y.tif'), image())


def _overlaps(new: int, old: int) -> np.ndarray:
    """`[new, old]`: the share of each new pixel's ground that lies in each old one."""
    side, start = old / new, np.arange(new)[:, None] * old / new
    first, last = np.arange(old), np.arange(old) + 1
    return np.clip(np.minimum(start + side, last) - np.maximum(start, first), 0.0, None) / side


@pytest.mark.parametrize('size', [32, 16, 48, 63])
def test_smaller_images_are_means_over_the_ground(size: int) -> None:
    found = decode(encode_geotiff(image()), 'x.tif', resize=size)
    weights = _overlaps(size, 64)
    means = np.einsum('ih,hwc,jw->ijc', weights, image().astype(float), weights)
    assert found.shape == (size, size, 4)
    assert np.abs(found - means).max() < 0.501  # rounded


def test_larger_images_are_bilinear() -> None:
    ramp = np.broadcast_to(100 * np.arange(8, dtype=np.uint16)[:, None], (8, 8))[..., None]
    content = encode_geotiff(np.repeat(ramp, 4, axis=2))
    found = decode(content, 'x.tif', resize=16)
    # New centres lie a quarter of an old pixel beside the old ones; the border is held.
    expected = np.clip(100 * ((np.arange(16) + 0.5) / 2 - 0.5), 0, 700)
    np.testing.assert_allclose(found[:, 5, 2], expected, atol=0.5)


@pytest.mark.parametrize(
    ('content', 'options', 'message'),
    [
        (encode_geotiff(image())[:-1], {}, r'^x\.tif: broken or truncated GeoTIFF \(band \d: IRe'),
        (encode_geotiff(image())[:300], {}, r'^x\.tif: broken or truncated GeoTIFF'),
        (encode_geotiff(image())[:50], {}, r'^x\.tif: broken or truncated GeoTIFF'),
        (b'', {}, r'^x\.tif: an empty file'),
        (b'\x89PNG\r\n', {}, r'^x\.tif: not a GeoTIFF$'),
        (encode_geotiff(image()[..., :3]), {}, r'^x\.tif: 3 band\(s\); expected 4$'),
        (
            encode_geotiff(image().astype(np.float32)),
            {},
            r'^x\.tif: pixels of type float32; expected uint16$',
        ),
        (
            encode_geotiff(image()),
            {'size': 32},
            r'^x\.tif: 64x64 pixels; expected 32x32 \(remove',
        ),
    ],
)
def test_what_is_refused_is_named_in_one_line(
    content: bytes, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        decode(content, 'x.tif', **options)
    assert '\n' not in str(caught.value)


def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('eojax.data.reading.geotiff.MAX_DECODED_BYTES', 2 * 4 * 64 * 64 - 1)
    with pytest.raises(UserError, match=r'x\.tif: 64x64 pixels; larger than'):
        decode(encode_geotiff(image()), 'x.tif', resize=8)
    monkeypatch.setattr('eojax.data.reading.geotiff.MAX_DECODED_BYTES', 2 * 4 * 64 * 64)
    assert decode(encode_geotiff(image()), 'x.tif', resize=8).shape == (8, 8, 4)


def test_real_patch_is_not_four_bands() -> None:
    with zipfile.ZipFile(real_data('sentinel_patches.zip')) as archive:
        content = archive.read('EuroSAT_MS/SeaLake/SeaLake_3000.tif')
    with pytest.raises(UserError, match=r'13 band\(s\); expected 4'):
        decode(content, 'SeaLake_3000.tif')
