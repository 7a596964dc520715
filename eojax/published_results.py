"""What the papers report, for the data sets, methods and numbers of labels of this repository.

Each number has the table or figure it is from. All runs of [1] and [2] are of WRN-28-10, trained
for 200 epochs on 64 px images, of which 20% are held out and 10% of the rest serve validation.

[1]: Castillo-Navarro et al., "Classification and generation of Earth observation images using a
  joint energy-based model", IGARSS 2021.
[2]: Castillo-Navarro et al., "Energy-based models in Earth observation: from generation to
  semi-supervised learning", IEEE TGRS 60, 2022.
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
}
# Of all runs of both papers.
IMAGE_SIZE = 64
NETWORK = 'WRN-28-10'
EPOCHS = 200


class PublishedResult(NamedTuple):
    """A number of a paper.

    Attributes:
      key: as in `evaluation.json`: `accuracy`, `ece`, `fid`, `kid`, `kl_test`.
      value: accuracy and ECE are from 0 to 1.
      printed: as the paper writes it, with the standard deviation over runs where it has one.
      paper: one of `PAPERS`.
      place: table, figure or section of it.
    """

    key: str
    value: float
    printed: str
    paper: str
    place: str


# [2], Table III: EuroSAT. Labels per class -> accuracy in % and its deviation.
_EUROSAT_ACCURACY = {
    'supervised': {'all': (97.56, 0.52), '100': (86.36, 0.26), '20': (62.93, 1.01),
                   '10': (52.33, 1.59), '5': (43.83, 3.18), '1': (28.02, 0.97)},
    'jem': {'all': (97.42, 0.19), '100': (86.23, 0.80), '20': (69.11, 1.18),
            '10': (61.60, 1.49), '5': (54.79, 3.55), '1': (36.86, 1.11)},
}  # fmt: skip
# [2], Table IV: UC Merced; `all` is 80 labels per class.
_UCMERCED_ACCURACY = {
    'supervised': {'all': (81.71, 0.72), '80': (81.71, 0.72), '10': (45.41, 0.43),
                   '4': (26.99, 1.24), '1': (14.34, 1.88)},
    'jem': {'all': (80.49, 1.67), '80': (80.49, 1.67), '10': (48.91, 0.42),
            '4': (34.16, 1.78), '1': (24.31, 1.87)},
}  # fmt: skip
# [2], Fig. 3 and Sec. IV-B: EuroSAT. Labels per class -> ECE in %.
_EUROSAT_ECE = {'supervised': {'100': 11.26, '10': 43.73}, 'jem': {'100': 6.00, '10': 10.22}}


def published_results(data: str, method: str, labels_per_class: str | int) -> list[PublishedResult]:
    """What the papers report for a method on a data set; empty where they do not.

    Args:
      data, method: names as in a config.
      labels_per_class: of the config's group `data`; `all` or a number.
    """
    return list(_results(data, method, str(labels_per_class)))


def _results(data: str, method: str, labels: str) -> Iterator[PublishedResult]:
    tables = {
        'eurosat': (_EUROSAT_ACCURACY, 'Table III'),
        'ucmerced': (_UCMERCED_ACCURACY, 'Table IV'),
    }
    accuracies, place = tables.get(data, ({}, ''))
    if labels in accuracies.get(method, {}):
        mean, deviation = accuracies[method][labels]
        printed = f'{mean:.2f} ± {deviation:.2f}%'
        yield PublishedResult('accuracy', mean / 100, printed, 'TGRS 2022', place)
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
        # The papers give other numbers for the same comparison, and no binning for either.
        yield PublishedResult('kl_test', 0.2, '0.2', 'IGARSS 2021', 'Sec. 3.2')
        yield PublishedResult('kl_test', 0.27, '0.27', 'TGRS 2022', 'Sec. IV-C')
