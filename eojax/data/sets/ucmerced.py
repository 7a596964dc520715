"""UC Merced Land Use: aerial RGB images of 21 classes, 256 x 256 pixels of 0.3 m.

Source: Y. Yang, S. Newsam, "Bag-of-Visual-Words and Spatial Extensions for Land-Use
Classification", ACM SIGSPATIAL GIS, 2010. 100 images a class, in
`UCMerced_LandUse/Images/<class>/<class><nn>.tif`; 44 of them are not quite 256 x 256.
"""

from __future__ import annotations

from eojax.data.published import PublishedImages
from eojax.data.reading.download import Archive
from eojax.data.reading.published_images import published_kind

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
    name='ucmerced',
    title='UC Merced',
    class_names=CLASS_NAMES,
    bands=('red', 'green', 'blue'),
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
    tfds_folders=('eojax_images/ucmerced', 'uc_merced'),
)
KIND = published_kind(UCMERCED)
# Of each band over all pixels at 64 x 64, values scaled to [0, 1].
MEAN = (0.4852, 0.4911, 0.4515)
STD = (0.2042, 0.1869, 0.1823)
