"""Start-up of prepared data sets of several sizes: seconds and memory must not grow with them.

    python -m benchmarks.prepared --num=2000 --num=20000 --num=200000

Writes that many windows of 16 pixels, splits them once, and then, each in a new process, opens the
data set, its splits, and draws the first batches as a streamed training does.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eojax.data.dataset import Dataset, Places, Window
from eojax.data.facts import Facts, Raster
from eojax.data.kept_splits import split_and_record
from eojax.data.shards.grid import Grid
from eojax.data.shards.index import open_prepared
from eojax.data.shards.write import Job, make_plan, write_all
from eojax.data.splits import Rule

SIZE, BATCH, STEPS = 16, 64, 10
_CLASSES = tuple('abcdefghij')
_RULE = Rule(0)


class Noise(NamedTuple):
    """Places that are seeded noise."""

    def read(
        self, place: int, window: Window | None, rasters: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """See `eojax.data.dataset.Source.read`."""
        return {'images': np.random.default_rng(place).integers(0, 256, (SIZE, SIZE, 3), np.uint8)}

    def subset(self, indices: np.ndarray) -> Noise:
        """See `eojax.data.dataset.Source.subset`."""
        raise NotImplementedError


def write(num: int, folder: Path) -> dict[str, Any]:
    """Prepares and splits a data set; the seconds of both."""
    names = np.sort(np.array([f'{_CLASSES[i % 10]}/{i:09d}' for i in range(num)]))
    labels = np.array([_CLASSES.index(name[0]) for name in names], np.int32)
    sides = np.full(num, SIZE, np.int32)
    facts = Facts('noise', 'noise', _CLASSES, {'images': Raster()}, size=(SIZE, SIZE))
    dataset = Dataset(facts, Places(names, sides, sides, labels), Noise())
    start = time.perf_counter()
    write_all(Job(dataset, make_plan(dataset, Grid(), 4096, 'none'), folder), 2, progress=False)
    written = time.perf_counter()
    split_and_record(open_prepared(folder), _RULE)
    return {'write_seconds': written - start, 'split_seconds': time.perf_counter() - written}


def measure(folder: Path, workers: int) -> dict[str, Any]:
    """Seconds of each part of a start, and the memory of this process after it, in MB."""
    import jax

    from eojax.devices.sharding import data_mesh
    from eojax.feed.inputs import choose_input
    from eojax.feed.streams import Stream
    from eojax.runs.domains import Domain

    mesh, key = data_mesh(), jax.random.key(0)
    jax.block_until_ready(jax.numpy.zeros(8) + 1)
    numbers: dict[str, Any] = {'memory_before': _memory()}

    def timed(name: str, task: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = task()
        numbers[name] = time.perf_counter() - start
        return result

    dataset = timed('open_seconds', lambda: open_prepared(folder))
    splits, record = timed('splits_seconds', lambda: split_and_record(dataset, _RULE))
    streams = {'data': Stream('labelled', BATCH), 'more': Stream('train', BATCH)}
    domain = Domain(dataset, splits, dataset.class_names, record)
    fed = timed(
        'input_seconds',
        lambda: choose_input(domain, list(streams.values()), mesh, 1000, 0.0, workers),
    )
    timed('first_batch_seconds', lambda: fed.feed(streams, key, 0))
    timed('next_batches_seconds', lambda: [fed.feed(streams, key, 1 + s) for s in range(STEPS)])
    fed.close()
    return {**numbers, 'memory_after': _memory()}


def _memory() -> dict[str, float]:
    """Resident memory of this process: all, its own, and pages of files, in MB."""
    text = Path('/proc/self/status').read_text()
    fields = {'all': 'VmRSS', 'own': 'RssAnon', 'files': 'RssFile'}
    found = {name: re.search(rf'{field}:\s+(\d+) kB', text) for name, field in fields.items()}
    return {name: int(match[1]) / 1024 for name, match in found.items() if match}


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints one JSON object a size."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument('--num', type=int, action='append', help='windows; more than once')
    parser.add_argument('--workers', type=int, default=0, help='processes that read; 0: threads')
    parser.add_argument('--measure', default='', help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        print(json.dumps(measure(Path(options.measure), options.workers)))
        return
    for num in options.num or (2_000, 20_000, 200_000):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / 'prepared'
            numbers = write(num, folder)
            command = [sys.executable, '-m', 'benchmarks.prepared', f'--measure={folder}',
                       f'--workers={options.workers}']  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            print(json.dumps({'windows': num, **numbers, **json.loads(done.stdout)}))


if __name__ == '__main__':
    main()
