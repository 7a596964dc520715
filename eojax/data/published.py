"""The facts of a published set of labelled images, and where it is downloaded from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from eojax.data.dataset import Dataset
from eojax.data.facts import Files, Limits
from eojax.data.reading.download import Archive


class PublishedImages(NamedTuple):
    """The facts of a published data set of labelled images.

    Attributes:
      name: in options and file names.
      title: for people.
      class_names: the published classes, in their standard order.
      bands: a name for each band.
      size: height and width of every image in pixels; None where they vary.
      archive: what is downloaded where no path is given; None where no one file is published.
      licence, citation, homepage: for people.
      extent_metres: the side of an image on the ground; None where it is not known.
      class_colours: as in `eojax.data.facts.Facts`.
      files: of which it consists; None where these are no image files.
      limits: for each band the values that become -1 and +1; None for uint8.
      tfds_folders: where it lies below the `data_dir` of tfds, that of `eojax.data.prepare` first;
        empty where it cannot be prepared.
    """

    name: str
    title: str
    class_names: tuple[str, ...]
    bands: tuple[str, ...]
    size: int | None
    archive: Archive | None
    licence: str
    citation: str
    homepage: str
    extent_metres: float | None = None
    class_colours: Mapping[str, str] = {}
    files: Files | None = Files()
    limits: Limits | None = None
    tfds_folders: tuple[str, ...] = ()

    def describe(self, dataset: Dataset) -> Dataset:
        """The data set as it was read of this one, with all that is known of it."""
        size, extent = dataset.facts.size, self.extent_metres
        return dataset.with_limits(self.limits).with_facts(
            name=self.name,
            title=self.title,
            class_colours=self.class_colours,
            metres=None if size is None or extent is None else extent / size[0],
            files=self.files,
            licence=self.licence,
            citation=self.citation,
            homepage=self.homepage,
        )
