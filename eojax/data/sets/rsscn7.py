"""RSSCN7: RGB images of 7 classes, 400 x 400 pixels, at four scales.

Source: Q. Zou, L. Ni, T. Zhang, Q. Wang, "Deep Learning Based Feature Selection for Remote Sensing
Scene Classification", IEEE GRSL 12(11), 2015. 2,800 images of Google Earth, 400 a class, in
`RSSCN7/<class>/<letter><nnn>.jpg`; each class has 100 images at each of four scales (1:700, 1:1300,
1:2600 and 1:5200), so that a pixel has no one size on the ground.

The archive lies on file hosts whose addresses change, and no checksum is published: it is got by
hand, and named by `data.root`.
"""

from __future__ import annotations

from eojax.data.facts import Files
from eojax.data.published import PublishedImages
from eojax.data.reading.published_images import published_kind

# As the folders are called.
CLASS_NAMES = (
    'aGrass',
    'bField',
    'cIndustry',
    'dRiverLake',
    'eForest',
    'fResident',
    'gParking',
)
RSSCN7 = PublishedImages(
    name='rsscn7',
    title='RSSCN7',
    class_names=CLASS_NAMES,
    bands=('red', 'green', 'blue'),
    size=400,
    files=Files(size=400),
    archive=None,
    licence='none stated; imagery of Google Earth, under its terms',
    citation=(
        'Q. Zou, L. Ni, T. Zhang, Q. Wang. Deep Learning Based Feature Selection for Remote Sensing'
        ' Scene Classification. IEEE Geoscience and Remote Sensing Letters, 2015.'
    ),
    homepage='https://github.com/palewithout/RSSCN7',
    tfds_folders=('eojax_images/rsscn7',),
)
KIND = published_kind(RSSCN7)
