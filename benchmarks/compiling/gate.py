"""The gate: what must hold of a compiled step on every target."""

from __future__ import annotations

from benchmarks.compiling.findings import Findings
from benchmarks.compiling.targets import Target

# Of the memory, what the runtime and fragmentation may take.
_LEFT = 0.06
# Counters of a few bytes need not be written where they were.
_SMALL = 4096


def failures(found: Findings, target: Target) -> list[str]:
    """What does not hold, a line each; empty where all does."""
    lines = []
    if found.chain_collectives:
        lines.append(f'{found.chain_collectives} collectives in the loop of the chains')
    if found.lost_chains:
        lines.append('the loop of the chains was not found: what they wait for is not known')
    if found.host_transfers:
        lines.append(f'{found.host_transfers} transfers to or from the host inside the step')
    if found.open_loops and target.platform == 'gpu':
        lines.append(
            f'{found.open_loops} loops whose length depends on data: the host waits at each turn'
        )
    if found.doubles:
        lines.append(f'{found.doubles} instructions in float64')
    if not found.state_bytes:
        lines.append('the state was not found among the arguments: is it donated?')
    lost = found.state_bytes - found.donated_bytes
    if lost > _SMALL:
        lines.append(f'{lost:,} of {found.state_bytes:,} bytes of the state are not donated')
    room = (1.0 - _LEFT) * target.chip.memory
    if found.peak_bytes > room:
        lines.append(
            f'needs {found.peak_bytes / 1e9:.1f} GB at its peak, and {target.chip.title} has'
            f' {target.chip.memory / 1e9:.1f} GB, of which {_LEFT:.0%} are left for the runtime'
        )
    return lines
