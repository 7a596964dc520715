"""Rows of HDF5 arrays as places."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from eojax.data.dataset import Window
from eojax.data.facts import Raster
from eojax.data.sources.hdf5_rows import Hdf5Source, RowArray
from eojax.data.sources.label_values import label_values
from eojax.errors import UserError

RASTERS = {
    'images': Raster(dtype='float64', limits=((0.0, 1.0),) * 3),
    'sar': Raster(('a', 'b'), 'float64', ((-1.0, 1.0),) * 2, scale=2),
}
ARRAYS = {
    'images': RowArray('sen2', (2, 1, 0)),
    'sar': RowArray('sen1'),
    'labels': RowArray('zones', values=label_values({0: None, 1: 0, 2: 1})),
}


@pytest.fixture
def files(tmp_path: Path) -> tuple[list[Path], dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    arrays = {
        'sen2': rng.uniform(size=(7, 8, 12, 10)),
        'sen1': rng.normal(size=(7, 4, 6, 2)),
        'zones': rng.integers(0, 3, (7, 8, 12), np.uint8),
    }
    paths = [tmp_path / 'training.h5', tmp_path / 'testing.h5']
    for path, rows in zip(paths, (slice(0, 4), slice(4, 7)), strict=True):
        with h5py.File(path, 'w') as file:
            for key, values in arrays.items():
                file[key] = values[rows]
    return paths, arrays


def test_windows_of_rows(files: tuple[list[Path], dict[str, np.ndarray]]) -> None:
    paths, arrays = files
    whole = Hdf5Source(paths, ARRAYS, RASTERS, (8, 12))
    assert len(whole) == 7
    part = pickle.loads(pickle.dumps(whole.subset(np.array([5, 0]))))
    for source, place, row in ((whole, 3, 3), (whole, 4, 4), (part, 0, 5), (part, 1, 0)):
        read = source.read(place, Window(2, 4, 4, 6), ('images', 'sar', 'labels'))
        expected = arrays['sen2'][row, 2:6, 4:10][..., [2, 1, 0]]
        np.testing.assert_array_equal(read['images'], expected)
        np.testing.assert_array_equal(read['sar'], arrays['sen1'][row, 1:3, 2:5])
        classes = np.array([255, 0, 1])[arrays['zones'][row, 2:6, 4:10]]
        np.testing.assert_array_equal(read['labels'], classes)
    np.testing.assert_array_equal(whole.read(6, None, ('sar',))['sar'], arrays['sen1'][6])
    with pytest.raises(UserError, match=r'training\.h5: row 0: .* do not lie in its 12x8 pixels'):
        whole.read(0, Window(0, 8, 8, 8), ('images',))


def test_arrays_unlike_the_facts_are_named(
    files: tuple[list[Path], dict[str, np.ndarray]],
) -> None:
    paths, _ = files
    for arrays, rasters, line in (
        ({'images': RowArray('sen3', (0, 1, 2))}, RASTERS, r"training\.h5: no array 'sen3'"),
        (
            {'images': RowArray('sen2')},
            RASTERS,
            r'sen2 is .* x 10; expected N x 8 x 12 x 3',
        ),
        ({'images': RowArray('sen2', (0, 1, 10))}, RASTERS, r'sen2 has 10 channels'),
        ({'images': RowArray('sen2', (0, 1, 2))}, {'images': Raster(dtype='float32')}, 'float64'),
    ):
        with pytest.raises(UserError, match=line):
            Hdf5Source(paths, arrays, rasters, (8, 12))
    with h5py.File(paths[1], 'a') as file:
        del file['zones']
        file['zones'] = np.zeros((2, 8, 12), np.uint8)
    with pytest.raises(UserError, match=r'testing\.h5: arrays of different lengths: sen2 3, '):
        Hdf5Source(paths, ARRAYS, RASTERS, (8, 12))
