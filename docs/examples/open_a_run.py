"""A trained run on arrays: classes, log p(x), samples and repairs.

    python docs/examples/open_a_run.py runs/jem_eurosat_small [photos/]

The first argument is a run folder, an exported file, or the name of weights that come with eojax;
the second a folder of images. Without it, the network's own samples are looked at.
"""

import sys

import numpy as np

import eojax

run = eojax.open(sys.argv[1])
print(run)

samples = run.sample(4, seed=1)  # [N, H, W, C], in the units of the run's data set
images = run.read(sys.argv[2], resize=True, num=4) if len(sys.argv) > 2 else samples
found = run.predict(images)
for name, confidence in zip(found.names, found.confidence, strict=True):
    print(f'  {name} {confidence:.0%}')
print('probabilities', run.probabilities(images).shape, 'features', run.features(images).shape)
print('log p(x)', run.log_density(images).round(1).tolist())
print('percentile among training images', run.percentile(images).round(0).tolist())

height, width = images.shape[1:3]
missing = np.zeros((height, width), bool)
missing[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = True
repaired = run.restore(images[:1], missing, chains=4)
error = repaired.mean[:, missing].astype(float) - images[:1, missing]
print(f'middle ninth repaired: off by {np.sqrt(np.square(error).mean()):.1f} levels,', end=' ')
print(f'the chains spread by {np.sqrt(np.square(repaired.spread[:, missing]).mean()):.1f}')
