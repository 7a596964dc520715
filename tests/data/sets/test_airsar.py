from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from ml_collections import ConfigDict
from PIL import Image

from eojax.data import options as data_options
from eojax.data.sets import airsar
from eojax.data.sets.airsar import CLASS_NAMES, Grid, find_patches, load
from eojax.data.value_range import scale_to_unit
from eojax.errors import UserError
from tests.data.sets.airsar_scenes import HEIGHT, LEVELS, WIDTH, write_scene
from tests.real_data import real_data

# The scenes have no coordinate system.
pytestmark = pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')

GRID = Grid(size=16, stride=8, purity=1.0, block=64)


def _places(names: tuple[str, ...]) -> np.ndarray:
    """Row and column of each patch, from its name."""
    return np.array([[int(v) for v in name.split('/')[1].split('_')] for name in names])


def test_patches_are_pure_and_lie_within_blocks() -> None:
    labels = np.zeros((100, 130), np.uint8)
    labels[:, :70] = 3
    labels[:, 70:] = 1
    patches = find_patches(labels, GRID)
    assert len(patches.label)
    for row, column, label in zip(patches.row, patches.column, patches.label, strict=True):
        window = labels[row : row + 16, column : column + 16]
        assert window.shape == (16, 16)
        assert (window == label + 1).all()
        assert row // 64 == (row + 15) // 64
        assert column // 64 == (column + 15) // 64
    # Columns 0 to 48 of block 0; those of block 1 from 72, the first start right of the border.
    assert set(patches.column[patches.label == 2]) == set(range(0, 49, 8))
    assert patches.column[patches.label == 0].min() == 72
    assert set(patches.block) == {0, 1, 3, 4}


def test_purity_counts_the_pixels_of_the_class() -> None:
    labels = np.full((32, 32), 4, np.uint8)
    labels[:4, :16] = 0  # a quarter of the first patch is not labelled
    grid = Grid(size=16, stride=16, purity=0.75, block=32)
    assert len(find_patches(labels, grid).label) == 4
    assert len(find_patches(labels, grid._replace(purity=0.76)).label) == 3
    assert (find_patches(labels, grid).label == 3).all()


def test_data_set_keeps_its_contract_and_units(tmp_path: Path) -> None:
    data = load(write_scene(tmp_path), GRID, progress=False)
    assert data.images.shape[1:] == (16, 16, 3)
    assert data.images.dtype == np.uint16
    assert data.bands == ('t11', 't22', 't33')
    assert data.class_names == CLASS_NAMES
    assert list(data.names) == sorted(set(data.names))
    for label in range(5):
        found = data.images[data.labels == label].mean((0, 1, 2)) / 100.0 - 100.0
        np.testing.assert_allclose(found, LEVELS[label], atol=0.1)
    with rasterio.open(tmp_path / 'scene.tif') as file:
        power = file.read()
    row, column = _places(data.names)[7]
    expected = 10.0 * np.log10(power[:, row : row + 16, column : column + 16])
    stored = np.moveaxis(data.images[7], -1, 0) / 100.0 - 100.0
    np.testing.assert_allclose(stored, expected, atol=6e-3)
    ends = [[100.0 * (value + 100.0) for value in pair] for pair in airsar.DB_LIMITS]
    edges = np.array(ends, np.uint16).T
    np.testing.assert_allclose(scale_to_unit(edges, data.limits), [[-1] * 3, [1] * 3], atol=1e-6)


def test_no_pixel_is_in_two_parts_and_every_class_is_in_all(tmp_path: Path) -> None:
    data = load(write_scene(tmp_path), GRID, seed=1, progress=False)
    assert data.parts is not None
    taken = np.full((HEIGHT, WIDTH), -1)
    for (row, column), part in zip(_places(data.names), data.parts, strict=True):
        window = taken[row : row + 16, column : column + 16]
        assert set(np.unique(window)) <= {-1, part}
        window[:] = part
    for part in range(3):
        assert set(data.labels[data.parts == part]) == set(range(5))
    others = [load(tmp_path, GRID, seed=s, progress=False).parts for s in range(2, 6)]
    assert any((other != data.parts).any() for other in others)


