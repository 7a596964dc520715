"""UC Merced Land Use: aerial RGB images of 21 classes, 256 x 256 pixels of 0.3 m.

Source: Y. Yang, S. Newsam, "Bag-of-Visual-Words and Spatial Extensions for Land-Use
Classification", ACM SIGSPATIAL GIS, 2010. 100 images a class, in
`UCMerced_LandUse/Images/<class>/<class><nn>.tif`; 44 of them are not quite 256 x 256.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from eojax.data.dataset import Dataset
from eojax.data.published import PublishedImages
from eojax.data.reading.download import Archive
from eojax.data.reading.lazy_images import memory_limit
from eojax.data.reading.published_images import check_published, load_published

NAME = 'ucmerced'
# The papers' size, so that the images can stand beside EuroSAT's.
SIZE = 64
DEFAULTS: dict[str, Any] = {}
BANDS = ('red', 'green', 'blue')
CLASS_NAMES = (
    'agricultural',
    'airplane',
    'baseballdiamond',
    'beach',
    'buildings',
    'chaparral',
    'denseresidential',
    'forest',
    'freeway',
    'golfcourse',
    'harbor',
    'intersection',
    'mediumresidential',
    'mobilehomepark',
    'overpass',
    'parkinglot',
    'river',
    'runway',
    'sparseresidential',
    'storagetanks',
    'tenniscourt',
)
UCMERCED = PublishedImages(
    name=NAME,
    title='UC Merced',
    class_names=CLASS_NAMES,
    bands=BANDS,
    size=None,
    archive=Archive(
        url='http://weegee.vision.ucmerced.edu/datasets/UCMerced_LandUse.zip',
        num_bytes=332_468_434,
        sha256='06c539ef28703a58fb07bd2837991ac7c48b813b00bb12ac197efd813a18daeb',
    ),
    licence='public domain (imagery of the USGS National Map)',
    citation=(
        'Y. Yang, S. Newsam. Bag-of-Visual-Words and Spatial Extensions for Land-Use'
        ' Classification. ACM SIGSPATIAL GIS, 2010.'
    ),
    homepage='http://weegee.vision.ucmerced.edu/datasets/landuse.html',
    extent_metres=78.0,  # 256 pixels of a foot
)
PUBLISHED = UCMERCED
# Of each band over all pixels at 64 x 64, values scaled to [0, 1].
MEAN = (0.4852, 0.4911, 0.4515)
STD = (0.2042, 0.1869, 0.1823)


def load(
    root: str | Path | None = None,
    source: str = 'files',
    *,
    size: int = SIZE,
    progress: bool = True,
    cache: bool = True,
    resident_bytes: int | None = None,
) -> Dataset:
    """UC Merced as uint8 `[num, size, size, 3]`, resampled from about 256 x 256.

    Parameters
    ----------
    root: the zip archive or a folder; empty downloads the published archive, 332 MB; for
      `source='tfds'` the `data_dir` of tfds.
    source: 'files' or 'tfds' (see `python -m eojax.data.prepare --help`).
    size: height and width in pixels.
    progress, cache, resident_bytes: see `load_published`.

    Raises
    ------
    UserError: what is missing, damaged or unexpected, by name.
    """
    return load_published(
        UCMERCED,
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
