"""The Inception-v3 features that FID and KID are defined on: the TensorFlow graph of 2015-12-05.

Sources: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016 (the
network); Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
Equilibrium", 2017 (its last spatial means as features).

This network is not the Inception-v3 of the model zoos: its batch norm has no gamma (epsilon 1e-3),
its average pooling leaves the padding out of the mean, and its very last block pools by maximum.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from tqdm import tqdm

from eojax.errors import UserError

INPUT_SIZE = 299  # pixels; every image is resized to it
NUM_FEATURES = 2048
EPSILON = 1e-3  # of the batch norm
_NPZ_ENTRIES = ('weight', 'beta', 'mean', 'var')


class Layer(NamedTuple):
    """One convolution with batch norm and ReLU.

    Attributes:
      kernel: height and width in pixels.
      inputs, outputs: channels.
      stride: in pixels, both ways.
      padding: 'SAME' (all of these have stride 1) or 'VALID'.
    """

    kernel: tuple[int, int]
    inputs: int
    outputs: int
    stride: int = 1
    padding: str = 'SAME'


class Convolution(NamedTuple):
    """A layer's parameters with the batch norm folded in: `relu(conv(x, kernel) + bias)`.

    Attributes:
      kernel: float32 `[height, width, inputs, outputs]`.
      bias: float32 `[outputs]`.
    """

    kernel: jax.Array
    bias: jax.Array


Params = dict[str, Convolution]


def _block_35(name: str, inputs: int, pooled: int) -> dict[str, Layer]:
    """The layers of a block on the 35 x 35 map."""
    return {
        f'{name}/conv': Layer((1, 1), inputs, 64),
        f'{name}/tower/conv': Layer((1, 1), inputs, 48),
        f'{name}/tower/conv_1': Layer((5, 5), 48, 64),
        f'{name}/tower_1/conv': Layer((1, 1), inputs, 64),
        f'{name}/tower_1/conv_1': Layer((3, 3), 64, 96),
        f'{name}/tower_1/conv_2': Layer((3, 3), 96, 96),
        f'{name}/tower_2/conv': Layer((1, 1), inputs, pooled),
    }


def _block_17(name: str, width: int) -> dict[str, Layer]:
    """The layers of a block of 7-pixel rows and columns on the 17 x 17 map."""
    return {
        f'{name}/conv': Layer((1, 1), 768, 192),
        f'{name}/tower/conv': Layer((1, 1), 768, width),
        f'{name}/tower/conv_1': Layer((1, 7), width, width),
        f'{name}/tower/conv_2': Layer((7, 1), width, 192),
        f'{name}/tower_1/conv': Layer((1, 1), 768, width),
        f'{name}/tower_1/conv_1': Layer((7, 1), width, width),
        f'{name}/tower_1/conv_2': Layer((1, 7), width, width),
        f'{name}/tower_1/conv_3': Layer((7, 1), width, width),
        f'{name}/tower_1/conv_4': Layer((1, 7), width, 192),
        f'{name}/tower_2/conv': Layer((1, 1), 768, 192),
    }


def _block_8(name: str, inputs: int) -> dict[str, Layer]:
    """The layers of a block on the 8 x 8 map; two of its towers fork at their ends."""
    return {
        f'{name}/conv': Layer((1, 1), inputs, 320),
        f'{name}/tower_conv': Layer((1, 1), inputs, 384),
        f'{name}/tower_mixed_conv': Layer((1, 3), 384, 384),
        f'{name}/tower_mixed_conv_1': Layer((3, 1), 384, 384),
        f'{name}/tower_1_conv': Layer((1, 1), inputs, 448),
        f'{name}/tower_1_conv_1': Layer((3, 3), 448, 384),
        f'{name}/tower_1_mixed_conv': Layer((1, 3), 384, 384),
        f'{name}/tower_1_mixed_conv_1': Layer((3, 1), 384, 384),
        f'{name}/tower_2_conv': Layer((1, 1), inputs, 192),
    }


LAYERS: dict[str, Layer] = {
    'conv': Layer((3, 3), 3, 32, stride=2, padding='VALID'),
    'conv_1': Layer((3, 3), 32, 32, padding='VALID'),
    'conv_2': Layer((3, 3), 32, 64),
    'conv_3': Layer((1, 1), 64, 80),
    'conv_4': Layer((3, 3), 80, 192, padding='VALID'),
    **_block_35('mixed', 192, 32),
    **_block_35('mixed_1', 256, 64),
    **_block_35('mixed_2', 288, 64),
    'mixed_3/conv': Layer((3, 3), 288, 384, stride=2, padding='VALID'),
    'mixed_3/tower/conv': Layer((1, 1), 288, 64),
    'mixed_3/tower/conv_1': Layer((3, 3), 64, 96),
    'mixed_3/tower/conv_2': Layer((3, 3), 96, 96, stride=2, padding='VALID'),
    **_block_17('mixed_4', 128),
    **_block_17('mixed_5', 160),
    **_block_17('mixed_6', 160),
    **_block_17('mixed_7', 192),
    'mixed_8/tower/conv': Layer((1, 1), 768, 192),
    'mixed_8/tower/conv_1': Layer((3, 3), 192, 320, stride=2, padding='VALID'),
    'mixed_8/tower_1/conv': Layer((1, 1), 768, 192),
    'mixed_8/tower_1/conv_1': Layer((1, 7), 192, 192),
    'mixed_8/tower_1/conv_2': Layer((7, 1), 192, 192),
    'mixed_8/tower_1/conv_3': Layer((3, 3), 192, 192, stride=2, padding='VALID'),
    **_block_8('mixed_9', 1280),
    **_block_8('mixed_10', 2048),
}


def npz_shapes() -> dict[str, tuple[int, ...]]:
    """The name and shape of every array in an npz of these weights (`weight` is OIHW)."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, layer in LAYERS.items():
        shapes[f'{name}/weight'] = (layer.outputs, layer.inputs, *layer.kernel)
        shapes.update({f'{name}/{entry}': (layer.outputs,) for entry in _NPZ_ENTRIES[1:]})
    return shapes


