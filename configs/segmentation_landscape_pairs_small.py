"""The evaluator of drawn synthesis: a U-Net of real (drawn) images, for two CPU cores.

Paper: the evaluator of "Synthesizing Optical and SAR Imagery From Land Cover Maps and Auxiliary
  Raster Data" (Baier et al., 2021), section III-C, small and with batch normalisation.
Data: the tiles of image_synthesis_landscapes.py; the network sees colours alone.
Command: python -m eojax.main --config=configs/segmentation_landscape_pairs_small.py
  Then --config.evaluate.segmenter=runs/segmentation_landscape_pairs_small for a generator. To judge
  radar: --config.method.rasters=sar.
Expected: 70 % of the pixels, a mean IoU of 45 to 50 % on regions that training has not seen;
  shrubs are missed. Five minutes on two cores.
Measured: pixel accuracy 72.9 %, mean IoU 48.7 % (seed 0), 2026-11-29.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('segmentation', 'unet', 'landscape_pairs')
    config.batch_size = 8
    config.steps = 1000
    config.log_every = 20
    config.evaluate_every = 500
    config.checkpoint_every = 500

    config.data.size = 64
    config.data.num_images = 480

    config.model.width = 16
    config.model.depth = 3

    config.method.window = 64
    config.method.augment = 'dihedral'
    config.method.average_decay = 0.99

    config.optimizer.learning_rate = 3e-3
    config.optimizer.warmup_steps = 20
    config.optimizer.schedule = 'cosine'

    config.evaluate.batch_size = 32
    return config
