"""AID, the Aerial Image Dataset: RGB images of 30 classes, 600 x 600 pixels of 0.5 to 8 m.

Source: G.-S. Xia, J. Hu, F. Hu, B. Shi, X. Bai, Y. Zhong, L. Zhang, X. Lu, "AID: A Benchmark Data
Set for Performance Evaluation of Aerial Scene Classification", IEEE TGRS 55(7), 2017. 10,000
images of Google Earth, 220 to 420 a class, in `AID/<Class>/<class>_<n>.jpg`.

The archive lies on file hosts whose addresses change, and no checksum is published: it is got by
hand, and named by `data.root`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from eojax.data.dataset import Dataset
from eojax.data.facts import Files
from eojax.data.published import PublishedImages
from eojax.data.reading.lazy_images import memory_limit
from eojax.data.reading.published_images import check_published, load_published

NAME = 'aid'
# The papers' size: chains of full images would take a hundred times as long.
SIZE = 64
DEFAULTS: dict[str, Any] = {}
BANDS = ('red', 'green', 'blue')
CLASS_NAMES = (
    'Airport',
    'BareLand',
    'BaseballField',
    'Beach',
    'Bridge',
    'Center',
    'Church',
    'Commercial',
    'DenseResidential',
    'Desert',
    'Farmland',
    'Forest',
    'Industrial',
    'Meadow',
    'MediumResidential',
    'Mountain',
    'Park',
    'Parking',
    'Playground',
    'Pond',
    'Port',
    'RailwayStation',
    'Resort',
    'River',
    'School',
    'SparseResidential',
    'Square',
    'Stadium',
    'StorageTanks',
    'Viaduct',
)
AID = PublishedImages(
    name=NAME,
    title='AID',
    class_names=CLASS_NAMES,
    bands=BANDS,
    size=600,
    files=Files(size=600),
    archive=None,
    licence='none stated; imagery of Google Earth, under its terms',
    citation=(
        'G.-S. Xia, J. Hu, F. Hu, B. Shi, X. Bai, Y. Zhong, L. Zhang, X. Lu. AID: A Benchmark Data'
        ' Set for Performance Evaluation of Aerial Scene Classification. IEEE Transactions on'
        ' Geoscience and Remote Sensing, 2017.'
    ),
    homepage='https://captain-whu.github.io/AID/',
)
PUBLISHED = AID


def load(
    root: str | Path | None = None,
    source: str = 'files',
    *,
    size: int = SIZE,
    progress: bool = True,
    cache: bool = True,
    resident_bytes: int | None = None,
) -> Dataset:
    """AID as uint8 `[num, size, size, 3]`, resampled from 600 x 600.

    Parameters
    ----------
    root: the zip archive or a folder; for `source='tfds'` the `data_dir` of tfds.
    source: 'files' or 'tfds' (see `python -m eojax.data.prepare --help`).
    size: height and width in pixels.
    progress, cache, resident_bytes: see `load_published`.

    Raises
    ------
    UserError: what is missing, damaged or unexpected, by name; without `root`, where to get it.
    """
    return load_published(
        AID,
        root,
        source,
        size=size,
        progress=progress,
        cache=cache,
        resident_bytes=resident_bytes,
    )


def check(options: ConfigDict) -> None:
    """Refuses options of the config group `data` that name nothing.

    Raises:
      UserError: one line that names the key.
    """
    check_published(options)


def from_config(options: ConfigDict, progress: bool) -> Dataset:
    """The data set of the config group `data`; see `load`."""
    return load(
        options.root,
        options.source,
        size=options.size,
        progress=progress,
        resident_bytes=memory_limit(options),
    )
