"""Writes a data set as shards and an index, by several processes, and goes on where it was stopped.

A shard is written under another name and renamed; a file beside it, `pieces/`, then tells what is
in it. Shards that have one are kept by a later run of the same plan. So the files do not depend on
how often the work was stopped or on how many processes did it.
"""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import shutil
import uuid
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from tqdm import tqdm

from eojax.atomic_file import flush_to_disk, write_atomically
from eojax.data.columns import all_unique, name_at, names_digest
from eojax.data.dataset import Dataset, Window
from eojax.data.facts import PIXEL_LABELS
from eojax.data.shards.grid import Grid, Windows, check_grid
from eojax.data.shards.index import (
    COLUMNS,
    FILE,
    SHARDS,
    Plan,
    column_digest,
    plan_to_json,
    read_index,
    sha256_of,
    shard_name,
)
from eojax.data.shards.records import COMPRESSIONS, encode
from eojax.errors import UserError, unknown_name

_PLAN, _PIECES = 'plan.json', 'pieces'
# Of the pixels by which a plan tells two data sets apart.
_SAMPLE_PLACES, _SAMPLE_SIDE = 8, 256
# Of array_record: each window can be read alone.
_WRITER = {
    'zstd': 'group_size:1,zstd:3,max_parallelism:1',
    'png': 'group_size:1,uncompressed,max_parallelism:1',
    'none': 'group_size:1,uncompressed,max_parallelism:1',
}


class Job(NamedTuple):
    """All that writing a shard needs; it pickles.

    Attributes:
      dataset: that is read.
      plan: what is written.
      folder: where.
    """

    dataset: Dataset
    plan: Plan
    folder: Path


def make_plan(dataset: Dataset, grid: Grid, per_shard: int, compression: str) -> Plan:
    """The part of a data set to write.

    Raises:
      UserError: a grid or compression that there is not, or no place as large as a window.
    """
    check_grid(grid, dataset.facts)
    if compression not in COMPRESSIONS:
        raise unknown_name('compression', compression, COMPRESSIONS)
    if per_shard < 1:
        raise UserError(f'--per_shard={per_shard}: a shard holds at least one window')
    places = dataset.places
    if not all_unique(places.names):
        raise ValueError('names of places must be unique')
    num = len(Windows(places.heights, places.widths, grid))
    if not num:
        raise UserError(f'no place is as large as a window of {grid.window} pixels')
    facts = dataset.facts
    if grid.window:
        facts = facts._replace(size=(grid.window, grid.window))
    names = names_digest(places.names, np.arange(places.num))
    labels = places.labels if facts.label == 'image' else np.zeros(0)
    optional = (places.groups, places.parts, places.annotated)
    others = [column for column in optional if column is not None]
    origin = (
        f'{names} {column_digest(places.heights, places.widths, labels, *others)}'
        f' {_sample_digest(dataset)}'
    )
    return Plan(facts, grid, num, per_shard, compression, origin)


