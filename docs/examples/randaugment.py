"""RandAugment and cutout of a whole batch, on the device, one draw for each image.

Labels of pixels move with the image, and `valid` says which pixels still show something.
"""

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from eojax.augment.randaugment import cutout, strong

# A batch of 8-bit images [N, H, W, C]: here a chart with stripes, a ramp and a square.
rows, columns = np.mgrid[:64, :64]
chart = np.stack([rows * 4, columns * 4, 255 * (columns // 8 % 2)], -1).astype(np.uint8)
chart[20:30, 34:44] = (255, 220, 0)
images = jnp.repeat(chart[None], 8, 0)
classes = (images[..., 0] > 127).astype(np.int32)

augment = jax.jit(strong, static_argnames=('passes', 'cutout_share', 'interpolation', 'operations'))
sample, _ = augment({'images': images, 'labels': classes}, jax.random.key(0), passes=2)
only_cut = cutout(images, jax.random.key(1), share=0.5)

shown = float(np.mean(np.asarray(sample['valid'])))
print(f'images {sample["images"].shape} {sample["images"].dtype}: {shown:.0%} of the pixels show')
print('classes left in image 0:', np.unique(np.asarray(sample['labels'])[0]).tolist())
grid = np.concatenate(
    [np.concatenate(np.asarray(b), 1) for b in (images, sample['images'], only_cut)]
)
Image.fromarray(grid).save('randaugment.png')
print('randaugment.png: images, RandAugment with cutout, cutout alone')
