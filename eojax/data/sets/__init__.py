"""The data sets that configs can name."""

from __future__ import annotations

from eojax.data.kinds import DatasetKind
from eojax.data.sets import (
    aid,
    airsar,
    bigearthnet,
    dfc2017,
    eurosat,
    eurosat_ms,
    folder,
    landscape_cover,
    landscape_pairs,
    landscape_zones,
    landscapes,
    oscd,
    prepared,
    resisc45,
    rsscn7,
    sentinel2_folder,
    so2sat,
    ucmerced,
)
from eojax.data.sets.pixels import PIXEL_DATASETS

DATASETS: dict[str, DatasetKind] = {
    'aid': aid.KIND,
    'airsar': airsar.KIND,
    'bigearthnet': bigearthnet.KIND,
    'dfc2017': dfc2017.KIND,
    'eurosat': eurosat.KIND,
    'eurosat_ms': eurosat_ms.KIND,
    'folder': folder.KIND,
    'landscape_cover': landscape_cover.KIND,
    'landscape_pairs': landscape_pairs.KIND,
    'landscape_zones': landscape_zones.KIND,
    'landscapes': landscapes.KIND,
    'oscd': oscd.KIND,
    'prepared': prepared.KIND,
    'resisc45': resisc45.KIND,
    'rsscn7': rsscn7.KIND,
    'sentinel2_folder': sentinel2_folder.KIND,
    'so2sat': so2sat.KIND,
    'ucmerced': ucmerced.KIND,
    **PIXEL_DATASETS,
}
