"""The autoencoder's shapes, its sizes, and that an image stands for itself."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from eojax.config.base import base_config, check_config
from eojax.errors import UserError
from eojax.models import convolutional_autoencoder
from eojax.models.convolutional_autoencoder import Autoencoder, doubled


def network(shape: tuple[int, int, int], **options: Any) -> Autoencoder:
    config = base_config('vae', 'convolutional_autoencoder')
    config.model.update({'width': 4, 'stages': 2, 'latent': 6, **options})
    built = convolutional_autoencoder.build(config.model, shape)
    encoder, decoder = (
        part._replace(apply=jax.jit(part.apply)) for part in (built.encoder, built.decoder)
    )
    return built._replace(encoder=encoder, decoder=decoder)


@pytest.mark.parametrize(
    ('size', 'bands', 'options'),
    [(8, 3, {}), (16, 1, {'stages': 3, 'norm': 'none'}), (8, 13, {'dtype': 'bfloat16'})],
)
def test_any_band_count_there_and_back(size: int, bands: int, options: dict[str, Any]):
    shape = (size, size, bands)
    built = network(shape, **options)
    images = random.uniform(random.key(1), (3, *shape), minval=-1.0, maxval=1.0)
    parameters = built.init(random.key(0), images)
    assert {leaf.dtype for leaf in jax.tree.leaves(parameters)} == {jnp.dtype(jnp.float32)}
    means, log_variances = built.encode(parameters, images)
    assert means.shape == log_variances.shape == (3, 6)
    # q(z|x) begins near the prior, and different for different images.
    assert np.abs(means).max() < 1.0
    assert np.abs(log_variances).max() < 1.0
    assert means.std(0).max() > 1e-4
    again = built.decode(parameters, random.normal(random.key(2), (3, 6)))
    assert again.shape == (3, *shape)
    assert again.dtype == means.dtype == jnp.float32
    assert np.std(again, 0).max() > 1e-3


@pytest.mark.parametrize('norm', convolutional_autoencoder.NORMS)
def test_an_image_does_not_see_the_others_of_its_batch(norm: str):
    built = network((8, 8, 2), norm=norm)
    images = random.uniform(random.key(1), (3, 8, 8, 2), minval=-1.0, maxval=1.0)
    parameters = built.init(random.key(0), images)
    together, _ = built.encode(parameters, images)
    others, _ = built.encode(parameters, images.at[1:].multiply(0.3))
    np.testing.assert_allclose(together[0], others[0], atol=1e-5)
    assert np.abs(together[1] - others[1]).max() > 1e-4


def test_features_double_up_to_eight_times_the_first():
    config = base_config('vae', 'convolutional_autoencoder')
    config.model.update({'width': 2, 'stages': 5, 'latent': 3})
    built = convolutional_autoencoder.build(config.model, (32, 32, 3))
    shapes = jax.eval_shape(built.init, random.key(0), jnp.zeros((1, 32, 32, 3)))
    widths = [shapes['encoder'][f'stage{i}_block1']['conv2']['kernel'].shape[-1]
              for i in range(1, 6)]  # fmt: skip
    assert widths == [2, 4, 8, 16, 16]
    assert shapes['decoder']['stem']['kernel'].shape == (3, 16)  # a map of one pixel
    assert shapes['encoder']['moments']['kernel'].shape == (16, 6)


def test_doubling_repeats_each_pixel():
    x = np.arange(12.0).reshape(1, 2, 3, 2)
    np.testing.assert_array_equal(doubled(jnp.asarray(x)), x.repeat(2, 1).repeat(2, 2))


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('model.width', 0, 'model.width must be at least 1'),
        ('model.norm', 'batch', "unknown model.norm 'batch'"),
        ('model.activation', 'swich', "did you mean 'swish'"),
        ('model.dtype', 'float16', 'unknown model.dtype'),
        ('data.size', 24, 'data.size must be divisible by 16'),
    ],
)
def test_networks_that_do_not_exist_are_refused(key: str, value: Any, message: str):
    config = base_config('vae', 'convolutional_autoencoder', 'landscapes')
    check_config(config)
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=message):
        check_config(config)


def test_a_method_and_a_network_that_do_not_fit_are_one_line():
    fitting = 'model.name must be convnet or resnet or wide_resnet'
    with pytest.raises(UserError, match=f"'jem' does not train a conv.*encoder: {fitting}"):
        check_config(base_config('jem', 'convolutional_autoencoder', 'landscapes'))
    with pytest.raises(
        UserError, match=r"'vae' does not .*: model\.name must be convolutional_autoencoder"
    ):
        check_config(base_config('vae', 'wide_resnet', 'landscapes'))
    with pytest.raises(UserError, match=r"'berundanet' does not .* must be wide_resnet"):
        check_config(base_config('berundanet', 'convolutional_autoencoder', 'landscapes'))
