"""The findings of a compiled program: what it needs, what it moves, and how fast it could be."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from ml_collections import ConfigDict

from benchmarks.chips import Chip
from benchmarks.collectives import all_reduce_seconds
from benchmarks.compiling.hlo import BETWEEN_SLICES, Instruction, Program, is_product
from benchmarks.compiling.programs import Program as Compiled
from benchmarks.compiling.targets import Target
from benchmarks.flops import StepFlops, step_flops
from eojax.data.facts import IMAGES
from eojax.errors import UserError
from eojax.runs.domains import SOURCE, TARGET
from eojax.runs.run import image_shape

# Copies of less are not worth a line.
_LARGE = 2**20
# Arguments that are large whatever the model: training data, and the ends of chains.
_HELD = r'^feed\b|\breplay_buffer\b'
# Rates that a good program reaches of the published ones: an assumption, the same for all chips.
REACHED = 0.5


class Findings(NamedTuple):
    """Of one step on one device.

    Attributes:
      peak_bytes: the most memory in use at a time.
      held_bytes: what lies there between steps: the state, and training data.
      temporary_bytes: what a step needs besides.
      state_bytes: what a step takes and gives back.
      donated_bytes: what of it is written where it was.
      flops: of the whole batch on all devices, before anything is optimised; None where it was not
        counted.
      traffic_bytes, chain_traffic_bytes: read and written by its kernels, and by an update of the
        chains.
      kernels, chain_kernels: how many it starts, and how many an update does.
      collectives, collective_bytes: outside of the chain.
      slice_bytes: of these, what a chip sends to other slices.
      chain_collectives: in chains: each of their updates waits for them.
      lost_chains: 1 where the step has chains of several updates and no loop of theirs was found,
        as where the compiler took it apart: then what chains wait for is not known. Else 0.
      host_transfers: how many.
      doubles: instructions in float64 or complex128.
      open_loops: loops whose length depends on data.
      copied_bytes: by copies and transposes of at least a mebibyte.
      relaid_bytes: of these, by copies of all the training data or of the whole replay buffer.
      products: convolutions and products by the types of what they multiply.
      cycles: by XLA's model of a TPU; 0 of others.
    """

    peak_bytes: int
    held_bytes: int
    temporary_bytes: int
    state_bytes: int
    donated_bytes: int
    flops: StepFlops | None
    traffic_bytes: int
    chain_traffic_bytes: int
    kernels: int
    chain_kernels: int
    collectives: int
    collective_bytes: int
    slice_bytes: int
    chain_collectives: int
    lost_chains: int
    host_transfers: int
    doubles: int
    open_loops: int
    copied_bytes: int
    relaid_bytes: int
    products: dict[str, int]
    cycles: int


class Prediction(NamedTuple):
    """Seconds of a step by rates alone, of which nothing was measured.

    Attributes:
      products: its operations at the chip's peak.
      memory: its bytes at the memory's rate.
      links: its collectives at the links' rate.
      steps_per_second: where products and memory take turns at half of their rates, and the links
        are waited for.
      most_steps_per_second: no program that does these operations is faster.
    """

    products: float
    memory: float
    links: float
    steps_per_second: float
    most_steps_per_second: float


def find(compiled: Compiled, config: ConfigDict, count: bool = True) -> Findings:
    """Reads a compiled step.

    Args:
      count: whether operations are counted, which traces the step once more.

    Raises:
      UserError: a text that this code cannot read, as of a later compiler.
    """
    try:
        program = Program(compiled.text, compiled.chain)
    except ValueError as error:
        raise UserError(str(error)) from error
    chain, paths = program.chain, [loop.path for loop in program.chains]
    talks = program.collectives()
    inside = [one for one in talks if any(one.path[: len(path)] == path for path in paths)]
    outside = [one for one in talks if one not in inside]
    return Findings(
        compiled.needed.peak,
        compiled.needed.held,
        compiled.needed.temporary,
        *program.arguments('carry'),
        _flops(compiled, config) if count else None,
        program.total_traffic(),
        program.traffic(chain.body) if chain else 0,
        sum(visit.runs for visit, _ in program.launched()),
        sum(1 for _ in program.kernels(chain.body)) if chain else 0,
        len(outside),
        sum(one.nbytes * one.runs for one in outside),
        sum(one.nbytes * one.runs for one in outside if one.kind == BETWEEN_SLICES),
        len(inside),
        int(compiled.chain > 1 and chain is None),
        len(program.host_transfers()),
        len(program.of_type('f64')) + len(program.of_type('c128')),
        sum(loop.trips is None for loop in program.loops),
        sum(one.nbytes * runs for one, runs, _ in program.copies(_LARGE)),
        program.relaid(_HELD, _LARGE),
        _products(program),
        program.cycles(),
    )


def predict(found: Findings, target: Target) -> Prediction | None:
    """By the chip's published rates; None where operations were not counted, and of several
    slices: no rate of the network between them is published with the chip's."""
    if found.flops is None or target.slices > 1:
        return None
    chip: Chip = target.chip
    products = found.flops.total / target.devices / chip.flops_per_second
    memory = found.traffic_bytes / chip.bytes_per_second
    links = 0.0
    if target.devices > 1:
        links = all_reduce_seconds(found.collective_bytes, target.devices, chip)
    reached = (products + memory) / REACHED + links
    return Prediction(products, memory, links, 1.0 / reached, 1.0 / products)


def numbers(found: Findings, target: Target) -> dict[str, float]:
    """For a record: flat, by name."""
    plain = {k: v for k, v in found._asdict().items() if k not in ('flops', 'products')}
    named = {name: float(value) for name, value in plain.items()}
    named |= {f'products_{types}': float(num) for types, num in sorted(found.products.items())}
    named['chip_memory_bytes'] = float(target.chip.memory)
    if found.flops is not None:
        named['step_flops'] = found.flops.total
        named['chain_update_flops'] = found.flops.chain
    prediction = predict(found, target)
    if prediction is not None:
        named |= {f'predicted_{name}': value for name, value in prediction._asdict().items()}
    return named


def _flops(compiled: Compiled, config: ConfigDict) -> StepFlops:
    known = compiled.run.known
    target, source = known[TARGET].facts, known.get(SOURCE)
    phases = compiled.run.method.phases
    return step_flops(
        config,
        image_shape(target),
        target.num_classes,
        phases.index(compiled.phase),
        None if source is None else image_shape(source.facts),
        {name: raster for name, raster in target.rasters.items() if name != IMAGES},
    )


def _products(program: Program) -> dict[str, int]:
    """How many convolutions and products there are, each as often as it stands there, by type."""
    counted: Counter[str] = Counter()
    for body in program.computations.values():
        shapes = {one.name: one.shape for one in body}
        for one in body:
            if is_product(one):
                counted[_types(one, shapes)] += 1
    return dict(counted)


def _types(one: Instruction, shapes: dict[str, str]) -> str:
    types = [shapes.get(name, '?').lstrip('(').partition('[')[0] for name in one.operands[:2]]
    return types[0] if len(set(types)) == 1 else '_'.join(types)
