"""FixMatch and the joint energy-based model as one network, end to end, on EuroSAT with few labels.

Paper: "Semi-supervised Learning for Large-scale Earth Observation Data Understanding"
  (Castillo-Navarro, 2022), section 4.3.5, which proposes L = L_sup + L_consistency + L_ML and
  leaves it as future work. FixMatch's network, batches and rate (section 3.3), the chains of JEM.
Command: python -m eojax.main --config=configs/fixmatch_jem_eurosat.py
  --config.data.root=EuroSAT.zip
Expected: nothing is published; FixMatch alone has 94.95 % with 10 labels per class, JEM 61.60 %
  (Table 4.3), the two after one another 84.89 % (Table 4.5).
Measured: not yet at this size; it needs an accelerator. What holds at 32 px on two CPU cores is in
  configs/fixmatch_jem_eurosat_small.py.
"""

from ml_collections import ConfigDict

from eojax.config import base_config


def get_config() -> ConfigDict:
    config = base_config('fixmatch_jem', 'wide_resnet', 'eurosat')
    config.batch_size = 64
    config.steps = 100_000
    config.log_every = 100
    config.evaluate_every = 2_000
    config.checkpoint_every = 2_000

    config.data.labels_per_class = '10'

    config.model.depth = 28
    config.model.width = 2
    # An image's energy is then its own, and one pass serves all three terms.
    config.model.norm = 'group'
    config.model.activation = 'swish'
    config.model.density_head = True
    config.model.density_alone = True

    first = config.fixmatch
    first.steps = 50_000
    first.optimizer.name = 'sgd'
    first.optimizer.learning_rate = 0.03
    first.optimizer.weight_decay = 5e-4
    first.optimizer.schedule = 'cosine'
    first.optimizer.cosine_cycles = 7 / 32

    config.method.likelihood_batch_size = 64
    config.method.likelihood_weight = 0.02
    config.method.energy_l2 = 1e-3
    config.method.score_matching_steps = 5_000
    config.method.score_matching_weight = 0.5
    config.method.score_matching_noise = (0.1, 0.6)
    config.method.score_matching_batch_size = 64

    config.sampler.steps = 20
    config.sampler.step_size = 0.5
    config.sampler.noise = 0.02
    config.sampler.clamp = 1.0
    config.sampler.clamp_gradient = 1.0
    config.sampler.buffer_size = 10_000
    config.sampler.buffer_parts = 8  # for up to 8 devices, each drawing from parts of its own
    config.sampler.start = 'gaussian'
    config.sampler.start_by_class = False  # ten images say little of a class's texture
    config.sampler.start_uniform_share = 0.1

    config.optimizer.name = 'adam'
    config.optimizer.learning_rate = 5e-4
    config.optimizer.warmup_steps = 1_000
    config.optimizer.schedule = 'cosine'
    config.optimizer.clip_norm = 5.0

    # The last state: the joint phase begins with a classifier, whose accuracy is highest before the
    # density is learnt (docs/training.md).
    config.evaluate.checkpoint = 'last'
    return config
