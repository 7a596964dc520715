from __future__ import annotations

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest

from eojax.errors import UserError
from eojax.models.torch_weights import interpret, read_state_dict
from tests.models import torch_files as files


def _arrays() -> dict[str, np.ndarray]:
    return {
        'layer.weight': np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
        'layer.half': np.linspace(-1, 1, 4, dtype=np.float16),
        'layer.steps': np.array(2**40, dtype=np.int64),
        'layer.none': np.zeros((0, 3), np.float32),
    }


def _refused(path) -> str:
    with pytest.raises(UserError) as caught:
        read_state_dict(path)
    message = str(caught.value)
    assert str(path) in message
    assert '\n' not in message
    return message


@pytest.mark.parametrize('legacy', [False, True])
def test_reads_both_formats(tmp_path, legacy):
    path, arrays = tmp_path / 'weights.pth', _arrays()
    if legacy:
        files.write_legacy(path, files.pickle_of(arrays), arrays)
    else:
        files.write_arrays(path, arrays)
    state = read_state_dict(path)
    assert list(state) == list(arrays)
    for name, array in arrays.items():
        assert state[name].dtype == array.dtype
        np.testing.assert_array_equal(state[name], array)


def test_views_share_a_storage(tmp_path):
    values = np.arange(12, dtype=np.float32)
    entries = {
        'transposed': files.tensor('0', 12, (4, 3), (1, 4)),
        'part': files.tensor('0', 12, (2, 2), (4, 1), offset=5),
    }
    path = tmp_path / 'weights.pth'
    files.write_zip(path, files.state_dict(entries), [values.tobytes()])
    state = read_state_dict(path)
    np.testing.assert_array_equal(state['transposed'], values.reshape(3, 4).T)
    np.testing.assert_array_equal(state['part'], values.reshape(3, 4)[1:, 1:3])


def _malicious(command: str) -> dict[str, bytes]:
    """Pickles that run `command` in a shell when unpickled, each by another instruction."""
    argument = files.text(command)
    name = files.text('os') + files.text('system')
    return {
        'GLOBAL': b'\x80\x02cos\nsystem\n' + argument + b'\x85R.',
        'STACK_GLOBAL': b'\x80\x04' + name + b'\x93' + argument + b'\x85R.',
        'INST': b'(' + argument + b'ios\nsystem\n.',
        'OBJ': b'(cos\nsystem\n' + argument + b'o.',
        'NEWOBJ': b'\x80\x02cos\nsystem\n' + argument + b'\x85\x81.',
        'as a value': files.state_dict({'a': b'cos\nsystem\n' + argument + b'\x85R'}),
    }


@pytest.mark.parametrize('kind', ['GLOBAL', 'STACK_GLOBAL', 'INST', 'OBJ', 'NEWOBJ', 'as a value'])
@pytest.mark.parametrize('legacy', [False, True])
def test_a_file_that_would_run_a_command_is_refused_and_runs_nothing(tmp_path, kind, legacy):
    mark, path = tmp_path / 'executed', tmp_path / 'weights.pth'
    pickled = _malicious(f'touch {mark}')[kind]
    if legacy:
        path.write_bytes(pickled)  # the very first pickle of the file
    else:
        files.write_zip(path, pickled)
    assert 'refused' in _refused(path)
    assert not mark.exists()


def test_the_command_above_is_one_that_unpickling_would_run(tmp_path):
    mark = tmp_path / 'executed'
    pickle.loads(_malicious(f'touch {mark}')['GLOBAL'])
    assert mark.exists()


@pytest.mark.parametrize(
    'name',
    [
        'builtins\neval',
        'torch.storage\n_load_from_bytes',
        'torch\nload',
        'collections\nOrderedDict.fromkeys',
        'torch\nFloatStorage.from_file',
        'numpy\nload',
    ],
)
def test_every_name_off_the_list_is_refused_by_name(tmp_path, name):
    path = tmp_path / 'weights.pth'
    files.write_zip(path, b'\x80\x02c' + name.encode() + b'\n.')
    assert name.replace('\n', '.') in _refused(path)


def test_known_names_are_no_functions_to_call(tmp_path):
    path = tmp_path / 'weights.pth'
    files.write_zip(path, b'\x80\x02ctorch\nFloatStorage\n' + files.text('file') + b'\x85R.')
    assert 'refused: a call' in _refused(path)
    pretended = files.text('collections OrderedDict') + b'\x85'  # a tuple that equals a `Name`
    files.write_zip(path, b'\x80\x02' + pretended + b')R.')
    assert 'refused: a call' in _refused(path)


@pytest.mark.parametrize(
    ('shape', 'strides', 'offset'),
    [
        ((7,), (1,), 0),
        ((2, 3), (3, 1), 1),
        ((2,), (6,), 0),
        ((2,), (-1,), 3),
        ((2,), (1,), -1),
        ((-2,), (1,), 0),
        ((1000, 1000), (0, 0), 0),
        ((2, 3), (1,), 0),
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(tmp_path, shape, strides, offset):
    path = tmp_path / 'weights.pth'
    pickled = files.state_dict({'a': files.tensor('0', 6, shape, strides, offset)})
    files.write_zip(path, pickled, [bytes(24)])
    assert 'not a readable' in _refused(path)


def test_broken_files_are_refused_in_one_line(tmp_path):
    path, arrays = tmp_path / 'weights.pth', _arrays()
    assert 'no such file' in _refused(path)
    path.write_bytes(b'')
    _refused(path)
    path.write_bytes(b'no weights at all')
    _refused(path)
    files.write_arrays(path, arrays)
    path.write_bytes(path.read_bytes()[:400])
    _refused(path)
    files.write_legacy(path, files.pickle_of(arrays), arrays)
    path.write_bytes(path.read_bytes()[:-10])
    _refused(path)
    files.write_zip(path, files.pickle_of(arrays), [bytes(24)])
    assert 'archive/data/1' in _refused(path)
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('archive/data.pkl', files.pickle_of(arrays))
    assert 'compressed' in _refused(path)
    files.write_zip(path, b'\x80\x02](' + files.number(1) + b'e.')
    assert 'expected dict, found list' in _refused(path)


def test_storage_keys_cannot_leave_the_archive_s_folder(tmp_path):
    path = tmp_path / 'weights.pth'
    files.write_zip(path, files.state_dict({'a': files.tensor('../data.pkl', 1, (1,), (1,))}))
    assert 'not a readable' in _refused(path)


def test_random_bytes_never_do_anything_but_fail():
    generator = np.random.default_rng(0)
    valid = bytearray(files.pickle_of(_arrays()))
    expected = (UserError, ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error)
    failures = 0
    for _ in range(300):
        mutated = bytearray(valid)
        for position in generator.integers(0, len(valid), 3):
            mutated[position] = generator.integers(0, 256)
        try:
            interpret(io.BytesIO(mutated))
        except expected:
            failures += 1
    assert failures > 100
