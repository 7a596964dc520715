"""Drawn land cover and elevation to colours, in minutes on two CPU cores.

Paper: "Synthesizing Optical and SAR Imagery From Land Cover Maps and Auxiliary Raster Data" (Baier
  et al., 2021), its generator with an eighth of the features, two levels and three blocks.
Data: 480 drawn tiles of 64 px in four rasters, always there, nothing to download.
Command: python -m eojax.main --config=configs/image_synthesis_landscapes.py
  Table III's others: --config.method.generator=label (raster, concat, merge); radar in place of
  colours: --config.method.target=sar.
Expected: colours that follow the land cover within 500 steps, water, roads and woods in their
  place; fine texture and buildings later. About 0.2 s a step on two cores, and 40 s to compile.
Measured: benchmarks/results/synthesis_table_landscapes_cpu_2026-11-29.json: 1,000 steps, one seed:
  a mean IoU of 37.2 % by the map of the real image, label alone 34.4 %.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('image_synthesis', 'image_generator', 'landscape_pairs')
    config.batch_size = 8
    config.steps = 1500
    config.log_every = 20
    config.evaluate_every = 500
    config.checkpoint_every = 500

    config.data.size = 64
    config.data.num_images = 480

    config.model.width = 8
    config.model.levels = 2
    config.model.blocks = 3

    config.method.window = 64
    config.method.raster_values = 'relief'
    config.method.augment = 'dihedral'
    config.method.average_decay = 0.99

    config.optimizer.learning_rate = 5e-4
    config.discriminator.width = 16
    config.discriminator.scales = 2
    config.discriminator.optimizer.learning_rate = 1e-3

    config.evaluate.batch_size = 16
    return config
