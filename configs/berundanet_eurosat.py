"""BerundaNet on EuroSAT with few labels: classification and, on all images, reconstruction.

Paper: "Energy-based Models in Earth Observation: from Generation to Semi-supervised Learning"
  (Castillo-Navarro et al., 2022), Table III, column BerundaNet; the method is of section 3.2 of
  "Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
  2022). Encoder and recipe are those of configs/supervised_eurosat.py, so that the second head is
  what differs; the paper states neither decoder nor lambda (`eojax.methods.berundanet`).
Command: python -m eojax.main --config=configs/berundanet_eurosat.py --config.data.root=EuroSAT.zip
Expected: accuracy 46.84 +- 1.83 % with 10 labels per class; 96.90, 74.78, 54.25, 39.80, 32.77 %
  with all, 100, 20, 5, 1 (--config.data.labels_per_class). Wide-ResNet alone: 52.33 % with 10.
Measured: not yet at this size; it needs an accelerator.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('berundanet', 'wide_resnet', 'eurosat')
    config.batch_size = 64
    config.steps = 60_750  # 200 epochs of 19,440 training images
    config.log_every = 100
    config.evaluate_every = 500
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
