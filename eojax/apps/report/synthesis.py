"""The part of a report about synthesised images: tables beside the main numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eojax.apps.report.page import Table
from eojax.apps.report.wording import number
from eojax.evaluation.published_synthesis import (
    DATA_SETS,
    PAPER,
    PLACE,
    published,
    published_real,
)
from eojax.evaluation.synthesis.segmentation import (
    AGREEMENT,
    IOU,
    PREFIXES,
    REAL_IMAGES,
    TITLES,
    TRUTH,
)

# Name, with an arrow to where it is better, and a note, as of the main numbers.
MEASURES = {
    'mae': ('Mean absolute error\u00a0↓', 'share of the range of values'),
    'psnr': ('PSNR\u00a0↑', 'dB'),
    'ssim': ('SSIM\u00a0↑', ''),
    'texture_distance': ('Distance of textures\u00a0↓', 'mean of the classes'),
    'frechet_distance': ('Fréchet distance\u00a0↓', "of the segmenter's features"),
    'mae_db': ('Mean absolute error\u00a0↓', 'dB of backscatter'),
    'backscatter_distance': (
        'Distance of backscatter\u00a0↓', 'Wasserstein-1 in dB, mean of the classes'
    ),
    'looks_real': ('Looks of real images', 'equivalent number'),
    'looks_synthesised': ('Looks of synthesised images', 'equivalent number'),
}  # fmt: skip
FIGURES = {
    'synthesis': 'Places of the test split, drawn without a look at the scores: land cover, '
    'rasters, real image, and what was synthesised.',
    'class_iou': 'Intersection over union of each class, of maps that a segmenter makes of real '
    'and of synthesised images.',
    'backscatter': 'Backscatter of the pixels of each class, real and synthesised, and the '
    'equivalent number of looks.',
}
# The second is the first in other words, for the choice of the best state.
COUNTS = ('frechet_features', 'frechet_images', 'texture_match')
_SCORES = ('pixel_accuracy', 'mean_iou', 'mean_iou_all')
_RADAR = ('backscatter_distance_', 'looks_real_', 'looks_synthesised_')
_TEXTURE = 'texture_distance_'


def in_tables(key: str) -> bool:
    """Whether a number of `evaluation.json` stands in one of the tables."""
    of_maps = any(
        key == f'{prefix}{score}' or key.startswith(f'{prefix}{IOU}')
        for prefix in PREFIXES
        for score in _SCORES
    )
    return of_maps or key.startswith((*_RADAR, _TEXTURE))


def synthesis_tables(
    numbers: Mapping[str, Any], data: str | None, generator: str | None
) -> list[Table]:
    """The tables of an `evaluation.json`; none of other methods.

    Args:
      data, generator: of the run's config, to look up the paper's numbers; None for none of them.
    """
    tables = []
    if any(key.startswith(_TEXTURE) for key in numbers):
        tables.append(_textures(numbers))
    if f'{TRUTH}mean_iou' in numbers:
        tables.append(_maps(numbers, str(data), str(generator)))
        tables.append(_classes(numbers))
    if any(key.startswith(_RADAR) for key in numbers):
        tables.append(_radar(numbers))
    return tables


def _maps(numbers: Mapping[str, Any], data: str, generator: str) -> Table:
    header = [
        'image, reference',
        'accuracy\u00a0↑',
        'mean IoU\u00a0↑',
        'mean IoU, all classes\u00a0↑',
    ]
    rows = [
        [TITLES[prefix], *(number(numbers.get(f'{prefix}{key}'), key) for key in _SCORES)]
        for prefix in PREFIXES
    ]
    note = 'All classes: one that does not occur counts as 0, as in the paper.'
    rows += _published(data, generator)
    if len(rows) > len(PREFIXES):
        note = f'{note} The paper ({PLACE}, {DATA_SETS[data]}): {PAPER}'
    return Table('Maps that a segmenter makes of the images', header, rows, note=note)


def _published(data: str, generator: str) -> Iterator[list[str]]:
    """The paper's row below each of ours; none of other data."""
    real, made = published_real(data), published(data, generator)
    each = {REAL_IMAGES: real, TRUTH: made and made.truth, AGREEMENT: made and made.agreement}
    for prefix, values in each.items():
        if values is not None:
            mean_iou, accuracy = number(values[0], 'iou'), number(values[1], 'accuracy')
            yield [f'paper: {TITLES[prefix]}', accuracy, '–', mean_iou]


def _classes(numbers: Mapping[str, Any]) -> Table:
    names = _names(numbers, [f'{prefix}{IOU}' for prefix in PREFIXES])
    header = ['class', *(TITLES[prefix] for prefix in PREFIXES)]
    rows = [
        [name, *(number(numbers.get(f'{prefix}{IOU}{name}'), 'iou') for prefix in PREFIXES)]
        for name in names
    ]
    return Table('IoU of each class', header, rows)


def _textures(numbers: Mapping[str, Any]) -> Table:
    rows = [[n, number(numbers.get(f'{_TEXTURE}{n}'))] for n in _names(numbers, [_TEXTURE])]
    note = 'Colours and fine structure of real and synthesised pixels, without a network.'
    return Table('Textures by class', ['class', 'distance\u00a0↓'], rows, note=note)


def _radar(numbers: Mapping[str, Any]) -> Table:
    header = ['class', 'distance of backscatter, dB\u00a0↓', 'looks, real', 'looks, synthesised']
    rows = [
        [name, *(number(numbers.get(f'{prefix}{name}')) for prefix in _RADAR)]
        for name in _names(numbers, _RADAR)
    ]
    note = (
        'Looks are mean² / variance of the intensity in squares of 8 by 8 pixels of one class, the'
        ' median of all: the more, the weaker the speckle.'
    )
    return Table('Radar by class', header, rows, note=note)


def _names(numbers: Mapping[str, Any], prefixes: Sequence[str]) -> list[str]:
    """What stands behind the prefixes, in the order of the numbers."""
    return [
        *dict.fromkeys(
            key.removeprefix(prefix) for prefix in prefixes for key in numbers
            if key.startswith(prefix)
        )
    ]  # fmt: skip
