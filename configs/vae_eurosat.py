"""Variational autoencoder on EuroSAT: the generative baseline beside the joint energy-based model.

Paper: "Energy-based Models in Earth Observation: from Generation to Semi-supervised Learning"
  (Castillo-Navarro et al., 2022), Table II, row VAE: "a standard VAE" of Kingma and Welling (2014),
  Adam, 200 epochs. The paper states neither its network nor its likelihood (`eojax.methods.vae`).
Command: python -m eojax.main --config=configs/vae_eurosat.py --config.data.root=EuroSAT.zip
  --config.evaluate.inception=inception_v3_fid.npz
Expected: FID 215.4 and KID 0.14, of a number of images that the paper does not state.
Measured: not yet at this size; it needs an accelerator.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('vae', 'convolutional_autoencoder', 'eurosat')
    config.batch_size = 64
    config.steps = 60_750  # 200 epochs of 19,440 training images
    config.log_every = 100
    config.evaluate_every = 1_000
    config.checkpoint_every = 1_000

    config.model.width = 64
    config.model.stages = 4
    config.model.blocks = 2
    config.model.latent = 256

    config.method.augment = 'dihedral'
    config.method.average_decay = 0.999

    config.optimizer.name = 'adam'
    config.optimizer.learning_rate = 3e-4
    config.optimizer.warmup_steps = 1_000
    config.optimizer.schedule = 'cosine'
    config.optimizer.clip_norm = 1.0

    config.evaluate.inception_images = 4_000
    return config
