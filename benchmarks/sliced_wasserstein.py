"""Times the sliced Wasserstein distance over batch sizes and numbers of projections.

    python -m benchmarks.sliced_wasserstein [--batches=64,256,1024] [--projections=32,128,512]
        [--features=128] [--classes=4] [--repeats=5] [--out=FILE.json]

Seconds of the compiled distance of `eojax.losses.sliced_wasserstein`, of its value with both
gradients, of the same within classes, and of what sorts in it; next to numpy, and to PyTorch and
POT (Flamary et al., 2021) where they are installed.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

from benchmarks import command, provenance
from benchmarks.command import Numbers
from benchmarks.other_load import OtherLoad
from benchmarks.rivals import torch_device
from benchmarks.timing import Workload, interleave, ratios, repeated, spread
from eojax.devices.compiler_options import compiler_options
from eojax.errors import one_line_errors
from eojax.losses.sliced_wasserstein import (
    class_conditional_sliced_wasserstein,
    in_order,
    project,
    random_projections,
    sliced_wasserstein,
)
from eojax.tables import plain_table

OURS = ('forward', 'gradient', 'class_gradient', 'sort')
THEIRS = {
    'numpy_forward': 'forward',
    'pot_forward': 'forward',
    'torch_forward': 'forward',
    'torch_gradient': 'gradient',
}


class Case(NamedTuple):
    """Two batches of features and what to compare them by.

    Attributes:
      batch: N, of each side.
      projections: L.
      features: D.
      classes: K, of the class-conditional distance.
    """

    batch: int
    projections: int
    features: int
    classes: int

    @property
    def name(self) -> str:
        return f'batch{self.batch}_projections{self.projections}'


class Batches(NamedTuple):
    """Of a case, float32 `[N, D]` twice, int32 `[N]` twice, and directions `[L, D]`."""

    source: np.ndarray
    target: np.ndarray
    source_labels: np.ndarray
    target_labels: np.ndarray
    directions: np.ndarray


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints the table and writes the record."""
    parser = command.parser('sliced_wasserstein', __doc__)
    parser.add_argument('--batches', default='64,256,1024', help='images of each side')
    parser.add_argument('--projections', default='32,128,512', help='directions')
    parser.add_argument('--features', type=int, default=128, help='of an embedding')
    parser.add_argument('--classes', type=int, default=4, help='of the conditional distance')
    parser.add_argument('--seconds', type=float, default=0.2, help='of each workload in a round')
    options = parser.parse_args(arguments)
    with one_line_errors():
        for flag in ('features', 'classes'):
            command.whole_numbers(flag, str(getattr(options, flag)))
        sizes = [
            command.whole_numbers(flag, getattr(options, flag))
            for flag in ('batches', 'projections')
        ]
        commit = command.commit_for(options)
        numbers: Numbers = {}
        seconds: dict[str, dict[str, list[float]]] = {}
        load, cases = OtherLoad(), []
        for batch in sizes[0]:
            for projections in sizes[1]:
                case = Case(batch, projections, options.features, options.classes)
                command.say(f'batch {batch}, {projections} projections')
                taken = interleave(workloads(case), options.repeats, options.seconds)
                seconds[case.name], numbers = taken, numbers | numbers_of(case, taken)
                cases.append(case)
        cores = load.cores()
        numbers['other_cores'] = None if cores is None else round(cores, 2)
        flags = ('batches', 'projections', 'features', 'classes', 'repeats')
        words = command.spelled('sliced_wasserstein', options, flags)
        record = provenance.record_of(words, commit, numbers, options.notes, 'torch pot')
        record['sliced_wasserstein'] = {
            'features': options.features,
            'classes': options.classes,
            'cases': {case.name: list(case[:2]) for case in cases},
            'notes': command.load_notes(cores),
        }
        record['repeats'] = seconds
        print(text(record))
        command.write(options, record)


def batches(case: Case) -> Batches:
    """Normal features around two means, and labels of all classes."""
    generator = np.random.default_rng(case.batch)
    shape = (case.batch, case.features)
    source, target = (generator.normal(mean, 1.0, shape).astype(np.float32) for mean in (0.0, 0.3))
    labels = [generator.integers(0, case.classes, case.batch).astype(np.int32) for _ in range(2)]
    directions = random_projections(random.key(1), case.projections, case.features)
    return Batches(source, target, labels[0], labels[1], np.asarray(directions))


def workloads(case: Case) -> list[Workload]:
    """Warmed up: those of eojax, and those of the others that are installed."""
    held = batches(case)
    made = [Workload(name, repeated(call)) for name, call in _ours(case, held).items()]
    made.append(Workload('numpy_forward', _each(lambda: numpy_distance(held))))
    if importlib.util.find_spec('ot') is not None:
        made.append(Workload('pot_forward', _each(lambda: pot_distance(held))))
    if torch_device():
        made += _of_torch(held)
    for workload in made:
        workload.run(1)
    return made


