"""Joint energy-based model on EuroSAT, as published.

Paper: "Energy-based Models in Earth Observation: from Generation to Semi-supervised Learning"
  (Castillo-Navarro et al., 2022), sections III and IV-A, Table II; the recipe is that of JEM
  (Grathwohl et al., 2020): Adam 1e-4, 200 epochs, rate x 0.3 at epochs 160 and 180, SGLD with
  gradient and noise decoupled (20 steps of size 1, noise 0.01), a buffer of 10,000. Vertical flips
  are ours: that code pads, crops and flips left and right alone (--config.method.augment and
  likelihood_augment=mirror_shift), and a satellite image has no upside.
Command: python -m eojax.main --config=configs/jem_eurosat.py --config.data.root=EuroSAT.zip
Expected: accuracy 97.42 +- 0.19 %, FID 122.1, KID 0.06 (Table II).
Measured: not yet; it needs an accelerator. Divergence is known to happen with this recipe: the run
  then goes back to its last checkpoint with another key and half the rate (`recovery`). On
  accelerators the network computes in bfloat16, which the paper's does not
  (--config.model.dtype=float32).
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('jem', 'wide_resnet', 'eurosat')
    config.batch_size = 64
    config.steps = 60_750  # 200 epochs of 19,440 training images
    config.log_every = 100
    config.evaluate_every = 1_000
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

    config.evaluate.inception_images = 4_000

    # Early stopping, as in all that classify (docs/training.md): the state best in validation.
    config.evaluate.checkpoint = 'best'
    return config
