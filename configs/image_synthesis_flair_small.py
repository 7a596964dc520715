"""Land cover and height above ground to aerial images of France, six patches, for two CPU cores.

Paper: "Synthesizing Optical and SAR Imagery From Land Cover Maps and Auxiliary Raster Data" (Baier
  et al., 2021), its fusing generator, small.
Data: six patches of FLAIR (Garioud et al., 2022), 512 px of 0.2 m, heights above ground in steps of
  0.2 m, cut into squares of 256 px; those of zone Z8_NF, a dry slope, are in no part of training.
Command: python -m eojax.main --config=configs/image_synthesis_flair_small.py \\
  --config.data.root=flair2_sample.zip
Expected: soil, scrub and wood by the map; of classes that one patch alone has, that patch's look.
Measured: not yet.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('image_synthesis', 'image_generator', 'pixel_folder')
    config.batch_size = 8
    config.steps = 2000
    config.log_every = 20
    config.evaluate_every = 500
    config.checkpoint_every = 500

    aerial = 'flair_aerial_train/{domain}/{group}/img/IMG_{name}.tif'
    config.data.images_pattern = aerial
    config.data.raster_patterns = f'elevation={aerial}'
    config.data.bands = 'images=1,2,3;elevation=5'
    config.data.masks_pattern = 'flair_labels_train/{domain}/{group}/msk/MSK_{name}.tif'
    config.data.mask_values = (
        '1=building,2=pervious surface,3=impervious surface,4=bare soil,5=water,6=coniferous,'
        '7=deciduous,8=brushwood,10=herbaceous vegetation'
    )
    config.data.cut = 256
    config.data.test_groups = 'Z8_NF'
    config.data.validation_by = 'place'

    config.model.width = 8
    config.model.levels = 3
    config.model.blocks = 3

    config.method.generator = 'fusion'
    config.method.window = 64
    config.method.evaluation_window = 256
    config.method.raster_values = 'relief'
    config.method.augment = 'dihedral'
    config.method.diff_augment = 'colour,translation'
    config.method.average_decay = 0.99

    config.optimizer.learning_rate = 5e-4
    config.discriminator.width = 16
    config.discriminator.scales = 2
    config.discriminator.optimizer.learning_rate = 1e-3

    config.evaluate.batch_size = 8
    return config
