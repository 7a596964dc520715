"""Small So2Sat files in the layout of the real ones, for the tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from eojax.data.sets import so2sat

NUM_CLASSES = len(so2sat.CLASS_NAMES)


def arrays(num: int, seed: int = 0) -> dict[str, np.ndarray]:
    """The arrays of a file, with heavy tails in `sen1`; label i is class i, again and again."""
    rng = np.random.default_rng(seed)
    return {
        'label': np.eye(NUM_CLASSES)[np.arange(num) % NUM_CLASSES],
        'sen1': 0.2 * rng.standard_cauchy((num, 32, 32, 8)),
        'sen2': rng.uniform(0.0, 0.5, (num, 32, 32, 10)),
    }


def write(path: Path, content: Mapping[str, np.ndarray], **options: Any) -> Path:
    """One file; the options are those of h5py, for `sen1` and `sen2`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, 'w') as file:
        for key, values in content.items():
            file.create_dataset(key, data=values, **(options if key != 'label' else {}))
    return path


def write_version(
    root: Path, version: str, num: int = 7, **options: Any
) -> dict[str, dict[str, np.ndarray]]:
    """All files of a version, `num` patches more in each than in the one before; what they hold."""
    folder, names = so2sat.VERSIONS[version]
    content = {name: arrays(num * (1 + i), seed=i) for i, name in enumerate(names)}
    for name, values in content.items():
        write(root / folder / f'{name}.h5', values, **options)
    return content
