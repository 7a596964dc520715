"""FixMatch on So2Sat LCZ42 with few labels, in true colour.

Paper: "Semi-supervised Learning for Large-scale Earth Observation Data Understanding"
  (Castillo-Navarro, 2022), section 3.3, Table 3.6, with the recipe of configs/fixmatch_eurosat.py.
Command: python -m eojax.main --config=configs/fixmatch_so2sat.py --config.data.root=So2Sat
Expected: accuracy 63.00, 61.68, 60.41, 56.51 % with all, 1,000, 200, 100 labels per class.
Measured: not yet; the data were not at hand.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('fixmatch', 'wide_resnet', 'so2sat')
    config.batch_size = 64
    config.steps = 100_000  # FixMatch has 2 ** 20
    config.log_every = 100
    config.evaluate_every = 2_000
    config.checkpoint_every = 2_000

    config.data.labels_per_class = '100'
    config.data.validation_file = False  # 10 % of the training patches instead, as in the thesis

    config.model.depth = 28
    config.model.width = 2
    config.model.norm = 'batch'
    config.model.norm_momentum = 0.999
    config.model.activation = 'leaky_relu'

    config.method.augment = 'flips_shift'
    config.method.unlabelled_ratio = 7

    config.optimizer.name = 'sgd'
    config.optimizer.learning_rate = 0.03
    config.optimizer.momentum = 0.9
    config.optimizer.weight_decay = 5e-4
    config.optimizer.schedule = 'cosine'
    config.optimizer.cosine_cycles = 7 / 32

    # Early stopping, as in all that classify (docs/training.md): the state best in validation.
    config.evaluate.checkpoint = 'best'
    return config
