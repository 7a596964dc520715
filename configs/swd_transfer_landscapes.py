"""EO-to-SAR transfer on drawn Local Climate Zones: four low-rise types, 32 labelled SAR patches.

Paper: "Land Use Prediction using Electro-Optical to SAR Few-Shot Transfer Learning" (Hussing et
  al., 2022), Figure 1, on the landscapes of `eojax.data.landscape_zones`: RGB of some places as EO,
  the complex VV channel of other places as SAR.
Command: python -m eojax.main --config=configs/swd_transfer_landscapes.py
Expected: above configs' fine-tuning and SAR-only (the paper's order; its figures have no numbers).
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('swd_transfer', 'convnet', 'landscape_zones', 'landscape_zones')
    config.batch_size = 32
    config.steps = 1_500
    config.log_every = 50
    config.evaluate_every = 250
    config.checkpoint_every = 250

    config.data.sensor = 'sar'
    config.data.classes = 'compact low-rise,open low-rise,lightweight low-rise,large low-rise'
    config.data.num_images = 6_800
    config.data.labels_per_class = 'all'
    config.data.labelled_in_all = 32
    config.source.sensor = 'rgb'
    config.source.seed = 1
    config.source.classes = config.data.classes
    config.source.num_images = 6_800

    config.model.widths = (16, 32, 64)
    config.model.strides = (2, 2, 2)
    config.model.convolutions = 1
    config.model.norm = 'instance'

    config.method.source_steps = 500
    config.method.source_batch_size = 64
    config.method.augment = 'dihedral'
    config.method.embedding_size = 64
    config.method.average_decay = 0.99

    config.optimizer.learning_rate = 1e-3
    config.optimizer.warmup_steps = 50
    config.optimizer.schedule = 'cosine'
    return config
