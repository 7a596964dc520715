"""Supervised U-Net on MiniFrance: two labelled cities, eight unseen ones for the test.

Paper: the thesis of J. Castillo-Navarro, "Semi-supervised Learning for Large-scale Earth
  Observation Data Understanding", 2022, Table 3.1: supervised U-Net, overall accuracy 46.30 %, mean
  IoU 18.18 %. The oracle there, 57.71 % and 25.25 %, knows the labels of all eight training cities:
  --config.data.labels=all. Chapter 2.2.2 takes a tenth of each city (52.40 / 15.79 % with all of
  them, 50.14 / 15.25 % so): --config.data.labels=all --config.data.labelled_share=0.1; or one city:
  --config.data.labelled_groups=Caen.
Command: python -m eojax.main --config=configs/segmentation_minifrance.py \\
  --config.data.root=MiniFrance
  For tinyMiniFrance, drawn by a rule of our own, name 'tiny_minifrance' in its place below.
Expected: the numbers of Table 3.1 within a few points.
Measured: not yet: the data set is larger than the machines at hand.

The thesis trains 450 pseudo-epochs whose length it does not state, and states neither optimiser,
rate, batch nor augmentation: those here are U-Net's (momentum) with a smaller rate and usual sizes.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('segmentation', 'unet', 'minifrance')
    config.batch_size = 32
    config.steps = 100_000
    config.log_every = 100
    config.evaluate_every = 10_000
    config.checkpoint_every = 2_000

    # Tiles are streamed in windows: there are 600 GB of them.
    config.data.workers = 8

    config.model.width = 64
    config.model.depth = 4
    config.model.dtype = 'bfloat16'

    config.method.window = 256
    config.method.evaluation_window = 1000
    config.method.augment = 'dihedral'

    config.optimizer.name = 'sgd'
    config.optimizer.learning_rate = 0.02
    config.optimizer.weight_decay = 1e-4
    config.optimizer.warmup_steps = 1_000
    config.optimizer.schedule = 'cosine'

    config.evaluate.batch_size = 16
    return config
