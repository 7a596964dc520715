"""Published data sets with a class for each pixel: how any of them is opened from its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from eojax.data.dataset import Dataset
from eojax.data.facts import Facts
from eojax.data.kinds import DatasetKind, check_read_from_files
from eojax.data.sources.layout import Layout, read_layout
from eojax.errors import UserError, unknown_name
from eojax.home import expanded

# The facts and the layout that a config's options ask for, of the data set at a path.
Arranged = tuple[Facts, Layout]
Arrange = Callable[[ConfigDict, Path], Arranged]


def published_pixels(
    facts: Facts,
    where: str,
    arrange: Arrange,
    defaults: Mapping[str, Any] = {},
    choices: Mapping[str, tuple[str, ...]] = {},
    finish: Callable[[Dataset, ConfigDict], Dataset] = lambda dataset, options: dataset,
) -> DatasetKind:
    """The entry of `eojax.data.sets.DATASETS` of a data set that lies in files of its own layout.

    Args:
      facts: what is known without the files.
      where: how one gets it, for whom has not said where it lies.
      arrange: facts and layout; it refuses options with a `UserError`.
      defaults: of the options that this data set alone has, and its own values of shared ones.
      choices: of an option that is one of a few words.
      finish: what is done with the data set that was read.
    """

    def check(options: ConfigDict) -> None:
        check_read_from_files(facts.name, options)
        if not options.root:
            raise UserError(
                f'the data set {facts.name!r} needs --config.data.root=FOLDER_OR_ZIP; {where}'
            )
        for key, known in choices.items():
            if options[key] not in known:
                raise unknown_name(f'data.{key}', options[key], known)

    def from_config(options: ConfigDict, progress: bool) -> Dataset:
        path = expanded(options.root)
        return finish(read_layout(path, *arrange(options, path)), options)

    return DatasetKind(facts.name, check, from_config, defaults, facts.class_names)


def hex_colours(names: tuple[str, ...], colours: str) -> dict[str, str]:
    """`#rrggbb` by class name, of colours written one after the other as `rrggbb`."""
    return {name: f'#{text}' for name, text in zip(names, colours.split(), strict=True)}
