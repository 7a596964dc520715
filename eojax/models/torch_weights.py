"""Reads the tensors of a PyTorch weights file, and executes nothing that stands in it.

A PyTorch file is a pickle with tensors beside it, and unpickling runs whatever the file says. Here
nothing of it runs: the pickle's instructions are read one by one and interpreted as data, a handful
of names is known, and every other name is refused. Both of PyTorch's formats are read: the zip
archive, and the sequence of pickles that came before it (PyTorch 1.5 and older).
"""

from __future__ import annotations

import io
import math
import pickletools
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from eojax.errors import UserError

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_STORAGE_TYPES = {
    'torch FloatStorage': '<f4',
    'torch HalfStorage': '<f2',
    'torch LongStorage': '<i8',
}
_ORDERED_DICT = 'collections OrderedDict'
_REBUILD_TENSOR = 'torch._utils _rebuild_tensor_v2'
_MALFORMED = (
    *(ValueError, IndexError, KeyError, TypeError, OverflowError, EOFError),
    *(NotImplementedError, struct.error, zipfile.BadZipFile),
)


class Name(NamedTuple):
    """A name that the pickle refers to, `module name`, and that is on the list of known ones."""

    path: str


class Storage(NamedTuple):
    """A tensor's memory: which entry of the file, the type of its values, how many."""

    key: str
    dtype: str
    num: int


class Tensor(NamedTuple):
    """A view of a storage: offset and strides count values, not bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Mark:
    """The mark that the pickle's MARK leaves on the stack."""


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a PyTorch state dict by name, without executing anything in the file.

    Raises:
      UserError: the file is absent or broken, or refers to a name that is not on the list.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f'{path}: no such file; give a weights file of PyTorch')
    try:
        read = _read_zip if zipfile.is_zipfile(path) else _read_legacy
        state, contents = read(path)
        return {
            name: _as_array(tensor, contents)
            for name, tensor in _require(state, dict).items()
            if isinstance(tensor, Tensor)
        }
    except UserError as error:
        raise UserError(f'{path}: {error}') from None
    except _MALFORMED as error:
        reason = ' '.join(str(error).split())
        raise UserError(f'{path}: not a readable PyTorch state dict ({reason})') from error


def _read_zip(path: Path) -> tuple[Any, dict[str, bytes]]:
    """The state dict and the bytes of each storage, of a zip archive."""
    with zipfile.ZipFile(path) as archive:
        members = archive.namelist()
        pickles = [name for name in members if name.endswith('/data.pkl')]
        if len(pickles) != 1:
            raise ValueError('the zip archive holds no single data.pkl')
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise ValueError('the zip archive is compressed, which PyTorch never does')
        folder = pickles[0].removesuffix('data.pkl')
        order = f'{folder}byteorder'
        if order in members and archive.read(order).strip() != b'little':
            raise ValueError('big endian')
        storages: dict[str, Storage] = {}
        state = interpret(io.BytesIO(archive.read(pickles[0])), storages)
        return state, {key: archive.read(f'{folder}data/{key}') for key in storages}


def _read_legacy(path: Path) -> tuple[Any, dict[str, bytes]]:
    """The same of the older format.

    Pickles of the magic number, the protocol, the system, the state dict and the storages' keys
    follow one another, then the storages: a count as int64 and the values.
    """
    with path.open('rb') as file:
        if interpret(file) != _LEGACY_MAGIC or interpret(file) != _LEGACY_PROTOCOL:
            raise ValueError('the magic number of PyTorch is missing')
        if not _require(interpret(file), dict)['little_endian']:
            raise ValueError('big endian')
        storages: dict[str, Storage] = {}
        state = interpret(file, storages)
        contents = {}
        for key in _require(interpret(file), list):
            _, dtype, num = storages[key]
            num_bytes = num * np.dtype(dtype).itemsize
            if struct.unpack('<q', file.read(8)) != (num,) or num_bytes > path.stat().st_size:
                raise ValueError(f'storage {key} is truncated')
            contents[key] = file.read(num_bytes)
        return state, contents


