"""The weights of a run's network by the names and in the layout of PyTorch.

A Wide-ResNet has our own names, and `eojax.exporting.torch_wide_resnet` is the module that takes
it; a ResNet has those of torchvision, and `eojax.exporting.torch_resnet` is its module. Nothing
here needs torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from safetensors.numpy import save

from eojax.data.facts import Raster
from eojax.errors import UserError
from eojax.methods.update.descent import Trained
from eojax.models import MODELS
from eojax.models.resnet import INPUT_DEVIATION, INPUT_MEAN
from eojax.runs.checkpoint import leaves_by_name
from eojax.runs.run import Run, build

# The options of the config group `model` that the modules of torch take, by the network's name.
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    'wide_resnet': (
        'depth',
        'width',
        'norm',
        'activation',
        'density_head',
        'density_alone',
        'shortcut',
    ),
    'resnet': ('depth', 'width', 'stem'),
}
# Of the modules of flax and their parameters; torch has the same numbers by other names.
_MODULES = ('BatchNorm_0', 'GroupNorm_0')
LEAVES = {'kernel': 'weight', 'scale': 'weight', 'mean': 'running_mean', 'var': 'running_var'}
# Of batch normalisation, which counts its steps there and not here.
TRACKED = 'num_batches_tracked'
# The order of PyTorch's axes among ours, by their number: features come last here and first there.
TO_TORCH: dict[int, tuple[int, ...]] = {0: (), 1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}


# The modules of our ResNet and of its blocks by the names of torchvision.
_RESNET_MODULES = {'stem': 'conv1', 'stem_norm': 'bn1', 'head': 'fc'}
_BLOCK_PARTS = {'shortcut': 'downsample.0', 'shortcut_norm': 'downsample.1'}


class Described(NamedTuple):
    """A network without its framework.

    Attributes:
      weights: PyTorch's state dict.
      about: `model`, the kind of network, `arguments` of the torch module, `classes`, `bands`,
        `limits` of the values that -1 and 1 stand for, `dtype` of the values in image files,
        `title`, `metres`, `citation` and `data_licence` of the data that it was trained on,
        `input_noise`, the standard deviation of the noise that joint models add to images in
        training and before their logits (here it is left out), and `pixels`, the size of the
        images. Of a ResNet also `mean` and `deviation` of each band, for images from -1 to 1: its
        first layer takes (x - mean) / deviation.
    """

    weights: dict[str, np.ndarray]
    about: dict[str, Any]


def export_torch(run: Run, state: Any, out: Path) -> int:
    """Writes the averaged weights of a run's network as a state dict in safetensors.

    Args:
      run: opened.
      state: of its method.
      out: the file. Its metadata have `network`: JSON of `Described.about`.

    Returns:
      How many numbers it holds.

    Raises:
      UserError: the run has another network, or the file cannot be written.
    """
    weights, about = described_network(run, state, 'torch')
    try:
        out.write_bytes(save(weights, {'format': 'pt', 'network': json.dumps(about)}))
    except OSError as error:
        raise UserError(f'--out={out} cannot be written: {error.strerror or error}') from error
    return sum(array.size for array in weights.values())


def described_network(run: Run, state: Any, form: str) -> Described:
    """The network of a run, for other frameworks.

    Args:
      form: of the file, for messages.

    Raises:
      UserError: the run has another network.
    """
    trained = _trained(run, state, form)
    model, raster, statistics = run.config.model, run.images, dict(trained.statistics)
    normalised = {}
    if model.name == 'resnet':
        for name, leaf in (('mean', INPUT_MEAN), ('deviation', INPUT_DEVIATION)):
            normalised[name] = np.asarray(statistics.pop(leaf), np.float64).tolist()
    weights = state_dict(trained.average, statistics, NAMES[model.name])
    about = {
        'model': model.name,
        'arguments': {
            'bands': len(raster.bands),
            'num_outputs': len(trained.average['head']['bias']),
            **{name: model[name] for name in ARGUMENTS[model.name]},
        },
        **normalised,
        'classes': list(run.facts.class_names),
        'bands': list(raster.bands),
        'limits': _limits(raster),
        'dtype': raster.dtype,
        'title': run.facts.title,
        'metres': run.facts.metres,
        'citation': run.facts.citation,
        'data_licence': run.facts.licence,
        'input_noise': float(run.config.method.get('input_noise', 0.0)),
        'pixels': list(run.task.image_shape[:2]),
    }
    return Described(weights, about)


def _limits(raster: Raster) -> list[list[float]]:
    if raster.dtype == 'uint8' or raster.limits is None:
        return [[0.0, 255.0]] * len(raster.bands)
    return [[float(low), float(high)] for low, high in raster.limits]


def _trained(run: Run, state: Any, form: str) -> Trained:
    """The network of a state, which alone must make the run's logits."""
    trained = getattr(state, 'trained', None)
    model, method = run.config.model, run.config.method.name
    if (
        model.name not in ARGUMENTS
        or not isinstance(trained, Trained)
        or 'logits' not in run.method.abilities
        or not {'stem', 'head'} <= set(trained.average)
    ):
        raise UserError(
            f'--format={form} is for a Wide-ResNet or ResNet that classifies images by itself; this'
            f' run is {method} with {model.name}: export it with --format=safetensors'
        )
    images = np.random.default_rng(0).uniform(-1, 1, (2, *run.task.image_shape))
    build_network = MODELS[model.name].build
    assert build_network is not None
    network = build_network(model, trained.average['head']['bias'].shape[0])
    images = images.astype(np.float32)
    alone = jax.jit(network.apply)(trained.average, trained.statistics, images)
    whole = jax.jit(_without_noise(run).method.abilities['logits'])(
        state, images, jax.random.key(0)
    )
    if not np.allclose(alone, whole, rtol=1e-5, atol=1e-5):
        raise UserError(
            f'the logits of {method} are not those of its network alone: export the run with'
            ' --format=safetensors'
        )
    return trained


