"""What is known about a published set of labelled images."""

from __future__ import annotations

from typing import NamedTuple

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