def load_inception(path: str | Path) -> Params:
    """Reads the weights from an npz as `eojax.apps.convert_inception` writes it.

    Args:
      path: npz with `<layer>/weight` `[outputs, inputs, height, width]` and `<layer>/beta`, `mean`,
        `var` `[outputs]` for each of the 94 `LAYERS`, float16 or float32.

    Returns:
      A `Convolution` in float32 for each layer's name.

    Raises:
      UserError: the file is absent, is no npz, or does not hold this network.
    """
    arrays = _read_npz(Path(path))
    for name, shape in npz_shapes().items():
        if name not in arrays:
            raise UserError(
                f'{path}: no array {name!r}; these are not the FID Inception weights '
                '(make them with python -m eojax.apps.convert_inception)'
            )
        if arrays[name].shape != shape or arrays[name].dtype.kind != 'f':
            raise UserError(
                f'{path}: {name!r} is {arrays[name].dtype} {arrays[name].shape}, expected floating '
                f'point {shape}; these are not the FID Inception weights'
            )
        if not np.isfinite(arrays[name]).all():
            raise UserError(f'{path}: {name!r} holds values that are not finite; it is broken')
    return {name: _fold(*(arrays[f'{name}/{entry}'] for entry in _NPZ_ENTRIES)) for name in LAYERS}


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise UserError(f'{path}: no such file; give the npz of the FID Inception weights')
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise ValueError('a single array')
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (ValueError, EOFError, OSError, KeyError, zipfile.BadZipFile) as error:
        reason = ' '.join(str(error).split())
        raise UserError(
            f'{path}: cannot be read as an npz of the FID Inception weights ({reason})'
        ) from error


