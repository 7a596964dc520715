"""EuroSAT, RGB: Sentinel-2 patches of ten land-use classes, 64 x 64 pixels of 10 m.

Source: P. Helber, B. Bischke, A. Dengel, D. Borth, "EuroSAT: A Novel Dataset and Deep Learning
Benchmark for Land Use and Land Cover Classification", IEEE JSTARS, 2019. 27,000 JPEG images,
2,000 to 3,000 a class, in `2750/<Class>/<Class>_<n>.jpg` or `EuroSAT_RGB/<Class>/...`.
"""

from __future__ import annotations

from eojax.data.facts import Files
from eojax.data.published import PublishedImages
from eojax.data.reading.download import Archive
from eojax.data.reading.published_images import published_kind

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
# Of maps: as people expect them, and apart to the colour blind too; `class_colours` chose them.
CLASS_COLOURS = {
    'AnnualCrop': '#e6cc33',
    'Forest': '#336633',
    'HerbaceousVegetation': '#80b280',
    'Highway': '#666666',
    'Industrial': '#6633b2',
    'Pasture': '#b2e699',
    'PermanentCrop': '#b28033',
    'Residential': '#b20000',
    'River': '#66ccff',
    'SeaLake': '#1a3366',
}
EUROSAT = PublishedImages(
    name='eurosat',
    title='EuroSAT',
    class_names=CLASS_NAMES,
    bands=('red', 'green', 'blue'),
    size=64,
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
    files=Files(size=64),
    tfds_folders=('eojax_images/eurosat', 'eurosat/rgb'),
)
KIND = published_kind(EUROSAT)
# Of each band over all pixels of 21,531 of the images, values scaled to [0, 1].
MEAN = (0.3438, 0.3800, 0.4076)
STD = (0.2021, 0.1366, 0.1155)
