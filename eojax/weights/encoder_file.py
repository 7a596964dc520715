"""An encoder in one file: weights of a network without classes, which a training starts from.

A safetensors file, as `eojax.weights.run_file` is one. Its metadata:

`format`, `format_version`: which file this is; a reader refuses newer versions by name.
`encoder.json`: JSON of `About`.

Its tensors are the leaves of the network by name, with dots for levels: `parameters.stem.kernel`,
`statistics.stem_norm.mean`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from eojax.atomic_file import write_atomically
from eojax.errors import UserError

FORMAT, VERSION = 'eojax encoder', 1
_ABOUT = 'encoder.json'


class About(NamedTuple):
    """The facts of an encoder.

    Attributes:
      title: in a line.
      model: the config group `model`.
      bands: of the images, in order; numbered names where nobody named them.
      mean, deviation: of each band in the data's units, that images were normalised by; empty where
        the network takes images from -1 to 1 as they are.
      source: the name of the file that it was made of.
      source_sha256: of that file.
      licence, citation: of the weights, as whoever brought them in says.
      version, date: of eojax that wrote it, and the day.
    """

    title: str
    model: Mapping[str, Any]
    bands: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    source: str
    source_sha256: str
    licence: str
    citation: str
    version: str
    date: str


class EncoderFile(NamedTuple):
    """The contents of a file: facts, and the network's leaves by name."""

    about: About
    leaves: Mapping[str, np.ndarray]


def write(path: Path, content: EncoderFile) -> None:
    """Writes a file whole or not at all.

    Raises:
      OSError: the folder is not writable, or the disk is full.
    """
    about = json.dumps(content.about._asdict(), indent=1, ensure_ascii=False)
    metadata = {'format': FORMAT, 'format_version': str(VERSION), _ABOUT: about}
    data = save({n: np.asarray(a, order='C') for n, a in content.leaves.items()}, metadata)
    write_atomically(path, lambda file: file.write(data))


def is_encoder(path: Path) -> bool:
    """Whether a file says that it is an encoder; false where it cannot be read."""
    try:
        with safe_open(path, framework='numpy') as file:
            return (file.metadata() or {}).get('format') == FORMAT
    except Exception:  # whatever the library makes of another file
        return False


def read(path: Path) -> EncoderFile:
    """The contents of a file for which `is_encoder` holds.

    Raises:
      UserError: it is damaged, or of a newer eojax.
    """
    try:
        with safe_open(path, framework='numpy') as file:
            metadata = dict(file.metadata() or {})
            names = file.keys()
            leaves = {name: np.asarray(file.get_tensor(name)) for name in names}
        version = metadata.get('format_version', '')
        plain = json.loads(metadata[_ABOUT])
        lists = {name: tuple(plain[name]) for name in ('bands', 'mean', 'deviation')}
        about = About(**{**plain, **lists})
    except Exception as error:  # whatever the library makes of damaged bytes
        reason = ' '.join(str(error).split()) or repr(error)
        raise UserError(f'{path} is damaged ({reason}): import it anew') from error
    if not version.isdecimal() or int(version) > VERSION:
        raise UserError(
            f'{path} was written by eojax {about.version} in version {version or "?"} of the format'
            f' of encoders, and this eojax reads up to {VERSION}: install a newer eojax'
        )
    return EncoderFile(about, leaves)


def described(content: EncoderFile, name: str) -> str:
    """The facts of an encoder as text for a terminal."""
    about = content.about
    numbers = sum(a.size for n, a in content.leaves.items() if n.startswith('parameters.'))
    model = ', '.join(
        f'{key} {value}' for key, value in about.model.items() if key not in ('name', 'dtype')
    )
    rows = [
        ('network', f'{about.model["name"]}: {model}; {numbers:,} parameters, no classes'),
        ('bands', ', '.join(about.bands)),
        ('mean', ', '.join(f'{value:g}' for value in about.mean) or 'images from -1 to 1'),
        ('deviation', ', '.join(f'{value:g}' for value in about.deviation) or 'as they are'),
        ('made of', f'{about.source}, SHA-256 {about.source_sha256}'),
        ('licence', about.licence or 'none stated'),
        ('citation', about.citation or 'none stated'),
        ('written', f'{about.date} by eojax {about.version}'),
    ]
    return '\n'.join([f'{name}: {about.title}', '', *(f'{key:<14}{text}' for key, text in rows)])
