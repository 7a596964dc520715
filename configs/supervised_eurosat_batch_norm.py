"""Wide-ResNet with batch normalisation and ReLU on EuroSAT, supervised.

Paper: "Energy-based Models in Earth Observation: from Generation to Semi-supervised Learning"
  (Castillo-Navarro et al., 2022), Table II and, with --config.data.labels_per_class, Table III,
  column Wide-ResNet, but for the network: the paper's has no batch normalisation, which is
  configs/supervised_eurosat.py.
Command: python -m eojax.main --config=configs/supervised_eurosat_batch_norm.py \
  --config.data.root=EuroSAT.zip
Expected: no published numbers of this network.
Measured: not yet at this size; it needs an accelerator.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('supervised', 'wide_resnet', 'eurosat')
    config.batch_size = 64
    config.steps = 60_750  # 200 epochs of 19,440 training images
    config.log_every = 100
    config.evaluate_every = 500
    config.checkpoint_every = 1_000

    config.model.depth = 28
    config.model.width = 10
    config.model.norm = 'batch'
    config.model.activation = 'relu'

    config.method.augment = 'flips_shift'

    config.optimizer.name = 'adam'
    config.optimizer.learning_rate = 1e-4
    config.optimizer.warmup_steps = 1_000
    config.optimizer.schedule = 'milestones'
    config.optimizer.milestones = (0.8, 0.9)
    config.optimizer.milestone_factor = 0.3

    # Early stopping, as in all that classify (docs/training.md): the state best in validation.
    config.evaluate.checkpoint = 'best'
    return config
