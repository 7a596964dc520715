"""A folder or zip archive of images in class folders, as arrays and as a data set.

Some images are written first, so that the example needs no file; name a folder or archive on the
command line to read that.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from eojax.data.reading.image_folder import read_image_folder


def write_images(folder):
    """Five images each of three classes."""
    generator = np.random.default_rng(0)
    for name, level in (('Forest', 60), ('Meadow', 120), ('Water', 20)):
        (folder / name).mkdir()
        for number in range(5):
            noise = generator.integers(0, 30, (32, 32, 3))
            Image.fromarray((level + noise).astype(np.uint8)).save(folder / name / f'{number}.png')


with tempfile.TemporaryDirectory() as made:
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(made)
    if len(sys.argv) < 2:
        write_images(place)
    # Of another size than 32 x 32: resampled. A zip archive is read without being unpacked.
    dataset = read_image_folder(place, resize=32, progress=False)
    images, labels = np.asarray(dataset.images[:]), dataset.labels
    print(f'images {images.shape} {images.dtype}, classes {", ".join(dataset.class_names)}')
    for number, name in enumerate(dataset.class_names):
        chosen = images[labels == number]
        print(f'  {name}: {len(chosen)} images, mean level {chosen.mean():.0f}')
    print('first file:', dataset.names[0])
