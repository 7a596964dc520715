"""The evaluator of Table III on GeoNRW: a U-Net of real aerial images, as published.

Paper: "Synthesizing Optical and SAR Imagery From Land Cover Maps and Auxiliary Raster Data" (Baier,
  Deschemps, Schmitt and Yokoya, 2021), section III-C: two 3 x 3 convolutions and ReLU a level, no
  normalisation, 64 to 1,024 features, transposed 2 x 2, Adam, 100 epochs. Its encoder's 960 means
  give the Frechet distance.
Command: python -m eojax.main --config=configs/segmentation_geonrw.py \\
  --config.data.root=GeoNRW
  Then --config.evaluate.segmenter=runs/segmentation_geonrw for a generator. To judge radar:
  --config.data.with_sar=True --config.method.rasters=sar.
  Rare classes weighted, as the paper suggests: --config.method.class_weights=balanced.
Expected: Table III, real: 54.34 % of the pixels and a mean IoU of 0.1734 over all ten classes, one
  that does not occur counted as 0, on the middle of the 485 test tiles.
Measured: not yet: the data set and the training are larger than the machines at hand.

The paper trains on all 7,297 tiles; here a tenth of them is for validation. Its code has a sigmoid
for each class in place of the softmax of cross-entropy.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('segmentation', 'unet', 'geonrw')
    config.batch_size = 32
    config.steps = 20_500
    config.log_every = 100
    config.evaluate_every = 4_100
    config.checkpoint_every = 2_050

    config.data.workers = 8

    config.model.width = 64
    config.model.depth = 4
    config.model.normalization = 'none'

    config.method.window = 256
    config.method.augment = 'flips'

    config.optimizer.learning_rate = 2e-4

    config.evaluate.batch_size = 32
    config.evaluate.centre = 256
    return config