def _fold(weight: np.ndarray, beta: np.ndarray, mean: np.ndarray, var: np.ndarray) -> Convolution:
    """Batch norm without gamma, `(x - mean) / sqrt(var + EPSILON) + beta`, put into the kernel."""
    scale = 1.0 / np.sqrt(var.astype(np.float64) + EPSILON)
    kernel = weight.astype(np.float64).transpose(2, 3, 1, 0) * scale
    bias = beta - mean * scale
    return Convolution(jnp.asarray(kernel, jnp.float32), jnp.asarray(bias, jnp.float32))


def features(
    params: Params, images: np.ndarray, *, batch_size: int = 16, progress: bool = False
) -> np.ndarray:
    """The 2,048 Inception features of each image.

    Images of any size are resized to 299 x 299 by the bilinear interpolation of the original graph
    (see `resize_matrix`) and scaled by `(x - 127.5) / 127.5`. All arithmetic is float32.

    Args:
      params: from `load_inception`.
      images: `[num, height, width, 3]`, red, green and blue from 0 to 255; uint8 or floating point.
      batch_size: images per compiled call; the last call is filled up, so nothing recompiles.
      progress: whether to show a progress bar.

    Returns:
      float32 `[num, 2048]`.

    Raises:
      ValueError: the images have another shape, type or range.
    """
    if images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(f'images must be [num, height, width, 3], got {images.shape}')
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise ValueError(f'images must be uint8 or floating point, got {images.dtype}')
    floats = images.dtype != np.uint8
    if floats and np.abs(images).max(initial=0.0) <= 1.0 and (images % 1.0).any():
        raise ValueError('images lie in [0, 1] or [-1, 1], and black to white is 0 to 255 here')
    batch_size = max(1, min(batch_size, len(images)))
    outputs = [np.zeros((0, NUM_FEATURES), np.float32)]
    with tqdm(total=len(images), unit='image', desc='inception', disable=not progress) as bar:
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            missing = batch_size - len(batch)
            full = np.pad(batch, ((0, missing), (0, 0), (0, 0), (0, 0)))
            outputs.append(np.asarray(_features_of_batch(params, full))[: len(batch)])
            bar.update(len(batch))
    return np.concatenate(outputs)


@jax.jit
def _features_of_batch(params: Params, images: jax.Array) -> jax.Array:
    return network(params, preprocess(images))


def preprocess(images: jax.Array) -> jax.Array:
    """Images `[num, height, width, 3]` from 0 to 255 as float32 `[num, 299, 299, 3]` in [-1, 1]."""
    rows = resize_matrix(images.shape[1], INPUT_SIZE)
    columns = resize_matrix(images.shape[2], INPUT_SIZE)
    resized = jnp.einsum(
        'yh,xw,nhwc->nyxc',
        rows,
        columns,
        images.astype(jnp.float32),
        precision=lax.Precision.HIGHEST,
    )
    return (resized - 127.5) / 127.5


def resize_matrix(size: int, new_size: int) -> np.ndarray:
    """TensorFlow 1's bilinear resize of one axis as a matrix, float32 `[new_size, size]`.

    Output pixel i is read at `i * size / new_size` (`align_corners=False` without half-pixel
    centres), and beyond the last pixel that pixel is repeated. This is what the `ResizeBilinear`
    inside the published graph does. Ports to other frameworks often take half-pixel centres: on
    64-pixel patches that moved single features by tens of per cent, but FID by 0.05% and KID by 3%
    (120 EuroSAT patches against 120 blurred ones). The graph scales by `(x - 128) / 128`; with the
    `(x - 127.5) / 127.5` of the ports, which is used here, FID moved by 0.02%.
    """
    position = np.arange(new_size) * (size / new_size)
    lower = np.minimum(np.floor(position).astype(int), size - 1)
    upper = np.minimum(lower + 1, size - 1)
    fraction = position - lower
    matrix = np.zeros((new_size, size))
    np.add.at(matrix, (np.arange(new_size), lower), 1 - fraction)
    np.add.at(matrix, (np.arange(new_size), upper), fraction)
    return matrix.astype(np.float32)


