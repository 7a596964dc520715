"""The part of a report about guarantees: sets of classes, corrected areas, answers left open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eojax.apps.report.page import Table
from eojax.apps.report.wording import number

# Name, with an arrow to where it is better, and a note, as of the main numbers.
MEASURES = {
    'set_level': ('Sets of classes: level asked for', ''),
    'set_coverage': ('Sets with the true class', 'on average over blocks of ground'),
    'set_coverage_low': ('Sets with the true class, from', '95 % interval'),
    'set_coverage_high': ('Sets with the true class, to', '95 % interval'),
    'set_coverage_all': ('Sets with the true class, of all places', ''),
    'set_mean_size': ('Classes in a set\u00a0↓', ''),
    'set_share_one': ('Sets of one class\u00a0↑', ''),
    'set_share_empty': ('Sets without a class', ''),
    'area_mapped_error': ('Error of areas as the map counts them\u00a0↓', 'mean of the classes'),
    'area_error': ('Error of corrected areas\u00a0↓', 'mean of the classes'),
    'area_inside': ('Areas inside their 95 % interval', 'share of the classes'),
    'not_known_share': ('Left open', 'share of the tested part'),
    'not_known_error': ('Error rate of what is left open', ''),
    'answered_error': ('Error rate of the answers\u00a0↓', ''),
    'aurc_confidence': ('Area under risk over coverage, max p(y|x)\u00a0↓', ''),
    'aurc_log_density': ('Area under risk over coverage, log p(x)\u00a0↓', ''),
    'aurc_set_size': ('Area under risk over coverage, size of sets\u00a0↓', ''),
}
FIGURES = {
    'sets': 'Sets of classes: how often they hold the true class in each block of ground, and how'
    ' many classes they have.',
    'areas': 'The share of each class: as the map counts it, corrected with its 95 % interval, and'
    ' true.',
    'risk_coverage': 'The error rate of what is answered, over the share that is.',
}
COUNTS = ('calibration_blocks', 'test_blocks', 'set_threshold', 'not_known_threshold')
_AREAS = ('area_mapped_of_', 'area_of_', 'area_low_of_', 'area_high_of_', 'area_true_of_')
_SET = 'set_coverage_of_'
_ERROR = 'error_at_'


def in_tables(key: str) -> bool:
    """Whether a number of `evaluation.json` stands in one of the tables."""
    return key.startswith((*_AREAS, _SET, _ERROR))


def guarantee_tables(numbers: Mapping[str, Any]) -> list[Table]:
    """The tables of an `evaluation.json`; none where nothing was asked for."""
    tables = []
    names = [k.removeprefix(_AREAS[-1]) for k in numbers if k.startswith(_AREAS[-1])]
    if names:
        header = ['class', 'as counted', 'corrected', 'from', 'to', 'true']
        rows = [
            [name, *(number(numbers.get(f'{prefix}{name}'), 'share') for prefix in _AREAS)]
            for name in names
        ]
        note = 'Shares of the tested ground; from and to are the 95 % interval.'
        tables.append(Table('Areas of the classes', header, rows, note=note))
    of_class = [k for k in numbers if k.startswith(_SET)]
    if of_class:
        rows = [[key.removeprefix(_SET), number(numbers[key], 'share')] for key in of_class]
        note = 'On average over classes and blocks the level holds; for one class nothing is said.'
        header = ['class', 'sets with the true class']
        tables.append(Table('Sets of classes', header, rows, note=note))
    scores = [k.removeprefix('aurc_') for k in numbers if k.startswith('aurc_')]
    if scores:
        coverages = ('100', '90', '80', '70')
        rows = [
            [
                MEASURES[f'aurc_{score}'][0].partition(', ')[2].removesuffix('\u00a0↓'),
                *(number(numbers.get(f'{_ERROR}{c}_{score}'), 'share') for c in coverages),
            ]
            for score in scores
        ]
        header = ['least trusted left open, by', *(f'{c}\u00a0% answered' for c in coverages)]
        tables.append(Table('Error rate of the answers', header, rows))
    return tables