def test_a_class_in_too_few_blocks_is_one_line_and_can_be_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.full((HEIGHT, WIDTH), 3, np.uint8)
    labels[:, 130:] = 4
    labels[:30, :30] = 1
    path = write_scene(tmp_path, labels)
    with pytest.raises(UserError, match="'bare soil' lies in 1 block") as caught:
        load(path, GRID)
    assert '\n' not in str(caught.value)
    assert 'data.classes' in str(caught.value)
    data = load(path, GRID, classes=('water', 'urban', 'mountain'))
    assert data.class_names == ('water', 'urban')
    assert set(data.labels) == {0, 1}
    printed = capsys.readouterr().err
    assert 'no patches of mountain: left out' in printed
    assert f'train {int((data.parts == 0).sum())} (water ' in printed


def test_pixels_without_power_are_not_labelled(tmp_path: Path) -> None:
    path = write_scene(tmp_path)
    with rasterio.open(path, 'r+') as file:
        power = file.read()
        power[1, 5, 5], power[0, 100, 5] = 0.0, np.nan
        file.write(power)
    names = load(path, GRID, progress=False).names
    places = _places(names).tolist()
    assert [0, 0] not in places
    assert [96, 0] not in places
    assert [0, 16] in places


def _options(**values: Any) -> ConfigDict:
    return ConfigDict({**data_options.defaults('airsar'), **values})


def test_the_config_says_how_patches_are_cut(tmp_path: Path) -> None:
    write_scene(tmp_path)
    options = _options(
        root=str(tmp_path), size=16, purity=1.0, block=64, seed=3, classes='wet=water,urban'
    )
    data_options.check(options, 'data')
    data = airsar.KIND.from_config(options, progress=False)
    assert data.class_names == ('water', 'urban')
    expected = load(tmp_path, GRID, 3, ('water', 'urban'), progress=False)
    assert data.names == expected.names
    np.testing.assert_array_equal(data.parts, expected.parts)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({}, 'needs --config.data.root'),
        ({'root': 'x', 'source': 'tfds'}, "data.source .* is 'files'"),
        ({'root': 'x', 'stride': 0}, 'data.stride must be at least 1'),
        ({'root': 'x', 'purity': 0.5}, 'data.purity must be above 0.5'),
        ({'root': 'x', 'block': 16}, 'data.block 16 must be at least data.size 32'),
    ],
)
def test_bad_options_name_their_key(values: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        data_options.check(_options(**values), 'data')


def test_files_that_are_absent_or_of_another_kind_give_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='no such file'):
        load(tmp_path / 'absent.tif')
    with pytest.raises(UserError, match='expected one NAME'):
        load(tmp_path)
    path = write_scene(tmp_path)
    labels = tmp_path / 'scene_labels.png'
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(labels)
    with pytest.raises(UserError, match='expected one uint8 for each of 192 x 256'):
        load(path, GRID)
    Image.fromarray(np.full((HEIGHT, WIDTH), 6, np.uint8)).save(labels)
    with pytest.raises(UserError, match='label 6; they go from 0 to 5'):
        load(path, GRID)
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(labels)
    with pytest.raises(UserError, match='no patch of 16 pixels'):
        load(path, GRID)
    labels.write_bytes(b'no image')
    with pytest.raises(UserError, match='cannot be read'):
        load(path, GRID)
    labels.unlink()
    with pytest.raises(UserError, match=r'no such file: .*_labels\.png'):
        load(path, GRID)


def test_bands_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = write_scene(tmp_path)
    profile = {'driver': 'GTiff', 'dtype': 'uint8', 'count': 1, 'height': HEIGHT, 'width': WIDTH}
    with rasterio.open(path, 'w', **profile) as file:
        file.write(np.zeros((1, HEIGHT, WIDTH), np.uint8))
    with pytest.raises(UserError, match='expected T11, T22 and T33'):
        load(path, GRID)


def test_the_real_scene_has_all_classes_in_all_parts() -> None:
    data = load(real_data('airsar_san_francisco.tif'), progress=False)
    assert data.parts is not None
    assert np.bincount(data.labels).tolist() == [43, 580, 1950, 874, 158]
    for part in range(3):
        assert set(data.labels[data.parts == part]) == set(range(5))
    values = scale_to_unit(data.images, data.limits)
    assert (np.abs(values) == 1.0).mean() < 0.002
    # By volume scattering water is the darkest and urban land among the brightest.
    t33 = [values[data.labels == label][..., 2].mean() for label in range(5)]
    assert int(np.argmin(t33)) == CLASS_NAMES.index('water')
