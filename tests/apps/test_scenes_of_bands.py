"""Commands on scenes whose bands lie in files of their own: as on their GeoTIFFs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio

from eojax.apps.compare_domains.domains import find_domain
from eojax.apps.map_scene import command as map_scene
from eojax.apps.predict import command as predict
from eojax.apps.restore import command as restore
from eojax.data.reading.raster import Raster, Reading
from eojax.evaluation.outliers import outlier_sets
from tests.data.band_files import BANDS, PRODUCT, drawn_bands, write_band, write_bands, write_safe
from tests.data.rasters import surface, write_raster
from tests.tiny_runs import TinyRun, tiny_run

RGB = ('B04', 'B03', 'B02')
LAYERS = ('class_map', 'confidence', 'log_density')


@pytest.fixture(scope='module')
def jem(tmp_path_factory) -> TinyRun:
    """A copy, since the scores of training images are kept in the run's folder."""
    case = tiny_run('jem')
    folder = tmp_path_factory.mktemp('runs') / 'jem'
    shutil.copytree(case.folder, folder)
    return case._replace(run=case.run._replace(folder=folder), folder=folder)


def land(side: int = 96, seed: int = 0) -> dict[str, np.ndarray]:
    """Forest and soil of the visible bands, with a hole, and a band of 20 m."""
    values = np.rint(surface(side, side, seed) * 10_000.0).clip(20, None).astype(np.uint16)
    values[40:44, 50:55] = 0
    return {
        'B02': values[..., 2].copy(),
        'B03': values[..., 1].copy(),
        'B04': values[..., 0].copy(),
        **drawn_bands(side, seed, bands=('B11',)),
    }


def as_tiff(path: Path, bands: dict[str, np.ndarray]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_raster(path, np.stack([bands[band] for band in RGB], -1), RGB)


def mapped(jem: TinyRun, scene: Path, out: Path) -> dict[str, np.ndarray]:
    map_scene.main(
        [f'--workdir={jem.folder}', f'--scene={scene}', f'--out={out}', '--patch=16', '--stride=8']
    )
    layers = {}
    for name in LAYERS:
        with rasterio.open(out / f'{name}.tif') as file:
            layers[name] = file.read(1)
            assert file.crs == 'EPSG:32632'
    return layers


@pytest.mark.parametrize('kind', ['product', 'archive', 'folder'])
def test_the_map_of_a_product_is_that_of_its_geotiff(jem, tmp_path: Path, kind: str) -> None:
    bands = land()
    del bands['B11']  # which has values where the others have none
    expected = mapped(jem, as_tiff(tmp_path / f'{PRODUCT}.tif', bands), tmp_path / 'expected')
    if kind == 'folder':
        scene = write_bands(tmp_path / f'{PRODUCT}_bands', bands, 'T48QUE_{band}.tif')
    else:
        scene = write_safe(tmp_path / 'x', bands, archive=kind == 'archive')
    found = mapped(jem, scene, tmp_path / 'found')
    for name in LAYERS:
        np.testing.assert_array_equal(found[name], expected[name], name)
    summary = json.loads((tmp_path / 'found' / 'summary.json').read_text())
    assert summary['scene'] == str(scene)
    assert (
        summary['hectares']
        == json.loads((tmp_path / 'expected' / 'summary.json').read_text())['hectares']
    )


def test_a_folder_of_products_makes_a_map_of_each(jem, tmp_path: Path, capsys) -> None:
    write_safe(tmp_path / 'all', land(64))
    write_safe(tmp_path / 'all', land(64, 1), PRODUCT.replace('T48QUE', 'T48QUF'), archive=True)
    arguments = [
        f'--workdir={jem.folder}', f'--scene={tmp_path / "all"}', f'--out={tmp_path / "out"}',
        '--patch=16',
    ]  # fmt: skip
    map_scene.main(arguments)
    made = sorted(path.parent.name for path in (tmp_path / 'out').glob('*/class_map.tif'))
    assert made == [PRODUCT, PRODUCT.replace('T48QUE', 'T48QUF')]
    capsys.readouterr()
    map_scene.main(arguments)
    assert capsys.readouterr().err.count('is complete') == 2


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda root: (root / 'scene').mkdir(), 'no .SAFE product, and no bands'),
        (lambda root: write_bands(root / 'scene', {'B04': np.ones((30, 30), np.uint16),
                                                   'B03': np.ones((30, 30), np.uint16)}),
         'the run was trained on red, green, blue'),
        (lambda root: write_safe(root / 'scene', land(30), baseline='05.09'),
         'its files are of two products; get it again'),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(jem, tmp_path: Path, capsys, make, message: str) -> None:
    make(tmp_path)
    with pytest.raises(SystemExit) as ended:
        map_scene.main(
            [f'--workdir={jem.folder}', f'--scene={tmp_path / "scene"}', f'--out={tmp_path / "o"}']
        )
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert message in error
    assert 'Traceback' not in error


def test_a_product_is_repaired_into_a_geotiff_of_its_bands(jem, tmp_path: Path) -> None:
    bands = land()
    del bands['B11']
    scene = write_safe(tmp_path, bands, archive=True)
    restore.main(
        [f'--workdir={jem.folder}', f'--images={scene}', f'--out={tmp_path / "out"}',
         '--chains=2', '--steps=1']
    )  # fmt: skip
    with rasterio.open(tmp_path / 'out' / f'{PRODUCT}_restored.tif') as file:
        assert file.driver == 'GTiff'
        assert file.descriptions == ('B02', 'B03', 'B04')
        assert file.tags()['PROCESSING_BASELINE'] == '02.14'
        values = file.read()
    hole = np.zeros((96, 96), bool)
    hole[40:44, 50:55] = True
    np.testing.assert_array_equal(values[2][~hole], bands['B04'][~hole])
    assert (values[:, hole] > 0).all()


