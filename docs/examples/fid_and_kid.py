"""FID and KID of two sets of images, by the features of a fixed network.

    python docs/examples/fid_and_kid.py [inception_weights.npz]

With the weights of the Inception network, features are its own, and the numbers are comparable to
published ones; else they are means of colours, to show the calls. FID falls with the number of
images: compare equal numbers only.
"""

import sys

import numpy as np

from eojax.metrics.generation import fid, kid


def features(images):
    """Features `[N, D]` of uint8 images `[N, H, W, 3]`."""
    if len(sys.argv) > 1:
        from eojax.models import inception

        return np.asarray(inception.features(inception.load_inception(sys.argv[1]), images))
    blocks = images.reshape(len(images), 4, 8, 4, 8, 3).mean((2, 4))
    return blocks.reshape(len(images), -1) / 255.0


def pictures(seed, level):
    """Noisy images around a level of grey."""
    generator = np.random.default_rng(seed)
    base = generator.normal(level, 20.0, (200, 1, 1, 3))
    return np.clip(base + generator.normal(0, 25, (200, 32, 32, 3)), 0, 255).astype(np.uint8)


real, alike, darker = pictures(0, 120), pictures(1, 120), pictures(2, 90)
for name, made in (('of the same kind', alike), ('darker', darker)):
    ours, theirs = features(made), features(real)
    print(f'{name}: FID {fid(ours, theirs):.4f}, KID {kid(ours, theirs):.5f}')
