from __future__ import annotations

import json

import jax.numpy as jnp
import numpy as np
import pytest

from eojax.errors import UserError
from eojax.models import inception
from tests.real_data import real_data

Arrays = dict[str, np.ndarray]


def _conv(
    arrays: Arrays, x: np.ndarray, name: str, stride: int = 1, valid: bool = False
) -> np.ndarray:
    """Convolution as a sum over the kernel's taps, then batch norm and ReLU, in float64."""
    weight = arrays[f'{name}/weight'].astype(np.float64)
    rows, columns = weight.shape[2:]
    if not valid:
        x = np.pad(x, ((0, 0), (rows // 2,) * 2, (columns // 2,) * 2, (0, 0)))
    height = (x.shape[1] - rows) // stride + 1
    width = (x.shape[2] - columns) // stride + 1
    total = np.zeros((len(x), height, width, len(weight)))
    for i, j in np.ndindex(rows, columns):
        window = x[:, i : i + stride * height : stride, j : j + stride * width : stride]
        total += window[:, :height, :width] @ weight[:, :, i, j].T
    variance = arrays[f'{name}/var'] + 0.001
    total = (total - arrays[f'{name}/mean']) / np.sqrt(variance) + arrays[f'{name}/beta']
    return np.maximum(total, 0)


def _pool(x: np.ndarray, kind: str) -> np.ndarray:
    pad = 0 if kind == 'halve' else 1
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    if kind == 'halve':
        windows = windows[:, ::2, ::2]
    return (np.nanmean if kind == 'mean' else np.nanmax)(windows, axis=(-2, -1))


def _network(arrays: Arrays, x: np.ndarray) -> np.ndarray:
    """The features in NumPy, written block by block."""

    def chain(y: np.ndarray, prefix: str, *names: str) -> np.ndarray:
        for name in names:
            y = _conv(arrays, y, prefix + name)
        return y

    def join(*parts: np.ndarray) -> np.ndarray:
        return np.concatenate(parts, axis=-1)

    x = _conv(arrays, x, 'conv', stride=2, valid=True)
    x = _conv(arrays, x, 'conv_1', valid=True)
    x = _pool(_conv(arrays, x, 'conv_2'), 'halve')
    x = _pool(_conv(arrays, _conv(arrays, x, 'conv_3'), 'conv_4', valid=True), 'halve')
    for block in ('mixed/', 'mixed_1/', 'mixed_2/'):
        x = join(
            chain(x, block, 'conv'),
            chain(x, block, 'tower/conv', 'tower/conv_1'),
            chain(x, block, 'tower_1/conv', 'tower_1/conv_1', 'tower_1/conv_2'),
            chain(_pool(x, 'mean'), block, 'tower_2/conv'),
        )
    tower = chain(x, 'mixed_3/tower/', 'conv', 'conv_1')
    x = join(
        _conv(arrays, x, 'mixed_3/conv', stride=2, valid=True),
        _conv(arrays, tower, 'mixed_3/tower/conv_2', stride=2, valid=True),
        _pool(x, 'halve'),
    )
    for block in ('mixed_4/', 'mixed_5/', 'mixed_6/', 'mixed_7/'):
        x = join(
            chain(x, block, 'conv'),
            chain(x, f'{block}tower/', 'conv', 'conv_1', 'conv_2'),
            chain(x, f'{block}tower_1/', 'conv', 'conv_1', 'conv_2', 'conv_3', 'conv_4'),
            chain(_pool(x, 'mean'), block, 'tower_2/conv'),
        )
    tower, tower_1 = (
        chain(x, 'mixed_8/tower/', 'conv'),
        chain(x, 'mixed_8/tower_1/', 'conv', 'conv_1', 'conv_2'),
    )
    x = join(
        _conv(arrays, tower, 'mixed_8/tower/conv_1', stride=2, valid=True),
        _conv(arrays, tower_1, 'mixed_8/tower_1/conv_3', stride=2, valid=True),
        _pool(x, 'halve'),
    )
    for block, pooling in (('mixed_9/', 'mean'), ('mixed_10/', 'max')):
        tower = chain(x, block, 'tower_conv')
        tower_1 = chain(x, block, 'tower_1_conv', 'tower_1_conv_1')
        x = join(
            chain(x, block, 'conv'),
            chain(tower, block, 'tower_mixed_conv'),
            chain(tower, block, 'tower_mixed_conv_1'),
            chain(tower_1, block, 'tower_1_mixed_conv'),
            chain(tower_1, block, 'tower_1_mixed_conv_1'),
            chain(_pool(x, pooling), block, 'tower_2_conv'),
        )
    return x.mean(axis=(1, 2))


@pytest.fixture(scope='module')
def random_arrays() -> Arrays:
    generator = np.random.default_rng(0)
    arrays = {}
    for name, shape in inception.npz_shapes().items():
        if name.endswith('/weight'):
            scale = np.sqrt(2 / np.prod(shape[1:]))
            values = generator.standard_normal(shape, np.float32) * scale
            arrays[name] = values.astype(np.float16)
        elif name.endswith('/var'):
            arrays[name] = generator.uniform(0.5, 2, shape).astype(np.float32)
        else:
            arrays[name] = generator.normal(0, 0.2, shape).astype(np.float32)
    return arrays


@pytest.fixture(scope='module')
def random_params(random_arrays, tmp_path_factory) -> inception.Params:
    path = tmp_path_factory.mktemp('inception') / 'random.npz'
    np.savez(path, **random_arrays)
    return inception.load_inception(path)


def test_whole_network_against_numpy_on_random_weights(random_arrays, random_params):
    # 107 pixels leave maps of 11, 5 and 2 pixels.
    x = np.random.default_rng(1).uniform(-1, 1, (1, 107, 107, 3))
    expected = _network(random_arrays, x)
    assert expected.shape == (1, 2048)
    assert expected.std() > 0.1
    actual = inception.network(random_params, jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4 * expected.max())


@pytest.mark.parametrize('kind', ['mean', 'max', 'halve'])
def test_pooling_against_numpy(kind):
    x = np.random.default_rng(0).normal(-3, 1, (2, 7, 7, 3)).astype(np.float32)
    np.testing.assert_allclose(inception.pool(jnp.asarray(x), kind), _pool(x, kind), rtol=1e-5)


def test_features_do_not_depend_on_the_batch_they_are_in(random_params):
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 24, 3), dtype=np.uint8)
    together = inception.features(random_params, images, batch_size=2)
    assert together.shape == (3, 2048)
    assert together.dtype == np.float32
    assert together.std(axis=0).max() > 0.01
    alone = inception.features(random_params, images[2:].astype(np.float32), batch_size=2)
    np.testing.assert_allclose(together[2:], alone, rtol=1e-4, atol=1e-5)
    assert inception.features(random_params, images[:0]).shape == (0, 2048)


def test_resize_reads_at_the_pixel_s_corner_as_tensorflow_1_does():
    expected = [[1, 0], [0.5, 0.5], [0, 1], [0, 1]]
    np.testing.assert_array_equal(inception.resize_matrix(2, 4), expected)
    np.testing.assert_array_equal(inception.resize_matrix(299, 299), np.eye(299))
    np.testing.assert_array_equal(inception.resize_matrix(598, 299), np.eye(598)[::2])
    np.testing.assert_allclose(inception.resize_matrix(64, 299).sum(axis=1), 1, rtol=1e-6)


def test_preprocessing_resizes_rows_and_columns_and_scales():
    image = np.zeros((1, 2, 3, 3), np.uint8)
    image[0, 1, :, 0] = 255
    image[0, :, 2, 1] = 51
    x = np.asarray(inception.preprocess(jnp.asarray(image)))
    assert x.shape == (1, 299, 299, 3)
    np.testing.assert_allclose(x[0, [0, 298], 7, 0], [-1, 1])
    np.testing.assert_allclose(x[0, 150, 7, 0], 1, atol=1e-6)
    np.testing.assert_allclose(x[0, 5, [0, 298], 1], [-1, (51 - 127.5) / 127.5], atol=1e-6)
    np.testing.assert_allclose(x[..., 2], -1)


# Computed with PyTorch 2.13 from the same weights, the blocks of torchvision 0.28 (with poolings
# exchanged as the module's docstring says) and a resize by indexing; float32.
_FIRST_FEATURES = [
    [0.3254933, 0.1137570, 0.0712210, 0.3743747, 0.0244234, 0.2795351, 0.0794217, 0.1211639],
    [0.2633939, 0.0217909, 0.0, 0.0, 0.7798123, 0.0725982, 0.6249054, 0.0],
]
_SUM_OF_FEATURES = [571.93732, 482.00824]


def test_features_of_the_published_weights_against_another_implementation():
    params = inception.load_inception(real_data('inception_v3_fid.npz'))
    y, x, band = np.mgrid[0:64, 0:64, 0:3]
    ramp = (3 * x + y * (band + 1)) % 256
    waves = 128 + 100 * np.sin(0.2 * x * (band + 1)) * np.cos(0.13 * y)
    features = inception.features(params, np.stack([ramp, waves]).astype(np.uint8))
    np.testing.assert_allclose(features[:, :8], _FIRST_FEATURES, rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(features.sum(axis=1), _SUM_OF_FEATURES, rtol=1e-5)


def test_layers_are_those_of_the_published_graph():
    published = json.loads(real_data('inception_v3_fid_layers.json').read_text())
    ours: dict[str, object] = {}
    for name, layer in inception.LAYERS.items():
        rows, columns = ((size // 2 if layer.padding == 'SAME' else 0) for size in layer.kernel)
        ours[f'net/layers/{name}/stride'] = layer.stride
        ours[f'net/layers/{name}/padding'] = rows if rows == columns else [[rows, columns]]
    assert ours == published


def test_another_npz_is_refused_in_one_line(tmp_path):
    def refused(path) -> str:
        with pytest.raises(UserError) as caught:
            inception.load_inception(path)
        message = str(caught.value)
        assert str(path) in message
        assert '\n' not in message
        return message

    def save(array: np.ndarray) -> None:
        np.savez(path, allow_pickle=True, **{'conv/weight': array})

    path = tmp_path / 'weights.npz'
    assert 'no such file' in refused(path)
    path.write_bytes(b'not an archive')
    assert 'cannot be read' in refused(path)
    with path.open('wb') as file:
        np.save(file, np.zeros(3))
    assert 'cannot be read' in refused(path)
    save(np.array([{}], dtype=object))
    assert 'cannot be read' in refused(path)
    save(np.zeros((32, 3, 5, 5), np.float32))
    assert "'conv/weight' is float32 (32, 3, 5, 5)" in refused(path)
    save(np.full((32, 3, 3, 3), np.nan, np.float32))
    assert 'not finite' in refused(path)
    save(np.zeros((32, 3, 3, 3), np.float32))
    assert "no array 'conv/beta'" in refused(path)


@pytest.mark.parametrize('shape', [(2, 8, 8, 4), (8, 8, 3)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match='images must be'):
        inception.features({}, np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match='uint8 or floating'):
        inception.features({}, np.zeros((1, 8, 8, 3), np.int32))


def test_images_of_another_range_are_refused():
    with pytest.raises(ValueError, match='black to white is 0 to 255'):
        inception.features({}, np.random.default_rng(0).random((2, 8, 8, 3), np.float32))
