"""FixMatch for pixels on aerial tiles of Dubai, two of them labelled, for two CPU cores.

Paper: none for these data; the method is that of the thesis of J. Castillo-Navarro, section 3.3.2,
  with pixels in place of images. Data, split and network are those of segmentation_dubai_small.py.
Command: python -m eojax.main --config=configs/fixmatch_dubai_small.py \\
  --config.data.root=dubai_land_cover.zip
Measured: pixel accuracy 84.0 ± 0.6 %, mean IoU 44.9 ± 0.6 % on tile 3 (mean and standard deviation
  of three seeds; the supervised U-Net has 83.2 and 44.8 %, with labels of all five tiles 84.1 and
  45.2 %), 2026-11-29.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('fixmatch_segmentation', 'unet', 'pixel_folder')
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
    config.method.unlabelled_ratio = 1
    # Half of the strong views have classes of a labelled window in them, and every pixel has a
    # label, whose weight is the share of sure pixels of its window. On tile 7, with the published
    # pseudo-labels of sure pixels alone, rare classes were lost.
    config.method.threshold = 0.9
    config.method.pseudo_labels = 'all'
    config.method.classmix_share = 0.5
    # Neither colours, nor warps, nor holes: no test image has them.
    config.method.strong_set = 'identity'
    config.method.cutout_share = 0.0
    config.method.average_decay = 0.99

    config.optimizer.learning_rate = 3e-3
    config.optimizer.warmup_steps = 20
    config.optimizer.schedule = 'cosine'

    config.evaluate.batch_size = 8
    config.evaluate.window_overlap = 0.125
    return config