def interpret(file: IO[bytes], storages: dict[str, Storage] | None = None) -> Any:
    """The value that the pickle at the file's position describes, up to its STOP.

    Only containers, numbers, strings, known names, storages and tensors are understood. The file is
    left behind the pickle; `storages`, where given, collects the storages by key.

    Raises:
      UserError: the pickle holds another instruction or name.
      ValueError, IndexError, KeyError, TypeError: it is malformed.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, argument, position in pickletools.genops(file):
        name = opcode.name
        if name == 'STOP':
            return stack.pop()
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in _LITERALS:
            stack.append(argument)
        elif name in ('BINPUT', 'LONG_BINPUT', 'MEMOIZE'):
            memo[len(memo) if argument is None else int(argument)] = stack[-1]
        elif name in ('BINGET', 'LONG_BINGET'):
            stack.append(memo[int(argument or 0)])
        elif name in ('GLOBAL', 'STACK_GLOBAL'):
            stack.append(_known_name(argument or ' '.join(_take(stack, 2))))
        elif name == 'BINPERSID':
            stack.append(_storage(stack.pop(), {} if storages is None else storages))
        elif name in _STRUCTURE:
            _STRUCTURE[name](stack)
        elif name not in ('PROTO', 'FRAME'):
            raise UserError(f'refused: pickle instruction {name} at byte {position}')
    raise ValueError('the pickle has no end')


def _known_name(path: str) -> Name:
    if path not in _STORAGE_TYPES and path not in (_ORDERED_DICT, _REBUILD_TENSOR):
        raise UserError(
            f'refused: the file refers to {".".join(path.split())!r}, which no file of weights '
            'needs; nothing of it was executed'
        )
    return Name(path)


def _storage(identity: Any, storages: dict[str, Storage]) -> Storage:
    kind, name, key, _, num = _require(identity, tuple)[:5]
    if kind != 'storage' or not isinstance(name, Name) or name.path not in _STORAGE_TYPES:
        raise UserError('refused: an external object that is no storage of numbers')
    if not _require(key, str).isalnum() or _require(num, int) < 0:
        raise ValueError('a storage without key or size')
    return storages.setdefault(key, Storage(key, _STORAGE_TYPES[name.path], num))


def _reduce(stack: list[Any]) -> None:
    """REDUCE calls a function; of the two that are known, this makes what they would return."""
    function, arguments = _take(stack, 2)
    if not isinstance(function, Name) or function.path in _STORAGE_TYPES:
        raise UserError('refused: a call of something that is no known function')
    if function.path == _ORDERED_DICT:
        stack.append({})
        return
    storage, offset, shape, strides = _require(arguments, tuple)[:4]
    if not isinstance(storage, Storage):
        raise ValueError('a tensor without a storage')
    for number in (offset, *_require(shape, tuple), *_require(strides, tuple)):
        _require(number, int)
    stack.append(Tensor(storage, offset, shape, strides))


def _build(stack: list[Any]) -> None:
    """BUILD sets attributes; those of a state dict (its versions) are of no use here."""
    stack.pop()
    _require(stack[-1], dict)


def _set_items(stack: list[Any], items: list[Any]) -> None:
    target = _require(stack[-1], dict)
    for key, value in zip(items[::2], items[1::2], strict=True):
        target[_require(key, str)] = value


def _append_items(stack: list[Any], items: list[Any]) -> None:
    _require(stack[-1], list).extend(items)


def _since_mark(stack: list[Any]) -> list[Any]:
    items: list[Any] = []
    while not isinstance(item := stack.pop(), _Mark):
        items.append(item)
    return items[::-1]


def _take(stack: list[Any], num: int) -> list[Any]:
    return [stack.pop() for _ in range(num)][::-1]


def _require(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ValueError(f'expected {kind.__name__}, found {type(value).__name__}')
    return value


def _as_array(tensor: Tensor, contents: dict[str, bytes]) -> np.ndarray:
    """The tensor's values; its view must lie within its storage and be no larger than it."""
    storage, offset, shape, strides = tensor
    values = np.frombuffer(contents[storage.key], dtype=storage.dtype)
    size = math.prod(shape)
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    inside = min((offset, *shape, *strides)) >= 0 and (size == 0 or last < len(values))
    if len(values) != storage.num or size > len(values) or not inside:
        raise ValueError(f'a tensor of shape {shape} reaches beyond storage {storage.key}')
    steps = [step * values.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(values[offset:], shape, steps, writeable=False).copy()


_CONSTANTS: dict[str, Callable[[], Any]] = {
    'MARK': _Mark,
    'NONE': lambda: None,
    'NEWTRUE': lambda: True,
    'NEWFALSE': lambda: False,
    'EMPTY_TUPLE': tuple,
    'EMPTY_LIST': list,
    'EMPTY_DICT': dict,
}
_LITERALS = frozenset(
    ['BINUNICODE', 'SHORT_BINUNICODE', 'BININT', 'BININT1', 'BININT2', 'LONG1', 'BINFLOAT']
)
_STRUCTURE: dict[str, Callable[[list[Any]], None]] = {
    'TUPLE': lambda stack: stack.append(tuple(_since_mark(stack))),
    'TUPLE1': lambda stack: stack.append(tuple(_take(stack, 1))),
    'TUPLE2': lambda stack: stack.append(tuple(_take(stack, 2))),
    'TUPLE3': lambda stack: stack.append(tuple(_take(stack, 3))),
    'SETITEM': lambda stack: _set_items(stack, _take(stack, 2)),
    'SETITEMS': lambda stack: _set_items(stack, _since_mark(stack)),
    'APPEND': lambda stack: _append_items(stack, _take(stack, 1)),
    'APPENDS': lambda stack: _append_items(stack, _since_mark(stack)),
    'REDUCE': _reduce,
    'BUILD': _build,
}
