"""Supervised U-Net on the Christchurch Aerial Semantic Dataset: two images to learn from.

Paper: the thesis of J. Castillo-Navarro, "Semi-supervised Learning for Large-scale Earth
  Observation Data Understanding", 2022, Table 3.5: supervised, overall accuracy 81.06 +- 0.46 %,
  mean IoU 67.43 +- 0.49 % over four runs; 50 pseudo-epochs of 5,000 steps. With an unsupervised
  loss beside it 83.03 and 70.82 %.
Command: python -m eojax.main --config=configs/segmentation_christchurch.py \\
  --config.data.root=CASD
Expected: the numbers of Table 3.5 within a point or two.
Measured: not yet: how the published files are named is documented nowhere.

So state the patterns and the values of your copy's masks below: those here are an example. Two of
the four images with masks are for the test, and for validation as in the thesis; it does not say
which: `data.test_groups` names them, else two are drawn. Optimiser, rate, batch and augmentation
are not stated either: those here are U-Net's (momentum) with a smaller rate and usual sizes.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('segmentation', 'unet', 'christchurch')
    config.batch_size = 16
    config.steps = 250_000
    config.log_every = 100
    config.evaluate_every = 25_000
    config.checkpoint_every = 5_000

    config.data.images_pattern = 'images/{group}.*'
    config.data.masks_pattern = 'masks/{group}.*'
    config.data.mask_values = '0=background,1=building,2=car,3=vegetation'

    config.model.width = 64
    config.model.depth = 4
    config.model.dtype = 'bfloat16'

    config.method.window = 256
    config.method.augment = 'dihedral'

    config.optimizer.name = 'sgd'
    config.optimizer.learning_rate = 0.02
    config.optimizer.weight_decay = 1e-4
    config.optimizer.warmup_steps = 1_000
    config.optimizer.schedule = 'cosine'

    config.evaluate.batch_size = 32
    return config
