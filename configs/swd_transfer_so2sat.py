"""EO-to-SAR transfer on So2Sat LCZ42: four low-rise zones, 32 labelled SAR patches.

Paper: "Land Use Prediction using Electro-Optical to SAR Few-Shot Transfer Learning" (Hussing et
  al., 2022), Figure 1: RGB of Sentinel-2 as EO, real and imaginary part of the unfiltered VV
  channel of Sentinel-1 as SAR, the published splits. The paper states neither network nor schedule,
  neither lambda nor eta: both are 1 here, on distances that are sums over a batch as in its Eq. 1.
Command: python -m eojax.main --config=configs/swd_transfer_so2sat.py
  --config.data.root=So2Sat --config.source.root=So2Sat
  --config.data.labelled_in_all=128 (0 for all); --config.data.classes and --config.source.classes
  for other zones, or eojax.studies.transfer_study.command for all of the paper's experiments.
Expected: the paper's figures have no numbers; above fine-tuning and SAR-only with few labels.
Measured: not yet; the data were not at hand.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('swd_transfer', 'convnet', 'so2sat', 'so2sat')
    config.batch_size = 32
    config.steps = 20_000
    config.log_every = 100
    config.evaluate_every = 2_000
    config.checkpoint_every = 2_000

    low_rise = 'compact low-rise,open low-rise,lightweight low-rise,large low-rise'
    config.data.sensor = 'vv'
    config.data.classes = low_rise
    config.data.labelled_in_all = 32
    config.source.sensor = 'rgb'
    config.source.classes = low_rise

    config.model.widths = (64, 128, 256)
    config.model.strides = (1, 2, 2)
    config.model.convolutions = 2
    config.model.norm = 'instance'

    config.method.source_steps = 10_000
    config.method.source_batch_size = 128
    config.method.augment = 'dihedral_shift'
    config.method.start_from_source = True
    config.method.embedding_size = 128
    config.method.sum_over_batch = True
    config.method.alignment_weight = 1.0
    config.method.class_alignment_weight = 1.0
    config.method.average_decay = 0.999

    config.optimizer.learning_rate = 1e-3
    config.optimizer.warmup_steps = 500
    config.optimizer.schedule = 'cosine'

    # Early stopping, as in all that classify (docs/training.md): the state best in validation.
    config.evaluate.checkpoint = 'best'
    return config
