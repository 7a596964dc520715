"""How training steps scale over devices: measured on forced CPU devices, predicted for clusters.

    python -m benchmarks.scaling [--only=measured|predicted] [--repeats=5] [--out=FILE.json]

Measured: steps per second of a small JEM over 1, 2 and 4 CPU devices, with one batch for all
(strong scaling) and with a batch for each (weak scaling), and the collectives of the compiled step.
Forced devices share the machine's cores, which one device uses too: this is about what splitting
costs.

Predicted: the efficiency of `configs/jem_eurosat.py` on 8 to 256 chips, from its counted
operations, the bytes that it sums over the chips, and published rates, which are listed in
`benchmarks/collectives.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks import command, provenance
from benchmarks.chips import CHIPS
from benchmarks.collectives import Prediction, predict, reduced_bytes
from benchmarks.flops import StepFlops, step_flops
from benchmarks.forced_devices import BUFFER_PARTS, ForcedDevices, Size
from benchmarks.suites import CONFIGS
from benchmarks.table import number_text, spread_text
from benchmarks.timing import Spread, Workload, interleave, rates, ratios
from eojax.config.command_line import load_config
from eojax.errors import one_line_errors
from eojax.tables import plain_table

CONFIG = 'jem_eurosat.py'
DEVICES = (1, 2, 4)
PREDICTED = ('tpu_v4', 'tpu_v5e', 'tpu_v5p', 'h100')
CHIP_COUNTS = (8, 16, 32, 64, 128, 256)
SCALINGS = ('strong', 'weak')
UTILISATION = 0.5
_PER_DEVICE = 4
_CLASSES = 10

Numbers = dict[str, float | None]


class Step(NamedTuple):
    """The measured values that a prediction starts from.

    Attributes:
      flops: of the step with one whole batch.
      gradient_bytes, metric_bytes: summed over the chips.
      batch: labelled images, and at most as many chips may share them.
    """

    flops: StepFlops
    gradient_bytes: int
    metric_bytes: int
    batch: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, predicts, prints both and writes the record."""
    options = _parser().parse_args(arguments)
    with one_line_errors():
        commit = command.commit_for(options)
        numbers: Numbers = {}
        about: dict[str, Any] = {}
        if options.only != 'predicted':
            size = Size()
            numbers |= measure(DEVICES, _PER_DEVICE, size, options.repeats, options.seconds)
            about['measured'] = {**size._asdict(), 'repeats': options.repeats}
            print(measured_text(numbers, DEVICES, size), end='\n\n')
        if options.only != 'measured':
            step = counted_step(CONFIG)
            numbers |= predicted_numbers(step, UTILISATION)
            about['predicted'] = {'config': CONFIG, 'utilisation': UTILISATION}
            print(predicted_text(numbers, step, UTILISATION))
        words = command.spelled('scaling', options, ('repeats', 'only'))
        record = provenance.record_of(words, commit, numbers, options.notes)
        command.write(options, {**record, 'scaling': about})


def _parser() -> argparse.ArgumentParser:
    parser = command.parser('scaling', __doc__)
    parser.add_argument('--only', default='', choices=('measured', 'predicted'), help='one of both')
    parser.add_argument('--seconds', type=float, default=2.0, help='of each workload in a round')
    return parser


def measure(
    devices: Sequence[int],
    per_device: int,
    size: Size,
    repeats: int,
    seconds: float,
    scalings: Sequence[str] = SCALINGS,
) -> Numbers:
    """Times the step over forced CPU devices, by turns.

    Args:
      devices: how many, ascending; throughput is told relative to the first.
      per_device: the batch of each device in weak scaling; in strong scaling all share the batch
        that the last of `devices` has in weak scaling.
      repeats: rounds.
      seconds: that a workload lasts at least in a round.
      scalings: of `SCALINGS`.
    """
    whole = per_device * devices[-1]
    batches = {
        'strong': dict.fromkeys(devices, whole),
        'weak': {n: per_device * n for n in devices},
    }
    pairs = sorted({(n, batches[scaling][n]) for scaling in scalings for n in devices})
    numbers: Numbers = {}
    with contextlib.ExitStack() as stack:
        started = {}
        for pair in pairs:  # one after the other: together they would compile no faster
            print(f'compiling: {pair[0]} device(s), batch {pair[1]}', file=sys.stderr, flush=True)
            started[pair] = stack.enter_context(ForcedDevices(*pair, size))
            started[pair].wait()
        workloads = [Workload(str(pair), process.run) for pair, process in started.items()]
        taken = interleave(workloads, repeats, seconds)
        for scaling in scalings:
            for count in devices:
                process = started[count, batches[scaling][count]]
                ours = taken[str((count, process.batch))]
                first = taken[str((devices[0], batches[scaling][devices[0]]))]
                more = process.batch / batches[scaling][devices[0]]
                name = f'measured_{scaling}_{count}_devices'
                relative = ratios(ours, [more * value for value in first])
                numbers |= _spread(f'{name}_steps_per_second', rates(ours))
                numbers |= _spread(f'{name}_relative_throughput', relative)
                numbers[f'{name}_batch'] = process.batch
                if scaling == 'strong':
                    for kind, size_in_bytes in process.collectives.items():
                        key = f'measured_{count}_devices_{kind.replace("-", "_")}_bytes'
                        numbers[key] = size_in_bytes
    return numbers


