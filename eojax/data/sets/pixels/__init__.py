"""Data sets with a class for each pixel, read from files."""

from __future__ import annotations

from eojax.data.kinds import DatasetKind
from eojax.data.sets.pixels import (
    christchurch,
    dfc2020,
    dfc2022,
    flair,
    geonrw,
    loveda,
    minifrance,
    pixel_folder,
    potsdam,
    tiny_minifrance,
    vaihingen,
)

PIXEL_DATASETS: dict[str, DatasetKind] = {
    module.KIND.name: module.KIND
    for module in (
        christchurch,
        dfc2020,
        dfc2022,
        flair,
        geonrw,
        loveda,
        minifrance,
        pixel_folder,
        potsdam,
        tiny_minifrance,
        vaihingen,
    )
}
