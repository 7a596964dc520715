"""BerundaNet on aerial tiles of Dubai, two of six labelled, for two CPU cores.

Paper: thesis of J. Castillo-Navarro (2022), section 3.2, BerundaNet-late over a U-Net with relaxed
  k-means. With the L1 of reconstruction in its place: --config.method.auxiliary=l1
Data and split: those of `segmentation_dubai_small.py`; tile 3 is in no part of the training.
Network and rate: a U-Net with batch normalisation and Adam on a half cosine, as most users have
  it, small: 16 features at the full side, 600 steps of 8 windows.
Command: python -m eojax.main --config=configs/berundanet_dubai_small.py \\
  --config.data.root=dubai_land_cover.zip
Expected: near `unet_dubai_small.py`.
Measured: pixel accuracy 82.3 ± 1.4 %, mean IoU 43.7 ± 2.1 % on tile 3 (mean and standard deviation
  of three seeds; the supervised U-Net has 83.2 and 44.8 %), 2026-11-29.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('berundanet_segmentation', 'unet', 'pixel_folder')
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
    config.method.variant = 'late'
    config.method.auxiliary = 'relaxed_k_means'

    config.optimizer.learning_rate = 3e-3
    config.optimizer.warmup_steps = 20
    config.optimizer.schedule = 'cosine'

    config.evaluate.batch_size = 8
    config.evaluate.window_overlap = 0.125
    return config
