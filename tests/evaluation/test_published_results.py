"""The papers' numbers, as they print them."""

from __future__ import annotations

import re

import pytest

from eojax.data.sets import DATASETS
from eojax.evaluation.published_results import (
    _ACCURACIES,
    _EUROSAT_ECE,
    PAPERS,
    published_divergences,
    published_results,
)
from eojax.methods import METHODS

# Rows of tables, typed anew: labels per class, then accuracy in % by method.
_TABLE_3 = """
all 97.56 ±0.52 96.90 ±0.67 98.81 ±0.06 97.42 ±0.19
100 86.36 ±0.26 74.78 ±2.01 97.83 ±0.12 86.23 ±0.80
20 62.93 ±1.01 54.25 ±2.41 95.78 ±0.99 69.11 ±1.18
10 52.33 ±1.59 46.84 ±1.83 94.95 ±1.12 61.60 ±1.49
5 43.83 ±3.18 39.80 ±1.51 94.45 ±1.29 54.79 ±3.55
1 28.02 ±0.97 32.77 ±1.05 67.46 ±4.67 36.86 ±1.11
"""
_TABLE_4 = """
so2sat all 50.93 ±0.16 54.60 ±0.35
so2sat 1000 44.17 ±0.40 48.59 ±0.58
so2sat 200 35.45 ±0.17 42.43 ±0.47
so2sat 100 30.90 ±0.35 38.71 ±0.64
aid all 78.71 ±0.08 74.11 ±0.24
aid 20 41.07 ±1.87 50.23 ±0.69
aid 13 34.46 ±0.59 44.49 ±0.65
aid 3 17.38 ±0.32 25.68 ±0.65
aid 1 9.98 ±0.36 16.21 ±0.58
ucmerced 80 81.71 ±0.72 80.49 ±1.67
ucmerced 10 45.41 ±0.43 48.91 ±0.42
ucmerced 4 26.99 ±1.24 34.16 ±1.78
ucmerced 1 14.34 ±1.88 24.31 ±1.87
"""
_THESIS_3_6 = """
all 50.93 ±0.16 63.00 ±0.49
1000 44.17 ±0.40 61.68 ±0.53
200 35.45 ±0.17 60.41 ±0.66
100 30.90 ±0.35 56.51 ±0.68
"""
_THESIS_4_5 = """
100 86.23 ±0.80 85.94 ±0.48
20 69.11 ±1.18 84.96 ±0.57
10 61.60 ±1.49 84.89 ±0.76
5 54.79 ±3.55 82.46 ±0.98
1 36.86 ±1.11 56.78 ±1.31
"""


def _accuracies(data: str, method: str, labels: str) -> dict[str, tuple[str, float, float | None]]:
    return {
        result.place: (result.printed, result.value, result.deviation)
        for result in published_results(data, method, labels)
        if result.key == 'accuracy' and result.paper != 'IGARSS 2021'
    }


def _check(data: str, methods: tuple[str, ...], line: str, places: set[str]) -> None:
    labels, *cells = re.split(r' (?=\d+\.)', line)
    for method, cell in zip(methods, cells, strict=True):
        ((place, (printed, value, deviation)),) = _accuracies(data, method, labels).items()
        mean, error = cell.split(' ±')
        assert printed == f'{mean} ± {error}%'
        assert value == pytest.approx(float(mean) / 100)
        assert deviation == pytest.approx(float(error) / 100)
        assert place in places


def test_accuracies_on_eurosat():
    methods = ('supervised', 'berundanet', 'fixmatch', 'jem')
    for line in _TABLE_3.split('\n')[1:-1]:
        _check('eurosat', methods, line, {'Table III'})
    for line in _THESIS_4_5.split('\n')[1:-1]:
        _check('eurosat', ('jem', 'fixmatch_then_jem'), line, {'Table III', 'Table 4.5'})


def test_accuracies_on_the_other_sets():
    for line in _TABLE_4.split('\n')[1:-1]:
        data, _, rest = line.partition(' ')
        _check(data, ('supervised', 'jem'), rest, {'Table IV'})
    for line in _THESIS_3_6.split('\n')[1:-1]:
        _check('so2sat', ('supervised', 'fixmatch'), line, {'Table IV', 'Table 3.6'})
    # 80 labels per class are all that UC Merced has.
    assert _accuracies('ucmerced', 'jem', 'all') == _accuracies('ucmerced', 'jem', '80')


def test_calibration_errors():
    (result,) = [r for r in published_results('eurosat', 'fixmatch', 10) if r.key == 'ece']
    assert (result.value, result.printed) == (pytest.approx(0.4924), '49.24%')
    assert result.deviation is None
    found = [r.key for r in published_results('eurosat', 'fixmatch', 20)]
    assert found == ['accuracy']


def test_the_names_are_those_of_configs():
    for data, method in _ACCURACIES:
        assert data in DATASETS
        assert method in METHODS
        for result in published_results(data, method, 'all'):
            assert result.paper in PAPERS
    assert set(_EUROSAT_ECE) <= set(METHODS)


def test_what_no_paper_has_is_empty():
    assert published_results('landscapes', 'jem', 'all') == []
    assert published_results('eurosat', 'jem', 7) == []
    assert published_results('aid', 'fixmatch', 'all') == []


def test_divergences_are_those_of_each_paper():
    by_paper = {
        paper: {r.key: r.value for r in published_divergences(paper)} for paper in (*PAPERS, '')
    }
    assert by_paper['IGARSS 2021'] == {'kl_test': 0.2, 'kl_oscd': 28.2, 'kl_potsdam': 25.6}
    assert by_paper['TGRS 2022']['kl_oscd'] == 25.6
    assert by_paper['thesis 2022'] == by_paper[''] == {}
