"""`.SAFE` products: found, read with their own scale and offset once, and refused where mixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eojax.data.reading.bands.files import find_scenes, open_band_files
from eojax.data.reading.bands.product import Metadata, parse_metadata
from eojax.data.reading.raster import Raster, Reading
from eojax.data.reading.scene_paths import name_of, scenes_at
from eojax.data.reading.sentinel2 import Level, to_level_1c
from eojax.errors import UserError
from tests.data.band_files import (
    BANDS,
    PRODUCT,
    drawn_bands,
    metadata_xml,
    write_bands,
    write_safe,
)
from tests.data.rasters import surface, write_raster

NEW = 'S2A_MSIL2A_20230223T033741_N0509_R061_T48QUE_20230223T081136'
TOP = 'S2A_MSIL1C_20230223T033741_N0509_R061_T48QUE_20230223T081136'
RGB = ('red', 'green', 'blue')


def bands_of_land(side: int = 120) -> dict[str, np.ndarray]:
    """Forest and soil in the visible bands at 10 m, and two others."""
    values = np.rint(surface(side, side) * 10_000.0).clip(20, None).astype(np.uint16)
    drawn = drawn_bands(side, bands=('B05', 'B11'))
    return {'B02': values[..., 2], 'B03': values[..., 1], 'B04': values[..., 0], **drawn}


def pixels(path: Path, bands: tuple[str, ...] = RGB, **reading: object) -> np.ndarray:
    with Raster(path, bands, None, Reading(**reading)) as raster:  # type: ignore[arg-type]
        return raster.read(0, 0, raster.height, raster.width).pixels


@pytest.mark.parametrize('archive', [False, True], ids=['folder', 'zip'])
def test_a_product_is_seen_as_its_geotiff_is(tmp_path: Path, archive: bool) -> None:
    land = bands_of_land()
    product = write_safe(tmp_path, land, archive=archive)
    stacked = np.stack([land[band] for band in ('B04', 'B03', 'B02')], -1)
    tiff = write_raster(tmp_path / f'{PRODUCT}.tif', stacked, ('B04', 'B03', 'B02'))
    np.testing.assert_array_equal(pixels(product), pixels(tiff))
    with Raster(product, RGB) as raster:
        assert raster.name == PRODUCT
        assert (raster.height, raster.width) == (120, 120)
        assert raster.pixel_metres() == pytest.approx(10.0, rel=1e-2)
        assert raster.scale_text.startswith('Sentinel-2 level 2A (by its name)')
        assert not raster.notes


@pytest.mark.parametrize('name', [NEW, TOP], ids=['2A', '1C'])
def test_what_a_processing_added_is_taken_off_once(tmp_path: Path, name: str) -> None:
    land = bands_of_land()
    old = write_safe(tmp_path / 'old', land, name.replace('N0509', 'N0301'))
    new = write_safe(tmp_path / 'new', land, name, added=1000.0)
    difference = np.abs(pixels(old).astype(int) - pixels(new).astype(int))
    assert difference.max() <= 1  # of rounding: one of the two went through scale and offset
    assert (difference == 0).mean() > 0.99
    with Raster(new, RGB) as raster:
        assert raster.scale_text.count('offset') == 1, raster.scale_text
    # The name alone says the same where there is no metadata.
    bare = write_safe(tmp_path / 'bare', land, name, added=1000.0, metadata=False)
    np.testing.assert_array_equal(pixels(bare), pixels(old))


def test_another_quantification_is_applied(tmp_path: Path) -> None:
    land = bands_of_land()
    halved = {band: (values // 2).astype(np.uint16) for band, values in land.items()}
    whole = {band: (values * 2).astype(np.uint16) for band, values in halved.items()}
    found = pixels(write_safe(tmp_path / 'a', halved, quantification=5_000))
    expected = pixels(write_safe(tmp_path / 'b', whole))
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1


def test_a_granule_and_its_folder_of_images_are_the_same_product(tmp_path: Path) -> None:
    product = write_safe(tmp_path, bands_of_land(), NEW, added=1000.0)
    granule = next((product / 'GRANULE').iterdir())
    for path in (granule, granule / 'IMG_DATA'):
        found = open_band_files(path)
        assert found.metadata is not None
        assert (found.metadata.baseline, found.name) == ('05.09', NEW)
        np.testing.assert_array_equal(pixels(path), pixels(product))


def test_products_of_a_folder_are_found_and_named(tmp_path: Path) -> None:
    land = bands_of_land(60)
    first = write_safe(tmp_path, land)
    second = write_safe(tmp_path, land, NEW, added=1000.0, archive=True)
    assert scenes_at(tmp_path, '--scene') == [second / f'{NEW}.SAFE', first]
    assert [name_of(one, tmp_path) for one in (first, second)] == [PRODUCT, NEW]
    cities = tmp_path / 'cities'
    for city in ('beirut', 'rio'):
        write_bands(cities / city / 'imgs_1_rect', land)
    found = scenes_at(cities, '--scene')
    assert [name_of(one, cities) for one in found] == ['beirut_imgs_1_rect', 'rio_imgs_1_rect']
    assert scenes_at(found[0], '--scene') == [found[0]]
    with pytest.raises(UserError, match=r'--scene=.*none: no such file or folder'):
        scenes_at(tmp_path / 'none', '--scene')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match=r'no GeoTIFF \(.*\), no \.SAFE product, and no bands'):
        scenes_at(tmp_path / 'empty', '--scene')


def test_two_granules_are_two_scenes(tmp_path: Path) -> None:
    product = write_safe(tmp_path, bands_of_land(60))
    granule = next((product / 'GRANULE').iterdir())
    granule.rename(granule.with_name('L2A_T48QUE_A'))
    other = tmp_path / 'other'
    moved = write_safe(other, bands_of_land(60))
    next((moved / 'GRANULE').iterdir()).rename(product / 'GRANULE' / 'L2A_T48QUF_A')
    assert len(find_scenes(product)) == 2
    with pytest.raises(UserError, match='holds the bands of 2 scenes'):
        open_band_files(product)


def test_metadata_say_what_values_mean() -> None:
    data = metadata_xml('05.09', True, 1000.0).encode()
    found = parse_metadata(data, 'MTD.xml', NEW)
    assert found == Metadata(Level.L2A, '05.09', 10_000.0, dict.fromkeys(BANDS, 1000.0))
    old = parse_metadata(metadata_xml('02.14', False).encode(), 'MTD.xml', '')
    assert old == Metadata(Level.L1C, '02.14', 10_000.0, {})


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (metadata_xml('04.00', True, 1000.0), 'is of processing baseline 04.00, and the product'),
        (metadata_xml('05.09', False, 1000.0), 'is of level L1C|is of level 1C'),
        (metadata_xml('05.09', True), 'does not say how much'),
        (metadata_xml('05.09', True, 1000.0).replace('>10000<', '>none<'), "'none', no number"),
        ('<a/>', 'says no QUANTIFICATION_VALUE'),
        ('<a>', 'no XML that can be read'),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', 'declares entities'),
    ],
)
def test_metadata_that_contradict_are_refused_in_a_line(data: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        parse_metadata(data.encode(), 'MTD_MSIL2A.xml', NEW)
    assert '\n' not in str(caught.value)
    mixed = metadata_xml('02.14', True, 1000.0).encode()
    with pytest.raises(UserError, match='adds nothing to its values, but says -1000'):
        parse_metadata(mixed, 'MTD_MSIL2A.xml', '')


def test_a_product_of_two_levels_is_refused(tmp_path: Path) -> None:
    product = write_safe(tmp_path, bands_of_land(60))
    (product / 'MTD_MSIL1C.xml').write_text(metadata_xml('02.14', False))
    with pytest.raises(UserError, match='has the metadata of 2 products'):
        open_band_files(product)


def test_a_run_whose_bands_a_product_lacks_is_told(tmp_path: Path) -> None:
    product = write_safe(tmp_path, bands_of_land(60))
    with pytest.raises(UserError, match=r'has bands 1 B02, .*; the run was trained on B04, B12'):
        Raster(product, ('B04', 'B12'), ((0.0, 1.0),) * 2)


@pytest.mark.parametrize('name', [PRODUCT, NEW], ids=['before 2022', 'since'])
def test_a_run_of_surface_reflectance_sees_it_as_it_is(tmp_path: Path, name: str) -> None:
    land = bands_of_land()
    added = 1000.0 if name == NEW else 0.0
    product = write_safe(tmp_path / '2A', land, name, added)
    bands, limits = ('B04', 'B11'), ((0.0, 3000.0),) * 2
    with Raster(product, bands, limits, surface=True) as raster:
        seen = raster.read(0, 0, 120, 120).pixels
        assert 'clear atmosphere' not in raster.scale_text
        assert raster.to_stored(seen[:1]) == pytest.approx(seen[:1] + added)
    np.testing.assert_array_equal(seen[..., 0], land['B04'])
    # Level 1C of the same ground is brought to the surface, and the other way round.
    top = write_safe(tmp_path / '1C', land, name.replace('MSIL2A', 'MSIL1C'), added)
    with Raster(top, bands, limits, surface=True) as raster:
        assert 'brought to level 2A without a clear atmosphere' in raster.scale_text
        cleared = raster.read(0, 0, 120, 120).pixels.astype(np.float32)
    again = to_level_1c(cleared, bands, Level.L2A, 0.0)
    bright = cleared[..., 0] > 1  # what lay below the atmosphere's own light was cut to 0
    assert np.abs(again[bright][:, 0] - land['B04'][bright]).max() <= 1.0
