"""Small labelled folders and archives in the layouts of the real data sets, for the tests."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from eojax.data.sets import eurosat


def pixels(seed: int, height: int = 64, width: int = 64, bands: int = 3) -> np.ndarray:
    """A smooth, seeded uint8 image, so that JPEG keeps it nearly."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 64
    waves = [128 + 100 * np.sin(a * x + b * y + c) for a, b, c in rng.uniform(0, 3, (bands, 3))]
    return np.stack(waves, -1).astype(np.uint8).squeeze()


def encode(array: np.ndarray, kind: str = 'PNG') -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()


def eurosat_members(num: int = 2, top: str = '2750', kind: str = 'JPEG') -> dict[str, bytes]:
    """`num` images of each class, by their path in the archive."""
    return {
        f'{top}/{name}/{name}_{i + 1}.jpg': encode(pixels(100 * label + i), kind)
        for label, name in enumerate(eurosat.CLASS_NAMES)
        for i in range(num)
    }


def write_zip(path: Path, members: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, 'w') as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def write_tree(path: Path, members: Mapping[str, bytes]) -> Path:
    for name, data in members.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return path
