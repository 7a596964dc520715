"""AID, the Aerial Image Dataset: RGB images of 30 classes, 600 x 600 pixels of 0.5 to 8 m.

Source: G.-S. Xia, J. Hu, F. Hu, B. Shi, X. Bai, Y. Zhong, L. Zhang, X. Lu, "AID: A Benchmark Data
Set for Performance Evaluation of Aerial Scene Classification", IEEE TGRS 55(7), 2017. 10,000
images of Google Earth, 220 to 420 a class, in `AID/<Class>/<class>_<n>.jpg`.

The archive lies on file hosts whose addresses change, and no checksum is published: it is got by
hand, and named by `data.root`.
"""

from __future__ import annotations

from eojax.data.facts import Files
from eojax.data.published import PublishedImages
from eojax.data.reading.published_images import published_kind

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
    name='aid',
    title='AID',
    class_names=CLASS_NAMES,
    bands=('red', 'green', 'blue'),
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
    tfds_folders=('eojax_images/aid',),
)
KIND = published_kind(AID)
