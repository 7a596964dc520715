"""Wide-ResNet on AID at 64 px, supervised: the baseline of JEM.

Paper: "Energy-based Models in Earth Observation: from Generation to Semi-supervised Learning"
  (Castillo-Navarro et al., 2022), Table IV, column Wide-ResNet: WRN-28-10 "with no batch
  normalization", Adam, 200 epochs.
Command: python -m eojax.main --config=configs/supervised_aid.py --config.data.root=AID.zip
  With few labels: --config.data.labels_per_class=20
Expected: accuracy 78.71 +- 0.08 % with all labels;
  41.07, 34.46, 17.38, 9.98 % with 20, 13, 3, 1 labels per class.
Measured: not yet; the data were not at hand.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('supervised', 'wide_resnet', 'aid')
    config.batch_size = 64
    config.steps = 22_500  # 200 epochs of 7,200 training images
    config.log_every = 100
    config.evaluate_every = 500
    config.checkpoint_every = 1_000

    config.model.depth = 28
    config.model.width = 10
    config.model.norm = 'none'
    config.model.activation = 'leaky_relu'

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
