"""Tensors by name from a file in which nothing can be executed: safetensors, or NumPy's npz."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import safe_open

from eojax.errors import UserError
from eojax.weights import run_file

SUFFIXES = ('.safetensors', '.npz')
_PICKLES = ('.pt', '.pth', '.bin', '.ckpt', '.pkl', '.pickle', '.tar')
_PICKLE_START = b'\x80'
_MALFORMED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


class Tensors(NamedTuple):
    """The contents of a file.

    Attributes:
      arrays: by name, floats as float32.
      metadata: the texts of a safetensors file; empty for npz.
    """

    arrays: dict[str, np.ndarray]
    metadata: dict[str, str]


def read_tensors(path: Path) -> Tensors:
    """The tensors of a file.

    Raises:
      UserError: it is absent or damaged, a pickle, a file of eojax itself, or of another kind.
    """
    if not path.is_file():
        raise UserError(f'--weights={path}: no such file')
    if _is_pickle(path):
        raise UserError(_how_to_convert(path))
    if path.suffix == '.npz':
        tensors = _read_npz(path)
    elif path.suffix == '.safetensors':
        tensors = _read_safetensors(path)
    else:
        raise UserError(f'--weights={path}: give a file that ends in {" or ".join(SUFFIXES)}')
    if not tensors.arrays:
        raise UserError(f'{path} holds no tensors')
    return tensors


def about_of(tensors: Tensors, title: str) -> dict[str, Any]:
    """The facts that `eojax export` wrote beside the tensors; empty where somebody else did.

    Args:
      title: of the file, for messages.

    Raises:
      UserError: they are damaged.
    """
    if 'network' not in tensors.metadata:
        return {}
    try:
        about: dict[str, Any] = json.loads(tensors.metadata['network'])
        dict(about['arguments'])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f'{title}: its metadata are damaged ({error!r}): export it anew') from error
    return about


def _is_pickle(path: Path) -> bool:
    """Whether a file is PyTorch's, by its name or by how it begins."""
    if path.suffix in _PICKLES:
        return True
    with path.open('rb') as file:
        start = file.read(1)
    if start == _PICKLE_START and path.suffix != '.safetensors':
        return True
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith('data.pkl') for name in archive.namelist())


def _how_to_convert(path: Path) -> str:
    new = path.with_suffix('.safetensors').name
    return (
        f'{path} is a pickle, which runs whatever is written in it, and is not opened; where torch'
        ' is installed, these two lines of Python make a file that is: '
        f'import safetensors.torch, torch; w = torch.load({path.name!r}, "cpu", weights_only=True)'
        ' [new line] safetensors.torch.save_file({k: v.clone() for k, v in w.get("state_dict",'
        f' w).items() if torch.is_tensor(v)}}, {new!r})'
    )


def _read_npz(path: Path) -> Tensors:
    try:
        with np.load(path, allow_pickle=False) as file:
            return Tensors({name: _number(file[name], name, path) for name in file.files}, {})
    except _MALFORMED as error:
        if 'Object arrays' in str(error):
            raise UserError(
                f'{path} holds Python objects, which would have to be unpickled: write arrays of'
                ' numbers alone, np.savez(FILE, **arrays)'
            ) from error
        raise UserError(f'{path} is a damaged npz file ({_line(error)}): get it anew') from error


def _read_safetensors(path: Path) -> Tensors:
    try:
        with safe_open(path, framework='numpy') as file:
            metadata = dict(file.metadata() or {})
            if metadata.get('format', '').startswith('eojax '):
                raise UserError(_ours(path, metadata['format']))
            names = file.keys()
            arrays = {name: _number(file.get_tensor(name), name, path) for name in names}
    except UserError:
        raise
    except Exception as error:  # whatever the library makes of damaged bytes
        raise UserError(
            f'{path} is no safetensors file, or a damaged one ({_line(error)}): get it anew'
        ) from error
    return Tensors(arrays, metadata)


def _ours(path: Path, kind: str) -> str:
    if kind == run_file.FORMAT:
        return f'{path} is a run of eojax already: use it as --workdir={path}'
    return f'{path} is a file of eojax already: train from it by --config.model.weights={path}'


def _number(array: np.ndarray, name: str, path: Path) -> np.ndarray:
    """Floats of any kind as float32; whole numbers as they are."""
    array = np.asarray(array)
    if array.dtype.kind in 'iub':
        return array
    if array.dtype.kind not in 'fV':  # V: types that NumPy has no letter for, such as bfloat16
        raise UserError(f'{path}: {name} holds {array.dtype}, and no real numbers')
    try:
        return array.astype(np.float32)
    except (TypeError, ValueError):
        raise UserError(f'{path}: {name} holds {array.dtype}, and no real numbers') from None


def _line(error: Exception) -> str:
    return ' '.join(str(error).split()) or repr(error)
