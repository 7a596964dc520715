"""The papers' results for the data sets, methods and numbers of labels of this repository.

Each number has the table or figure it is from. All runs of [1] and [2] are of WRN-28-10, trained
for 200 epochs on 64 px images, of which 20% are held out and 10% of the rest serve validation;
except that So2Sat has 32 px and its own test images, and FixMatch, which [3] trains as its authors
do, with WRN-28-2. Where [3] repeats a number of [2], the place in
[2] is given.

[1]: Castillo-Navarro et al., "Classification and generation of Earth observation images using a
  joint energy-based model", IGARSS 2021.
[2]: Castillo-Navarro et al., "Energy-based models in Earth observation: from generation to
  semi-supervised learning", IEEE TGRS 60, 2022.
[3]: Castillo-Navarro, "Semi-supervised learning for large-scale Earth observation data
  understanding", doctoral thesis, 2022.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

PAPERS = {
    'IGARSS 2021': 'J. Castillo-Navarro, B. Le Saux, A. Boulch, S. Lefèvre. Classification and'
    ' generation of Earth observation images using a joint energy-based model. IGARSS 2021.',
    'TGRS 2022': 'J. Castillo-Navarro, B. Le Saux, A. Boulch, S. Lefèvre. Energy-based models in'
    ' Earth observation: from generation to semi-supervised learning. IEEE Transactions on'
    ' Geoscience and Remote Sensing 60, 2022.',
    'thesis 2022': 'J. Castillo-Navarro. Semi-supervised learning for large-scale Earth observation'
    ' data understanding. Doctoral thesis, 2022.',
}
# Side of the images, by data set; '' is all others.
_SIZES = {'so2sat': 32, '': 64}
# By method; '' is all others.
NETWORKS = {'fixmatch': 'WRN-28-2', '': 'WRN-28-10'}
EPOCHS = 200


def image_size(data: str | None) -> int:
    """The side in pixels of the images of a data set in the papers."""
    return _SIZES.get(data or '', _SIZES[''])


class PublishedResult(NamedTuple):
    """A number of a paper.

    Attributes:
      key: as in `evaluation.json`: `accuracy`, `ece`, `fid`, `kid`, `kl_test`.
      value: accuracy and ECE are from 0 to 1.
      printed: as the paper writes it, with the standard deviation over runs where it has one.
      paper: one of `PAPERS`.
      place: table, figure or section of it.
      deviation: standard deviation over the paper's runs, in the unit of `value`; None where it
        gives none.
    """

    key: str
    value: float
    printed: str
    paper: str
    place: str
    deviation: float | None = None


class _Accuracies(NamedTuple):
    """A column of a table: labels per class -> accuracy in % and its standard deviation."""

    paper: str
    place: str
    by_labels: dict[str, tuple[float, float]]


# By data set and method. `all` of UC Merced is 80 labels per class.
_ACCURACIES = {
    ('eurosat', 'supervised'): _Accuracies('TGRS 2022', 'Table III', {
        'all': (97.56, 0.52), '100': (86.36, 0.26), '20': (62.93, 1.01), '10': (52.33, 1.59),
        '5': (43.83, 3.18), '1': (28.02, 0.97)}),
    ('eurosat', 'berundanet'): _Accuracies('TGRS 2022', 'Table III', {
        'all': (96.90, 0.67), '100': (74.78, 2.01), '20': (54.25, 2.41), '10': (46.84, 1.83),
        '5': (39.80, 1.51), '1': (32.77, 1.05)}),
    ('eurosat', 'fixmatch'): _Accuracies('TGRS 2022', 'Table III', {
        'all': (98.81, 0.06), '100': (97.83, 0.12), '20': (95.78, 0.99), '10': (94.95, 1.12),
        '5': (94.45, 1.29), '1': (67.46, 4.67)}),
    ('eurosat', 'jem'): _Accuracies('TGRS 2022', 'Table III', {
        'all': (97.42, 0.19), '100': (86.23, 0.80), '20': (69.11, 1.18), '10': (61.60, 1.49),
        '5': (54.79, 3.55), '1': (36.86, 1.11)}),
    ('eurosat', 'fixmatch_then_jem'): _Accuracies('thesis 2022', 'Table 4.5', {
        '100': (85.94, 0.48), '20': (84.96, 0.57), '10': (84.89, 0.76), '5': (82.46, 0.98),
        '1': (56.78, 1.31)}),
    ('so2sat', 'supervised'): _Accuracies('TGRS 2022', 'Table IV', {
        'all': (50.93, 0.16), '1000': (44.17, 0.40), '200': (35.45, 0.17), '100': (30.90, 0.35)}),
    ('so2sat', 'fixmatch'): _Accuracies('thesis 2022', 'Table 3.6', {
        'all': (63.00, 0.49), '1000': (61.68, 0.53), '200': (60.41, 0.66), '100': (56.51, 0.68)}),
    ('so2sat', 'jem'): _Accuracies('TGRS 2022', 'Table IV', {
        'all': (54.60, 0.35), '1000': (48.59, 0.58), '200': (42.43, 0.47), '100': (38.71, 0.64)}),
    ('aid', 'supervised'): _Accuracies('TGRS 2022', 'Table IV', {
        'all': (78.71, 0.08), '20': (41.07, 1.87), '13': (34.46, 0.59), '3': (17.38, 0.32),
        '1': (9.98, 0.36)}),
    ('aid', 'jem'): _Accuracies('TGRS 2022', 'Table IV', {
        'all': (74.11, 0.24), '20': (50.23, 0.69), '13': (44.49, 0.65), '3': (25.68, 0.65),
        '1': (16.21, 0.58)}),
    ('ucmerced', 'supervised'): _Accuracies('TGRS 2022', 'Table IV', {
        'all': (81.71, 0.72), '80': (81.71, 0.72), '10': (45.41, 0.43), '4': (26.99, 1.24),
        '1': (14.34, 1.88)}),
    ('ucmerced', 'jem'): _Accuracies('TGRS 2022', 'Table IV', {
        'all': (80.49, 1.67), '80': (80.49, 1.67), '10': (48.91, 0.42), '4': (34.16, 1.78),
        '1': (24.31, 1.87)}),
}  # fmt: skip
# KL of log p(x) from that of EuroSAT's training images, by paper and data set; bins are not stated.
# The two papers print the numbers of OSCD and Potsdam the other way round.
_DIVERGENCES = {
    'IGARSS 2021': ('Sec. 3.2', {'test': 0.2, 'oscd': 28.2, 'potsdam': 25.6}),
    'TGRS 2022': (
        'Sec. IV-C', {'test': 0.27, 'oscd': 25.6, 'potsdam': 28.2, 'bigearthnet': 26.3}
    ),
}  # fmt: skip
# [1], Table 1: networks of Helber et al. (2019), whose split is not stated.
OTHER_NETWORKS = {'ResNet-50': 0.986, 'GoogLeNet': 0.982}
# [2], Fig. 3 and Sec. IV-B: EuroSAT. Labels per class -> ECE in %.
_EUROSAT_ECE = {
    'supervised': {'100': 11.26, '10': 43.73},
    'fixmatch': {'100': 50.24, '10': 49.24},
    'jem': {'100': 6.00, '10': 10.22},
}


def published_results(data: str, method: str, labels_per_class: str | int) -> list[PublishedResult]:
    """The papers' results for a method on a data set; empty where there are none.

    Args:
      data, method: names as in a config.
      labels_per_class: of the config's group `data`; `all` or a number.
    """
    return list(_results(data, method, str(labels_per_class)))


def published_divergences(paper: str) -> list[PublishedResult]:
    """KL of log p(x) of other images from that of EuroSAT's training images, in nats.

    Args:
      paper: one of `PAPERS`; empty for those that have none.

    Returns:
      Their keys are `kl_test`, `kl_oscd`, `kl_potsdam` and `kl_bigearthnet`.
    """
    place, values = _DIVERGENCES.get(paper, ('', {}))
    return [
        PublishedResult(f'kl_{name}', value, f'{value:g}', paper, place)
        for name, value in values.items()
    ]


def _results(data: str, method: str, labels: str) -> Iterator[PublishedResult]:
    column = _ACCURACIES.get((data, method))
    if column is not None and labels in column.by_labels:
        mean, deviation = column.by_labels[labels]
        printed = f'{mean:.2f} ± {deviation:.2f}%'
        yield PublishedResult(
            'accuracy', mean / 100, printed, column.paper, column.place, deviation / 100
        )
    if data != 'eurosat':
        return
    if labels == 'all' and method in ('jem', 'supervised'):
        mean = {'jem': 97.6, 'supervised': 98.3}[method]
        yield PublishedResult('accuracy', mean / 100, f'{mean}%', 'IGARSS 2021', 'Table 1')
    if labels in _EUROSAT_ECE.get(method, {}):
        error = _EUROSAT_ECE[method][labels]
        place = 'Sec. IV-B, Fig. 3'
        yield PublishedResult('ece', error / 100, f'{error:.2f}%', 'TGRS 2022', place)
    if labels == 'all' and method == 'jem':
        yield PublishedResult('fid', 122.1, '122.1', 'TGRS 2022', 'Table II')
        yield PublishedResult('kid', 0.06, '0.06', 'TGRS 2022', 'Table II')
        for paper in _DIVERGENCES:
            yield from (r for r in published_divergences(paper) if r.key == 'kl_test')
    if labels == 'all' and method == 'vae':
        yield PublishedResult('fid', 215.4, '215.4', 'TGRS 2022', 'Table II')
        yield PublishedResult('kid', 0.14, '0.14', 'TGRS 2022', 'Table II')
