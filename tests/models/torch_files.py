"""Small PyTorch weights files for the tests, put together from pickle instructions by hand."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

_STORAGES = {'float32': 'FloatStorage', 'float16': 'HalfStorage', 'int64': 'LongStorage'}
_ORDERED_DICT = b'ccollections\nOrderedDict\n)R'


def text(value: str) -> bytes:
    """BINUNICODE."""
    return b'X' + struct.pack('<I', len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    """BININT."""
    return b'J' + struct.pack('<i', value)


def numbers(values: Sequence[int]) -> bytes:
    """A tuple: MARK, the numbers, TUPLE."""
    return b'(' + b''.join(map(number, values)) + b't'


def tensor(
    key: str,
    num: int,
    shape: Sequence[int],
    strides: Sequence[int],
    offset: int = 0,
    storage: str = 'FloatStorage',
) -> bytes:
    """The call that rebuilds a tensor from `num` values stored under `key`, legacy or not."""
    identity = b'(%bctorch\n%b\n%b%b%bNtQ' % (
        *(text('storage'), storage.encode(), text(key), text('cpu'), number(num)),
    )
    return b'ctorch._utils\n_rebuild_tensor_v2\n(%b%b%b%b\x89%btR' % (
        *(identity, number(offset), numbers(shape), numbers(strides), _ORDERED_DICT),
    )


def state_dict(entries: Mapping[str, bytes]) -> bytes:
    """A pickle of an OrderedDict with attributes, as `Module.state_dict` gives it."""
    items = b''.join(text(name) + value for name, value in entries.items())
    attributes = b'}(' + text('_metadata') + _ORDERED_DICT + b'u'
    return b'\x80\x02' + _ORDERED_DICT + b'q\x00(' + items + b'u' + attributes + b'b.'


def pickle_of(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The state dict of these arrays, each in the storage named after its position."""
    entries = {}
    for key, (name, array) in enumerate(arrays.items()):
        strides = [step // array.itemsize for step in array.strides]
        storage = _STORAGES[array.dtype.name]
        entries[name] = tensor(str(key), array.size, array.shape, strides, storage=storage)
    return state_dict(entries)


def write_zip(path: Path, pickled: bytes, storages: Sequence[bytes] = ()) -> None:
    """PyTorch's format since 1.6."""
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('archive/data.pkl', pickled)
        archive.writestr('archive/byteorder', 'little')
        for key, content in enumerate(storages):
            archive.writestr(f'archive/data/{key}', content)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """These arrays as a state dict in the zip format."""
    write_zip(path, pickle_of(arrays), [array.tobytes() for array in arrays.values()])


def write_legacy(path: Path, pickled: bytes, arrays: Mapping[str, np.ndarray]) -> None:
    """PyTorch's format up to 1.5."""
    magic = 0x1950A86A20F9469CFC6C.to_bytes(10, 'little')
    system = b'\x80\x02}(' + text('protocol_version') + number(1001)
    system += text('little_endian') + b'\x88u.'
    keys = b''.join(text(str(key)) for key in range(len(arrays)))
    content = b'\x80\x02\x8a\x0a' + magic + b'.' + b'\x80\x02' + number(1001) + b'.' + system
    content += pickled + b'\x80\x02](' + keys + b'e.'
    for array in arrays.values():
        content += struct.pack('<q', array.size) + array.tobytes()
    path.write_bytes(content)
