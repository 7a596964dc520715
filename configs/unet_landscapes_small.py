"""A U-Net on drawn land cover, one tile of each of eight regions labelled: the supervised baseline.

Paper: the supervised baseline of the thesis of J. Castillo-Navarro (2022), section 3.2.4, with few
  labels in all cities as in section 2.2.2. Data are drawn; each region has colours of its own.
Use: fixmatch_landscapes_small.py must beat it. Eight tiles are few enough to be learnt by heart;
  the test is on other tiles of the same regions.
Command: python -m eojax.main --config=configs/unet_landscapes_small.py
Measured: pixel accuracy 68.7 ± 1.0 %, mean IoU 42.7 ± 1.1 % (mean and standard deviation of three
  seeds), in about a minute each on one core, 2026-11-29.
"""

from ml_collections import ConfigDict

from eojax.config import base_config

KINDS = ('plain', 'hedges', 'orchards', 'hills', 'heath', 'valley', 'coast', 'city')


def get_config() -> ConfigDict:
    config = base_config('segmentation', 'unet', 'landscape_cover')
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
    config.method.average_decay = 0.99

    config.optimizer.learning_rate = 3e-3
    config.optimizer.warmup_steps = 20
    config.optimizer.schedule = 'cosine'

    config.evaluate.batch_size = 32
    return config
