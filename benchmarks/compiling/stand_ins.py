"""Published data sets without their pixels: names, classes, sizes, parts, and zeros.

A compiled program knows of its data how many training images there are and how they are stored, and
nothing else. Published sets stand here with the numbers of their papers; where a class's share is
not published, classes are equally frequent. Drawn ones are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from eojax.data.dataset import TEST, TRAIN, VALIDATION, Dataset, Places, Window
from eojax.data.facts import DRAWN, IMAGES, Facts, Raster
from eojax.data.published import PublishedImages
from eojax.data.sets import DATASETS, aid, airsar, eurosat, eurosat_ms, so2sat, ucmerced
from eojax.data.sets.local_climate_zones import CLASS_NAMES as ZONES
from eojax.data.sets.pixels import christchurch, dfc2020, geonrw, minifrance, vaihingen
from eojax.data.sets.pixels.mask_values import mask_values
from eojax.data.sets.so2sat_patches import SENSORS
from eojax.errors import UserError

# Images of each class of EuroSAT (Helber et al., 2019), in the order of `CLASS_NAMES`.
_EUROSAT = (3000, 3000, 3000, 2500, 2500, 2000, 2500, 3000, 2500, 3000)
# Images of each class of AID (Xia et al., 2017, table I), in the order of `CLASS_NAMES`, and of UC
# Merced (Yang and Newsam, 2010).
_AID = (
    360, 310, 220, 400, 360, 260, 240, 350, 410, 300, 370, 250, 390, 280, 290, 340, 350, 390, 370,
    420, 380, 260, 290, 410, 300, 300, 330, 290, 360, 420,
)  # fmt: skip
_UCMERCED = (100,) * len(ucmerced.CLASS_NAMES)
# Patches of So2Sat's training, validation and test, version 2 (Zhu et al., 2020).
_SO2SAT = {TRAIN: 352_366, VALIDATION: 24_119, TEST: 24_188}
# Patches of each class that the AIRSAR scene gives at the options of its config, rounded.
_AIRSAR = 1_000
# Tiles: of GeoNRW with and without radar, and of these its test; of DFC2020's paper split; of
# MiniFrance, whose windows are read for each step, so that their number matters to no program.
_GEONRW = {False: (7_782, 485), True: (2_980, 281)}
_DFC2020 = (5_128, 986)
_MINIFRANCE, _MINIFRANCE_SIDE = (50, 50), 10_000
# Height and width of a usual tile of Vaihingen.
_VAIHINGEN = (2_560, 2_048)
# Images of Christchurch: two to learn from and 20 without masks, and two for the test, as its
# thesis has them; about 5,000 by 4,000 pixels (Audebert, Le Saux and Lefevre, "Segment-before-
# Detect", Remote Sensing 9(4), 2017).
_CHRISTCHURCH, _CHRISTCHURCH_MASKED, _CHRISTCHURCH_SIZE = (22, 2), 2, (4_000, 5_000)


class Zeros(NamedTuple):
    """A source whose pixels are 0.

    Attributes:
      facts: of the data set.
      heights, widths: of the places.
    """

    facts: Facts
    heights: np.ndarray
    widths: np.ndarray

    def read(
        self, place: int, window: Window | None, rasters: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """See `eojax.data.dataset.Source.read`."""
        size = (int(self.heights[place]), int(self.widths[place]))
        height, width = size if window is None else (window.height, window.width)
        return {
            name: np.zeros(self.facts.shape(name, height, width), self.facts.stored(name).dtype)
            for name in rasters
        }

    def subset(self, indices: np.ndarray) -> Zeros:
        """See `eojax.data.dataset.Source.subset`."""
        return self._replace(heights=self.heights[indices], widths=self.widths[indices])


def read_stand_in(options: ConfigDict) -> Dataset:
    """The stand-in of the data set that a config's group names.

    Raises:
      UserError: there is none.
    """
    if options.name in DRAWN:
        return DATASETS[options.name].from_config(options, False)
    if options.name not in _MADE:
        raise UserError(
            f'there is no stand-in for the data set {options.name!r} in'
            f' benchmarks/compiling/stand_ins.py; there are {", ".join(sorted(_MADE))}'
        )
    return _MADE[options.name](options)


def prepare(config: ConfigDict) -> None:
    """Gives the data sets that need a path one, which nobody reads."""
    for group in ('data', 'source'):
        if group in config and config[group].name not in DRAWN and not config[group].root:
            config[group].root = 'not read'


def _images(published: PublishedImages, counts: Sequence[int], size: int, dtype: str) -> Dataset:
    """Images of one class each, nobody's parts published."""
    raster = Raster(published.bands, dtype, published.limits)
    facts = Facts(class_names=published.class_names, rasters={IMAGES: raster}, size=(size, size))
    labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    names = [f'{published.class_names[k]}/{n:06d}' for k, num in enumerate(counts)
             for n in range(num)]  # fmt: skip
    return published.describe(_dataset(facts, names, labels))


