"""Records of the benchmark suite with made-up numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.rivals import PEERS


def suite_record(**changes: Any) -> dict[str, Any]:
    """A record of one entry `jem` that is 0.71 and 2.5 times as fast as the peers.

    Args:
      changes: of the keys at the top.
    """
    numbers: dict[str, Any] = {
        'jem_images_per_second': 96.0,
        'jem_input_alone_per_second': 5000.0,
        'jem_compile_seconds': 12.25,
        'jem_peak_memory_bytes': 1_250_000_000,
        'jem_step_flops': 2.4e11,
        'jem_matmul_share': 0.48,
        'copy_bytes_per_second': 1e10,
    }
    with_spread = {
        'jem_steps_per_second': 2.0,
        'jem_step_alone_per_second': 2.1,
        'matmul_flops_per_second': 1e12,
    }
    for peer, ratio in zip(PEERS, (0.71, 2.5), strict=True):
        with_spread[f'jem_ratio_{peer}'] = ratio
        with_spread[f'jem_{peer}_steps_per_second'] = 2.0 / ratio
    for name, value in with_spread.items():
        numbers |= {name: value, f'{name}_low': 0.9 * value, f'{name}_high': 1.1 * value}
    record = {
        'command': 'python -m benchmarks.run --repeats=5',
        'commit': '0' * 40,
        'hardware': {'device': 'cpu', 'count': 1, 'cpu': 'Abacus', 'cores': 2, 'memory_gb': 8},
        'date': '2026-01-02',
        'versions': {'python': '3.11'},
        'numbers': numbers,
        'suite': {
            'name': 'cpu',
            'repeats': 5,
            'product': 'float32',
            'entries': {'jem': 'WRN-16-2, 64 px'},
            'notes': [],
        },
    }
    return record | changes


def write(folder: Path, name: str, record: dict[str, Any]) -> Path:
    """The record as a file."""
    path = folder / name
    path.write_text(json.dumps(record))
    return path
