"""A suite measured: its training steps, their peers and the ceiling by turns, as flat numbers."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks import ceiling, rivals
from benchmarks.ceiling import COPY, MATMUL, Ceiling
from benchmarks.command import load_notes, rounded, spread_numbers
from benchmarks.flops import step_flops
from benchmarks.other_load import OtherLoad
from benchmarks.suites import Entry, Suite, described
from benchmarks.timing import interleave, rates, ratios
from benchmarks.training_step import END_TO_END, INPUT_ALONE, STEP_ALONE, TrainingStep

Seconds = Mapping[str, Sequence[float]]


class Measured(NamedTuple):
    """The measurements of a suite.

    Attributes:
      numbers: flat, for a record.
      entries: by entry, its sizes in words.
      seconds: by entry and workload, seconds of one step (product, copy) in each round.
      notes: what a reader must know, one line each.
    """

    numbers: dict[str, float | None]
    entries: dict[str, str]
    seconds: dict[str, Seconds]
    notes: list[str]


def measure(
    suite: Suite, entries: Sequence[Entry], repeats: int, say: Callable[[str], None]
) -> Measured:
    """Times all entries, one after the other.

    Args:
      repeats: rounds for each.
      say: is told what is being done.

    Raises:
      UserError: a config that cannot run.
    """
    best = ceiling.build(*suite.ceiling)
    measured = Measured({}, {}, {}, [])
    devices = 1
    for entry in entries:
        say(f'{entry.name}: {described(entry.config)}')
        step = TrainingStep(entry.config)
        devices = step.run.mesh.size
        timed = _timed(step, best, suite.seconds, repeats)
        measured.entries[entry.name] = described(entry.config)
        measured.seconds[entry.name] = timed.seconds
        measured.numbers.update(_numbers_of(entry.name, step, timed.seconds))
        cores = timed.other_cores
        measured.numbers[f'{entry.name}_other_cores'] = None if cores is None else round(cores, 2)
        measured.notes.extend(f'{entry.name}: {note}' for note in _notes_on(step, timed))
        step.close()
        del step
        gc.collect()  # its arrays, before those of the next
    measured.numbers.update(_ceiling_numbers(best, measured.seconds.values()))
    for name in measured.entries:
        measured.numbers[f'{name}_matmul_share'] = _share(measured.numbers, name, devices)
    return measured


class _Timed(NamedTuple):
    """Seconds of one time of each workload in each round, what the peers say, others' cores."""

    seconds: Seconds
    notes: list[str]
    other_cores: float | None


def _timed(step: TrainingStep, best: Ceiling, seconds: float, repeats: int) -> _Timed:
    ours, *parts = step.workloads()
    others = rivals.build(step)
    by_turns = [ours, *others.workloads, *parts, best.matmul, best.copy]
    load = OtherLoad()
    taken = interleave(by_turns, repeats, seconds)
    others_cores = load.cores()
    others.close()
    taken[END_TO_END] = [value / step.steps_per_call for value in taken[END_TO_END]]
    return _Timed(taken, others.notes, others_cores)


def _notes_on(step: TrainingStep, timed: _Timed) -> list[str]:
    notes = [*timed.notes, *load_notes(timed.other_cores)]
    if not step.memory.measured:
        notes.append("peak memory from the program's analysis, not from the device")
    if not step.healthy():
        notes.append('its loss went out of bounds while it was timed')
    return notes


def _numbers_of(name: str, step: TrainingStep, seconds: Seconds) -> dict[str, float | None]:
    """The numbers of an entry; those that need the ceiling come later."""
    ours = rates(seconds[END_TO_END])
    task = step.run.task
    flops = step_flops(
        step.run.config,
        task.image_shape,
        task.num_classes,
        source_shape=task.source_shape,
        beside=task.facts.rasters,
    )
    numbers: dict[str, float | None] = {
        **spread_numbers(f'{name}_steps_per_second', ours),
        f'{name}_images_per_second': rounded(ours.median * step.images),
        **spread_numbers(f'{name}_step_alone_per_second', rates(seconds[STEP_ALONE])),
        **spread_numbers(f'{name}_input_alone_per_second', rates(seconds[INPUT_ALONE])),
        f'{name}_compile_seconds': round(step.compile_seconds, 2),
        f'{name}_peak_memory_bytes': step.memory.size,
        f'{name}_step_flops': flops.total,
        f'{name}_matmul_share': None,
    }
    for peer in rivals.PEERS:
        if peer in seconds:
            theirs = rates(seconds[peer])
            numbers |= spread_numbers(f'{name}_{peer}_steps_per_second', theirs)
            numbers |= spread_numbers(
                f'{name}_ratio_{peer}', ratios(seconds[END_TO_END], seconds[peer])
            )
        else:
            numbers[f'{name}_ratio_{peer}'] = None
    return numbers


def _ceiling_numbers(best: Ceiling, rounds: Any) -> dict[str, float | None]:
    """Over the rounds of all entries."""
    rounds = list(rounds)
    products = list(itertools.chain.from_iterable(seconds[MATMUL] for seconds in rounds))
    copies = list(itertools.chain.from_iterable(seconds[COPY] for seconds in rounds))
    return {
        **spread_numbers('matmul_flops_per_second', rates(products, best.matmul_flops)),
        **spread_numbers('copy_bytes_per_second', rates(copies, best.copy_bytes)),
    }


def _share(numbers: Mapping[str, float | None], name: str, devices: int) -> float | None:
    keys = f'{name}_step_flops', f'{name}_steps_per_second', 'matmul_flops_per_second'
    flops, rate, product = (float(numbers[key] or 0.0) for key in keys)
    return rounded(flops * rate / (product * devices))
