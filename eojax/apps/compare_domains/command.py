"""Whether sets of images are like what a trained run has seen: log p(x) and two other scores.

    python -m eojax.apps.compare_domains --workdir=RUN --domain=delta=S2_scene.tif --out=domains

Each `--domain=NAME=PATH` is a folder or a zip archive of images, a GeoTIFF, a product of Sentinel-2
or a folder of scenes (`eojax.apps.compare_domains.domains` says how they are told apart); at most
`--images` of each, evenly spread. The run's own test split (`test`), uniform noise and constant
images are always compared too. Scores, each higher for images that are more like the training's
(`eojax.evaluation.scoring.scores_of`): log p(x), for a classifier the log-sum-exp of its logits;
max p(y|x); -||grad_x log p(x)||; and three that ask whether an image is as usual, which smooth
images are not (`eojax.metrics.typicality`).

KL is the divergence of log p(x) from that of the training images, of at most 5,000, estimated by
nearest neighbours or, with `--divergence=histogram`, of histograms, as the papers do
(`eojax.metrics.out_of_distribution`). AUROC and FPR at
95% TPR tell the test split, in distribution, from the domain; for `test` itself they tell training
images from it, and 0.5 means alike. Below 0.5 a score ranks the domain above real test images, a
known weakness of likelihoods with smooth images. What is written to `--out`:

`domains.json`: name of the domain -> `images`, `kl` in nats, and for `log_density` (or what stands
  for it), `max_probability`, `gradient`, `typicality`, `states` and `ratio` each `auroc`, `fpr95`
  and `mean`.
`domains_supervised.json`: the same of the run of `--supervised`, which reads all images at its own
  size, with its own training images and test split.
`comparison.json`: runs, steps, the estimate of KL, and how each domain was read.
`domains.md`: the table that is printed, and where log p(x) fails.
`domain_<NAME>.png`: histograms of a domain beside those of the training images, and its images with
  the lowest and the highest log p(x). `overview.png`: all domains.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eojax.apps.compare_domains.comparison import (
    Comparison,
    compare,
    domain_numbers,
    score_titles,
    settings,
    summary,
)
from eojax.apps.compare_domains.domains import (
    Domain,
    find_domain,
    own_domains,
    parse_domains,
    read_ahead,
)
from eojax.apps.compare_domains.figures import Row, domain_figure, domains_overview
from eojax.atomic_file import write_atomically
from eojax.data.reading.raster import Reading
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.methods import METHODS
from eojax.methods.method import having_ability
from eojax.metrics.out_of_distribution import DIVERGENCES
from eojax.runs.command import open_folder_for_writing, open_trained, run_command, run_parser
from eojax.runs.run import Run


def write(comparisons: Mapping[str, Comparison], out: Path) -> None:
    """Writes all files into `out`, each of them whole or not at all, `domains.json` the last."""
    rows: dict[str, dict[str, Row]] = {title: {} for title in comparisons}
    for title, found in comparisons.items():
        for name, numbers in domain_numbers(found).items():
            judged = found.domains[name]
            rows[title][name] = Row(
                title, score_titles(found), found.training, judged.scores, numbers,
                judged.lowest, judged.highest,
            )  # fmt: skip
    first, *others = comparisons.values()
    for name in first.domains:
        domain_figure(name, [block[name] for block in rows.values()], out / f'domain_{name}.png')
    domains_overview(rows, out / 'overview.png')
    _write_text(out / 'domains.md', summary(comparisons))
    _write_json(out / 'comparison.json', settings(comparisons))
    if others:
        _write_json(out / 'domains_supervised.json', domain_numbers(others[0]))
    else:  # of an earlier comparison
        (out / 'domains_supervised.json').unlink(missing_ok=True)
    _write_json(out / 'domains.json', domain_numbers(first))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    _write_text(path, json.dumps(content, indent=2, allow_nan=False))


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda file: file.write(f'{text}\n'.encode()))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = run_parser(
        'compare_domains',
        'Says whether sets of images are like what a run was trained on: figures, a table and'
        ' domains.json. The test split, uniform noise and constant images are always compared too.',
        '--workdir=runs/jem_eurosat --domain=ucmerced=UCMerced.zip --domain=delta=S2.tif'
        ' --out=domains',
    )
    parser.add_argument(
        '--domain', action='append', default=[], metavar='NAME=PATH',
        help='folder or zip of images, a GeoTIFF, a .SAFE product, folders of bands, a folder of'
        ' scenes, or OSCD, BigEarthNet, DFC2017, Potsdam as they are published; repeat',
    )  # fmt: skip
    parser.add_argument('--images', type=int, default=2000, help='at most, of each (default: 2000)')
    parser.add_argument(
        '--supervised', type=Path, metavar='RUN', help='folder of a second run to compare with'
    )
    parser.add_argument(
        '--supervised_data_root', default='', metavar='PATH',
        help="where the second run's own data set lies now",
    )  # fmt: skip
    parser.add_argument(
        '--divergence', choices=tuple(DIVERGENCES),
        help="estimate of KL (default: evaluate.divergence of the run's config)",
    )  # fmt: skip
    group = parser.add_argument_group('scenes')
    group.add_argument(
        '--patch', type=int,
        help='side of a patch in pixels (default: as much ground as a training image)',
    )  # fmt: skip
    group.add_argument('--bands', default='', help="numbers or names, in the order of the run's")
    group.add_argument('--scale', default='auto', help='auto, l1c, l2a or LOW:HIGH (default: auto)')
    group.add_argument('--offset', type=float, help='that was added to all values (default: found)')
    group.add_argument('--nodata', type=float, help="of empty pixels (default: the file's)")
    run_command(parser, arguments, _check, _compare)


def _check(options: argparse.Namespace) -> None:
    """Refuses options that make no sense, and a folder that cannot be written to."""
    parse_domains(options.domain)
    if options.images < 2:
        raise UserError(f'--images must be at least 2, not {options.images}')
    if options.patch is not None and options.patch < 1:
        raise UserError(f'--patch must be at least 1, not {options.patch}')
    if options.supervised is not None and options.supervised.resolve() == options.workdir.resolve():
        raise UserError(f'--supervised={options.supervised} is the run of --workdir; name another')
    open_folder_for_writing(options.out)


def _has_logits(run: Run) -> None:
    if 'logits' not in run.method.abilities:
        having = having_ability(METHODS, 'logits')
        pixels = 'pixel_logits' in run.method.abilities
        does = 'classifies pixels, not images' if pixels else 'does not classify'
        raise UserError(
            f'{run.folder}: method {run.config.method.name!r} {does}, and two of the'
            f' scores ask for that; these do: {", ".join(having)}'
        )


def _compare(options: argparse.Namespace) -> None:
    reading = Reading(options.bands, options.scale, options.offset, options.nodata)

    def open_domains(workdir: Path, data_root: str) -> tuple[Run, Any, list[Domain]]:
        run, state = open_trained(
            workdir, options.checkpoint, data_root, _has_logits, options.class_folders
        )
        given = [
            find_domain(name, path, run, options.images, options.patch, reading)
            for name, path in parse_domains(options.domain).items()
        ]
        return run, state, [*read_ahead(given), *own_domains(run, options.images)]

    # All are read before the first is scored, so that what is wrong with one shows at once.
    opened = [open_domains(options.workdir, options.data_root)]
    if options.supervised is not None:
        opened.append(open_domains(options.supervised, options.supervised_data_root))
    titles = run_titles([run.folder for run, *_ in opened])
    comparisons = {
        title: compare(run, state, domains, options.images, options.divergence or '')
        for title, (run, state, domains) in zip(titles, opened, strict=True)
    }
    if not sharding.is_main_process():
        return
    write(comparisons, options.out)
    print(summary(comparisons, escape=False))
    print(f'figures, domains.md and domains.json are in {options.out}', flush=True)


def run_titles(folders: Sequence[Path]) -> list[str]:
    """The folders' names, or where two have the same, their paths."""
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]