def _sample_digest(dataset: Dataset) -> str:
    """SHA-256 over the middles of some places: other pixels may go by the same names."""
    places, facts = dataset.places, dataset.facts
    rasters = (*sorted(facts.rasters), *([PIXEL_LABELS] if facts.label == 'pixel' else []))
    grid = math.lcm(*(raster.scale for raster in facts.rasters.values()))
    digest = hashlib.sha256()
    for place in np.unique(np.linspace(0, places.num - 1, _SAMPLE_PLACES).astype(int)).tolist():
        size = (int(places.heights[place]), int(places.widths[place]))
        height, width = (min(side, _SAMPLE_SIDE // grid * grid or grid) for side in size)
        row, column = (size[0] - height) // 2 // grid * grid, (size[1] - width) // 2 // grid * grid
        read = dataset.source.read(place, Window(row, column, height, width), rasters)
        for name in rasters:
            digest.update(np.ascontiguousarray(read[name]).tobytes())
    return digest.hexdigest()


def start(job: Job) -> list[int]:
    """Makes the folder ready; the numbers of the shards that are still to be written.

    Raises:
      UserError: the folder holds something else.
    """
    folder, text = job.folder, json.dumps(plan_to_json(job.plan), indent=1) + '\n'
    plan = folder / _PLAN
    if folder.exists() and not plan.is_file() and any(folder.iterdir()):
        raise UserError(f'--out={folder} holds something else; choose another folder')
    if plan.is_file() and plan.read_text() != text:
        raise UserError(
            f'--out={folder} holds another data set, or this one cut in another way; choose another'
            ' folder, or delete it'
        )
    if (folder / FILE).is_file():
        for name in read_index(folder)[1]:
            if not (folder / name).is_file():
                raise UserError(
                    f'no such file: {folder / name}; delete --out={folder} and prepare it anew'
                )
        return []
    for name in (COLUMNS, SHARDS, _PIECES):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if not plan.is_file():
        write_atomically(plan, lambda file: file.write(text.encode()))
    return [n for n in range(job.plan.num_shards) if not _is_complete(job, n)]


def write_all(job: Job, workers: int = 1, progress: bool = True) -> None:
    """Writes what is missing, by several processes of this machine, and the index.

    Raises:
      UserError: see `start`; a place that cannot be read, by name.
    """
    missing = start(job)
    shards: Iterable[int] = tqdm(missing, 'writing shards', disable=not progress)
    if workers <= 1 or len(missing) <= 1:
        for number in shards:
            write_shard(job, number)
    else:
        context = multiprocessing.get_context('spawn')
        with ProcessPoolExecutor(workers, context, _keep_job, (job,)) as executor:
            done = executor.map(_write_kept, missing)
            for _ in shards:
                next(done)
    finish(job)


def write_shard(job: Job, number: int) -> int:
    """Writes one shard, unless it is there; its number."""
    if _is_complete(job, number):
        return number
    try:
        from array_record.python.array_record_module import ArrayRecordWriter
    except ImportError:
        raise UserError('preparing needs pip install array_record') from None
    plan, places = job.plan, job.dataset.places
    windows = Windows(places.heights, places.widths, plan.grid)
    first = number * plan.per_shard
    numbers = range(first, min(first + plan.per_shard, plan.num))
    path = job.folder / SHARDS / shard_name(number, plan.num_shards)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp')
    where = [windows[n] for n in numbers]
    try:
        writer = ArrayRecordWriter(str(temporary), _WRITER[plan.compression])
        for place, window in where:
            read = job.dataset.source.read(place, window, plan.rasters)
            writer.write(encode(_checked(job, place, read), plan.rasters, plan.compression))
        writer.close()
        with open(temporary, 'rb+') as file:
            flush_to_disk(file)
        digest = sha256_of(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    at = np.array([place for place, _ in where])
    piece: dict[str, Any] = {
        'names': np.array([_window_name(job, place, window) for place, window in where]),
        'heights': np.array([window.height for _, window in where], np.int32),
        'widths': np.array([window.width for _, window in where], np.int32),
        'labels': np.asarray(places.labels[at], np.int32),
        'sha256': np.array(digest),
    }
    if places.groups is not None:
        piece['groups'] = np.asarray(places.groups[at], np.int32)
    elif plan.grid.window:
        # Windows of one place may overlap: no split may part them.
        piece['groups'] = at.astype(np.int32)
    if places.parts is not None:
        piece['parts'] = np.asarray(places.parts[at], np.int8)
    if places.annotated is not None:
        piece['annotated'] = np.asarray(places.annotated[at], bool)
    write_atomically(_piece(job, number), lambda file: np.savez(file, **piece))
    return number


def finish(job: Job) -> None:
    """Joins the columns of all shards, which must be complete, and writes the index."""
    if (job.folder / FILE).is_file():
        return
    plan, files = job.plan, {}
    with np.load(_piece(job, 0)) as first:
        fields = [field for field in first.files if field != 'sha256']
        dtypes = {field: first[field].dtype for field in fields}
    for number in range(plan.num_shards):
        with np.load(_piece(job, number)) as piece:
            name = f'{SHARDS}/{shard_name(number, plan.num_shards)}'
            files[name] = str(piece['sha256'])
            dtypes['names'] = np.result_type(dtypes['names'], piece['names'].dtype)
    for name in (SHARDS, COLUMNS):
        for left in (job.folder / name).glob('.*.tmp'):
            left.unlink()  # of a process that was killed
    for field in fields:
        name = f'{COLUMNS}/{field}.npy'
        _join(job, field, dtypes[field], job.folder / name)
        files[name] = sha256_of(job.folder / name)
    text = json.dumps({**plan_to_json(plan), 'sha256': files}, indent=1) + '\n'
    write_atomically(job.folder / FILE, lambda file: file.write(text.encode()))
    shutil.rmtree(job.folder / _PIECES)


def _join(job: Job, field: str, dtype: np.dtype, path: Path) -> None:
    """One column out of the pieces, without ever holding it."""

    def write(file: BinaryIO) -> None:
        column = np.lib.format.open_memmap(file.name, 'w+', dtype, (job.plan.num,))
        for number in range(job.plan.num_shards):
            with np.load(_piece(job, number)) as piece:
                first = number * job.plan.per_shard
                column[first : first + len(piece[field])] = piece[field]
        column.flush()

    write_atomically(path, write)


def _checked(job: Job, place: int, read: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Checks that the pixels have the types that the facts state, and returns them."""
    for name, raster in job.plan.facts.rasters.items():
        if read[name].dtype != raster.dtype or read[name].shape[2] != len(raster.bands):
            title = name_at(job.dataset.places.names, place)
            raise UserError(
                f'{title}: {name} is {read[name].dtype} of {read[name].shape[2]} band(s); the data'
                f' set says {raster.dtype} of {len(raster.bands)}'
            )
    return read


def _window_name(job: Job, place: int, window: Window) -> bytes:
    name = name_at(job.dataset.places.names, place)
    if job.plan.grid.window:
        name = f'{name}/{window.row:06d}_{window.column:06d}'
    return name.encode('utf-8', 'surrogateescape')


def _piece(job: Job, number: int) -> Path:
    return job.folder / _PIECES / f'{number:05d}.npz'


def _is_complete(job: Job, number: int) -> bool:
    path = job.folder / SHARDS / shard_name(number, job.plan.num_shards)
    return _piece(job, number).is_file() and path.is_file()


_kept: dict[str, Job] = {}


def _keep_job(job: Job) -> None:
    """In a new process: what it works on."""
    _kept['job'] = job


def _write_kept(number: int) -> int:
    return write_shard(_kept['job'], number)


class WriteShard(NamedTuple):
    """`write_shard` of a job, as a function that pickles."""

    job: Job

    def __call__(self, number: int) -> int:
        return write_shard(self.job, number)
