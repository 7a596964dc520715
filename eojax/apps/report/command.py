"""One HTML page about a run: its config, curves, numbers beside the papers', figures, and its use.

    python -m eojax.apps.report --workdir=runs/jem_eurosat

The page stands in one file, loads nothing and opens from disk. It tells what lies in the run
folder, and what the apps wrote below it or in the folders of `--include`; checkpoints and images
are not read. What is not there is named with the command that makes it. The papers' numbers
(`eojax.evaluation.published_results`) stand beside those of a run on the same data set, with the
same method and number of labels, with what differs otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

import eojax
from eojax.apps.report.curves import Event, Marks, Panel, curves, events, phase_starts
from eojax.apps.report.evaluation import Evaluation, Trained, describe_evaluation
from eojax.apps.report.files import RunFiles, last_step, missing_parts, read_run
from eojax.apps.report.outputs import OutputPart, describe_output
from eojax.apps.report.page import Section, Table, render
from eojax.apps.report.pictures import Picture, read_picture
from eojax.apps.report.wording import bytes_in_words, number, plain, words
from eojax.atomic_file import write_atomically
from eojax.command_parser import CommandParser
from eojax.config.base import flatten
from eojax.config.listing import of_config
from eojax.config.written import get, name_of, network_of
from eojax.errors import UserError, one_line_errors
from eojax.home import expand_paths
from eojax.program_name import program_name
from eojax.weights.unpacked import WORKDIR_HELP, is_file, run_folder

_TILES = {
    'accuracy': 'accuracy', 'pixel_accuracy': 'accuracy of pixels', 'mean_iou': 'mean IoU',
    'f1_macro': 'mean F1', 'ece': 'calibration error', 'fid': 'FID',
    'agreement_mean_iou': 'agreement of maps', 'ssim': 'SSIM',
    'auroc_uniform_noise': 'AUROC, noise', 'auroc_constant': 'AUROC, flat colours',
}  # fmt: skip


class Training(NamedTuple):
    """The course of a training.

    Attributes:
      phases: from which step on, in words; empty for a single one.
      panels: a curve for each metric.
      events: such as divergences.
    """

    phases: str
    panels: Sequence[Panel]
    events: Sequence[Event]


class Setting(NamedTuple):
    """An option of the config: its key in its group, its value and its meaning in words."""

    key: str
    value: str
    meaning: str


class Group(NamedTuple):
    """A group of the config, which the reader may unfold."""

    title: str
    settings: Sequence[Setting]
    opened: bool = False


class Configuration(NamedTuple):
    """The config by groups, and how many images each part of the data has."""

    splits: Table | None
    groups: Sequence[Group]


def report(run: RunFiles) -> str:
    """The page about a run, as HTML."""
    title = run.folder.resolve().name
    sections = (
        Section('evaluation', 'Evaluation', 'Evaluation', _evaluations(run)),
        Section('samples', 'Samples', 'Samples', [*_samples(run)]),
        Section('training', 'Training', 'Training', _training(run)),
        Section('apps', 'What the run was used for', 'Use', _outputs(run)),
        Section('configuration', 'Configuration', 'Configuration', _configuration(run)),
        Section('missing', 'Not made yet', 'Not made yet', [*missing_parts(run)]),
    )
    return render(
        'page.html',
        title=title,
        facts=[*_facts(run)],
        tiles=_tiles(run),
        sections=[section for section in sections if section.content],
        version=eojax.__version__,
        made=datetime.now(UTC).strftime('%Y-%m-%d %H:%M'),
        folder=run.folder,
    )


def _facts(run: RunFiles) -> Iterator[str]:
    """The run in a few words."""
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


def _tiles(run: RunFiles) -> list[tuple[str, str]]:
    numbers = run.evaluations.get(run.folder / 'evaluation', {})
    return [(name, number(numbers[key], key)) for key, name in _TILES.items() if key in numbers]


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
        generator=get(run.config, 'method.generator'),
    )


def _evaluations(run: RunFiles) -> list[Evaluation]:
    return [
        describe_evaluation(
            folder,
            numbers,
            _trained(run, numbers.get('step')) if folder == run.folder / 'evaluation' else None,
        )
        for folder, numbers in run.evaluations.items()
    ]


def _samples(run: RunFiles) -> Iterator[Picture]:
    grid = run.folder / 'evaluation' / 'samples.png'
    if grid.is_file():
        text = 'Two real training images of each class, and samples in the order they were drawn.'
        yield read_picture(grid, text, text)
    buffer = sorted((run.folder / 'samples').glob('step_*.png'))
    if buffer:
        step = buffer[-1].stem.removeprefix('step_')
        when = f'step {int(step):,}' if step.isdecimal() else step
        text = f'The same 64 places of the replay buffer, after {when}.'
        yield read_picture(buffer[-1], text, text)


def _training(run: RunFiles) -> Training | None:
    if not run.rows:
        return None
    starts = phase_starts(run.rows)
    phases = ', then '.join(f'{name} from step {step:,}' for name, step in starts)
    at = tuple(row.get('at', row['step']) for row in run.rows if 'event' in row)
    places = tuple(step for step in at if isinstance(step, (int, float)))
    marks = Marks(tuple(step for _, step in starts[1:]), places)
    return Training(phases if len(starts) > 1 else '', curves(run.rows, marks), events(run.rows))


def _outputs(run: RunFiles) -> list[OutputPart]:
    def name(folder: Path) -> str:
        inside = folder.is_relative_to(run.folder)
        return str(folder.relative_to(run.folder) if inside else folder)

    return [describe_output(output, name(output.folder)) for output in run.outputs]


def _configuration(run: RunFiles) -> Configuration | None:
    splits = None
    if run.splits:
        rows = [[words(part), number(num)] for part, num in run.splits.items()]
        splits = Table('Images of each split', ['part of the data', 'images'], rows)
    groups = []
    meanings = _meanings(run.config)
    top = {key: value for key, value in run.config.items() if not isinstance(value, Mapping)}
    if top:
        groups.append(Group('Run', _settings(top, meanings), opened=True))
    for group, values in run.config.items():
        if isinstance(values, Mapping) and values:
            name = values.get('name')
            title = f'{words(group).capitalize()}: {plain(name)}' if name else words(group)
            settings = _settings(dict(flatten(values)), meanings, f'{group}.')
            groups.append(Group(title[:1].upper() + title[1:], settings))
    return Configuration(splits, groups) if splits or groups else None


def _settings(
    values: Mapping[str, Any], meanings: Mapping[str, str], prefix: str = ''
) -> list[Setting]:
    return [
        Setting(key, plain(value), meanings.get(prefix + key, '')) for key, value in values.items()
    ]


def _meanings(config: Mapping[str, Any]) -> Mapping[str, str]:
    """The meanings of a config's options by their keys; none where its parts are not known here."""
    try:
        sections = of_config(ConfigDict(config))
    except (UserError, KeyError):  # of another version
        return {}
    return {key: option.meaning for section in sections for key, option in section.options.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = CommandParser(
        prog=program_name('eojax.apps.report'),
        description='Writes one HTML page about a run, which opens from disk without a network.',
        epilog='example: python -m eojax.apps.report --workdir=runs/jem_eurosat --include=map',
    )
    parser.add_argument('--workdir', type=Path, required=True, help=WORKDIR_HELP)
    parser.add_argument(
        '--out', type=Path, help='file to write (default: report.html in the run folder)'
    )
    parser.add_argument(
        '--include', type=Path, action='append', default=[],
        help='folder elsewhere that an app wrote to; may be repeated',
    )  # fmt: skip
    options = parser.parse_args(arguments)
    with one_line_errors():
        expand_paths(options)
        workdir = run_folder(options.workdir)
        if options.out is None and is_file(options.workdir):
            raise UserError(f'--workdir={options.workdir}: say where to write, --out=FILE')
        out = options.out or workdir / 'report.html'
        if out.is_dir() or not out.absolute().parent.is_dir():
            raise UserError(f'--out={out}: give a file name in a folder that exists')
        for folder in options.include:
            if not folder.is_dir():
                raise UserError(f'--include={folder} is no folder')
        text = report(read_run(workdir, options.include)).encode('utf-8', 'replace')
        write_atomically(out, lambda file: file.write(text))
        print(f'{out}: {bytes_in_words(len(text))}')
