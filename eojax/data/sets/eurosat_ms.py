"""EuroSAT, 13 bands: the patches of EuroSAT with all bands of Sentinel-2, as GeoTIFF.

Source: P. Helber, B. Bischke, A. Dengel, D. Borth, "EuroSAT: A Novel Dataset and Deep Learning
Benchmark for Land Use and Land Cover Classification", IEEE JSTARS, 2019. 27,000 files of 64 x 64
pixels of 10 m and 13 bands, uint16, bands of 20 and 60 m resampled to 10 m by the publishers, in
`ds/images/remote_sensing/otherDatasets/sentinel_2/tif/<Class>/<Class>_<n>.tif` (the published
archive), `EuroSATallBands/<Class>/...` or `EuroSAT_MS/<Class>/...`.

Values are top-of-atmosphere reflectance times 10,000 (level 1C). In the files the bands follow
their numbers with B8A at the end, not between B08 and B09.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from eojax.data.dataset import Dataset
from eojax.data.facts import Files, Limits
from eojax.data.kinds import DatasetKind
from eojax.data.published import PublishedImages
from eojax.data.reading.download import Archive
from eojax.data.reading.published_images import check_published, read_published
from eojax.data.sets import eurosat
from eojax.errors import UserError, unknown_name
from eojax.option import Option

NAME = 'eurosat_ms'
SIZE = 64
CLASS_NAMES = eurosat.CLASS_NAMES
# In the files' order.
BANDS = (
    'B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B09', 'B10', 'B11', 'B12', 'B8A',
)  # fmt: skip
OPTIONS: dict[str, Option] = {
    'bands': Option('all', 'bands, in the order wanted: all, or names with a comma between'),
}
# Central wavelengths in nanometres and the sensor's resolutions in metres (Sentinel-2 MSI).
WAVELENGTHS = (443, 490, 560, 665, 705, 740, 783, 842, 945, 1375, 1610, 2190, 865)
RESOLUTIONS = (60, 10, 10, 10, 20, 20, 20, 10, 60, 60, 20, 20, 20)
# Of each band over the published set, reflectance x 10,000, as in TorchGeo's EuroSAT data module.
MEAN = (
    1354.40546513, 1118.24399958, 1042.92983953, 947.62620298, 1199.47283961, 1999.79090914,
    2369.22292565, 2296.82608323, 732.08340178, 12.11327804, 1819.01027855, 1118.92391149,
    2594.14080798,
)  # fmt: skip
STD = (
    245.71762908, 333.00778264, 395.09249139, 593.75055589, 566.41700170, 861.18399006,
    1086.63139075, 1117.98170791, 404.91978886, 4.77584468, 1002.58768311, 761.30323499,
    1231.58581042,
)  # fmt: skip
# What becomes -1 and +1: three standard deviations around the mean, but never below zero.
LIMITS: Limits = tuple(
    (max(0.0, mean - 3.0 * std), mean + 3.0 * std) for mean, std in zip(MEAN, STD, strict=True)
)
FILES = Files('geotiff', BANDS, SIZE)
EUROSAT_MS = PublishedImages(
    name=NAME,
    title='EuroSAT, 13 bands',
    class_names=CLASS_NAMES,
    bands=BANDS,
    size=SIZE,
    archive=Archive(
        url='http://madm.dfki.de/files/sentinel/EuroSATallBands.zip',
        num_bytes=2_067_725_275,
        sha256='751f070f9bffa2eed48b24ca2dd0b02959280c08837e8c9a5532a67ba611df59',
    ),
    licence=eurosat.EUROSAT.licence,
    citation=eurosat.EUROSAT.citation,
    homepage=eurosat.EUROSAT.homepage,
    extent_metres=640.0,
    class_colours=eurosat.CLASS_COLOURS,
    files=FILES,
    limits=LIMITS,
)


def choose(bands: str = 'all') -> PublishedImages:
    """EuroSAT, 13 bands, with those that are wanted; see `parse_bands`."""
    chosen = parse_bands(bands)
    limits = tuple(LIMITS[BANDS.index(band)] for band in chosen)
    return EUROSAT_MS._replace(bands=chosen, limits=limits)


def parse_bands(text: str) -> tuple[str, ...]:
    """The bands of `data.bands`: 'all', in the files' order, or names in the order wanted.

    Raises:
      UserError: a name that there is not, twice, or none at all.
    """
    if text.strip() == 'all':
        return BANDS
    bands = tuple(part.strip() for part in text.split(','))
    for number, band in enumerate(bands):
        if band not in BANDS:
            raise unknown_name('band in data.bands', band, (*BANDS, 'all'))
        if band in bands[:number]:
            raise UserError(f'data.bands: {band} is in it twice')
    return bands


def _check(options: ConfigDict) -> None:
    check_published(choose(options.bands), options)


def _from_config(options: ConfigDict, progress: bool) -> Dataset:
    return read_published(choose(options.bands), options, progress)


KIND = DatasetKind(NAME, _check, _from_config, OPTIONS, CLASS_NAMES, EUROSAT_MS, True)
