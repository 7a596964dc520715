"""SegJEM on drawn land cover of many regions: classes and a density, calibrated region by region.

Paper: thesis of J. Castillo-Navarro (2022), section 4.5, which has no experiment: the recipe is
  that of `seg_jem_dubai_small.py`. Data are drawn; each of 120 regions has a landscape, a season, a
  light and colours of its own, and a third of them each is for training, validation and test.
Use: the study of what maps guarantee (`benchmarks.guarantees`), where the truth is known and there
  are enough regions to calibrate on.
Command: python -m eojax.main --config=configs/seg_jem_landscapes_small.py
Measured: pixel accuracy 57.1 %, mean IoU 31.1 % in 41 regions that were held out. Sets of level
  90 % hold the true class of 92.6 % of the pixels (91.7 to 93.4), with 3.0 classes each, calibrated
  on 40 regions; corrected areas are 0.5 points from the truth on average, counted ones 5.4. 22
  minutes on two cores, with the evaluation, one seed, 2026-11-29.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('seg_jem', 'pixel_network', 'landscape_cover')
    config.batch_size = 16
    config.steps = 600
    config.log_every = 20
    config.evaluate_every = 300
    config.checkpoint_every = 300

    config.data.size = 64
    config.data.num_images = 2400
    config.data.regions = 120
    config.data.palette = 1.0
    config.data.test_fraction = 0.34
    config.data.validation_fraction = 0.5

    config.model.width = 32
    config.model.kernel = 5
    config.model.activation = 'swish'

    config.method.window = 64
    config.method.augment = 'dihedral'
    config.method.average_decay = 0.99
    config.method.supervised_steps = 300
    config.method.density = 'head'
    config.method.density_average = 9
    config.method.chain_window = 32
    config.method.score_matching_weight = 0.05
    config.method.energy_l2 = 0.05

    config.sampler.steps = 4
    config.sampler.step_size = 0.3
    config.sampler.noise = 0.02
    config.sampler.clamp = 1.0
    config.sampler.clamp_gradient = 0.1
    config.sampler.buffer_size = 512
    config.sampler.reinitialise = 0.5
    config.sampler.start = 'gaussian'
    config.sampler.start_textures = 8
    config.sampler.start_uniform_share = 0.7
    config.sampler.start_noise = 'scales'

    config.optimizer.learning_rate = 5e-3
    config.optimizer.warmup_steps = 20
    config.optimizer.schedule = 'cosine'
    config.optimizer.clip_norm = 5.0

    config.evaluate.batch_size = 32
    config.evaluate.outlier_images = 50
    config.evaluate.coverage = 0.9
    config.evaluate.not_known = 0.1
    config.evaluate.areas = True
    return config
