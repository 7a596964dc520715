"""BerundaNet on UC Merced at 64 px: classification and, on all images, reconstruction.

Paper: "Semi-supervised Learning for Large-scale Earth Observation Data Understanding"
  (Castillo-Navarro, 2022), section 3.2, on the data set and with the network of Table IV of
  "Energy-based Models in Earth Observation" (2022), which has no BerundaNet of it; the recipe is
  that of configs/berundanet_eurosat.py.
Command: python -m eojax.main --config=configs/berundanet_ucmerced.py
  --config.data.root=UCMerced_LandUse.zip
  With few labels: --config.data.labels_per_class=10
Expected: no published numbers.
Measured: not yet at this size; it needs an accelerator.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('berundanet', 'wide_resnet', 'ucmerced')
    config.batch_size = 64
    config.steps = 4_725  # 200 epochs of 1,512 training images
    config.log_every = 100
    config.evaluate_every = 100
    config.checkpoint_every = 1_000

    config.data.labels_per_class = '10'

    config.model.depth = 28
    config.model.width = 10
    config.model.norm = 'none'
    config.model.activation = 'leaky_relu'

    config.method.augment = 'flips_shift'
    config.method.reconstruction = 'l1'
    config.method.reconstruction_weight = 0.5

    config.optimizer.name = 'adam'
    config.optimizer.learning_rate = 1e-4
    config.optimizer.warmup_steps = 1_000
    config.optimizer.schedule = 'milestones'
    config.optimizer.milestones = (0.8, 0.9)
    config.optimizer.milestone_factor = 0.3

    # Early stopping, as in all that classify (docs/training.md): the state best in validation.
    config.evaluate.checkpoint = 'best'
    return config
