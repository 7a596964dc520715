"""The files of a run folder that a report reads, and the parts that are not there yet."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from eojax.apps.report.outputs import KINDS, Output, find_outputs, read_value
from eojax.config.base import read_json
from eojax.config.written import get, name_of
from eojax.data import split_record
from eojax.errors import UserError
from eojax.methods import METHODS
from eojax.training.progress import read_metrics

# App -> what its method must be able to do, and how it is called for this run.
_APPS = {
    'map_scene': ('logits', '--scene=S2.tif'),
    'compare_domains': ('logits', '--domain=NAME=PATH'),
    'restore': ('restore', '--images=PATH --damage=centre'),
    'generate': ('sample', '--num=64'),
    'calibration': ('logits', ''),
}


class RunFiles(NamedTuple):
    """The contents of a run folder, as far as a report shows them.

    Attributes:
      folder: of the run.
      config: of `config.json`, by whatever version of the code.
      rows: of `metrics.jsonl`; empty before the first.
      splits: images in each part of the data; empty where there is no `splits.json`.
      evaluations: the numbers of each evaluation, by its folder; that of the test split first.
      outputs: what the apps wrote.
    """

    folder: Path
    config: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    splits: Mapping[str, int]
    evaluations: Mapping[Path, Mapping[str, Any]]
    outputs: Sequence[Output]


class Missing(NamedTuple):
    """A part that the page lacks, and the command that makes it; empty where there is none."""

    text: str
    command: str = ''


def read_run(folder: Path, included: Sequence[Path] = ()) -> RunFiles:
    """Reads a run folder.

    Args:
      included: further folders that apps wrote to.

    Raises:
      UserError: no run folder, a damaged file, or an included folder with nothing in it.
    """
    config = read_json(folder / 'config.json')
    metrics, splits = folder / 'metrics.jsonl', folder / 'splits.json'
    parts = split_record.read(splits).parts if splits.is_file() else {}
    return RunFiles(
        folder,
        config,
        read_metrics(metrics) if metrics.is_file() else [],
        {name: part.places for name, part in parts.items()},
        dict(_evaluations(folder, included)),
        find_outputs(folder, included),
    )


def _evaluations(
    folder: Path, included: Sequence[Path]
) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    places = [folder / 'evaluation', *sorted(folder.glob('*/')), *included]
    for place in dict.fromkeys(places):
        file = place / 'evaluation.json'
        if file.is_file():
            numbers = read_value(file)
            if not isinstance(numbers, dict):
                raise UserError(f'{file} is damaged: it holds no JSON object')
            yield place, numbers


def last_step(run: RunFiles) -> int:
    """The newest step that the run's files tell of."""
    evaluated = [n['step'] for n in run.evaluations.values() if isinstance(n.get('step'), int)]
    return max([row['step'] for row in run.rows] + evaluated, default=0)


def missing_parts(run: RunFiles) -> Iterator[Missing]:
    """The parts that the page could show and the run does not have."""
    where = f'--workdir={shlex.quote(str(run.folder))}'
    method = name_of(run.config, 'method') or ''
    able = METHODS[method].abilities if method in METHODS else None
    total, done = get(run.config, 'steps'), last_step(run)
    evaluation = run.evaluations.get(run.folder / 'evaluation')
    if not run.rows:
        yield Missing('Training curves: no interval has been logged yet (metrics.jsonl).')
    if isinstance(total, int) and done < total:
        text = f'The rest of the training, after step {done:,}: the same command resumes it.'
        yield Missing(text)
    if evaluation is None:
        yield Missing('The evaluation on the test split:', f'python -m eojax.evaluate {where}')
    elif 'fid' not in evaluation and (able is None or 'sample' in able):
        line = f'python -m eojax.evaluate {where} --inception=inception_v3_fid.npz'
        yield Missing('FID and KID of the samples, which need the Inception weights:', line)
    made = {output.app for output in run.outputs}
    for app, (needed, options) in _APPS.items():
        if app in made or (able is not None and needed not in able):
            continue
        title = next(title for name, title in KINDS.values() if name == app)
        out = f'--out={shlex.quote(str(run.folder / app))}'
        line = ' '.join(filter(None, (f'python -m eojax.apps.{app}', where, options, out)))
        yield Missing(f'{title}:', line)