def _dataset(
    facts: Facts,
    names: Sequence[str],
    labels: np.ndarray,
    parts: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    size: tuple[int, int] | None = None,
) -> Dataset:
    """Places of one size, sorted by name."""
    height, width = facts.size or size or (0, 0)
    order = np.argsort(np.asarray(names))
    heights, widths = (np.full(len(names), side, np.int32) for side in (height, width))
    places = Places(
        tuple(names[i] for i in order),
        heights,
        widths,
        labels[order].astype(np.int32),
        None if groups is None else groups[order].astype(np.int32),
        None if parts is None else parts[order].astype(np.int8),
    )
    return Dataset(facts, places, Zeros(facts, heights, widths))


def _eurosat(options: ConfigDict) -> Dataset:
    return _images(eurosat.EUROSAT, _EUROSAT, options.size, 'uint8')


def _eurosat_ms(options: ConfigDict) -> Dataset:
    return _images(eurosat_ms.choose(options.bands), _EUROSAT, options.size, 'uint16')


def _aid(options: ConfigDict) -> Dataset:
    return _images(aid.AID, _AID, options.size, 'uint8')


def _ucmerced(options: ConfigDict) -> Dataset:
    return _images(ucmerced.UCMERCED, _UCMERCED, options.size, 'uint8')


def _so2sat(options: ConfigDict) -> Dataset:
    sensor = SENSORS[options.sensor]
    parts = np.repeat(list(_SO2SAT), list(_SO2SAT.values()))
    labels = np.arange(len(parts)) % len(ZONES)
    raster = Raster(sensor.bands, 'uint16', sensor.limits)
    facts = Facts(class_names=ZONES, rasters={IMAGES: raster}, size=(options.size,) * 2)
    names = [f'{part}/{n:07d}' for n, part in enumerate(parts)]
    dataset = so2sat.SO2SAT.describe(_dataset(facts, names, labels, parts))
    return dataset.with_limits(sensor.limits)


def _airsar(options: ConfigDict) -> Dataset:
    classes = airsar.CLASS_NAMES
    labels = np.repeat(np.arange(len(classes)), _AIRSAR)
    number = np.arange(len(labels))
    parts = np.select([number % 10 < 2, number % 10 == 2], [TEST, VALIDATION], TRAIN)
    raster = Raster(airsar.BANDS, 'uint16', airsar.LIMITS)
    facts = Facts('airsar', 'AIRSAR', classes, {IMAGES: raster}, size=(options.size,) * 2)
    names = [f'{classes[label]}/{n:06d}' for n, label in enumerate(labels)]
    return _dataset(facts, names, labels, parts)


def _tiles(
    facts: Facts, counts: tuple[int, int], size: tuple[int, int], names: Sequence[str] = ()
) -> Dataset:
    """Tiles with a class for each pixel: so many to train on, and so many to test on.

    Args:
      names: of their groups, one a tile; none where each stands for itself.
    """
    num = sum(counts)
    parts = np.repeat([TRAIN, TEST], counts)
    titles = list(names) or [f'{n:05d}' for n in range(num)]
    dataset = _dataset(
        facts._replace(group_names=tuple(names)),
        [f'{title}/{n:05d}' for n, title in enumerate(titles)],
        np.full(num, -1),
        parts,
        np.arange(num) if names else None,
        size,
    )
    return dataset


def _geonrw(options: ConfigDict) -> Dataset:
    facts, _ = geonrw.arrange(options, Path())
    num, test = _GEONRW[bool(options.with_sar)]
    return _tiles(facts._replace(size=(1000, 1000)), (num - test, test), (1000, 1000))


def _dfc2020(options: ConfigDict) -> Dataset:
    facts, _ = dfc2020.arrange(options, Path())
    side = dfc2020.SIZE
    return _tiles(facts._replace(size=(side, side)), _DFC2020, (side, side))


def _minifrance(options: ConfigDict) -> Dataset:
    facts, _ = minifrance.arrange(options, Path())
    return _tiles(facts, _MINIFRANCE, (_MINIFRANCE_SIDE, _MINIFRANCE_SIDE))


def _vaihingen(options: ConfigDict) -> Dataset:
    numbers = (*vaihingen.TRAINING, *vaihingen.TESTING)
    counts = (len(vaihingen.TRAINING), len(vaihingen.TESTING))
    return _tiles(vaihingen.FACTS, counts, _VAIHINGEN, [str(n) for n in numbers])


def _christchurch(options: ConfigDict) -> Dataset:
    bands = Raster(('red', 'green', 'blue'), 'uint8')
    classes = mask_values(options.mask_values).class_names
    facts = Facts(christchurch.NAME, '', classes, {IMAGES: bands}, label='pixel')
    dataset = _tiles(facts, _CHRISTCHURCH, _CHRISTCHURCH_SIZE)
    number = np.arange(dataset.places.num)
    masked = (number < _CHRISTCHURCH_MASKED) | (number >= _CHRISTCHURCH[0])
    return dataset._replace(places=dataset.places._replace(annotated=masked))


_MADE: Mapping[str, Callable[[ConfigDict], Dataset]] = {
    'aid': _aid,
    'airsar': _airsar,
    'christchurch': _christchurch,
    'dfc2020': _dfc2020,
    'eurosat': _eurosat,
    'eurosat_ms': _eurosat_ms,
    'geonrw': _geonrw,
    'minifrance': _minifrance,
    'so2sat': _so2sat,
    'ucmerced': _ucmerced,
    'vaihingen': _vaihingen,
}