def network(params: Mapping[str, Convolution], x: jax.Array) -> jax.Array:
    """Features `[num, 2048]` of preprocessed images `[num, 299, 299, 3]`."""
    x = _chain(params, x, ['conv', 'conv_1', 'conv_2'])
    x = nn.max_pool(x, (3, 3), (2, 2))
    x = _chain(params, x, ['conv_3', 'conv_4'])
    x = nn.max_pool(x, (3, 3), (2, 2))
    for name in ('mixed', 'mixed_1', 'mixed_2'):
        x = _towers(params, x, name, ['conv'], 3, 'mean')
    x = _towers(params, x, 'mixed_3', ['conv'], 1, 'halve')
    for name in ('mixed_4', 'mixed_5', 'mixed_6', 'mixed_7'):
        x = _towers(params, x, name, ['conv'], 3, 'mean')
    x = _towers(params, x, 'mixed_8', [], 2, 'halve')
    x = _forked_towers(params, x, 'mixed_9', 'mean')
    x = _forked_towers(params, x, 'mixed_10', 'max')
    return x.mean(axis=(1, 2))


def convolution(params: Mapping[str, Convolution], x: jax.Array, name: str) -> jax.Array:
    """Convolution, folded batch norm and ReLU of the layer `name`."""
    layer = LAYERS[name]
    x = lax.conv_general_dilated(
        x,
        params[name].kernel,
        (layer.stride, layer.stride),
        layer.padding,
        dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
        precision=lax.Precision.HIGHEST,
    )
    return nn.relu(x + params[name].bias)


def pool(x: jax.Array, kind: str) -> jax.Array:
    """3 x 3 pooling: 'mean' and 'max' keep the size, without the padding; 'halve' is by maximum."""
    if kind == 'mean':
        return nn.avg_pool(x, (3, 3), padding='SAME', count_include_pad=False)
    if kind == 'max':
        return nn.max_pool(x, (3, 3), padding='SAME')
    return nn.max_pool(x, (3, 3), (2, 2))


def _chain(params: Mapping[str, Convolution], x: jax.Array, names: Iterable[str]) -> jax.Array:
    for name in names:
        x = convolution(params, x, name)
    return x


def _towers(
    params: Mapping[str, Convolution],
    x: jax.Array,
    block: str,
    first: list[str],
    num_towers: int,
    pooling: str,
) -> jax.Array:
    """Parallel chains of convolutions and a pooling, concatenated in the graph's order."""
    outputs = [convolution(params, x, f'{block}/{name}') for name in first]
    pooled = pool(x, pooling)
    for index in range(num_towers):
        tower = f'{block}/tower_{index}/' if index else f'{block}/tower/'
        names = [name for name in LAYERS if name.startswith(tower)]
        is_pooled = pooling == 'mean' and index == num_towers - 1
        outputs.append(_chain(params, pooled if is_pooled else x, names))
    if pooling == 'halve':
        outputs.append(pooled)
    return jnp.concatenate(outputs, axis=-1)


def _forked_towers(
    params: Mapping[str, Convolution], x: jax.Array, block: str, pooling: str
) -> jax.Array:
    """The blocks on the 8 x 8 map, where each tower ends in a row and a column side by side."""

    def chain(y: jax.Array, *names: str) -> jax.Array:
        return _chain(params, y, [f'{block}/{name}' for name in names])

    tower = chain(x, 'tower_conv')
    tower_1 = chain(x, 'tower_1_conv', 'tower_1_conv_1')
    outputs = [
        chain(x, 'conv'),
        chain(tower, 'tower_mixed_conv'),
        chain(tower, 'tower_mixed_conv_1'),
        chain(tower_1, 'tower_1_mixed_conv'),
        chain(tower_1, 'tower_1_mixed_conv_1'),
        chain(pool(x, pooling), 'tower_2_conv'),
    ]
    return jnp.concatenate(outputs, axis=-1)
