"""The documentation's speed table and its bar chart, from the records of `benchmarks.run`.

    python -m benchmarks.report            # writes both
    python -m benchmarks.report --check    # writes nothing; exit code 1 where either is stale

The table stands in `docs/benchmarks.md` between the lines `<!-- speed table -->` and
`<!-- end of speed table -->`, the chart in `docs/speed.png`. Of each entry on each hardware the
newest record counts, and none that was taken while others computed on the same cores.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.command import BUSY
from benchmarks.provenance import RESULTS
from benchmarks.rivals import PEERS
from benchmarks.table import number_text, spread_text
from benchmarks.timing import times_faster
from eojax.atomic_file import write_atomically
from eojax.drawing.style import COLOURS
from eojax.errors import UserError, one_line_errors

BEGIN, END = '<!-- speed table -->', '<!-- end of speed table -->'
_ROOT = Path(__file__).parent.parent
_HEADINGS = (
    'step', 'hardware', 'steps per second', 'share of the matrix-product ceiling',
    *(f'to the {peer.replace("_", "-")} peer' for peer in PEERS), 'measured',
)  # fmt: skip
_SOURCE = 'Source'  # of the PNG's texts: which numbers it shows


class Row(NamedTuple):
    """One entry on one hardware.

    Attributes:
      entry: its name.
      record: the newest that has it.
      file: that holds the record.
    """

    entry: str
    record: Mapping[str, Any]
    file: Path

    @property
    def sizes(self) -> str:
        return str(self.record['suite']['entries'][self.entry])

    @property
    def hardware(self) -> str:
        held = self.record['hardware']
        name = (
            held['device'] if held['device'] != 'cpu' else f'{held["cores"]} cores, {held["cpu"]}'
        )
        return f'{held["count"]} x {name}' if held['count'] > 1 else str(name)

    def number(self, name: str) -> float | None:
        return self.record['numbers'].get(f'{self.entry}_{name}')

    def rates(self) -> dict[str, float]:
        """Steps per second of eojax and of the peers that there are."""
        names = {'eojax': 'steps_per_second'}
        names |= {peer.replace('_', ' '): f'{peer}_steps_per_second' for peer in PEERS}
        found = {label: self.number(name) for label, name in names.items()}
        return {label: value for label, value in found.items() if value is not None}


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the table and the chart, or says whether they are stale."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.report',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--check', action='store_true', help='write nothing; 1 where stale')
    parser.add_argument('--results', type=Path, default=RESULTS, help='folder of the records')
    parser.add_argument('--page', type=Path, default=_ROOT / 'docs' / 'benchmarks.md')
    parser.add_argument('--chart', type=Path, default=_ROOT / 'docs' / 'speed.png')
    options = parser.parse_args(arguments)
    with one_line_errors():
        rows = read_rows(options.results)
        old = options.page.read_text()
        new = with_table(old, markdown(rows, options.results, options.page), options.page)
        drawn = [row for row in rows if len(row.rates()) > 1]
        if options.check:
            _check(old == new, not drawn or source_of(options.chart) == source(drawn), options)
            return
        if new != old:
            write_atomically(options.page, lambda file: file.write(new.encode()))
        if drawn:
            picture = chart(drawn)
            write_atomically(options.chart, lambda file: file.write(picture))
        print(f'{len(rows)} rows in {options.page}, {len(drawn)} in {options.chart}')


def _check(table_holds: bool, chart_holds: bool, options: argparse.Namespace) -> None:
    for holds, path in ((table_holds, options.page), (chart_holds, options.chart)):
        if not holds:
            raise UserError(
                f'{path.name} does not show the newest records: run python -m benchmarks.report'
            )


def read_rows(folder: Path) -> list[Row]:
    """The newest row of each entry and hardware, accelerators first, in the suites' order.

    Raises:
      UserError: a record that is damaged.
    """
    rows: dict[tuple[str, str], Row] = {}
    records = [(file, _read(file)) for file in sorted(folder.glob('*.json'))]
    suites = [(file, record) for file, record in records if 'suite' in record]
    for file, record in sorted(suites, key=lambda pair: (pair[1]['date'], pair[0].name)):
        for entry in record['suite']['entries']:
            if f'{entry}: {BUSY}' in record['suite']['notes']:
                continue  # its ratios may be the wrong way round
            row = Row(entry, record, file)
            rows[entry, row.hardware] = row
    return sorted(rows.values(), key=lambda row: (row.record['hardware']['device'] == 'cpu',
                                                  row.hardware))  # fmt: skip


def _read(file: Path) -> dict[str, Any]:
    try:
        record = json.loads(file.read_text())
        if 'suite' in record:
            for entry in record['suite']['entries']:
                spread_text(record['numbers'], f'{entry}_steps_per_second')
            _ = record['date'], record['hardware']['device'], record['hardware']['count']
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f'{file} is no record: {type(error).__name__} {error}') from error
    return record


def markdown(rows: Sequence[Row], results: Path, page: Path) -> str:
    """The table as the page has it."""
    if not rows:
        return 'Not measured yet.'
    lines = [_HEADINGS, ('---',) * len(_HEADINGS)]
    lines += [_cells(row, results, page) for row in rows]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _cells(row: Row, results: Path, page: Path) -> tuple[str, ...]:
    link = Path(os.path.relpath(results, page.parent), row.file.name)
    share = row.number('matmul_share')
    return (
        f'`{row.entry}`: {row.sizes}',
        row.hardware,
        spread_text(row.record['numbers'], f'{row.entry}_steps_per_second').replace('-', '–'),
        '-' if share is None else f'{share:.0%}',
        *('-' if (r := row.number(f'ratio_{peer}')) is None else times_faster(r) for peer in PEERS),
        f'[{row.record["date"]}]({link.as_posix()})',
    )


def with_table(text: str, table: str, path: Path) -> str:
    """A page's text with this table between the markers.

    Raises:
      UserError: a marker is missing, or there are several, or they are the wrong way round.
    """
    if [text.count(marker) for marker in (BEGIN, END)] != [1, 1] or text.find(END) < text.find(
        BEGIN
    ):
        raise UserError(f'{path} must have one line {BEGIN} and below it one line {END}')
    before, rest = text.split(BEGIN)
    return f'{before}{BEGIN}\n\n{table}\n\n{END}{rest.split(END)[1]}'


def source(rows: Sequence[Row]) -> str:
    """A digest of the numbers that a chart shows."""
    shown = [
        (row.entry, row.sizes, row.hardware, row.rates(), [row.number(f'ratio_{p}') for p in PEERS])
        for row in rows
    ]
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()


def source_of(path: Path) -> str:
    """The same of a chart that was drawn; empty where it is absent or another picture."""
    try:
        with Image.open(path) as picture:
            return str(picture.info.get(_SOURCE, ''))
    except OSError:
        return ''


def chart(rows: Sequence[Row]) -> bytes:
    """A PNG with a panel for each row: steps per second of eojax and the peers."""
    figure = Figure(figsize=(7.0, 0.5 + 1.35 * len(rows)), dpi=120, layout='constrained')
    FigureCanvasAgg(figure)
    for row, axes in zip(rows, figure.subplots(len(rows), 1, squeeze=False)[:, 0], strict=True):
        _panel(row, axes)
    file = io.BytesIO()
    figure.savefig(file, format='png', metadata={_SOURCE: source(rows)})
    return file.getvalue()


def _colour(name: str) -> str:
    """Of eojax or a peer: the same in every panel, whoever is missing."""
    names = ['eojax', *(peer.replace('_', ' ') for peer in PEERS)]
    return COLOURS[names.index(name)]


def _panel(row: Row, axes: Axes) -> None:
    rates = row.rates()
    places = range(len(rates))
    axes.barh(places, list(rates.values()), color=[_colour(name) for name in rates], height=0.7)
    axes.set_yticks(places, list(rates))
    axes.invert_yaxis()
    for place, (name, rate) in enumerate(rates.items()):
        # As in the table: the median of the ratios, not the ratio of the medians.
        ratio = row.number(f'ratio_{name.replace(" ", "_")}')
        peer = '' if ratio is None else f' (eojax {times_faster(ratio)})'
        axes.text(rate, place, f' {number_text(rate)} steps/s{peer}', va='center', fontsize=9)
    axes.set_xlim(0.0, 1.5 * max(rates.values()))
    axes.set_xticks([])
    # Over all of the figure's width: above the bars alone, long sizes would be cut off.
    axes.set_title(f'{row.entry}: {row.sizes}; {row.hardware}', fontsize=9, loc='left', x=-0.19)
    axes.spines[['top', 'right', 'bottom']].set_visible(False)


if __name__ == '__main__':
    main()
