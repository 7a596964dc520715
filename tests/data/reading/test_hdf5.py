"""HDF5 arrays by windows and by rows: what is read at a time, and what is said of broken files."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from eojax.data.reading import hdf5
from eojax.data.reading.hdf5 import Hdf5Rows, find_array, open_hdf5, windows
from eojax.errors import UserError

ROWS = np.random.default_rng(0).standard_normal((37, 4, 5))


def write(path: Path, values: Any = ROWS, **options: Any) -> Path:
    with h5py.File(path, 'w') as file:
        file.create_dataset('x', data=values, **options)
    return path


@pytest.mark.parametrize(
    ('options', 'rows'),
    [
        ({}, 10),
        ({'chunks': (4, 4, 5)}, 8),
        ({'chunks': (5, 4, 1), 'compression': 'gzip'}, 10),
        ({'chunks': (30, 2, 2), 'compression': 'gzip'}, 10),  # never more than a window
    ],
)
def test_windows_hold_every_row_once_and_end_where_chunks_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], rows: int
) -> None:
    monkeypatch.setattr(hdf5, 'WINDOW_BYTES', 10 * 4 * 5 * 8 + 7)
    with open_hdf5(write(tmp_path / 'a.h5', **options)) as file:
        found = list(windows(find_array(file, 'x', (4, 5))))
    assert [start for start, _ in found] == list(range(0, 37, rows))
    np.testing.assert_array_equal(np.concatenate([part for _, part in found]), ROWS)


def test_a_row_larger_than_a_window_is_a_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdf5, 'WINDOW_BYTES', 1)
    with open_hdf5(write(tmp_path / 'a.h5')) as file:
        assert [len(part) for _, part in windows(find_array(file, 'x', (4, 5)))] == [1] * 37


def test_rows_are_read_by_threads_and_after_pickling(tmp_path: Path) -> None:
    for name in ('a', 'b'):
        write(tmp_path / f'{name}.h5', ROWS + (name == 'b'))
    rows = Hdf5Rows(tmp_path, 'x')
    np.testing.assert_array_equal(rows('a/0000003'), ROWS[3])
    fresh: Hdf5Rows = pickle.loads(pickle.dumps(rows))  # nothing is open in it yet
    chosen = np.random.default_rng(1).integers(0, 37, 200)
    with ThreadPoolExecutor(8) as executor:
        found = list(executor.map(fresh, [f'b/{row:07d}' for row in chosen]))
    np.testing.assert_array_equal(found, ROWS[chosen] + 1)


def test_rows_that_are_not_there_are_named(tmp_path: Path) -> None:
    write(tmp_path / 'a.h5')
    with pytest.raises(UserError, match=r'a\.h5: x cannot be read from row 37'):
        Hdf5Rows(tmp_path, 'x')('a/0000037')
    with pytest.raises(UserError, match=r"a\.h5: no array 'y'"):
        Hdf5Rows(tmp_path, 'y')('a/0000000')
    with pytest.raises(UserError, match=r'no such file: .*b\.h5'):
        Hdf5Rows(tmp_path, 'x')('b/0000000')


def test_damaged_chunks_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.h5', chunks=(4, 4, 5), compression='gzip')
    with h5py.File(path) as file:
        chunk = file['x'].id.get_chunk_info(5)  # of rows 20 to 23
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(content)
    with open_hdf5(path) as file, pytest.raises(UserError, match=r'a\.h5: x cannot be read') as e:
        list(windows(find_array(file, 'x', (4, 5))))
    assert '\n' not in str(e.value)
    with pytest.raises(UserError, match='from row 21 on'):
        Hdf5Rows(tmp_path, 'x')('a/0000021')
    np.testing.assert_array_equal(Hdf5Rows(tmp_path, 'x')('a/0000019'), ROWS[19])


@pytest.mark.parametrize(
    ('content', 'message'),
    [(b'', 'not an HDF5 file'), (b'text' * 999, 'not an HDF5 file'), (None, 'no such file: ')],
)
def test_what_is_no_file_of_that_kind(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / 'a.h5'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught, open_hdf5(path):
        pass
    assert str(path) in str(caught.value)
    assert '\n' not in str(caught.value)


def test_truncated_files_and_folders(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.h5')
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match='truncated HDF5 file; get the file again'), open_hdf5(path):
        pass
    with pytest.raises(UserError, match='a folder; expected an HDF5 file'), open_hdf5(tmp_path):
        pass


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        (ROWS[..., :4], r'x is 37 x 4 x 4; expected N x 4 x 5'),
        (ROWS[0], r'x is 4 x 5; expected N x 4 x 5'),
        (np.float64(1), r'x is a single value; expected N x 4 x 5'),
        (ROWS.astype(np.int32), r'x has values of type int32'),
        (ROWS[:0], r'x is empty'),
    ],
)
def test_arrays_of_another_layout(tmp_path: Path, values: np.ndarray, message: str) -> None:
    with (
        open_hdf5(write(tmp_path / 'a.h5', values)) as file,
        pytest.raises(UserError, match=rf'a\.h5: {message}'),
    ):
        find_array(file, 'x', (4, 5))


def test_keys_that_are_not_arrays(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path / 'a.h5'), 'a') as file:
        file.create_group('group')
    for key in ('y', 'group'):
        with open_hdf5(tmp_path / 'a.h5') as file, pytest.raises(UserError) as caught:
            find_array(file, key, (4, 5))
        assert f"a.h5: no array '{key}' (it holds group, x)" in str(caught.value)
