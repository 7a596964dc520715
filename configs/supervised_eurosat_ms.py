"""Wide-ResNet on all 13 bands of Sentinel-2, supervised: EuroSAT as the satellite sees it.

Paper: "EuroSAT: A Novel Dataset and Deep Learning Benchmark for Land Use and Land Cover
  Classification" (Helber et al., 2019), with the network and the splits of
  configs/supervised_eurosat.py in a smaller width.
Command: python -m eojax.main --config=configs/supervised_eurosat_ms.py \
  --config.data.root=EuroSATallBands.zip
  Fewer bands, in any order: --config.data.bands=B04,B03,B02. Streamed from disk instead of resident
  (2.9 GB decoded): --config.data.resident_gigabytes=1.0.
Expected: no published number for this network; the paper's ResNet-50, pretrained on ImageNet and
  fine-tuned on red, green and blue, is at 98.57 %.
Measured: not yet; it needs an accelerator.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('supervised', 'wide_resnet', 'eurosat_ms')
    config.batch_size = 64
    config.steps = 60_750  # 200 epochs of 19,440 training images
    config.log_every = 100
    config.evaluate_every = 500
    config.checkpoint_every = 1_000

    config.data.bands = 'all'

    config.model.depth = 28
    config.model.width = 2
    config.model.norm = 'batch'
    config.model.activation = 'relu'

    config.method.augment = 'dihedral_shift'

    config.optimizer.name = 'adam'
    config.optimizer.learning_rate = 1e-3
    config.optimizer.warmup_steps = 1_000
    config.optimizer.schedule = 'cosine'

    # Early stopping, as in all that classify (docs/training.md): the state best in validation.
    config.evaluate.checkpoint = 'best'
    return config
