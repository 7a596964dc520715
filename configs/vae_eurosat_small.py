"""Variational autoencoder on EuroSAT at 32 px: the generative baseline, for two CPU cores.

Paper: "Energy-based Models in Earth Observation: from Generation to Semi-supervised Learning"
  (Castillo-Navarro et al., 2022), Table II, row VAE, with a smaller network.
Command: python -m eojax.main --config=configs/vae_eurosat_small.py
  --config.data.root=EuroSAT_RGB.zip --config.evaluate.inception=inception_v3_fid.npz
Expected: FID and KID above those of configs/jem_eurosat_small.py, as in the paper.
Measured: FID 242.3, KID 0.212 of 500 images, where the joint model has 147.8 and 0.063
  (benchmarks/results/papers_001_table_II_eurosat_small_cpu_2026-11-30.json); AUROC of log p(x)
  1.000 (noise), 0.893 (constant); 59 minutes on one busy core.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('vae', 'convolutional_autoencoder', 'eurosat')
    config.batch_size = 64
    config.steps = 3_000
    config.log_every = 50
    config.evaluate_every = 500
    config.checkpoint_every = 500

    config.data.size = 32

    config.model.width = 16
    config.model.stages = 3
    config.model.latent = 128

    config.method.augment = 'dihedral'
    config.method.average_decay = 0.99

    config.optimizer.learning_rate = 2e-3
    config.optimizer.warmup_steps = 100
    config.optimizer.schedule = 'cosine'
    config.optimizer.clip_norm = 1.0
    return config