def counted_step(file: str) -> Step:
    """The step of a config in `configs/`, counted without computing or reading anything."""
    config = load_config(str(CONFIGS / file))
    shape = (config.data.size, config.data.size, 3)
    flops = step_flops(config, shape, _CLASSES)
    return Step(flops, *reduced_bytes(config, shape, _CLASSES), config.batch_size)


def predicted(
    step: Step, chip: str, scaling: str, chips: int, utilisation: float
) -> Prediction | None:
    """A step on so many chips; None where one batch has no image for each of them."""
    if scaling == 'strong' and step.batch % chips:
        return None
    size = step.gradient_bytes + step.metric_bytes
    share = 1.0 if scaling == 'weak' else 1.0 / chips
    return predict(step.flops, size, chips, CHIPS[chip], utilisation, share)


def predicted_numbers(step: Step, utilisation: float) -> Numbers:
    """Of all kinds and counts of chips, flat; null where a batch cannot be shared so far."""
    numbers: Numbers = {
        'predicted_step_flops': step.flops.total,
        'predicted_gradient_bytes': step.gradient_bytes,
        'predicted_metric_bytes': step.metric_bytes,
    }
    for chip in PREDICTED:
        for scaling in SCALINGS:
            for chips in CHIP_COUNTS:
                name = f'predicted_{chip}_{scaling}_{chips}_chips_efficiency'
                found = predicted(step, chip, scaling, chips, utilisation)
                for overlap in ('no_overlap', 'full_overlap'):
                    value = None if found is None else round(getattr(found, overlap), 4)
                    numbers[f'{name}_{overlap}'] = value
    return numbers


def measured_text(numbers: Mapping[str, Any], devices: Sequence[int], size: Size) -> str:
    """The table of what was measured."""
    cores = os.cpu_count()
    lines = [
        f'MEASURED: JEM, WRN-{size.depth}-{size.width}, {size.pixels} px, {size.updates} updates a'
        f' chain, buffer in {BUFFER_PARTS} parts, on forced CPU devices.',
        f'All of them share the {cores} core(s) of this machine, and one device alone uses them'
        ' too: throughput relative to one device says what splitting costs, 1.00 being nothing; it'
        ' is no speed-up.',
        '',
    ]
    rows: list[tuple[str, ...]] = [
        ('scaling', 'devices', 'batch', 'steps/s', 'relative throughput')
    ]
    for scaling in SCALINGS:
        for count in devices:
            name = f'measured_{scaling}_{count}_devices'
            rows.append((
                scaling,
                str(count),
                number_text(numbers[f'{name}_batch']),
                spread_text(numbers, f'{name}_steps_per_second'),
                spread_text(numbers, f'{name}_relative_throughput'),
            ))  # fmt: skip
    lines += [*plain_table(rows), '', 'Collectives of the compiled step (bytes on each device):']
    for count in devices:
        prefix = f'measured_{count}_devices_'
        found = {
            key.removeprefix(prefix).removesuffix('_bytes').replace('_', '-'): value
            for key, value in numbers.items()
            if key.startswith(prefix) and key.endswith('_bytes')
        }
        words = ', '.join(f'{kind} {value:,}' for kind, value in sorted(found.items()))
        lines.append(f'  {count} device(s): {words or "none"}')
    return '\n'.join(lines)


def predicted_text(numbers: Mapping[str, Any], step: Step, utilisation: float) -> str:
    """The tables of what was predicted, with what they assume."""
    flops = step.flops
    lines = [
        f'PREDICTED, not measured: efficiency of configs/{CONFIG} with model.dtype=bfloat16.',
        f'{flops.total / 1e12:.1f} TFLOP a step of batch {step.batch}, of which the chains'
        f' {flops.chain * flops.updates / flops.total:.0%}; {step.gradient_bytes / 1e6:.1f} MB of'
        f' float32 gradients and {step.metric_bytes} B of metrics summed by a ring.',
        f'Assumed: {utilisation:.0%} of the published bfloat16 peak at every batch size, published'
        ' link rates in full, no latency, input for nothing.',
        'weak: a batch for each chip, and so another recipe than the paper with its one batch.'
        ' strong: one batch for all, so at most as many chips as images.',
        'none / full: without overlap / beside the whole backward pass of the parameters.',
    ]
    for chip in PREDICTED:
        about = CHIPS[chip]
        rate = about.inner / 1e9
        link = f'{rate:.0f} GB/s' + (f', then {about.outer / 1e9:.0f} GB/s' if about.group else '')
        rows = [('chips', 'weak none', 'weak full', 'strong none', 'strong full')]
        for chips in CHIP_COUNTS:
            cells = [
                numbers[f'predicted_{chip}_{scaling}_{chips}_chips_efficiency_{overlap}']
                for scaling in ('weak', 'strong')
                for overlap in ('no_overlap', 'full_overlap')
            ]
            texts = ['-' if value is None else f'{value:.1%}' for value in cells]
            rows.append((str(chips), texts[0], texts[1], texts[2], texts[3]))
        title = f'{about.title} ({about.flops_per_second / 1e12:.0f} TFLOP/s, {link})'
        lines += ['', title, *plain_table(rows)]
    return '\n'.join(lines)


def _spread(name: str, values: Spread) -> Numbers:
    return {
        name: round(values.median, 4),
        f'{name}_low': round(values.low, 4),
        f'{name}_high': round(values.high, 4),
    }


if __name__ == '__main__':
    main()
