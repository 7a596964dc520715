"""The documentation's table of compiled programs, from the records of `benchmarks.compile_for`.

    python -m benchmarks.compiling.table            # writes it into docs/compiled.md
    python -m benchmarks.compiling.table --check    # writes nothing; exit code 1 where it is stale

Of each config, as it was set, and target the newest record counts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.compiling import targets
from benchmarks.provenance import RESULTS
from eojax.atomic_file import write_atomically
from eojax.errors import UserError, one_line_errors

BEGIN, END = '<!-- compiled programs -->', '<!-- end of compiled programs -->'
RECORDS = RESULTS / 'compiled'
_PAGE = Path(__file__).parent.parent.parent / 'docs' / 'compiled.md'
_HEADINGS = (
    'config', 'target', 'memory a chip, GB', 'of', 'bytes a step, GB', 'kernels a step',
    'an update of the chains', 'collectives, MB', 'in the chains', 'gate',
    'predicted steps per second', 'at most', 'record',
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the table, or says that it is stale."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.compiling.table',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument('--check', action='store_true', help='write nothing')
    parser.add_argument('--records', type=Path, default=RECORDS, help=argparse.SUPPRESS)
    parser.add_argument('--page', type=Path, default=_PAGE, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    with one_line_errors():
        text = options.page.read_text()
        before, begin, rest = text.partition(BEGIN)
        _, end, after = rest.partition(END)
        if not begin or not end:
            raise UserError(f'{options.page} has no lines {BEGIN} and {END}')
        new = f'{before}{BEGIN}\n\n{table(options.records, options.page)}\n\n{END}{after}'
        if new == text:
            return
        if options.check:
            raise UserError(
                f'{options.page} is not what the records say: python -m benchmarks.compiling.table'
            )
        write_atomically(options.page, lambda file: file.write(new.encode()))


def rate_text(rate: float) -> str:
    """A predicted rate: two digits are more than is known of it."""
    return f'{rate:.2g}' if rate < 100 else f'{float(f"{rate:.2g}"):,.0f}'


def table(records: Path, page: Path) -> str:
    """The table of all records of a folder, as Markdown for a page."""
    newest: dict[tuple[str, ...], tuple[Path, Mapping[str, Any]]] = {}
    for file in sorted(records.glob('*.json')):
        try:
            record = json.loads(file.read_text())
            about = record['compiled']
            # Of several efforts the newest counts: what the table says is the same at each.
            key = (*_title(about), about['target'])
            _row(file, record, page)
            if key not in newest or newest[key][1]['date'] <= record['date']:
                newest[key] = (file, record)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f'{file} is no record of benchmarks.compile_for ({type(error).__name__}: {error}):'
                ' compile it again or remove it'
            ) from error
    lines = ['| ' + ' | '.join(_HEADINGS) + ' |', '|' + ' --- |' * len(_HEADINGS)]
    ordered = sorted(newest.items(), key=lambda item: _order(item[1][1]))
    lines += ['| ' + ' | '.join(_row(file, record, page)) + ' |' for _, (file, record) in ordered]
    return '\n'.join(lines)


def _title(about: Mapping[str, Any]) -> tuple[str, ...]:
    """The config, what was set, and the phase where it is not the last."""
    phase = about.get('phase', -1)
    return about['config'], *about['set'], *([] if phase == -1 else [f'phase {phase}'])


def _order(record: Mapping[str, Any]) -> tuple[Any, ...]:
    about = record['compiled']
    target = targets.parse(about['target'])
    return *_title(about), '', target.platform, target.kind, target.devices


def _row(file: Path, record: Mapping[str, Any], page: Path) -> tuple[str, ...]:
    about, numbers = record['compiled'], record['numbers']
    title = ' '.join(f'`{text}`' for text in _title(about))
    chain = numbers['chain_kernels']
    rates = [
        rate_text(numbers[name]) if name in numbers else '-'
        for name in ('predicted_steps_per_second', 'predicted_most_steps_per_second')
    ]
    link = Path(*['..'] * (len(page.parent.relative_to(page.parent.parent).parts)))
    return (
        title,
        f'`{about["target"]}`',
        f'{numbers["peak_bytes"] / 1e9:.2f}',
        f'{numbers["chip_memory_bytes"] / 1e9:.0f}',
        f'{numbers["traffic_bytes"] / 1e9:.1f}',
        f'{numbers["kernels"]:.0f}',
        f'{chain:.0f}' if chain else '-',
        f'{numbers["collective_bytes"] / 1e6:.1f}' if about['devices'] > 1 else '-',
        f'{numbers["chain_collectives"]:.0f}' if chain and about['devices'] > 1 else '-',
        '; '.join(about['failures']) or 'holds',
        *rates,
        f'[{record["date"]}]({link}/benchmarks/results/{file.parent.name}/{file.name})',
    )


if __name__ == '__main__':
    main()
