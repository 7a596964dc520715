"""The thesis' results for segmentation: amounts of labelled data, auxiliary losses, networks.

Castillo-Navarro, "Semi-supervised learning for large-scale Earth observation data understanding",
doctoral thesis, 2022, sections 2.2 and 3.2. Each number has the table or section it is from. Scores
are of all test cities unless they are of one.

Notes:
  The thesis does not say which classes enter its mean IoU. It states deviations in Table 3.5 alone,
  over four runs; and calls them "mean and variance", where the sizes are those of standard
  deviations. The numbers of section 2.2.1 are read from its text, which rounds them.
"""

from __future__ import annotations

from typing import NamedTuple

from eojax.evaluation.published_results import PAPERS
from eojax.methods.pixels.auxiliary import WEIGHTS

THESIS = PAPERS['thesis 2022']
# Names of data sets in a config, and the thesis' names of them.
DATA_SETS = {
    'vaihingen': 'Vaihingen',
    'minifrance': 'MiniFrance',
    'tiny_minifrance': 'tinyMiniFrance',
    'christchurch': 'Christchurch',
}
# The losses beside the supervised one: names as in `method.auxiliary`.
AUXILIARY_TITLES = {
    'l1': 'L1',
    'l2': 'L2',
    'relaxed_k_means': 'relaxed k-means',
    'mumford_shah': 'Mumford-Shah',
    'inpainting': 'inpainting',
    'jigsaw': 'jigsaw',
}


class PublishedScores(NamedTuple):
    """A line of a table of the thesis.

    Attributes:
      data: a key of `DATA_SETS`.
      place: table or section.
      accuracy, mean_iou: overall accuracy and mean intersection over union, from 0 to 1.
      accuracy_deviation, mean_iou_deviation: over its runs, likewise; None where it gives none.
    """

    data: str
    place: str
    accuracy: float
    mean_iou: float
    accuracy_deviation: float | None = None
    mean_iou_deviation: float | None = None


class _Table(NamedTuple):
    """A table: its lines by what they are of, each of accuracy and mean IoU in %.

    A line may have their deviations behind them.
    """

    data: str
    place: str
    lines: dict[str, tuple[float, ...]]


_ALL_CITIES = _Table('minifrance', 'Table 2.2', {
    'all': (52.40, 15.79), '10%': (50.14, 15.25), 'one_city': (42.09, 10.05)})  # fmt: skip
_TILES = _Table(
    'vaihingen', 'Sec. 2.2.1', {'all': (90.0, 77.0), '12': (90.0, 77.0), '1': (78.0, 56.0)}
)
_TEST_CITIES = _Table('minifrance', 'Table 2.3', {
    'marseille': (46.13, 12.77), 'rennes': (51.56, 15.05), 'angers': (44.85, 13.15),
    'quimper': (50.82, 13.93), 'vannes': (49.51, 12.66), 'clermont': (46.51, 11.40),
    'lille': (61.35, 16.93), 'cherbourg': (67.54, 15.82)})  # fmt: skip
# By network, variant and auxiliary loss.
_TINY_SUPERVISED = _Table('tiny_minifrance', 'Table 3.1', {
    'segnet supervised': (36.76, 14.03), 'unet supervised': (46.30, 18.18),
    'segnet oracle': (59.06, 23.95), 'unet oracle': (57.71, 25.25)})  # fmt: skip
_TINY_NETWORKS = _Table('tiny_minifrance', 'Table 3.2', {
    'segnet early l1': (35.94, 9.51), 'segnet late l1': (45.52, 14.43),
    'unet late l1': (47.90, 18.70), 'unet w_net l1': (40.72, 13.79),
    'segnet early relaxed_k_means': (38.20, 10.26), 'segnet late relaxed_k_means': (42.26, 15.75),
    'unet late relaxed_k_means': (46.92, 18.26),
    'unet w_net relaxed_k_means': (45.20, 16.13)})  # fmt: skip
_TINY_LOSSES = _Table('tiny_minifrance', 'Table 3.3', {
    'unet late l2': (44.55, 16.27), 'unet late mumford_shah': (46.88, 18.57)})  # fmt: skip
_MINIFRANCE = _Table('minifrance', 'Table 3.4', {
    'unet supervised': (44.28, 20.77), 'unet late relaxed_k_means': (45.16, 21.20)})  # fmt: skip
# A late BerundaNet over U-Net. By auxiliary loss, with the weights lambda of `WEIGHTS`.
_CHRISTCHURCH = _Table('christchurch', 'Table 3.5', {
    'supervised': (81.06, 67.43, 0.46, 0.49), 'l1': (82.28, 68.78, 0.55, 1.27),
    'l2': (82.36, 68.99, 0.42, 0.85), 'relaxed_k_means': (83.03, 70.82, 0.42, 0.35),
    'mumford_shah': (82.94, 70.24, 0.26, 0.84), 'inpainting': (82.57, 69.47, 0.59, 0.70),
    'jigsaw': (82.88, 70.17, 0.95, 1.12)})  # fmt: skip


def amount_scores(data: str, amount: str) -> PublishedScores | None:
    """The scores of a supervised network by its amount of labelled data.

    Args:
      data: as in a config. Of Vaihingen the scores are by its labelled tiles; beside any other data
        stand those of MiniFrance.
      amount: `all` (12 tiles of Vaihingen), `10%` (of each city), `one_city`, or a number of tiles.
    """
    return _line(amount, _TILES if data == 'vaihingen' else _ALL_CITIES)


def city_scores(city: str) -> PublishedScores | None:
    """The scores of a network that all training cities of MiniFrance taught, on a test city.

    Args:
      city: its name, in any case, as the data set has it: longer ones too (`Clermont-Ferrand`).
    """
    name = city.lower()
    return next((_line(k, _TEST_CITIES) for k in _TEST_CITIES.lines if name.startswith(k)), None)


def network_scores(
    data: str, network: str, variant: str, auxiliary: str | None
) -> PublishedScores | None:
    """The scores of a network with few labelled cities.

    Args:
      data: as in a config: MiniFrance has scores of its own; beside any other data stand those of
        tinyMiniFrance.
      network: `unet` or `segnet`.
      variant: `supervised`, `oracle` (supervised with all training cities labelled), `late`,
        `early` or `w_net`.
      auxiliary: a key of `AUXILIARY_TITLES`; None without one.
    """
    key = ' '.join(filter(None, (network, variant, auxiliary)))
    if data == 'minifrance':
        return _line(key, _MINIFRANCE)
    return _line(key, _TINY_SUPERVISED, _TINY_NETWORKS, _TINY_LOSSES)


def auxiliary_scores(auxiliary: str | None, weight: float | None) -> PublishedScores | None:
    """The scores of an auxiliary loss, on Christchurch, with the weight that was best there.

    Args:
      auxiliary: a key of `AUXILIARY_TITLES`; None for supervised training.
      weight: lambda; None for supervised training.
    """
    if auxiliary is None:
        return _line('supervised', _CHRISTCHURCH)
    if weight != WEIGHTS.get(auxiliary):
        return None
    return _line(auxiliary, _CHRISTCHURCH)


def _line(key: str, *tables: _Table) -> PublishedScores | None:
    for table in tables:
        if key in table.lines:
            shares = (number / 100 for number in table.lines[key])
            return PublishedScores(table.data, table.place, *shares)
    return None
