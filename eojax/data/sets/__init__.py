"""The data sets that configs can name."""

from __future__ import annotations

from types import ModuleType

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
    so2sat,
    ucmerced,
)

# Each module has DEFAULTS (its own keys of the config group `data`), PUBLISHED (the facts of a
# published set, or None), check(options) and from_config(options, progress) -> Dataset; where its
# files are no 8-bit images, FORMAT (`image_folder.FileFormat`) says how they are decoded.
DATASETS: dict[str, ModuleType] = {
    'aid': aid,
    'airsar': airsar,
    'eurosat': eurosat,
    'eurosat_ms': eurosat_ms,
    'folder': folder,
    'landscape_cover': landscape_cover,
    'landscape_pairs': landscape_pairs,
    'landscape_zones': landscape_zones,
    'landscapes': landscapes,
    'so2sat': so2sat,
    'ucmerced': ucmerced,
}
