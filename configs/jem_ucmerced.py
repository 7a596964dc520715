"""Joint energy-based model on UC Merced at 64 px, as published.

Paper: "Energy-based Models in Earth Observation: from Generation to Semi-supervised Learning"
  (Castillo-Navarro et al., 2022), Table IV, column JEM, with the recipe of configs/jem_eurosat.py.
Command: python -m eojax.main --config=configs/jem_ucmerced.py
  --config.data.root=UCMerced_LandUse.zip
  With few labels: --config.data.labels_per_class=10
Expected: accuracy 80.49 +- 1.67 % with all labels;
  48.91, 34.16, 24.31 % with 10, 4, 1 labels per class.
Measured: not yet at this size; it needs an accelerator.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('jem', 'wide_resnet', 'ucmerced')
    config.batch_size = 64
    config.steps = 4_725  # 200 epochs of 1,512 training images
    config.log_every = 100
    config.evaluate_every = 100
    config.checkpoint_every = 1_000
    config.keep_checkpoints = 5

    config.model.depth = 28
    config.model.width = 10
    config.model.norm = 'none'
    config.model.activation = 'leaky_relu'

    config.method.likelihood_batch_size = 64
    config.method.input_noise = 0.03
    config.method.augment = 'flips_shift'
    config.method.likelihood_augment = 'flips_shift'

    config.sampler.steps = 20
    config.sampler.step_size = 1.0
    config.sampler.noise = 0.01
    config.sampler.buffer_size = 10_000
    config.sampler.buffer_parts = 8  # for up to 8 devices, each drawing from parts of its own
    config.sampler.reinitialise = 0.05
    config.sampler.start = 'uniform'

    config.optimizer.name = 'adam'
    config.optimizer.learning_rate = 1e-4
    config.optimizer.warmup_steps = 1_000
    config.optimizer.schedule = 'milestones'
    config.optimizer.milestones = (0.8, 0.9)
    config.optimizer.milestone_factor = 0.3

    config.evaluate.inception_images = 420

    # Early stopping, as in all that classify (docs/training.md): the state best in validation.
    config.evaluate.checkpoint = 'best'
    return config
