"""NWPU-RESISC45: RGB images of 45 classes, 256 x 256 pixels of 0.2 to 30 m.

Source: G. Cheng, J. Han, X. Lu, "Remote Sensing Image Scene Classification: Benchmark and State of
the Art", Proceedings of the IEEE 105(10), 2017. 31,500 images of Google Earth, 700 a class, in
`NWPU-RESISC45/<class>/<class>_<nnn>.jpg`. The size of a pixel on the ground differs from image to
image and is not published.

The archive lies on file hosts whose addresses change, as a RAR: it is got by hand, unpacked, and
named by `data.root`.
"""

from __future__ import annotations

from eojax.data.facts import Files
from eojax.data.published import PublishedImages
from eojax.data.reading.published_images import published_kind

CLASS_NAMES = (
    'airplane',
    'airport',
    'baseball_diamond',
    'basketball_court',
    'beach',
    'bridge',
    'chaparral',
    'church',
    'circular_farmland',
    'cloud',
    'commercial_area',
    'dense_residential',
    'desert',
    'forest',
    'freeway',
    'golf_course',
    'ground_track_field',
    'harbor',
    'industrial_area',
    'intersection',
    'island',
    'lake',
    'meadow',
    'medium_residential',
    'mobile_home_park',
    'mountain',
    'overpass',
    'palace',
    'parking_lot',
    'railway',
    'railway_station',
    'rectangular_farmland',
    'river',
    'roundabout',
    'runway',
    'sea_ice',
    'ship',
    'snowberg',
    'sparse_residential',
    'stadium',
    'storage_tank',
    'tennis_court',
    'terrace',
    'thermal_power_station',
    'wetland',
)
RESISC45 = PublishedImages(
    name='resisc45',
    title='NWPU-RESISC45',
    class_names=CLASS_NAMES,
    bands=('red', 'green', 'blue'),
    size=256,
    files=Files(size=256),
    archive=None,
    licence='none stated; imagery of Google Earth, under its terms',
    citation=(
        'G. Cheng, J. Han, X. Lu. Remote Sensing Image Scene Classification: Benchmark and State of'
        ' the Art. Proceedings of the IEEE, 2017.'
    ),
    homepage='https://gcheng-nwpu.github.io/',
    tfds_folders=('eojax_images/resisc45',),
)
KIND = published_kind(RESISC45)
