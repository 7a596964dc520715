"""Wide-ResNet on 100 labelled EuroSAT images at 32 px: the baseline of the methods with few labels.

Paper: "Energy-based Models in Earth Observation: from Generation to Semi-supervised Learning"
  (Castillo-Navarro et al., 2022), Table III, column Wide-ResNet, with a smaller network.
Command: python -m eojax.main --config=configs/supervised_eurosat_small.py
  --config.data.root=EuroSAT_RGB.zip
Expected: 52.33 % is published with 10 labels per class, at 64 px.
Measured: accuracy 64.9, 66.8 and 63.7 % (seeds 0 to 2), 2026-11-25
  (benchmarks/results/label_efficiency_eurosat_small_average_teacher_cpu_2026-11-25.json).
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('supervised', 'wide_resnet', 'eurosat')
    config.batch_size = 64
    config.steps = 600
    config.log_every = 50
    config.evaluate_every = 100
    config.checkpoint_every = 500

    config.data.size = 32
    config.data.labels_per_class = '10'

    config.model.depth = 10
    config.model.width = 1
    config.model.norm = 'group'
    config.model.activation = 'swish'

    config.method.augment = 'dihedral_shift'
    config.method.average_decay = 0.999

    config.optimizer.name = 'sgd'
    config.optimizer.learning_rate = 0.03
    config.optimizer.weight_decay = 5e-4
    config.optimizer.schedule = 'cosine'
    config.optimizer.cosine_cycles = 7 / 32
    config.optimizer.warmup_steps = 100
    config.optimizer.clip_norm = 5.0

    # Early stopping, as in all that classify (docs/training.md): the state best in validation.
    config.evaluate.checkpoint = 'best'
    return config
