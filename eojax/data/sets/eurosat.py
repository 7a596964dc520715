"""EuroSAT, RGB: Sentinel-2 patches of ten land-use classes, 64 x 64 pixels of 10 m.

Source: P. Helber, B. Bischke, A. Dengel, D. Borth, "EuroSAT: A Novel Dataset and Deep Learning
Benchmark for Land Use and Land Cover Classification", IEEE JSTARS, 2019. 27,000 JPEG images,
2,000 to 3,000 a class, in `2750/<Class>/<Class>_<n>.jpg` or `EuroSAT_RGB/<Class>/...`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from eojax.data.dataset import Dataset
from eojax.data.facts import Files
from eojax.data.published import PublishedImages
from eojax.data.reading.download import Archive
from eojax.data.reading.lazy_images import memory_limit
from eojax.data.reading.published_images import check_published, load_published

NAME = 'eurosat'
SIZE = 64
DEFAULTS: dict[str, Any] = {}
BANDS = ('red', 'green', 'blue')
CLASS_NAMES = (
    'AnnualCrop',
    'Forest',
    'HerbaceousVegetation',
    'Highway',
    'Industrial',
    'Pasture',
    'PermanentCrop',
    'Residential',
    'River',
    'SeaLake',
)
# Of maps: as people expect them, and apart from each other.
CLASS_COLOURS = {
    'AnnualCrop': '#e8c547',
    'Forest': '#1b5e20',
    'HerbaceousVegetation': '#c5e1a5',
    'Highway': '#4d4d4d',
    'Industrial': '#8e44ad',
    'Pasture': '#66bb3a',
    'PermanentCrop': '#b5651d',
    'Residential': '#d7261e',
    'River': '#4fb3e8',
    'SeaLake': '#123f8c',
}
EUROSAT = PublishedImages(
    name=NAME,
    title='EuroSAT',
    class_names=CLASS_NAMES,
    bands=BANDS,
    size=SIZE,
    archive=Archive(
        url='http://madm.dfki.de/files/sentinel/EuroSAT.zip',
        num_bytes=94_280_567,
        sha256='8ebea626349354c5328b142b96d0430e647051f26efc2dc974c843f25ecf70bd',
    ),
    licence='MIT; the Sentinel-2 imagery is free under the Copernicus terms',
    citation=(
        'P. Helber, B. Bischke, A. Dengel, D. Borth. EuroSAT: A Novel Dataset and Deep Learning'
        ' Benchmark for Land Use and Land Cover Classification. IEEE JSTARS 12(7), 2019.'
    ),
    homepage='https://github.com/phelber/eurosat',
    extent_metres=640.0,
    class_colours=CLASS_COLOURS,
    files=Files(size=SIZE),
)
PUBLISHED = EUROSAT
# Of each band over all pixels of 21,531 of the images, values scaled to [0, 1].
MEAN = (0.3438, 0.3800, 0.4076)
STD = (0.2021, 0.1366, 0.1155)


def load(
    root: str | Path | None = None,
    source: str = 'files',
    *,
    size: int = SIZE,
    progress: bool = True,
    cache: bool = True,
    resident_bytes: int | None = None,
) -> Dataset:
    """EuroSAT as uint8 `[num, size, size, 3]`; a part of it will do, as long as it has all classes.

    Parameters
    ----------
    root: the zip archive or a folder (`2750/`, `EuroSAT_RGB/`, or the class folders themselves);
      empty downloads the published archive, 94 MB; for `source='tfds'` the `data_dir` of tfds.
    source: 'files' or 'tfds' (see `python -m eojax.data.prepare --help`).
    size: height and width in pixels; other than 64 is resampled.
    progress, cache, resident_bytes: see `load_published`.

    Raises
    ------
    UserError: what is missing, damaged or unexpected, by name.
    """
    return load_published(
        EUROSAT,
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
