"""Reliability diagrams and calibration errors of several runs in one figure.

    python -m eojax.apps.calibration --workdir=runs/jem --workdir=runs/supervised --out=calibration

A classifier is calibrated if it is right as often as it says: of the images with max p(y|x) near
80%, 80% are right (Castillo-Navarro et al., TGRS 2022, Fig. 3). Each run is measured on the test
split of its own data, or all of them on `--data`. A method that classifies pixels is measured on
pixels. What is written to `--out`:

`calibration.json`: an object for each run, by its name: `method`, `step`, `test_images` (and
  `test_pixels`), `accuracy`, `mean_confidence` (above the accuracy: overconfident), `ece` from 0 to
  1, `nll` in nats, `brier` from 0 to 2, and `workdir`; and `bins` of equal width of the confidence:
  their `edges`, and in each the mean `confidence` and the `accuracy` (null where it is empty) and
  the `counts` of images or pixels.
`calibration.png`: the reliability diagrams, and how often each confidence occurs.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eojax.atomic_file import write_atomically
from eojax.devices import sharding
from eojax.drawing import figures
from eojax.errors import UserError
from eojax.evaluation.calibration import calibration_numbers, labelled_images, measure
from eojax.methods import METHODS
from eojax.methods.method import ability
from eojax.metrics.calibration import ReliabilityCurve, curve_of
from eojax.runs.command import (
    open_folder_for_writing,
    open_trained,
    read_config,
    run_command,
    run_parser,
)
from eojax.runs.run import Run


def run_names(workdirs: Sequence[Path], given: Sequence[str] = ()) -> list[str]:
    """A name for each run: those given, else its folder's, with those above it where they agree.

    Raises:
      UserError: not one name for each run, or two that are the same.
    """
    if given:
        if len(given) != len(workdirs):
            raise UserError(
                f'{len(given)} --name for {len(workdirs)} --workdir: give one for each, or none'
            )
        twice = [name for name, num in Counter(given).items() if num > 1]
        if twice or not all(given):
            raise UserError(f'--name={twice[0] if twice else ""}: each run needs a name of its own')
        return list(given)
    parts = [workdir.resolve().parts for workdir in workdirs]
    names = [part[-1] for part in parts]
    for depth in range(2, max(map(len, parts)) + 1):
        counts = Counter(names)
        names = [
            '/'.join(part[-depth:]) if counts[name] > 1 else name
            for name, part in zip(names, parts, strict=True)
        ]
    return names


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = run_parser(
        'calibration',
        'Compares how well runs are calibrated: calibration.json and calibration.png.',
        '--workdir=runs/jem --workdir=runs/supervised --out=calibration',
        several=True,
    )
    parser.add_argument(
        '--name', action='append', default=[], help="of each run in turn (default: its folder's)"
    )
    parser.add_argument(
        '--data', type=Path, help="labelled folder or zip for all runs; else each run's test split"
    )
    parser.add_argument(
        '--with_learnt', action='store_true',
        help='count images of --data that a run has learnt from; else they are left out',
    )  # fmt: skip
    parser.add_argument('--bins', type=int, default=15, help='of the confidence (default: 15)')
    run_command(parser, arguments, _check, _calibrate)


def _check(options: argparse.Namespace) -> None:
    """Refuses, before a run is opened, what would end the command when the last one is."""
    for number, workdir in enumerate(options.workdir):
        if workdir.resolve() in [earlier.resolve() for earlier in options.workdir[:number]]:
            raise UserError(f'--workdir={workdir} is given twice')
        read_config(workdir)
    run_names(options.workdir, options.name)
    if options.bins < 1:
        raise UserError(f'--bins must be at least 1, not {options.bins}')
    if options.data is not None and not options.data.exists():
        raise UserError(f'--data: no such file or folder: {options.data}')
    open_folder_for_writing(options.out)


def _calibrate(options: argparse.Namespace) -> None:
    def can_classify(run: Run) -> None:
        if 'pixel_logits' not in run.method.abilities:
            ability(run.method, 'logits', run.config.method.name, METHODS)

    def opened(workdir: Path) -> tuple[Run, Any]:
        return open_trained(
            workdir, options.checkpoint, options.data_root, can_classify, options.class_folders
        )

    names = run_names(options.workdir, options.name)
    # All are opened, with their data, before the first is measured: what is wrong shows at once.
    for workdir in options.workdir if len(options.workdir) > 1 else ():
        labelled_images(opened(workdir)[0], options.data, options.with_learnt)
    numbers: dict[str, dict[str, Any]] = {}
    curves: dict[str, ReliabilityCurve] = {}
    for name, workdir in zip(names, options.workdir, strict=True):
        run, state = opened(workdir)
        measured = measure(run, state, options.data, options.bins, options.with_learnt)
        numbers[name] = {**calibration_numbers(measured), 'workdir': str(workdir)}
        curves[name] = curve_of(measured.sums.bins)
    if not sharding.is_main_process():
        return
    figures.calibration_curves(curves, options.out / 'calibration.png')
    text = json.dumps(numbers, indent=2, allow_nan=False) + '\n'
    write_atomically(options.out / 'calibration.json', lambda file: file.write(text.encode()))
    print(_table(numbers))
    print(f'calibration.png and calibration.json are in {options.out}')


def _table(numbers: dict[str, dict[str, Any]]) -> str:
    """The main numbers, for people."""
    keys = ('test_images', 'accuracy', 'mean_confidence', 'ece', 'nll', 'brier')
    titles = ('images', 'accuracy', 'confidence', 'ECE', 'nll', 'Brier')
    width = max(map(len, numbers))
    lines = [' ' * width + ''.join(f'{title:>12}' for title in titles)]
    for name, row in numbers.items():
        cells = [f'{row[keys[0]]:>12,}', *(f'{row[key]:>12.4f}' for key in keys[1:])]
        lines.append(f'{name:<{width}}' + ''.join(cells))
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
