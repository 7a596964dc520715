"""The evaluator of Table III on DFC2020: a U-Net of real Sentinel-2 images, as published.

Paper: "Synthesizing Optical and SAR Imagery From Land Cover Maps and Auxiliary Raster Data" (Baier,
  Deschemps, Schmitt and Yokoya, 2021), section III-C: two 3 x 3 convolutions and ReLU a level, no
  normalisation, 64 to 1,024 features, transposed 2 x 2, Adam, 100 epochs, no augmentation.
Command: python -m eojax.main --config=configs/segmentation_dfc2020.py \\
  --config.data.root=DFC2020
  Then --config.evaluate.segmenter=runs/segmentation_dfc2020 for a generator. To judge radar:
  --config.method.rasters=sar. Rare classes weighted: --config.method.class_weights=balanced.
Expected: Table III, real: 75.14 % of the pixels and a mean IoU of 0.3722 over all ten classes, of
  which two do not occur and count as 0.
Measured: not yet: the data set and the training are larger than the machines at hand.

The paper trains on all 5,128 patches; here a twentieth of them is for validation. Its code has a
sigmoid for each class in place of the softmax of cross-entropy.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('segmentation', 'unet', 'dfc2020')
    config.batch_size = 32
    config.steps = 15_200
    config.log_every = 100
    config.evaluate_every = 3_040
    config.checkpoint_every = 1_520

    config.data.workers = 8
    config.data.validation_by = 'place'
    config.data.validation_fraction = 0.05

    config.model.width = 64
    config.model.depth = 4
    config.model.normalization = 'none'

    config.method.window = 256
    config.method.augment = 'none'

    config.optimizer.learning_rate = 2e-4

    config.evaluate.batch_size = 32
    return config