def test_patches_of_bands_are_predicted_as_images(jem, tmp_path: Path, capsys) -> None:
    folder = tmp_path / 'patches'
    for number in range(3):
        name = f'{PRODUCT}_1_{number}'
        bands = {band: values[8:24, 8:24].copy() for band, values in land(48, number).items()
                 if band != 'B11'}  # fmt: skip
        write_bands(folder / name, bands, name + '_{band}.tif')
        as_tiff(tmp_path / 'tiffs' / f'{name}.tif', bands)
    write_raster(folder / f'{PRODUCT}_1_0' / 'VV.tif', np.ones((16, 16, 1), np.float32))
    rows = []
    for images in (folder, tmp_path / 'tiffs', folder / f'{PRODUCT}_1_0'):
        out = tmp_path / f'{images.name}.csv'
        given = [f'--workdir={jem.folder}', f'--images={images}', f'--out={out}']
        predict.main([*given, '--scale=l2a', '--offset=0'])
        rows.append(pd.read_csv(out))
    assert len(rows[0]) == 3
    assert '1 other image file in it' in capsys.readouterr().err
    for column in ('class', 'probability', 'log_density', 'longitude', 'latitude'):
        assert rows[0][column].tolist() == rows[1][column].tolist()
    assert rows[2]['file'].tolist() == rows[0]['file'].tolist()[:1]


def oscd(root: Path) -> int:
    fine = {band: drawn_bands(48, bands=('B04',))['B04'] for band in BANDS}
    for city in ('beirut', 'rio'):
        for date in (1, 2):
            for band in BANDS:
                write_band(root / city / f'imgs_{date}_rect' / f'{band}.tif', fine[band])
            write_bands(root / city / f'imgs_{date}', drawn_bands(48), 'S2A_{band}.tif')
    return 4 * 9


def bigearthnet(root: Path) -> int:
    tile = 'S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP'
    for number in range(3):
        patch = f'{tile}_{number}_{number}'
        drawn = drawn_bands(48, bands=tuple(band for band in BANDS if band != 'B10'))
        if number < 2:
            write_bands(root / patch, drawn, '{band}.tif')
            write_band(root / patch / 'VV.tif', drawn['B04'].astype(np.float32))
        else:
            order = ('B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B09', 'B11',
                     'B12')  # fmt: skip
            pixels = np.stack([drawn['B04'] * (band == 'B04') + 1 for band in order], -1)
            (root / patch).mkdir()
            write_raster(root / patch / 's2.tif', pixels.astype(np.uint16))
    return 3 * 9


def dfc2017(root: Path) -> int:
    drawn = drawn_bands(48, bands=(*RGB, 'B11'))
    write_bands(root / 'rome' / 'sentinel_2', drawn, 'S2A_{band}.tif')
    write_bands(root / 'rome' / 'landsat_8', drawn, 'LC82190762013244LGN00_{band}.tif')
    write_band(root / 'rome' / 'lcz' / 'rome_lcz_GT.tif', np.ones((4, 4), np.uint8), 100.0)
    return 9


def potsdam(root: Path) -> int:
    pixels = np.random.default_rng(0).integers(1, 255, (48, 48, 4), np.uint8)
    for folder in ('4_Ortho_RGBIR', '5_Labels_all'):
        (root / folder).mkdir()
    for column in (10, 11):
        write_raster(root / '4_Ortho_RGBIR' / f'top_potsdam_2_{column}_RGBIR.tif', pixels)
        write_raster(root / '5_Labels_all' / f'top_potsdam_2_{column}_label.tif', pixels[..., :3])
    return 2 * 9


def flat(root: Path) -> int:
    for date in ('20200101', '20210101'):
        write_bands(root, land(48), f'T48QUE_{date}_L2A_{{band}}.tif')
    return 2 * 9  # the hole has values of B11


@pytest.mark.parametrize('make', [oscd, bigearthnet, dfc2017, potsdam, flat])
def test_published_layouts_are_domains(jem, tmp_path: Path, make) -> None:
    root = tmp_path / 'root'
    root.mkdir()
    num = make(root)
    domain = find_domain('other', root, jem.run, 100)
    found = domain.read()
    assert found.shape == (num, 16, 16, 3)
    assert found.dtype == np.uint8
    assert 'patches of 16 px' in domain.text
    options = jem.run.config.copy_and_resolve_references().evaluate
    options.outliers, options.outlier_images = f'other={root}', 100
    sets = outlier_sets(options, 16, False, jem.run.facts)
    np.testing.assert_array_equal(sets['other'], found)
    # Of very many scenes no more than are wanted are opened.
    assert find_domain('other', root, jem.run, 1).read().shape == (1, 16, 16, 3)


def test_a_published_level_is_taken_as_published(jem, tmp_path: Path) -> None:
    root = tmp_path / 'root'
    root.mkdir()
    bigearthnet(root)
    found = find_domain('ben', root, jem.run, 100)
    scene = sorted(root.iterdir())[0]
    with Raster(scene, jem.run.images.bands, None, Reading(scale='l2a', offset=0.0)) as raster:
        expected = raster.read(0, 0, 16, 16).pixels
    np.testing.assert_array_equal(found.read()[0], expected)
    assert 'BigEarthNet, 3 scenes of 27 patches' in found.text
    assert 'level 2A (as said)' in found.text
    stacked = find_domain('ben', root, jem.run, 100).read()[-1]
    assert stacked[..., 0].std() > 0  # B04
    assert stacked[..., 1].std() == 0
    said = find_domain('ben', root, jem.run, 100, reading=Reading(scale='0:4000'))
    assert '0:4000' in said.text
