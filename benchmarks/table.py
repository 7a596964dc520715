"""The table of a suite, from the numbers of its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.rivals import NO_TORCH, PEERS
from benchmarks.timing import times_faster
from eojax.tables import plain_table

HEADINGS = (
    'entry', 'steps/s', 'images/s', 'step alone/s', 'input alone/s', 'compile s', 'peak memory',
    'FLOP/step', 'of ceiling', *(f'vs {peer.replace("_", " ")}' for peer in PEERS),
)  # fmt: skip


def table(record: Mapping[str, Any]) -> str:
    """The table with its legend and footnotes, as it is printed.

    Args:
      record: of a suite, as `benchmarks/results/README.md` says.
    """
    rows = [HEADINGS, *(_row(record, entry) for entry in record['suite']['entries'])]
    lines = plain_table(rows)
    lines.insert(1, '-' * len(lines[0]))
    return '\n'.join([*lines, '', *_legend(record)])


def _row(record: Mapping[str, Any], entry: str) -> tuple[str, ...]:
    numbers = record['numbers']
    return (
        entry,
        spread_text(numbers, f'{entry}_steps_per_second'),
        number_text(numbers[f'{entry}_images_per_second']),
        spread_text(numbers, f'{entry}_step_alone_per_second'),
        number_text(numbers[f'{entry}_input_alone_per_second']),
        f'{numbers[f"{entry}_compile_seconds"]:.1f}',
        _bytes_text(numbers[f'{entry}_peak_memory_bytes']),
        _scaled(numbers[f'{entry}_step_flops']),
        f'{numbers[f"{entry}_matmul_share"]:.0%}',
        *(_ratio(record, entry, peer) for peer in PEERS),
    )


def _ratio(record: Mapping[str, Any], entry: str, peer: str) -> str:
    """The ratio to a peer; why there is none, where torch is absent, else `-`."""
    numbers, name = record['numbers'], f'{entry}_ratio_{peer}'
    value = numbers.get(name)
    if value is not None:
        low, high = numbers[f'{name}_low'], numbers[f'{name}_high']
        return f'{times_faster(value)} ({low:.2f}-{high:.2f})'
    return 'no torch' if any(NO_TORCH in note for note in record['suite']['notes']) else '-'


def _legend(record: Mapping[str, Any]) -> list[str]:
    numbers, suite = record['numbers'], record['suite']
    product, copy = numbers['matmul_flops_per_second'], numbers['copy_bytes_per_second']
    held = record['hardware']
    return [
        f'{held["count"]} x {held["device"]} ({held["cpu"]}, {held["cores"]} cores);'
        f' median of {suite["repeats"]} rounds by turns (slowest-fastest round).',
        f'ceiling: {suite["product"]} matrix product {_scaled(product)}FLOP/s'
        f' ({_scaled(numbers["matmul_flops_per_second_low"])}'
        f'-{_scaled(numbers["matmul_flops_per_second_high"])}), copy {_scaled(copy)}B/s,'
        ' per device, in the same rounds.',
        'steps/s and the ratios are end to end, with drawing and augmenting; more than 1x is'
        ' faster than the peer.',
        *(f'{entry}: {words}' for entry, words in suite['entries'].items()),
        *_joined(suite['notes']),
    ]


def _joined(notes: Sequence[str]) -> list[str]:
    """`a: x` and `b: x` as `a, b: x`."""
    entries: dict[str, list[str]] = {}
    for note in notes:
        entry, _, text = note.partition(': ')
        entries.setdefault(text, []).append(entry)
    return [f'{", ".join(names)}: {text}' for text, names in entries.items()]


def number_text(value: float) -> str:
    """Three digits, and never an exponent."""
    return f'{value:,.0f}' if value >= 100.0 else f'{value:.3g}'


def spread_text(numbers: Mapping[str, float], name: str) -> str:
    """`2.1 (1.9-2.2)`."""
    median, low, high = (number_text(numbers[f'{name}{end}']) for end in ('', '_low', '_high'))
    return f'{median} ({low}-{high})'


def _scaled(value: float) -> str:
    """`125 G` for 125e9."""
    for power, prefix in ((15, 'P'), (12, 'T'), (9, 'G'), (6, 'M')):
        if value >= 10.0**power:
            return f'{value / 10.0**power:.3g} {prefix}'
    return f'{value:.3g} '


def _bytes_text(value: float) -> str:
    return f'{_scaled(value).strip()}B'
