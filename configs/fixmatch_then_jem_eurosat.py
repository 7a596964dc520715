"""FixMatch with few labels, then the joint energy-based model on its pseudo-labels, on EuroSAT.

Paper: "Semi-supervised Learning for Large-scale Earth Observation Data Understanding"
  (Castillo-Navarro, 2022), section 4.3.5, Table 4.5: the first stage is
  configs/fixmatch_eurosat.py, the second configs/jem_eurosat.py, and one command runs both.
Command: python -m eojax.main --config=configs/fixmatch_then_jem_eurosat.py
  --config.data.root=EuroSAT.zip
Expected: accuracy 85.94, 84.96, 84.89, 82.46, 56.78 % with 100, 20, 10, 5, 1 labels per class.
Measured: not yet at this size; it needs an accelerator.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('fixmatch_then_jem', 'wide_resnet', 'eurosat')
    config.batch_size = 64
    config.steps = 160_902  # 100,000 of FixMatch, 152 that label, 200 epochs of JEM
    config.log_every = 100
    config.evaluate_every = 2_000
    config.checkpoint_every = 2_000
    config.keep_checkpoints = 5

    config.data.labels_per_class = '10'

    config.fixmatch.steps = 100_000  # FixMatch has 2 ** 20
    config.fixmatch.batch_size = 64
    config.fixmatch.model.depth = 28
    config.fixmatch.model.width = 2
    config.fixmatch.model.norm = 'batch'
    config.fixmatch.model.norm_momentum = 0.999
    config.fixmatch.optimizer.name = 'sgd'
    config.fixmatch.optimizer.learning_rate = 0.03
    config.fixmatch.optimizer.momentum = 0.9
    config.fixmatch.optimizer.weight_decay = 5e-4
    config.fixmatch.optimizer.schedule = 'cosine'
    config.fixmatch.optimizer.cosine_cycles = 7 / 32

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
    config.sampler.buffer_parts = 8
    config.sampler.reinitialise = 0.05
    config.sampler.start = 'uniform'

    config.optimizer.name = 'adam'
    config.optimizer.learning_rate = 1e-4
    config.optimizer.warmup_steps = 1_000
    config.optimizer.schedule = 'milestones'
    config.optimizer.milestones = (0.8, 0.9)
    config.optimizer.milestone_factor = 0.3

    # Early stopping, as in all that classify (docs/training.md): the state best in validation.
    config.evaluate.checkpoint = 'best'
    return config
