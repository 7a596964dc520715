"""One HTML page about a run: its config, curves, numbers beside the papers', figures, and its use.

    python -m eojax.apps.report --workdir=runs/jem_eurosat

The page stands in one file, loads nothing and opens from disk. It tells what lies in the run
folder, and what the apps wrote below it or in the folders of `--include`; checkpoints and images
are not read. What is not there is named with the command that makes it. The papers' numbers
(`eojax.evaluation.published_results`) stand beside those of a run on the same data set, with the
same method and number of labels, with what differs otherwise.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import eojax
from eojax.apps.report.curves import Marks, curves, events_table, phase_starts
from eojax.apps.report.evaluation import Trained, evaluation_figures, evaluation_numbers
from eojax.apps.report.files import (
    RunFiles,
    get,
    last_step,
    missing_parts,
    name_of,
    network_of,
    read_run,
)
from eojax.apps.report.outputs import output_part
from eojax.apps.report.page import (
    Html,
    bytes_in_words,
    command,
    details,
    number,
    page,
    picture,
    plain,
    section,
    table,
    tag,
    words,
)
from eojax.atomic_file import write_atomically
from eojax.config.base import flatten
from eojax.errors import UserError, one_line_errors

_TILES = {
    'accuracy': 'accuracy', 'f1_macro': 'mean F1', 'ece': 'calibration error', 'fid': 'FID',
    'auroc_uniform_noise': 'AUROC, noise', 'auroc_constant': 'AUROC, flat colours',
}  # fmt: skip


def report(run: RunFiles) -> str:
    """The page about a run, as HTML."""
    title = run.folder.resolve().name
    sections = [
        section('evaluation', 'Evaluation', *_evaluation(run)),
        section('samples', 'Samples', *_samples(run)),
        section('training', 'Training', *_training(run)),
        section('apps', 'What the run was used for', *_outputs(run)),
        section('configuration', 'Configuration', *_configuration(run)),
        section('missing', 'Not made yet', _missing(run)),
    ]
    links = [
        tag('a', name, href=f'#{anchor}')
        for part, anchor, name in zip(
            sections,
            ('evaluation', 'samples', 'training', 'apps', 'configuration', 'missing'),
            ('Evaluation', 'Samples', 'Training', 'Use', 'Configuration', 'Not made yet'),
            strict=True,
        )
        if part
    ]
    header = tag(
        'header',
        tag('h1', title),
        tag('p', ' · '.join(_facts(run)), class_='lede'),
        _tiles(run),
        tag('nav', *links, aria_label='Parts of this page'),
    )
    made = datetime.now(UTC).strftime('%Y-%m-%d %H:%M')
    footer = f'Made by eojax {eojax.__version__} on {made} UTC from {run.folder}. '
    note = 'Dates of the run are those of its files.'
    return page(f'{title} · eojax', header, tag('main', *sections), tag('footer', footer, note))


def _facts(run: RunFiles) -> Iterator[str]:
    """What the run is, in a few words."""
    for value in (
        name_of(run.config, 'method'),
        name_of(run.config, 'data'),
        network_of(run.config),
    ):
        if value:
            yield value
    if size := get(run.config, 'data.size'):
        yield f'{size} px'
    total, done = get(run.config, 'steps'), last_step(run)
    if isinstance(total, int):
        yield f'step {done:,} of {total:,}'
    else:
        yield f'step {done:,}'
    files = [run.folder / 'config.json', run.folder / 'metrics.jsonl']
    newest = max(file.stat().st_mtime for file in files if file.exists())
    yield datetime.fromtimestamp(newest, UTC).strftime('%Y-%m-%d')


def _tiles(run: RunFiles) -> Html | None:
    numbers = run.evaluations.get(run.folder / 'evaluation', {})
    shown = [
        tag('div', tag('dt', name), tag('dd', number(numbers[key], key)))
        for key, name in _TILES.items()
        if key in numbers
    ]
    return tag('dl', *shown, class_='tiles') if shown else None


def _trained(run: RunFiles, step: Any) -> Trained:
    sizes, batch = run.splits, get(run.config, 'batch_size')
    labels = get(run.config, 'data.labels_per_class')
    train = sizes.get('train')
    known = isinstance(step, int) and isinstance(batch, int) and train and labels == 'all'
    return Trained(
        data=name_of(run.config, 'data'),
        method=name_of(run.config, 'method'),
        labels_per_class=labels,
        size=get(run.config, 'data.size'),
        network=network_of(run.config),
        train=train,
        total=sum(sizes.get(part, 0) for part in ('train', 'validation', 'test')) or None,
        epochs=step * batch / train if known and train else None,
    )


def _evaluation(run: RunFiles) -> Iterator[str | None]:
    for folder, numbers in run.evaluations.items():
        own = folder == run.folder / 'evaluation'
        if not own:
            yield tag('h3', f'Other images: {words(folder.name)}')
        about = []
        if 'test_images' in numbers:
            kind = 'images of the test split' if own else 'images'
            about.append(f'{number(numbers["test_images"])} {kind}')
        if 'step' in numbers:
            about.append(f'the state after step {number(numbers["step"])}')
        yield tag('p', ', '.join(about), class_='note') if about else None
        yield evaluation_numbers(numbers, _trained(run, numbers.get('step')) if own else None)
        yield evaluation_figures(folder)


def _samples(run: RunFiles) -> Iterator[Html]:
    grid = run.folder / 'evaluation' / 'samples.png'
    if grid.is_file():
        text = 'Two real training images of each class, and samples in the order they were drawn.'
        yield picture(grid, text, text)
    buffer = sorted((run.folder / 'samples').glob('step_*.png'))
    if buffer:
        step = buffer[-1].stem.removeprefix('step_')
        when = f'step {int(step):,}' if step.isdecimal() else step
        text = f'The same 64 places of the replay buffer, after {when}.'
        yield picture(buffer[-1], text, text)


def _training(run: RunFiles) -> Iterator[str | None]:
    if not run.rows:
        return
    starts, events = phase_starts(run.rows), events_table(run.rows)
    if len(starts) > 1:
        told = ', then '.join(f'{name} from step {step:,}' for name, step in starts)
        yield tag('p', f'Phases: {told} (dotted line).', class_='note')
    at = tuple(row.get('at', row['step']) for row in run.rows if 'event' in row)
    places = tuple(step for step in at if isinstance(step, (int, float)))
    yield curves(run.rows, Marks(tuple(step for _, step in starts[1:]), places))
    if events:
        yield tag('h3', 'Divergence and recovery')
        rows = [[tag('span', what, class_='alarm'), step, done] for what, step, done in events]
        yield table(['what', 'at step', 'what was done'], rows, 'Events of the training')
    else:
        yield tag('p', 'No divergence was recorded.', class_='note')


def _outputs(run: RunFiles) -> Iterator[Html]:
    for output in run.outputs:
        inside = output.folder.is_relative_to(run.folder)
        shown = output.folder.relative_to(run.folder) if inside else output.folder
        yield output_part(output, str(shown))


def _configuration(run: RunFiles) -> Iterator[str | None]:
    if run.splits:
        rows = [[words(part), number(num)] for part, num in run.splits.items()]
        yield table(['part of the data', 'images'], rows, 'Images of each split')
    top = {key: value for key, value in run.config.items() if not isinstance(value, Mapping)}
    if top:
        yield details('Run', _settings(top), opened=True)
    for group, values in run.config.items():
        if isinstance(values, Mapping) and values:
            name = values.get('name')
            title = f'{words(group).capitalize()}: {plain(name)}' if name else words(group)
            yield details(title[:1].upper() + title[1:], _settings(dict(flatten(values))))


def _settings(values: Mapping[str, Any]) -> Html:
    rows = [tag('tr', tag('th', key, scope='row'), tag('td', plain(value)))
            for key, value in values.items()]  # fmt: skip
    return tag('div', tag('table', tag('tbody', *rows), class_='settings'), class_='scroll')


def _missing(run: RunFiles) -> Html | None:
    """What could be on the page and is not there, with the command that makes it."""
    items = [tag('li', text, command(line) if line else None) for text, line in missing_parts(run)]
    return tag('ul', *items, class_='missing') if items else None


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='python -m eojax.apps.report',
        description='Writes one HTML page about a run, which opens from disk without a network.',
        epilog='example: python -m eojax.apps.report --workdir=runs/jem_eurosat --include=map',
    )
    parser.add_argument('--workdir', type=Path, required=True, help='folder of the run')
    parser.add_argument(
        '--out', type=Path, help='file to write (default: report.html in the run folder)'
    )
    parser.add_argument(
        '--include', type=Path, action='append', default=[],
        help='folder elsewhere that an app wrote to; may be repeated',
    )  # fmt: skip
    options = parser.parse_args(arguments)
    with one_line_errors():
        out = options.out or options.workdir / 'report.html'
        if out.is_dir() or not out.absolute().parent.is_dir():
            raise UserError(f'--out={out}: give a file name in a folder that exists')
        for folder in options.include:
            if not folder.is_dir():
                raise UserError(f'--include={folder} is no folder')
        text = report(read_run(options.workdir, options.include)).encode('utf-8', 'replace')
        write_atomically(out, lambda file: file.write(text))
        print(f'{out}: {bytes_in_words(len(text))}')
