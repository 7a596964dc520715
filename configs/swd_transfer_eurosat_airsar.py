"""EO-to-SAR transfer between real sensors, from EuroSAT's colours to AIRSAR's radar, 32 labels.

Paper: "Land Use Prediction using Electro-Optical to SAR Few-Shot Transfer Learning" (Hussing et
  al., 2022), on another pair of sensors: Sentinel-2 over Europe, and L-band polarimetry from the
  air over San Francisco, split by blocks of ground. The classes are those that both sets have.
Command: python -m eojax.main --config=configs/swd_transfer_eurosat_airsar.py
  --config.data.root=airsar_san_francisco.tif --config.source.root=EuroSAT_RGB.zip
Expected: nothing is published for this pair.
Measured: 87.7 % +- 2.8 (five seeds), as the class shares of the two sets differ; weighed to
  estimated shares (--config.method.target_shares=estimated) 94.7 +- 1.1
  (benchmarks/results/transfer_study_eurosat_airsar_shares_cpu_2026-11-29.json). Fine-tuning and
  SAR-only, in their last states, 99.9 %
  (benchmarks/results/transfer_study_eurosat_airsar_cpu_2026-11-25.json).
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('swd_transfer', 'convnet', 'airsar', 'eurosat')
    config.batch_size = 32
    config.steps = 1_200
    config.log_every = 50
    config.evaluate_every = 250
    config.checkpoint_every = 250

    config.data.size = 32
    config.data.classes = 'water,urban,vegetation'
    config.data.labelled_in_all = 32
    config.source.size = 32
    config.source.classes = (
        'water=SeaLake+River,urban=Residential+Industrial+Highway,'
        'vegetation=Forest+HerbaceousVegetation+Pasture+PermanentCrop+AnnualCrop'
    )

    config.model.widths = (16, 32, 64)
    config.model.strides = (2, 2, 2)
    config.model.convolutions = 1
    config.model.norm = 'batch'

    config.method.source_steps = 400
    config.method.source_batch_size = 64
    config.method.augment = 'dihedral_shift'
    config.method.start_from_source = True
    config.method.alignment_weight = 64.0
    config.method.class_alignment_weight = 8.0
    config.method.embedding_size = 64
    config.method.average_decay = 0.99

    config.optimizer.learning_rate = 1e-3
    config.optimizer.warmup_steps = 50
    config.optimizer.schedule = 'cosine'

    # Early stopping, as in all that classify (docs/training.md): the state best in validation.
    config.evaluate.checkpoint = 'best'
    return config
