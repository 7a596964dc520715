"""Supervised SegNet on ISPRS Vaihingen: twelve tiles of near infrared, red and green, six classes.

Paper: the thesis of J. Castillo-Navarro, "Semi-supervised Learning for Large-scale Earth
  Observation Data Understanding", 2022, chapter 2.2: from 12 training tiles down to one, overall
  accuracy falls from about 90 to 78 %, mean IoU from 77 to 56 %: --config.data.labelled_in_all=6.
  It reports on the four validation tiles.
Command: python -m eojax.main --config=configs/segmentation_vaihingen.py \\
  --config.data.root=Vaihingen
Expected: about 90 % of the validation tiles' pixels; the 17 published test tiles come near.
Measured: not yet: the data set is given on request only.

Which tiles are for validation, optimiser, rate, batch and augmentation are not stated in the
thesis: the tiles are the usual ones of the literature around it, the rest is SegNet's.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('segmentation', 'segnet', 'vaihingen')
    config.batch_size = 10
    config.steps = 50_000
    config.log_every = 100
    config.evaluate_every = 5_000
    config.checkpoint_every = 2_000

    config.model.dtype = 'bfloat16'

    config.method.window = 256
    config.method.augment = 'dihedral'

    config.optimizer.name = 'sgd'
    config.optimizer.learning_rate = 0.01
    config.optimizer.weight_decay = 5e-4
    config.optimizer.warmup_steps = 500
    config.optimizer.schedule = 'cosine'

    config.evaluate.batch_size = 32
    return config
