"""Land cover and elevation of GeoNRW to aerial images, as published.

Paper: "Synthesizing Optical and SAR Imagery From Land Cover Maps and Auxiliary Raster Data" (Baier,
  Deschemps, Schmitt and Yokoya, 2021), sections II and III.
Command: python -m eojax.main --config=configs/image_synthesis_geonrw.py \\
  --config.data.root=GeoNRW
  Table III's others: --config.method.generator=label (raster, concat, merge); radar in place of
  colours: --config.data.with_sar=True --config.method.target=sar.
  Judged by --config.evaluate.segmenter=runs/segmentation_geonrw; all five in one table:
  python -m eojax.studies.synthesis table --config=configs/image_synthesis_geonrw.py \\
  --segmenter=runs/segmentation_geonrw --config.data.root=GeoNRW
Expected: Table III, by a U-Net that was trained on real images: a mean IoU of 0.2326 and 76.92 % of
  the pixels with respect to its map of the real image.
Measured: not yet: the data set and the training are larger than the machines at hand.

Batch 32 at 256 px over 8 devices of 16 GB in the paper, 200 epochs; here of 7,297 tiles less a
tenth for validation, which the paper does not have. The weight of feature matching is its code's;
bfloat16 is ours, and SPADE's own kernels are normalised as the paper says and its code does not.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('image_synthesis', 'image_generator', 'geonrw')
    config.batch_size = 32
    config.steps = 41_000
    config.log_every = 100
    config.evaluate_every = 4_100
    config.checkpoint_every = 2_050

    config.data.workers = 8

    config.model.width = 64
    config.model.levels = 4
    config.model.blocks = 9
    config.model.dtype = 'bfloat16'

    config.method.generator = 'fusion'
    config.method.rasters = 'elevation'
    config.method.window = 256
    config.method.evaluation_window = 256
    config.method.augment = 'flips'
    config.method.feature_matching_weight = 5.0

    config.optimizer.learning_rate = 1e-4
    config.discriminator.width = 64
    config.discriminator.scales = 2
    config.discriminator.optimizer.learning_rate = 4e-4

    config.evaluate.batch_size = 32
    config.evaluate.centre = 256
    return config
