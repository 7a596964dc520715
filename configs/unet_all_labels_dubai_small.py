"""The same U-Net with labels of all five training tiles of Dubai: the most that there is to gain.

Paper: the oracle of the thesis of J. Castillo-Navarro (2022), Tables 3.1 and 3.2, small.
Use: a method that learns from unlabelled tiles can be expected to end between unet_dubai_small.py,
  which knows the labels of two, and this. Where the two lie close, nothing can be shown.
Data, network and rate: those of unet_dubai_small.py; tile 3 is in no part of the training.
Command: python -m eojax.main --config=configs/unet_all_labels_dubai_small.py \\
  --config.data.root=dubai_land_cover.zip
Measured: pixel accuracy 84.1 ± 0.3 %, mean IoU 45.2 ± 1.1 % on tile 3 (mean and standard deviation
  of three seeds), 2026-11-29.
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
    config.data.labelled_groups = 'tile_1,tile_4,tile_5,tile_6,tile_7'
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
