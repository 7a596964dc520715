"""A trained run in one file: a safetensors file that any reader of that format opens.

Its metadata are texts, its tensors have names with a `/`:

`format`, `format_version`: which file this is; a reader refuses newer versions by name.
`checkpoint`: JSON with `step` and `which`, `last` or `best`: whose state the file holds.
`card.json`: for people (`eojax.weights.card`).
`digest`: SHA-256 of everything else, so that a damaged file is known as such.
Further texts are files of the run's folder by their path, those of `TEXTS`.
`state/...`: leaves of the method's state by their names, with dots for levels. What only training
  needs is left out; a tensor of type uint8 that stands for floats holds them from -1 to 1.
`...#spectrum=W`: spectral filters of width W, packed (`eojax.weights.spectra`).
Further tensors are the arrays of the npz files of the run's folder: `reference/texture/mean` is
  `mean` of `reference/texture.npz`.

Nothing in it is code, and nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from eojax.atomic_file import write_atomically
from eojax.errors import UserError
from eojax.weights import encoder_file, spectra
from eojax.weights.card import Card, card_from_json

SUFFIX = '.safetensors'
FORMAT, VERSION = 'eojax run', 2
# Files of a run's folder that a file may hold, by their paths there.
CONFIG, KNOWN = 'config.json', 'data.json'
TEXTS = (
    CONFIG,
    KNOWN,
    'splits.json',
    'source_splits.json',
    'provenance.json',
    'started_from.json',
    'evaluation/evaluation.json',
)
ARRAYS = re.compile(r'contents|reference/(texture|examples|step_\d+|validation_step_\d+)')
# What version 1 does not know of them; a file without it is of that version, which more can read.
_SINCE_2 = 'reference/validation_'
STATE = 'state/'
_CARD, _CHECKPOINT, _DIGEST = 'card.json', 'checkpoint', 'digest'
_SPECTRUM = '#spectrum='


class RunFile(NamedTuple):
    """The contents of a file.

    Attributes:
      card: for people.
      step: training steps done by the state.
      which: the `last` or the `best` state of the run.
      texts: files of the run's folder by path, of `TEXTS`.
      state: leaves of the method's state by name.
      arrays: of the run's npz files, by path without suffix and then by name.
    """

    card: Card
    step: int
    which: str
    texts: Mapping[str, str]
    state: Mapping[str, np.ndarray]
    arrays: Mapping[str, Mapping[str, np.ndarray]]


def write(path: Path, content: RunFile) -> None:
    """Writes a file whole or not at all.

    Raises:
      OSError: the folder is not writable, or the disk is full.
    """
    tensors = {f'{STATE}{name}': array for name, array in content.state.items()}
    for group, arrays in content.arrays.items():
        tensors |= {f'{group}/{name}': array for name, array in arrays.items()}
    tensors = dict(_as_stored(name, array) for name, array in tensors.items())
    metadata = {
        'format': FORMAT,
        'format_version': str(_version(content)),
        _CHECKPOINT: json.dumps({'step': content.step, 'which': content.which}),
        _CARD: content.card.to_json(),
        **content.texts,
    }
    metadata[_DIGEST] = _digest(metadata, tensors)
    # Its own order of metadata is another one each time: the same run shall make the same file.
    data = _in_order(save(tensors, metadata))
    write_atomically(path, lambda file: file.write(data))


def _version(content: RunFile) -> int:
    return VERSION if any(group.startswith(_SINCE_2) for group in content.arrays) else 1


def _as_stored(name: str, array: np.ndarray) -> tuple[str, np.ndarray]:
    small = spectra.packed(array)
    if small is not None:
        return f'{name}{_SPECTRUM}{array.shape[2]}', small
    return name, np.asarray(array, order='C')  # its memory is written as it lies there


def _as_they_were(name: str, array: np.ndarray) -> tuple[str, np.ndarray]:
    name, packed, width = name.partition(_SPECTRUM)
    return name, spectra.unpacked(array, int(width)) if packed else array


def _in_order(data: bytes) -> bytes:
    """The same file with the keys of its header sorted."""
    length = int.from_bytes(data[:8], 'little')
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop('__metadata__')
    header = {'__metadata__': dict(sorted(metadata.items())), **header}
    text = json.dumps(header, separators=(',', ':'), ensure_ascii=False).encode()
    text += b' ' * (-len(text) % 8)  # tensors begin at a multiple of 8 bytes
    return len(text).to_bytes(8, 'little') + text + data[8 + length :]


def read(path: Path) -> RunFile:
    """The contents of a file, checked to the last byte.

    Raises:
      UserError: the file is absent, damaged, of another kind, or of a newer eojax.
    """
    metadata = _metadata(path)
    try:
        with safe_open(path, framework='numpy') as file:
            tensors = {name: np.asarray(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # whatever the library makes of damaged bytes
        raise _damaged(path, error) from error
    if _digest(metadata, tensors) != metadata.get(_DIGEST):
        raise UserError(
            f'{path} is damaged: its contents are not those that were written; get it anew'
        )
    try:
        tensors = dict(_as_they_were(name, array) for name, array in tensors.items())
        checkpoint = json.loads(metadata[_CHECKPOINT])
        return RunFile(
            card_from_json(metadata[_CARD]),
            int(checkpoint['step']),
            str(checkpoint['which']),
            dict(_texts(metadata)),
            {
                name.removeprefix(STATE): array
                for name, array in tensors.items()
                if name.startswith(STATE)
            },
            _grouped(tensors),
        )
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise _damaged(path, error) from error


def read_card(path: Path) -> Card:
    """The card of a file, without reading its tensors.

    Raises:
      UserError: as `read`.
    """
    try:
        return card_from_json(_metadata(path)[_CARD])
    except (KeyError, ValueError, TypeError) as error:
        raise _damaged(path, error) from error


def _metadata(path: Path) -> dict[str, str]:
    """The texts of a file of a version that this code reads."""
    if not path.is_file():
        raise UserError(f'{path}: no such file')
    try:
        with safe_open(path, framework='numpy') as file:
            metadata = dict(file.metadata() or {})
    except SafetensorError as error:
        raise UserError(
            f'{path} is no trained run in a file, or a damaged one ({_line(error)}): such files are'
            ' made by "eojax export"'
        ) from error
    if metadata.get('format') == encoder_file.FORMAT:
        raise UserError(
            f'{path} is an encoder, which has no classes: train from it by'
            f' --config.model.weights={path}'
        )
    if metadata.get('format') != FORMAT:
        raise UserError(
            f'{path} is a safetensors file, and no trained run of eojax: such files are made by'
            ' "eojax export"; weights of PyTorch are brought in by "eojax import"'
        )
    version = metadata.get('format_version', '')
    if not version.isdecimal() or int(version) > VERSION:
        raise UserError(
            f'{path} was written by eojax {_version_of(metadata)} in version {version or "?"} of'
            f' the format, and this eojax reads up to {VERSION}: install a newer eojax'
        )
    return metadata


def _version_of(metadata: Mapping[str, str]) -> str:
    try:
        return str(json.loads(metadata[_CARD])['version'])
    except (KeyError, ValueError, TypeError):
        return '(unknown)'


def _texts(metadata: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    known = {'format', 'format_version', _CHECKPOINT, _CARD, _DIGEST}
    for name, text in metadata.items():
        if name in known:
            continue
        if name not in TEXTS:
            raise ValueError(f'it holds {name!r}, which no run has')
        yield name, text


def _grouped(tensors: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of npz files by the path of the file, which is one of a run's folder."""
    groups: dict[str, dict[str, np.ndarray]] = {}
    for name, array in tensors.items():
        if name.startswith(STATE):
            continue
        group, _, key = name.rpartition('/')
        if not ARRAYS.fullmatch(group) or not key.isidentifier() or key == 'file':
            raise ValueError(f'it holds {name!r}, which no run has')
        groups.setdefault(group, {})[key] = array
    return groups


def _digest(metadata: Mapping[str, str], tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of texts and tensors, each with its name and length, in the order of names."""
    total = hashlib.sha256()

    def add(*parts: Any) -> None:
        for part in parts:
            data = part if isinstance(part, bytes) else str(part).encode()
            total.update(len(data).to_bytes(8, 'little') + data)

    for name in sorted(metadata):
        if name != _DIGEST:
            add(name, metadata[name])
    for name in sorted(tensors):
        array = tensors[name]
        add(name, array.dtype.str, array.shape, array.tobytes())
    return total.hexdigest()


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f'{path} is damaged ({_line(error)}): get it anew')


def _line(error: Exception) -> str:
    return ' '.join(str(error).split()) or repr(error)
