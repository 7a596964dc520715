"""Times FixMatch's augmentations, compiled for the device, against Pillow on the host.

    python -m benchmarks.augmentation [--batch=448] [--size=64] [--repeats=5] [--out=FILE.json]

Images per second of the weak and of the strong view as `eojax.methods.fixmatch` makes them, for
float images on the device; of Pillow doing the same to uint8 images one by one, in this process
and in a process for each core; and the share of a FixMatch step that its strong views take. That
step is of `configs/fixmatch_eurosat.py`: at its own size in bfloat16 on accelerators, with a
WRN-16-2 and 16 + 3 x 16 images on the CPU (`benchmarks/suites.py`).
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random
from ml_collections import ConfigDict

from benchmarks import command, provenance, suites
from benchmarks.command import Numbers
from benchmarks.other_load import OtherLoad
from benchmarks.pillow_augmentation import Strong, strong_views, weak_views
from benchmarks.table import spread_text
from benchmarks.timing import Workload, interleave, rates, ratios, repeated
from benchmarks.training_step import STEP_ALONE, TrainingStep
from benchmarks.worker_processes import Workers
from eojax.augment import AUGMENTATIONS
from eojax.augment.randaugment import operations_of, strong
from eojax.devices.compiler_options import compiler_options
from eojax.errors import one_line_errors
from eojax.tables import plain_table

ENTRY = 'fixmatch'
VIEWS = ('weak', 'strong')
_STEP, _VIEWS_OF_STEP = 'step', 'strong views of the step'


class Size(NamedTuple):
    """The work to measure: so many images of so many pixels, in a round for so many seconds."""

    batch: int
    pixels: int
    seconds: float
    cores: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints the table and writes the record."""
    parser = command.parser('augmentation', __doc__)
    parser.add_argument('--batch', type=int, default=448, help='images at once')
    parser.add_argument('--size', type=int, default=64, help='pixels of a side')
    parser.add_argument('--suite', default='', help='whose fixmatch step; the device decides')
    parser.add_argument('--seconds', type=float, default=1.0, help='of each workload in a round')
    options = parser.parse_args(arguments)
    with one_line_errors():
        for flag in ('batch', 'size'):
            command.whole_numbers(flag, str(getattr(options, flag)))
        commit = command.commit_for(options)
        _, (entry,) = suites.choose(options.suite, (ENTRY,))
        size = Size(options.batch, options.size, options.seconds, os.cpu_count() or 1)
        load = OtherLoad()
        command.say(f'{size.batch} images of {size.pixels} px')
        seconds = time_views(size, entry.config, options.repeats)
        command.say(f'the step: {suites.described(entry.config)}')
        seconds |= time_step(entry.config, options.repeats, options.seconds)
        numbers = numbers_of(seconds, size)
        cores = load.cores()
        numbers['other_cores'] = None if cores is None else round(cores, 2)
        words = command.spelled('augmentation', options, ('batch', 'size', 'suite', 'repeats'))
        record = provenance.record_of(words, commit, numbers, options.notes, 'pillow')
        record['augmentation'] = {
            'batch': size.batch,
            'size': size.pixels,
            'cores': size.cores,
            'step': suites.described(entry.config),
            'notes': command.load_notes(cores),
        }
        record['repeats'] = seconds
        print(text(record))
        command.write(options, record)


