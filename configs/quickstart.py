"""placeholder"""
from eojax.config import base_config


def get_config():
    config = base_config('jem', 'wide_resnet', 'landscapes')
    config.steps = 30
    config.log_every = 5
    config.evaluate_every = 10
    config.checkpoint_every = 10
    config.data.size = 16
    config.data.num_images = 400
    config.model.depth = 10
    config.model.width = 1
    config.model.activation = 'swish'
    config.model.density_head = True
    config.method.likelihood_batch_size = 16
    config.method.score_matching_weight = 1.0
    config.method.supervised_steps = 10
    config.batch_size = 16
    config.sampler.buffer_size = 100
    config.sampler.start = 'gaussian'
    config.sampler.steps = 3
    return config
