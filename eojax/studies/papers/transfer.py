"""The figures of the paper on transfer from optical to SAR, by the runs of `transfer_study`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from ml_collections import ConfigDict

from eojax.config.base import set_keys
from eojax.config.command_line import changed_config
from eojax.errors import UserError
from eojax.studies.grid.cells import Cell
from eojax.studies.papers.item import Compared, Outcome, Work
from eojax.studies.transfer_study.figures import comparison_figure
from eojax.studies.transfer_study.table import comparisons, markdown, sort_rows
from eojax.studies.transfer_study.variants import Wanted, check_base, study_cells

DATA = 'so2sat'
# Of a small run on two CPU cores (`benchmarks/results/transfer_study_landscapes_*.json`).
MINUTES = 1.1
_CONFIG, _SMALL = 'swd_transfer_so2sat', 'swd_transfer_landscapes'
_LABELLED, _SMALL_LABELLED = ('32', '128', '1024', 'all'), ('32', 'all')
# The first figure compares three sets of classes; Section 3 states low-rise zones for the last.
_CLASSES = {'methods': ('lowrise', 'urban', 'all')}
_LOW_RISE = ('lowrise',)
_WEIGHTS = (0.0, 1.0)


def cells_of(
    workdir: Path,
    experiment: str,
    small: bool,
    roots: Mapping[str, Path],
    changes: Sequence[str],
    seeds: Sequence[int],
) -> list[Cell]:
    """The runs of a figure.

    Args:
      experiment: one of `eojax.studies.transfer_study.variants.EXPERIMENTS`.
      small: on drawn places, which need no data.
      roots: where data sets lie, by name.
      changes: `--config.KEY=VALUE`.
    """
    config: ConfigDict = changed_config(_SMALL if small else _CONFIG, changes)
    classes: Sequence[str] = () if small else _CLASSES.get(experiment, _LOW_RISE)
    if not small:
        root = str(roots[DATA])
        set_keys(config, {'data.root': root, 'source.root': root})
    check_base(config, classes)
    labelled = _SMALL_LABELLED if small else _LABELLED
    wanted = Wanted([experiment], classes, ('instance', 'batch'), _WEIGHTS, labelled, seeds)
    return study_cells(workdir / ('transfer_small' if small else 'transfer'), config, wanted)


def num_small_runs(experiment: str) -> int:
    """Runs of the small figure for a seed."""
    return {'methods': 3, 'normalisation': 4, 'contrastive': 2}[experiment] * len(_SMALL_LABELLED)


def comparison(work: Work) -> Outcome:
    """Test accuracy against the number of labelled SAR images."""
    rows = sort_rows([row for row in work.rows if row['error'] is None])
    found = {one.name: one for one in comparisons(rows)}
    name = work.plan.item.experiment
    if name not in found:
        raise UserError('none of its runs is finished')
    comparison_figure(rows, found[name], work.out / 'figure.png')
    counts = Counter((row['config'], row['labelled']) for row in rows).values()
    seeds = f'{min(counts)} to {max(counts)}' if min(counts) < max(counts) else f'{max(counts)}'
    caption = (
        f'{found[name].title}: mean test accuracy and standard error over {seeds}'
        ' seed(s) against the number of labelled SAR images. The paper draws curves and prints no'
        ' numbers.'
    )
    if work.small:
        caption += ' Drawn Local Climate Zones stand in for So2Sat.'
    numbers = [
        Compared(f'{row["config"]}, {row["labelled"]} labelled, seed {row["seed"]}', 'accuracy',
                 row['accuracy'])
        for row in rows
    ]  # fmt: skip
    return Outcome(caption, numbers, ['figure.png'], markdown(rows))