def _without_noise(run: Run) -> Run:
    """The same run, whose logits are of the images as they are."""
    if not run.config.method.get('input_noise'):
        return run
    config = run.config.copy_and_resolve_references()
    config.method.input_noise = 0.0
    return build(config, run.folder, run.known)


def state_dict(
    parameters: Mapping[str, Any],
    statistics: Mapping[str, Any],
    name_of: Callable[[str], str],
) -> dict[str, np.ndarray]:
    """Parameters and statistics of a network by PyTorch's names, in its layout.

    Args:
      name_of: PyTorch's name of a leaf, of `NAMES`.
    """
    weights = {}
    for name, leaf in (*leaves_by_name(parameters).items(), *leaves_by_name(statistics).items()):
        theirs = name_of(name)
        array = np.asarray(jax.device_get(leaf), np.float32)
        weights[theirs] = np.ascontiguousarray(array.transpose(TO_TORCH[array.ndim]))
        module, _, last = theirs.rpartition('.')
        if last == 'running_mean':
            weights[f'{module}.{TRACKED}'] = np.zeros((), np.int64)
    return weights


def wide_resnet_name(name: str) -> str:
    """PyTorch's name of a leaf of a Wide-ResNet."""
    levels = [level for level in name.split('.') if level not in _MODULES]
    levels[-1] = LEAVES.get(levels[-1], levels[-1])
    return '.'.join(levels)


def resnet_name(name: str) -> str:
    """torchvision's name of a leaf of our ResNet: `layer1.0.bn1.weight` of
    `group1_block1.norm1.scale`."""
    module, *levels = name.split('.')
    leaf = LEAVES.get(levels[-1], levels[-1])
    if module in _RESNET_MODULES:
        return f'{_RESNET_MODULES[module]}.{leaf}'
    group, _, block = module.removeprefix('group').partition('_block')
    part = _BLOCK_PARTS.get(levels[0], levels[0].replace('norm', 'bn'))
    return f'layer{group}.{int(block) - 1}.{part}.{leaf}'


# Of each network that can be exported, PyTorch's name of a leaf.
NAMES: Mapping[str, Callable[[str], str]] = {
    'wide_resnet': wide_resnet_name,
    'resnet': resnet_name,
}