def time_views(size: Size, config: ConfigDict, repeats: int) -> dict[str, list[float]]:
    """Seconds of a batch in each round, by workload: each view on the device, and by Pillow."""
    generator = np.random.default_rng(0)
    shape = (size.batch, size.pixels, size.pixels, 3)
    images = generator.integers(0, 256, shape, np.uint8)
    options = strong_options(config)
    makers: dict[str, Callable[[Any, int], np.ndarray]] = {
        'weak': functools.partial(_pillow_weak, options),
        'strong': functools.partial(_pillow_strong, options),
    }
    workloads, pools = [], []
    for view in VIEWS:
        compiled = device_view(view, config, images.shape)
        workloads.append(Workload(view, repeated(functools.partial(compiled, _unit(images)))))
        make = makers[view]
        workloads.append(Workload(f'pillow_{view}', _in_this_process(make, images)))
        pool = Workers(make, images[: -(-size.batch // size.cores)], itertools.count(), size.cores)
        pools.append(pool)
        workloads.append(Workload(f'pillow_{view}_all_cores', _in_processes(pool)))
    try:
        for workload in workloads:
            workload.run(1)
        return interleave(workloads, repeats, size.seconds)
    finally:
        for pool in pools:
            pool.close()


def time_step(config: ConfigDict, repeats: int, seconds: float) -> dict[str, list[float]]:
    """Seconds of a FixMatch step, on a batch drawn before, and of its strong views alone."""
    step = TrainingStep(config)
    alone = next(w for w in step.workloads() if w.name == STEP_ALONE)
    stream = step.phase.streams['unlabelled']
    shape = (stream.batch_size, *step.run.task.image_shape)
    images = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    compiled = device_view('strong', config, shape)
    views = Workload(_VIEWS_OF_STEP, repeated(functools.partial(compiled, _unit(images))))
    views.run(1)
    try:
        return interleave([alone._replace(name=_STEP), views], repeats, seconds)
    finally:
        step.close()


def device_view(view: str, config: ConfigDict, shape: tuple[int, ...]) -> Callable[[Array], Array]:
    """A view of float images `[N, H, W, C]` in [-1, 1], compiled, with a new key in each call."""
    method = config.method
    weakly = AUGMENTATIONS[method.augment]

    def made(images: Array, key: Array) -> Array:
        key_weak, key_strong = (key, key) if view == 'weak' else random.split(key)
        sample, _ = weakly({'images': images}, key_weak)
        if view == 'strong':
            sample, _ = strong(
                sample,
                key_strong,
                method.strong_operations,
                method.cutout_share,
                method.interpolation,
                operations_of(method.strong_set),
            )
        return sample['images']

    compiled = jax.jit(made, compiler_options=compiler_options())
    keys = itertools.cycle(list(random.split(random.key(2), 16)))
    return lambda images: compiled(images, next(keys))


def strong_options(config: ConfigDict) -> Strong:
    """The operations of Pillow for the strong view of a config."""
    method = config.method
    return Strong(
        method.augment,
        operations_of(method.strong_set),
        method.strong_operations,
        method.cutout_share,
        method.interpolation,
    )


def numbers_of(seconds: dict[str, list[float]], size: Size) -> Numbers:
    """For a record, as `benchmarks/results/README.md` names them."""
    numbers: Numbers = {}
    # Every core has had its share, rounded up.
    shared = size.cores * -(-size.batch // size.cores)
    for view in VIEWS:
        alone, all_cores = f'pillow_{view}', f'pillow_{view}_all_cores'
        for name, images in ((view, size.batch), (alone, size.batch), (all_cores, shared)):
            found = rates(seconds[name], images)
            numbers |= command.spread_numbers(f'{name}_images_per_second', found)
        for name, images in ((alone, size.batch), (all_cores, shared)):
            scaled = [value * size.batch / images for value in seconds[name]]
            numbers |= command.spread_numbers(f'ratio_{name}', ratios(seconds[view], scaled))
    numbers |= command.spread_numbers('step_per_second', rates(seconds[_STEP]))
    share = ratios(seconds[_STEP], seconds[_VIEWS_OF_STEP])
    return numbers | command.spread_numbers('strong_share_of_step', share)


def text(record: dict[str, Any]) -> str:
    """The table of a record."""
    numbers, about = record['numbers'], record['augmentation']
    rows = [('images per second', 'weak', 'strong')]
    where = {'': 'eojax, compiled', 'pillow_': 'Pillow, one process'}
    for start, title in where.items():
        cells = [spread_text(numbers, f'{start}{view}_images_per_second') for view in VIEWS]
        rows.append((title, cells[0], cells[1]))
    cells = [spread_text(numbers, f'pillow_{v}_all_cores_images_per_second') for v in VIEWS]
    rows.append((f'Pillow, {about["cores"]} processes', cells[0], cells[1]))
    cells = [f'{spread_text(numbers, f"ratio_pillow_{v}_all_cores")}x' for v in VIEWS]
    rows.append(('eojax to Pillow on all cores', cells[0], cells[1]))
    share = numbers['strong_share_of_step']
    return '\n'.join([
        *plain_table(rows),
        '',
        f'{about["batch"]} images of {about["size"]} px; eojax on'
        f' {record["hardware"]["device"]}; median (slowest-fastest round).',
        f'Strong views are {share:.1%} of a FixMatch step ({about["step"]}).',
        *about['notes'],
    ])  # fmt: skip


def _unit(images: np.ndarray) -> Array:
    return jnp.asarray(images.astype(np.float32) / 127.5 - 1.0)


def _pillow_weak(options: Strong, images: np.ndarray, seed: int) -> np.ndarray:
    return weak_views(list(images), options.weak, seed)


def _pillow_strong(options: Strong, images: np.ndarray, seed: int) -> np.ndarray:
    return strong_views(list(images), options, seed)


def _in_this_process(
    make: Callable[[Any, int], np.ndarray], images: np.ndarray
) -> Callable[[int], None]:
    seeds = itertools.count()

    def run(times: int) -> None:
        for _ in range(times):
            make(images, next(seeds))

    return run


def _in_processes(pool: Workers) -> Callable[[int], None]:
    def run(times: int) -> None:
        for _ in range(times * pool.num):
            next(pool)
        pool.settle()

    return run


if __name__ == '__main__':
    main()
