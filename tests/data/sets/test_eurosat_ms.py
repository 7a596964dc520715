"""EuroSAT's 13 bands in their true layouts: order, units, limits, and three real files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from rasterio.enums import ColorInterp

from eojax.config.base import base_config, check_config
from eojax.data.dataset import Dataset
from eojax.data.reading.any_image import ImageReader
from eojax.data.reading.file_formats import format_of
from eojax.data.reading.image_folder import read_image_folder
from eojax.data.reading.lazy_images import LazyImages
from eojax.data.reading.published_images import load_published
from eojax.data.reading.sentinel2 import atmosphere
from eojax.data.sets import DATASETS, eurosat_ms
from eojax.data.value_range import scale_to_unit
from eojax.drawing.pictures import displayed
from eojax.errors import UserError
from tests.data.labelled_archives import write_tree, write_zip
from tests.data.rasters import write_raster
from tests.data.sets.geotiff_archives import encode_geotiff, eurosat_ms_members, reflectances
from tests.real_data import real_data

pytestmark = pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')

_RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
PUBLISHED_FOLDER = 'ds/images/remote_sensing/otherDatasets/sentinel_2/tif'


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('EOJAX_CACHE', str(tmp_path / 'cache'))


@pytest.fixture(scope='module')
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_zip(tmp_path_factory.mktemp('ms') / 'EuroSAT_MS.zip', eurosat_ms_members())


@pytest.mark.parametrize('top', ['EuroSATallBands', PUBLISHED_FOLDER, 'EuroSAT_MS'])
@pytest.mark.parametrize('write', [write_zip, write_tree])
def test_layouts_give_the_same_data_set(tmp_path: Path, top: str, write) -> None:
    root = write(tmp_path / 'root.zip', eurosat_ms_members(top=top))
    dataset = load_published(eurosat_ms.EUROSAT_MS, root, progress=False, cache=False)
    assert dataset.images.shape == (20, 64, 64, 13)
    assert dataset.images.dtype == np.uint16
    assert dataset.bands == eurosat_ms.BANDS
    assert dataset.class_names == eurosat_ms.CLASS_NAMES
    assert dataset.names[:2] == ('AnnualCrop/AnnualCrop_1.tif', 'AnnualCrop/AnnualCrop_2.tif')
    np.testing.assert_array_equal(dataset.labels, np.repeat(np.arange(10), 2))
    np.testing.assert_array_equal(dataset.images[5], reflectances(201))


def test_bands_are_the_files_in_the_order_asked_for(archive: Path) -> None:
    dataset = load_published(eurosat_ms.choose('B8A, B04,B01'), archive, progress=False)
    assert dataset.bands == ('B8A', 'B04', 'B01')
    np.testing.assert_array_equal(dataset.images[5], reflectances(201)[..., [12, 3, 0]])
    assert dataset.limits is not None
    assert dataset.limits[0] == pytest.approx((0.0, 2594.14080798 + 3 * 1231.58581042))
    assert dataset.limits[2] == pytest.approx((1354.40546513 - 3 * 245.71762908, 2091.55835237))
    # The cache keeps them apart, and the limits come with what it gives.
    again = load_published(eurosat_ms.choose('B8A,B04,B01'), archive, progress=False)
    np.testing.assert_array_equal(again.images, dataset.images)
    assert again.limits == dataset.limits
    other = load_published(eurosat_ms.choose('B01,B04,B8A'), archive, progress=False)
    np.testing.assert_array_equal(other.images, dataset.images[..., ::-1])


@pytest.mark.parametrize(
    ('name', 'tags', 'added', 'surface'),
    [
        ('a.tif', {}, 0, False),
        ('S2A_MSIL1C_20170601T103631_N0205_R008_T32UPU_3.tif', {}, 0, False),
        ('S2A_MSIL1C_20230601T103631_N0509_R008_T32UPU_3.tif', {}, 1000, False),
        ('S2A_MSIL1C_3.tif', {'RADIO_ADD_OFFSET': '-1000'}, 1000, False),
        ('S2A_MSIL2A_20170601T103631_N0205_R008_T32UPU_3.tif', {}, 0, True),
        ('S2A_MSIL2A_20230601T103631_N0509_R008_T32UPU_3.tif', {}, 1000, True),
    ],
)
def test_an_image_of_another_processing_is_brought_to_that_of_training(
    archive: Path, tmp_path: Path, name: str, tags: dict[str, str], added: int, surface: bool
) -> None:
    facts = load_published(eurosat_ms.EUROSAT_MS, archive, progress=False).facts
    expected = reflectances(201)
    stored = expected.astype(np.float64)
    if surface:
        path, transmittance = atmosphere(eurosat_ms.BANDS)
        stored = ((stored - path) / transmittance).clip(1.0)
        expected = path + transmittance * np.rint(stored)
    pixels = (np.rint(stored) + added).astype(np.uint16)
    data = write_raster(tmp_path / name, pixels, tags=tags).read_bytes()
    read = ImageReader(facts, 64).read(data, name).pixels
    assert read.dtype == np.uint16
    np.testing.assert_allclose(read.astype(np.float64), expected, atol=0.51)


def test_a_smaller_image_is_the_mean_of_what_holds_data(archive: Path, tmp_path: Path) -> None:
    facts = load_published(eurosat_ms.EUROSAT_MS, archive, progress=False).facts
    pixels = reflectances(201, 128)
    pixels[:33] = 0
    name = 'S2A_MSIL1C_20230601T103631_N0509_R008_T32UPU_3.tif'
    stored = np.where(pixels == 0, 0, pixels + 1000).astype(np.uint16)
    data = write_raster(tmp_path / name, stored).read_bytes()
    image = ImageReader(facts, 64, resize=True).read(data, name)
    assert image.missing == pytest.approx(33 / 128)
    lowest = facts.images.empty
    assert (image.pixels[:16] == lowest).all()
    # Of the pixel at the border half holds data: as bright as that half.
    halves = pixels[33:34].reshape(1, 64, 2, 13).mean(2)
    np.testing.assert_allclose(image.pixels[16:17], halves, atol=0.51)
    means = pixels[34:].reshape(47, 2, 64, 2, 13).mean((1, 3))
    np.testing.assert_allclose(image.pixels[17:], means, atol=0.51)


def test_missing_pixels_of_an_8_bit_image_are_black(archive: Path, tmp_path: Path) -> None:
    facts = load_published(eurosat_ms.choose('B04,B03,B02'), archive, progress=False).facts
    pixels = np.full((128, 128, 3), 200, np.uint8)
    pixels[:31] = 0
    path = write_raster(tmp_path / 'a.tif', pixels, colours=_RGB, nodata=0)
    read = ImageReader(facts, 64, resize=True).read(path.read_bytes(), 'a.tif')
    assert read.missing == pytest.approx(31 / 128)
    assert read.pixels.dtype == np.uint8
    expected = np.full((64, 64, 3), 200, np.uint8)
    expected[:15] = 0
    np.testing.assert_array_equal(read.pixels, expected)


def test_the_facts_fit_together() -> None:
    facts = (eurosat_ms.WAVELENGTHS, eurosat_ms.RESOLUTIONS, eurosat_ms.MEAN, eurosat_ms.STD)
    assert {len(fact) for fact in (eurosat_ms.BANDS, eurosat_ms.LIMITS, *facts)} == {13}
    by_band = dict(zip(eurosat_ms.BANDS, eurosat_ms.WAVELENGTHS, strict=True))
    assert by_band['B8A'] == 865
    assert all(0.0 <= low < high < 2**16 for low, high in eurosat_ms.LIMITS)
    tfds = pytest.importorskip('tensorflow_datasets')
    rows = (Path(tfds.__file__).parent / 'url_checksums/eurosat.txt').read_text().splitlines()
    published = eurosat_ms.EUROSAT_MS.archive
    expected = [published.url, str(published.num_bytes), published.sha256]
    assert expected in [row.split('\t')[:3] for row in rows]


def test_other_sizes_are_means_over_the_ground(archive: Path) -> None:
    full, half = (
        load_published(eurosat_ms.choose('B05,B10'), archive, size=size, progress=False).images[:]
        for size in (64, 32)
    )
    assert half.dtype == np.uint16
    blocks = full.reshape(20, 32, 2, 32, 2, 2).mean((2, 4))
    assert np.abs(half - blocks).max() < 0.501


def test_larger_than_the_limit_stays_on_disk(archive: Path) -> None:
    options = base_config('supervised', 'wide_resnet', 'eurosat_ms').data
    options.update({'root': str(archive), 'bands': 'B04,B03,B02', 'size': 32})
    dense = DATASETS['eurosat_ms'].from_config(options, False)
    assert isinstance(dense.images, np.ndarray)
    options.resident_gigabytes = 0.0
    lazy = DATASETS['eurosat_ms'].from_config(options, False)
    assert isinstance(lazy.images, LazyImages)
    assert lazy.images.dtype == np.uint16
    assert lazy.limits == dense.limits
    np.testing.assert_array_equal(lazy.images[:], dense.images)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (encode_geotiff(reflectances(0)[..., :12]), r'River_1\.tif: 12 band\(s\); expected 13'),
        (
            encode_geotiff(reflectances(0).astype(np.int16)),
            r'River_1\.tif: pixels of type int16; expected uint16',
        ),
        (encode_geotiff(reflectances(0))[:-9], r'River_1\.tif: broken or truncated GeoTIFF'),
        (encode_geotiff(reflectances(0, 60)), r'River_1\.tif: 60x60 pixels; expected 64x64'),
        (b'', r'River_1\.tif: an empty file'),
    ],
)
def test_files_that_are_not_as_published_are_named(
    tmp_path: Path, content: bytes, message: str
) -> None:
    members = eurosat_ms_members(1) | {'EuroSAT_MS/River/River_1.tif': content}
    path = write_zip(tmp_path / 'EuroSAT_MS.zip', members)
    for resident_bytes in (None, 0):
        with pytest.raises(UserError, match=message) as caught:
            load_published(
                eurosat_ms.EUROSAT_MS, path, progress=False, resident_bytes=resident_bytes
            ).images[:]
        assert str(path) in str(caught.value)
        assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('bands', 'B04,B3', r"unknown band in data\.bands 'B3'; did you mean 'B\w\w'\?"),
        ('bands', 'B04,B04', r'data\.bands: B04 is in it twice'),
        ('bands', '', r"unknown band in data\.bands ''"),
        ('source', 'tfds', r"data\.source of the data set 'eurosat_ms' is 'files'"),
        ('labels_per_class', 'some', r'labels_per_class'),
    ],
)
def test_options_that_name_nothing(key: str, value: str, message: str) -> None:
    config = base_config('supervised', 'wide_resnet', 'eurosat_ms')
    check_config(config)
    config.data[key] = value
    with pytest.raises(UserError, match=message):
        check_config(config)


@pytest.fixture
def real(tmp_path: Path) -> Dataset:
    """Farmland, pasture around a farm, and open water, as they were published."""
    with zipfile.ZipFile(real_data('sentinel_patches.zip')) as archive:
        names = [name for name in archive.namelist() if name.startswith('EuroSAT_MS/')]
        archive.extractall(tmp_path / 'real', names)
    dataset = read_image_folder(
        tmp_path / 'real', eurosat_ms.CLASS_NAMES, 64, False,
        bands=eurosat_ms.BANDS, allow_missing_classes=True,
        file_format=format_of(eurosat_ms.FILES), resident_bytes=0,
    )  # fmt: skip
    return dataset.with_limits(eurosat_ms.LIMITS)


def test_real_files_are_in_the_stated_band_order(real: Dataset) -> None:
    assert real.names == (
        'AnnualCrop/AnnualCrop_1.tif', 'Pasture/Pasture_300.tif', 'SeaLake/SeaLake_3000.tif'
    )  # fmt: skip
    means = real.images[:].mean((1, 2))
    band = {name: means[:, i] for i, name in enumerate(real.bands)}
    crop, pasture, water = range(3)
    # Grass is bright in the near infrared, which B8A sees as B08 does, and dark in red.
    assert band['B8A'][pasture] == pytest.approx(band['B08'][pasture], rel=0.15)
    assert band['B8A'][pasture] > 4.0 * max(band['B04'][pasture], band['B12'][pasture])
    # Cirrus and water vapour bands see nearly nothing on the ground.
    assert band['B10'].max() < 20
    assert (band['B09'] < 0.5 * band['B8A']).all()
    # Water falls off from blue to the infrared; dry soil rises.
    order = ['B01', 'B02', 'B03', 'B04', 'B08', 'B11', 'B12']
    assert (np.diff([band[name][water] for name in order]) < 0).all()
    assert band['B11'][crop] > band['B08'][crop] > band['B04'][crop]


def test_real_files_look_as_they_should(real: Dataset) -> None:
    seen = displayed(real.images[:], real.bands, real.limits)
    assert seen.shape == (3, 64, 64, 3)
    assert seen.dtype == np.uint8
    red, green, blue = seen.mean((1, 2)).T
    assert green[1] > blue[1] > red[1]  # grass
    assert blue[2] > green[2] > red[2]  # water
    assert abs(red[0] - green[0]) < 25  # soil is grey
    assert seen[0].mean() > 2 * seen[2, ..., 0].mean()
    # Between the limits nearly everything: what is clipped is below 1 %.
    scaled = scale_to_unit(real.images[:], real.limits)
    assert (np.abs(scaled) == 1.0).mean() < 0.01
