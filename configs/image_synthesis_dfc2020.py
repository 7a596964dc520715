"""Land cover and radar of DFC2020 to the colours of Sentinel-2, as published.

Paper: "Synthesizing Optical and SAR Imagery From Land Cover Maps and Auxiliary Raster Data" (Baier,
  Deschemps, Schmitt and Yokoya, 2021), sections II and III.
Command: python -m eojax.main --config=configs/image_synthesis_dfc2020.py \\
  --config.data.root=DFC2020
  Table III's others: --config.method.generator=label (raster, concat, merge); radar of land cover
  alone: --config.method.generator=label --config.method.target=sar.
  Judged by --config.evaluate.segmenter=runs/segmentation_dfc2020; all five in one table:
  python -m eojax.studies.synthesis table --config=configs/image_synthesis_dfc2020.py \\
  --segmenter=runs/segmentation_dfc2020 --config.data.root=DFC2020
Expected: Table III, by a U-Net that was trained on real images: a mean IoU of 0.4344 and 80.95 % of
  the pixels with respect to its map of the real image.
Measured: not yet: the data set and the training are larger than the machines at hand.

Batch 32 at 256 px over 8 devices of 16 GB in the paper, 200 epochs; here of 5,128 patches less a
twentieth for validation, which the paper does not have. No augmentation. The rest as for GeoNRW.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('image_synthesis', 'image_generator', 'dfc2020')
    config.batch_size = 32
    config.steps = 30_400
    config.log_every = 100
    config.evaluate_every = 3_040
    config.checkpoint_every = 1_520

    config.data.workers = 8
    config.data.validation_by = 'place'
    config.data.validation_fraction = 0.05

    config.model.width = 64
    config.model.levels = 4
    config.model.blocks = 9
    config.model.dtype = 'bfloat16'

    config.method.generator = 'fusion'
    config.method.rasters = 'sar'
    config.method.window = 256
    config.method.augment = 'none'
    config.method.feature_matching_weight = 5.0

    config.optimizer.learning_rate = 1e-4
    config.discriminator.width = 64
    config.discriminator.scales = 2
    config.discriminator.optimizer.learning_rate = 4e-4

    config.evaluate.batch_size = 32
    return config
