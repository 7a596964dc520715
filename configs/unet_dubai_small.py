"""Supervised U-Net on aerial tiles of Dubai, two of them labelled, for two CPU cores.

Paper: the supervised baseline of the thesis of J. Castillo-Navarro (2022), section 3.2.4, small.
Data and split: those of `segmentation_dubai_small.py`; tile 3 is in no part of the training.
Network and rate: a U-Net with batch normalisation and Adam on a half cosine, as most users have
  it, small: 16 features at the full side, 600 steps of 8 windows.
Command: python -m eojax.main --config=configs/unet_dubai_small.py \\
  --config.data.root=dubai_land_cover.zip
Expected: 80 % of the pixels, a mean IoU of 40 to 45 %; roads mostly missed.
Measured: pixel accuracy 83.2 ± 0.7 %, mean IoU 44.8 ± 0.5 % on tile 3 (mean and standard deviation
  of three seeds); seed 0: water 95.0, land 74.7, road 9.2, building 24.5, vegetation 23.4 %.
  2026-11-29.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('segmentation', 'unet', 'pixel_folder')
    config.batch_size = 8
    config.steps = 600
    config.log_every = 20
    config.evaluate_every = 300
    config.checkpoint_every = 300

    config.data.images_pattern = 'dubai_land_cover/{group}/images/{name}.jpg'
    config.data.masks_pattern = 'dubai_land_cover/{group}/masks/{name}.png'
    config.data.mask_values = (
        '#e2a929=water,#8429f6=land,#6ec1e4=road,#3c1098=building,#fedd3a=vegetation,'
        '#9b9b9b=none,#000000=none'
    )
    config.data.labelled_groups = 'tile_1,tile_4'
    config.data.test_groups = 'tile_3'
    config.data.validation_by = 'place'

    config.model.width = 16
    config.model.depth = 3

    config.method.window = 64
    config.method.evaluation_window = 256
    config.method.augment = 'dihedral'
    config.method.average_decay = 0.99

    config.optimizer.learning_rate = 3e-3
    config.optimizer.warmup_steps = 20
    config.optimizer.schedule = 'cosine'

    config.evaluate.batch_size = 8
    config.evaluate.window_overlap = 0.125
    return config
