"""The study of whether synthesis pays: synthesised images as training data of a segmenter.

The paper on synthesis suggests it and does not try it. Training places are divided: of part A there
are images; of part B there are land cover and rasters, and nobody has taken images. A generator is
trained on A alone and makes the images of B. A segmenter is then trained, always for as many steps,
with the same seeds, and tested on the same real places:

`real`: on A, real images: what there is without synthesis;
`synthesised`: on B, synthesised images, and no real one;
`real_and_synthesised`: on A, real, and B, synthesised;
`all_real`: on A and B, all real: the most that images of B could give.

Notes:
  The segmenter sees images alone. Land cover of B is new to it, and so is what rasters say about
  B by way of the generator: the gain is that of maps without images, not of the generator alone.
  Validation places are real, too, and none of them is in A or B.
  A is `--share` of the training places of each group, as `data.labelled_share` draws them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from eojax.config.base import set_keys
from eojax.data.parts.labelled import GROUPS_KEY, LABELS_KEY, SHARE_KEY, TOTAL_KEY
from eojax.data.synthesised import ALONE, BESIDE, KEY, USE_KEY
from eojax.errors import UserError
from eojax.evaluation.synthesis.training_images import images_file
from eojax.studies.grid import series as grid_series
from eojax.studies.grid.cells import Cell, Row
from eojax.studies.grid.tables import percent_cells
from eojax.studies.segmentation.rows import MEASURES, labels_of
from eojax.studies.segmentation.study import Line, Study, base_of, gains_of, lines_of, parts_of
from eojax.studies.segmentation.table import markdown as segmentation_markdown
from eojax.studies.synthesis.generators import MEASURES as GENERATOR_MEASURES
from eojax.studies.synthesis.generators import with_data
from eojax.tables import markdown_table

GENERATOR = 'generator'
REAL, SYNTHESISED, BOTH, ALL_REAL = 'real', 'synthesised', 'real_and_synthesised', 'all_real'
SETTINGS = {
    REAL: 'A, real',
    SYNTHESISED: 'B, synthesised',
    BOTH: 'A, real, and B, synthesised',
    ALL_REAL: 'A and B, real',
}
# Keys in which the data of settings may differ.
FREE_DATA = (SHARE_KEY, KEY, USE_KEY)
_NO_OTHER_LIMIT = {LABELS_KEY: 'all', TOTAL_KEY: 0, GROUPS_KEY: ''}
_IOU = 'iou_'


def parse_share(text: str) -> float:
    """The share of `--share=0.5`.

    Raises:
      UserError: it is none.
    """
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0.0 < share < 1.0:
        raise UserError(f'--share={text}: expected a number above 0 and below 1')
    return share


def generator_cells(
    workdir: Path, config: ConfigDict, share: float, seeds: Sequence[int]
) -> list[Cell]:
    """The generators to train, one for each seed."""
    cells = []
    for seed in seeds:
        own = config.copy_and_resolve_references()
        set_keys(own, {**_NO_OTHER_LIMIT, SHARE_KEY: share, 'seed': seed})
        folder = workdir / GENERATOR / f'seed_{seed}'
        labels = labels_of(own.to_dict(), GENERATOR)
        title = f'generator, seed {seed}'
        cells.append(Cell(folder, own, labels, title, GENERATOR_MEASURES))
    return cells


def segmenter_cells(
    workdir: Path, config: ConfigDict, segmenter: ConfigDict, share: float, seeds: Sequence[int]
) -> list[Cell]:
    """The segmenters to train: all settings with one seed, then with the next.

    Args:
      config: of the generator, whose data they have.
    """
    cells = []
    for seed in seeds:
        made = str(images_file(workdir / GENERATOR / f'seed_{seed}').parent)
        values: dict[str, dict[str, Any]] = {
            REAL: {SHARE_KEY: share},
            SYNTHESISED: {KEY: made, USE_KEY: ALONE},
            BOTH: {KEY: made, USE_KEY: BESIDE},
            ALL_REAL: {},
        }
        for name, title in SETTINGS.items():
            own = with_data(segmenter, config)
            set_keys(own, {**_NO_OTHER_LIMIT, SHARE_KEY: 1.0, 'seed': seed, **values[name]})
            labels = labels_of(own.to_dict(), name)
            folder = workdir / name / f'seed_{seed}'
            cells.append(Cell(folder, own, labels, f'{title}, seed {seed}', MEASURES))
    return cells


def found_cells(workdir: Path) -> list[Cell]:
    """The segmenters that the study has begun in a folder: `SETTING/seed_SEED`."""
    return grid_series.found_cells(
        (f for f in workdir.glob('*/seed_*/config.json') if f.parents[1].name in SETTINGS),
        lambda file, config: labels_of(config.to_dict(), file.parents[1].name),
        MEASURES,
    )


def markdown(rows: Sequence[Row]) -> str:
    """All of the table: that of segmentation, and the gain of each class over real images alone.

    Args:
      rows: sorted (`eojax.studies.segmentation.rows.sort_rows`).
    """
    text, lines = segmentation_markdown(STUDY, rows), lines_of(STUDY, rows)
    gains = _class_gains(lines)
    if not gains:
        return text
    before, runs, after = text.partition('## Runs')
    title = f'## Gain of IoU of each class over {base_of(lines).title}, in percentage points'
    return f'{before}{title}\n\n{gains}\n\n{runs}{after}'


def _class_gains(lines: Sequence[Line]) -> str:
    others = [number for number, line in enumerate(lines) if not line.is_base]
    keys = parts_of(lines, _IOU)
    if not (others and keys):
        return ''
    columns = [['trained on', *(lines[i].title for i in others)]]
    for key in keys:
        cells = percent_cells(gains_of(lines, key), 'sem', '+')
        columns.append([key.removeprefix(_IOU), *(cells[i] for i in others)])
    return markdown_table([*zip(*columns, strict=True)])


def _notes(rows: Sequence[Row]) -> list[str]:
    shares = {row['labelled_share'] for row in rows if row['config'] == REAL}
    part = f', {100 * shares.pop():g} % of the training places' if len(shares) == 1 else ''
    return [
        f'A: places with real images{part}; B: the other training places, of which there are land'
        ' cover and rasters. The generator has learnt from A alone.',
        'All are trained for as many steps and tested on the same real images; those of synthesised'
        ' images have the labels of B too.',
    ]


STUDY = Study(
    'pays',
    'Synthesised images as training data of a segmenter',
    lambda row: [*SETTINGS].index(row['config']),
    lambda row: SETTINGS[row['config']],
    lambda row: row['config'] == REAL,
    lambda row: None,
    notes=_notes,
)
