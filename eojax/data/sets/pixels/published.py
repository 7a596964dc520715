"""Published data sets with a class for each pixel: how any of them is opened from its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ml_collections import ConfigDict

from eojax.data.dataset import Dataset
from eojax.data.facts import PIXEL_LABELS, Facts, Limits
from eojax.data.kinds import DatasetKind, StoredLabels, check_read_from_files
from eojax.data.sources.layout import Layout, read_layout
from eojax.errors import UserError
from eojax.home import expanded
from eojax.option import Option

# The facts and the layout that a config's options ask for, of the data set at a path.
Arranged = tuple[Facts, Layout]
Arrange = Callable[[ConfigDict, Path], Arranged]


def published_pixels(
    facts: Facts,
    where: str,
    arrange: Arrange,
    options: Mapping[str, Option] = {},
    finish: Callable[[Dataset, ConfigDict], Dataset] = lambda dataset, chosen: dataset,
) -> DatasetKind:
    """The entry of `eojax.data.sets.DATASETS` of a data set that lies in files of its own layout.

    Args:
      facts: what is known without the files.
      where: how one gets it, for whom has not said where it lies.
      arrange: facts and layout; it refuses options with a `UserError`.
      options: that this data set alone has, and shared ones with a default of its own.
      finish: what is done with the data set that was read.
    """

    def check(chosen: ConfigDict) -> None:
        check_read_from_files(facts.name, chosen)
        if not chosen.root:
            raise UserError(
                f'the data set {facts.name!r} needs --config.data.root=FOLDER_OR_ZIP; {where}'
            )

    def from_config(chosen: ConfigDict, progress: bool) -> Dataset:
        path = expanded(chosen.root)
        return finish(read_layout(path, *arrange(chosen, path)), chosen)

    def stored_labels(chosen: ConfigDict) -> StoredLabels | None:
        arranged, layout = arrange(chosen, Path())
        layer = layout.layers.get(PIXEL_LABELS)
        if layer is None or layer.values is None:
            return None
        return StoredLabels(arranged.class_names, layer.values)

    return DatasetKind(
        facts.name, check, from_config, options, facts.class_names, stored_labels=stored_labels
    )


def hex_colours(names: tuple[str, ...], colours: str) -> dict[str, str]:
    """`#rrggbb` by class name, of colours written one after the other as `rrggbb`."""
    return {name: f'#{text}' for name, text in zip(names, colours.split(), strict=True)}


def with_limits(facts: Facts, limits: Mapping[str, Limits]) -> Facts:
    """The facts with other limits of some rasters, one pair for all bands or one for each.

    Raises:
      UserError: another number of pairs.
    """
    rasters = dict(facts.rasters)
    for name, pairs in limits.items():
        bands = len(rasters[name].bands)
        if len(pairs) not in (1, bands):
            raise UserError(
                f'data.limits: {len(pairs)} pairs for {name}, which has {bands} band(s)'
            )
        rasters[name] = rasters[name]._replace(limits=pairs if len(pairs) > 1 else pairs * bands)
    return facts._replace(rasters=rasters)
