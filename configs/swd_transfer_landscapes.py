"""EO-to-SAR transfer on drawn Local Climate Zones: four low-rise types, 32 labelled SAR patches.

Paper: "Land Use Prediction using Electro-Optical to SAR Few-Shot Transfer Learning" (Hussing et
  al., 2022), Figure 1, on the landscapes of `eojax.data.sets.landscape_zones`: RGB of some places
  as EO, the complex VV channel of other places as SAR, classes as frequent as in So2Sat. The
  paper states neither lambda nor eta: both are 1 here, on distances that are sums over a batch as
  in its Eq. 1, so that any number of zones may be named.
Command: python -m eojax.main --config=configs/swd_transfer_landscapes.py
  python -m eojax.apps.transfer_study --config=configs/swd_transfer_landscapes.py --labelled=32
Expected: above fine-tuning and SAR-only, as in the paper's Figure 1, which has no numbers.
Measured: 64.2 % +- 0.5 (standard error, five seeds; benchmarks/results/
  transfer_study_landscapes_zones_sums_five_seeds_cpu_2026-11-30.json), fine-tuning 58.9 +- 1.4,
  SAR-only 60.0 +- 1.4 (transfer_study_landscapes_lowrise_best_state_cpu_2026-11-30.json there).
  With So2Sat's class shares known to all three (method.expected_shares) the gain is gone:
  docs/transfer.md.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('swd_transfer', 'convnet', 'landscape_zones', 'landscape_zones')
    config.batch_size = 32
    config.steps = 1_200
    config.log_every = 50
    config.evaluate_every = 250
    config.checkpoint_every = 250

    config.data.sensor = 'sar'
    config.data.classes = 'compact low-rise,open low-rise,lightweight low-rise,large low-rise'
    config.data.num_images = 8_500
    config.data.frequencies = 'so2sat'
    config.data.labels_per_class = 'all'
    config.data.labelled_in_all = 32
    config.source.sensor = 'rgb'
    config.source.seed = 1
    config.source.classes = config.data.classes
    config.source.num_images = 8_500
    config.source.frequencies = 'so2sat'

    config.model.widths = (16, 32, 64)
    config.model.strides = (2, 2, 2)
    config.model.convolutions = 1
    config.model.norm = 'batch'

    config.method.source_steps = 400
    config.method.source_batch_size = 64
    config.method.augment = 'dihedral_shift'
    config.method.start_from_source = True
    config.method.sum_over_batch = True
    config.method.alignment_weight = 1.0
    config.method.class_alignment_weight = 1.0
    config.method.embedding_size = 64
    config.method.average_decay = 0.99

    config.optimizer.learning_rate = 1e-3
    config.optimizer.warmup_steps = 50
    config.optimizer.schedule = 'cosine'

    # Early stopping, as in all that classify (docs/training.md): the state best in validation.
    config.evaluate.checkpoint = 'best'
    return config
