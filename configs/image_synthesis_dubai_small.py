"""Land cover alone to aerial images of Dubai, seven tiles, for two CPU cores.

Paper: "Synthesizing Optical and SAR Imagery From Land Cover Maps and Auxiliary Raster Data" (Baier
  et al., 2021), its generator of labels alone (SPADE), small.
Data: those of `unet_dubai_small.py`, all tiles labelled but tile 3, which is in no part of the
  training.
Command: python -m eojax.main --config=configs/image_synthesis_dubai_small.py \\
  --config.data.root=dubai_land_cover.zip
Expected: sand, water and vegetation where the map says so; buildings as textures without shapes.
Measured: benchmarks/results/image_synthesis_dubai_small_cpu_2026-11-29.json: 1,200 steps.
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

    config.data.images_pattern = 'dubai_land_cover/{group}/images/{name}.jpg'
    config.data.masks_pattern = 'dubai_land_cover/{group}/masks/{name}.png'
    config.data.mask_values = (
        '#e2a929=water,#8429f6=land,#6ec1e4=road,#3c1098=building,#fedd3a=vegetation,'
        '#9b9b9b=none,#000000=none'
    )
    config.data.test_groups = 'tile_3'
    config.data.validation_by = 'place'

    config.model.width = 8
    config.model.levels = 3

    config.method.generator = 'label'
    config.method.window = 64
    config.method.evaluation_window = 256
    config.method.augment = 'dihedral'
    config.method.diff_augment = 'colour,translation'
    config.method.average_decay = 0.99

    config.optimizer.learning_rate = 5e-4
    config.discriminator.width = 16
    config.discriminator.scales = 2
    config.discriminator.optimizer.learning_rate = 1e-3

    config.evaluate.batch_size = 8
    return config