def numpy_distance(held: Batches) -> float:
    """The squared distance (Eq. 1) by numpy, on the host."""
    sides = [np.sort(held.directions @ side.T, axis=1) for side in held[:2]]
    return float(np.square(sides[0] - sides[1]).mean())


def pot_distance(held: Batches) -> float:
    """The same by POT on its numpy backend."""
    pot: Any = importlib.import_module('ot')
    root = pot.sliced_wasserstein_distance(
        held.source, held.target, n_projections=len(held.directions), projections=held.directions.T
    )
    return float(root) ** 2


def _ours(case: Case, held: Batches) -> dict[str, Callable[[], Any]]:
    source, target, source_labels, target_labels, directions = map(jnp.asarray, held)
    key, count = random.key(1), case.projections

    def distance(x: Any, z: Any) -> Any:
        return sliced_wasserstein(x, z, key, count)

    def within(x: Any, z: Any) -> Any:
        return class_conditional_sliced_wasserstein(
            x, source_labels, z, target_labels, case.classes, key, count
        )

    projected = [project(side, directions) for side in (source, target)]
    functions: dict[str, tuple[Callable[..., Any], list[Any]]] = {
        'forward': (distance, [source, target]),
        'gradient': (jax.value_and_grad(distance, (0, 1)), [source, target]),
        'class_gradient': (jax.value_and_grad(within, (0, 1)), [source, target]),
        'sort': (lambda a, b: (in_order(a), in_order(b)), projected),
    }

    def call(name: str) -> Callable[[], Any]:
        function, inputs = functions[name]
        compiled = jax.jit(function, compiler_options=compiler_options())
        return lambda: compiled(*inputs)

    return {name: call(name) for name in OURS}


def _of_torch(held: Batches) -> list[Workload]:
    """By the peers' own distance, on the device that jax computes on."""
    import torch

    from benchmarks.peers.devices import synchronize
    from benchmarks.peers.sliced_wasserstein import sliced_wasserstein as distance

    device = torch.device(torch_device())
    torch.backends.cuda.matmul.allow_tf32 = False  # as eojax: full float32
    directions = torch.from_numpy(held.directions.copy()).to(device)
    source, target = (
        torch.from_numpy(side.copy()).to(device).requires_grad_() for side in held[:2]
    )

    def forward() -> Any:
        with torch.no_grad():
            return distance(source, target, directions)

    def gradient() -> Any:
        return torch.autograd.grad(distance(source, target, directions), [source, target])

    def timed(call: Callable[[], Any]) -> Callable[[int], None]:
        def run(times: int) -> None:
            _each(call)(times)
            synchronize(device)

        return run

    return [Workload('torch_forward', timed(forward)), Workload('torch_gradient', timed(gradient))]


def _each(call: Callable[[], Any]) -> Callable[[int], None]:
    def run(times: int) -> None:
        for _ in range(times):
            call()

    return run


def numbers_of(case: Case, seconds: dict[str, list[float]]) -> Numbers:
    """For a record, as `benchmarks/results/README.md` names them."""
    numbers: Numbers = {}
    for name in (*OURS, *THEIRS):
        key = f'{case.name}_{name}'
        if name in seconds:
            numbers |= command.spread_numbers(f'{key}_seconds', spread(seconds[name]))
        else:
            numbers[f'{key}_seconds'] = None
    for whole in ('forward', 'gradient'):
        share = ratios(seconds[whole], seconds['sort'])
        numbers |= command.spread_numbers(f'{case.name}_sort_share_of_{whole}', share)
    for name, ours in THEIRS.items():
        key = f'{case.name}_ratio_{name}'
        if name in seconds:
            numbers |= command.spread_numbers(key, ratios(seconds[ours], seconds[name]))
        else:
            numbers[key] = None
    return numbers


def text(record: dict[str, Any]) -> str:
    """The table of a record: milliseconds, the sort's share, and ratios."""
    numbers, about = record['numbers'], record['sliced_wasserstein']
    headings = ['batch', 'projections', 'forward ms', 'gradient ms', 'by class ms', 'sort']
    rows = [(*headings, *(f'vs {name.replace("_", " ")}' for name in THEIRS))]
    for name, (batch, projections) in about['cases'].items():
        times = [f'{1e3 * numbers[f"{name}_{x}_seconds"]:.3g}' for x in OURS[:3]]
        share = f'{numbers[f"{name}_sort_share_of_forward"]:.0%}'
        found = [numbers[f'{name}_ratio_{other}'] for other in THEIRS]
        others = ['-' if value is None else f'{value:.3g}x' for value in found]
        rows.append((str(batch), str(projections), *times, share, *others))
    return '\n'.join([
        *plain_table(rows),
        '',
        f'{about["features"]} features, {about["classes"]} classes, on'
        f' {record["hardware"]["device"]}; gradient: value and both gradients; sort: its share of'
        ' forward, timed by itself; more than 1x is faster than the other.',
        *about['notes'],
    ])  # fmt: skip


if __name__ == '__main__':
    main()
