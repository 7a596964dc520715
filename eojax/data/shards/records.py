"""One window as a record: the pixels of each raster, as numbers or as PNG, and nothing that runs.

Each raster is its length in bytes, 32 bits little endian, and its values, row by row, little
endian; or, where the files are PNG and its values allow it, a PNG file.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from eojax.data.facts import Facts

# How pixels are kept: by array_record's own compression, as PNG where that can be, or as they are.
COMPRESSIONS = ('zstd', 'png', 'none')
_LENGTH = struct.Struct('<I')
_PNG = b'\x89PNG'


def encode(read: Mapping[str, np.ndarray], rasters: Sequence[str], compression: str) -> bytes:
    """The record of a window.

    Args:
      read: of each raster `[h, w, bands]`, of labels and masks `[h, w]`, as a `Source` reads them.
      rasters: the order of the record.
      compression: one of `COMPRESSIONS`.
    """
    parts = []
    for name in rasters:
        pixels = read[name]
        packed = _png(pixels) if compression == 'png' else None
        if packed is None:
            packed = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder('<')).tobytes()
        parts += [_LENGTH.pack(len(packed)), packed]
    return b''.join(parts)


def decode(
    record: bytes,
    rasters: Sequence[str],
    wanted: Sequence[str],
    facts: Facts,
    size: tuple[int, int],
) -> dict[str, np.ndarray]:
    """The rasters of a record that are wanted.

    Args:
      rasters: the order of the record.
      wanted: some of them.
      facts: of the data set.
      size: height and width of the window.

    Raises:
      ValueError, struct.error, OSError: it is not such a record.
    """
    read, start = {}, 0
    for name in rasters:
        (length,) = _LENGTH.unpack_from(record, start)
        start += _LENGTH.size
        if name in wanted:
            packed = memoryview(record)[start : start + length]
            read[name] = _unpack(packed, name, facts, size)
        start += length
    if start != len(record):
        raise ValueError(f'{len(record)} bytes; expected {start}')
    return {name: read[name] for name in wanted}


def _unpack(packed: memoryview, name: str, facts: Facts, size: tuple[int, int]) -> np.ndarray:
    dtype, shape = np.dtype(facts.stored(name).dtype), facts.shape(name, *size)
    num = int(np.prod(shape))
    if packed[:4] == _PNG and len(packed) != num * dtype.itemsize:
        with Image.open(io.BytesIO(packed), formats=('PNG',)) as image:
            return np.array(image, dtype).reshape(shape)
    stored = np.frombuffer(packed, dtype.newbyteorder('<'))
    return stored.astype(dtype).reshape(shape)


def _png(pixels: np.ndarray) -> bytes | None:
    """The pixels as a PNG file; None where they cannot be one."""
    bands = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.dtype != np.uint8 or bands not in (1, 3, 4):
        return None
    file = io.BytesIO()
    flat = pixels[..., 0] if pixels.ndim == 3 and bands == 1 else pixels
    Image.fromarray(flat).save(file, 'PNG')
    data = file.getvalue()
    # Told from plain numbers by its length.
    return data if len(data) != pixels.nbytes else None
