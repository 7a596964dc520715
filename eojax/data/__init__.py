"""The data sets that configs can name."""

from __future__ import annotations

from types import ModuleType

from eojax.data import eurosat, folder, landscapes, ucmerced

# Each module has DEFAULTS (its own keys of the config group `data`), PUBLISHED (the facts of a
# published set, or None), check(options) and from_config(options, progress) -> Dataset.
DATASETS: dict[str, ModuleType] = {
    'eurosat': eurosat,
    'folder': folder,
    'landscapes': landscapes,
    'ucmerced': ucmerced,
}
