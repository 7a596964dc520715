"""The data sets that configs can name."""

from __future__ import annotations

from eojax.data.kinds import DatasetKind
from eojax.data.sets import (
    aid,
    airsar,
    eurosat,
    eurosat_ms,
    folder,
    landscape_cover,
    landscape_pairs,
    landscape_zones,
    landscapes,
    prepared,
    resisc45,
    rsscn7,
    so2sat,
    ucmerced,
)
from eojax.data.sets.pixels import PIXEL_DATASETS

DATASETS: dict[str, DatasetKind] = {
    'aid': aid.KIND,
    'airsar': airsar.KIND,
    'eurosat': eurosat.KIND,
    'eurosat_ms': eurosat_ms.KIND,
    'folder': folder.KIND,
    'landscape_cover': landscape_cover.KIND,
    'landscape_pairs': landscape_pairs.KIND,
    'landscape_zones': landscape_zones.KIND,
    'landscapes': landscapes.KIND,
    'prepared': prepared.KIND,
    'resisc45': resisc45.KIND,
    'rsscn7': rsscn7.KIND,
    'so2sat': so2sat.KIND,
    'ucmerced': ucmerced.KIND,
    **PIXEL_DATASETS,
}
