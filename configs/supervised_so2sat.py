"""Wide-ResNet on So2Sat LCZ42 in true colour, supervised: the baseline of JEM.

Paper: "Energy-based Models in Earth Observation: from Generation to Semi-supervised Learning"
  (Castillo-Navarro et al., 2022), Table IV, column Wide-ResNet: WRN-28-10 "with no batch
  normalization", Adam, 200 epochs.
Command: python -m eojax.main --config=configs/supervised_so2sat.py --config.data.root=So2Sat
  With few labels: --config.data.labels_per_class=1000
Expected: accuracy 50.93 +- 0.16 % with all labels;
  44.17, 35.45, 30.90 % with 1,000, 200, 100 labels per class.
Measured: not yet; the data were not at hand.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('supervised', 'wide_resnet', 'so2sat')
    config.batch_size = 64
    config.steps = 991_029  # 200 epochs of 317,129 training images
    config.log_every = 100
    config.evaluate_every = 10_000
    config.checkpoint_every = 10_000

    config.data.validation_file = False  # 10 % of the training patches instead, as in the paper

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
