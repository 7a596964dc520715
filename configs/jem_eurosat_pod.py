"""Joint energy-based model on EuroSAT for a TPU pod or many GPUs: one image and one chain a chip.

Paper: that of configs/jem_eurosat.py, whose recipe this is with a batch of 256 in place of 64: a
  fourth of the steps for the same 200 epochs, and twice the rate, the usual square root for Adam.
Command: launch/tpu_pod.sh train NAME -- --config=configs/jem_eurosat_pod.py
  --config.data.root=EuroSAT.zip
  For 2, 4, ... 256 chips, each of which has its own parts of the replay buffer.
Expected: no published numbers with this batch.
Measured: not yet; it needs an accelerator. What its step needs and exchanges on 256 chips is in
  docs/compiled.md.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('jem', 'wide_resnet', 'eurosat')
    config.batch_size = 256
    config.steps = 15_188  # 200 epochs of 19,440 training images
    config.log_every = 100
    config.evaluate_every = 500
    config.checkpoint_every = 500
    config.keep_checkpoints = 5

    config.model.depth = 28
    config.model.width = 10
    config.model.norm = 'none'
    config.model.activation = 'leaky_relu'

    config.method.likelihood_batch_size = 256
    config.method.input_noise = 0.03
    config.method.augment = 'flips_shift'
    config.method.likelihood_augment = 'flips_shift'

    config.sampler.steps = 20
    config.sampler.step_size = 1.0
    config.sampler.noise = 0.01
    config.sampler.buffer_size = 10_240
    config.sampler.buffer_parts = 256  # for up to 256 devices, each drawing from parts of its own
    config.sampler.reinitialise = 0.05
    config.sampler.start = 'uniform'

    config.optimizer.name = 'adam'
    config.optimizer.learning_rate = 2e-4
    config.optimizer.warmup_steps = 1_000
    config.optimizer.schedule = 'milestones'
    config.optimizer.milestones = (0.8, 0.9)
    config.optimizer.milestone_factor = 0.3

    config.evaluate.inception_images = 4_000

    # Early stopping, as in all that classify (docs/training.md): the state best in validation.
    config.evaluate.checkpoint = 'best'
    return config
