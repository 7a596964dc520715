"""FixMatch for pixels on drawn land cover, one tile of each of eight regions labelled.

Paper: none for these data; the method is that of the thesis of J. Castillo-Navarro, section 3.3.2,
  with pixels in place of images. Data, split and network are those of unet_landscapes_small.py.
Command: python -m eojax.main --config=configs/fixmatch_landscapes_small.py
Measured: pixel accuracy 71.3 ± 1.2 %, mean IoU 45.4 ± 2.1 % (mean and standard deviation of three
  seeds; the supervised U-Net has 68.7 and 42.7 %), 2026-11-29.
"""

from ml_collections import ConfigDict

from eojax.config import base_config

KINDS = ('plain', 'hedges', 'orchards', 'hills', 'heath', 'valley', 'coast', 'city')


def get_config() -> ConfigDict:
    config = base_config('fixmatch_segmentation', 'unet', 'landscape_cover')
    config.batch_size = 8
    config.steps = 600
    config.log_every = 50
    config.evaluate_every = 300
    config.checkpoint_every = 300

    config.data.size = 64
    config.data.num_images = 320
    config.data.regions = 8
    config.data.palette = 1.0
    config.data.labelled_share = 0.025
    config.data.validation_by = 'place'
    # A quarter of the tiles of each region, in place of whole regions.
    config.data.test_groups = ','.join(
        f'{KINDS[tile % 8]}_{tile % 8}/{tile:06d}' for tile in range(320) if tile // 8 % 4 == 3
    )

    config.model.width = 16
    config.model.depth = 3

    config.method.window = 64
    config.method.augment = 'dihedral'
    config.method.threshold = 0.9
    config.method.pseudo_labels = 'all'
    config.method.classmix_share = 0.5
    config.method.strong_set = 'identity'
    config.method.cutout_share = 0.0
    config.method.average_decay = 0.99

    config.optimizer.learning_rate = 3e-3
    config.optimizer.warmup_steps = 20
    config.optimizer.schedule = 'cosine'

    config.evaluate.batch_size = 32
    return config
