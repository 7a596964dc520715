"""The Wide-ResNets that `eojax export --format=torch` writes, back from PyTorch's names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from eojax.config.base import base_config
from eojax.errors import UserError
from eojax.exporting.torch_weights import ARGUMENTS, wide_resnet_name
from eojax.importing.fitting import Leaves, fitted, shapes_of
from eojax.importing.network import Imported
from eojax.importing.tensors import Tensors, about_of
from eojax.messages import say
from eojax.models import wide_resnet
from eojax.option import check

NAME = 'wide_resnet'
_BLOCK = re.compile(r'group1_block(\d+)\.conv1\.weight')
_STEM, _HEAD = 'stem.weight', 'head.weight'


def is_wide_resnet(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether tensors have the names of our Wide-ResNet."""
    return _STEM in arrays and 'group1_block1.conv1.weight' in arrays


def read(tensors: Tensors, activation: str, title: str) -> Imported:
    """The network of a file.

    Args:
      activation: where the file does not say it; empty where nobody does.
      title: of the file, for messages.

    Raises:
      UserError: a tensor that does not fit, by its name, or an activation that nobody names.
    """
    about = about_of(tensors, title)
    options = _options(tensors.arrays, about.get('arguments', {}), activation, title)
    stem, head = tensors.arrays[_STEM], tensors.arrays.get(_HEAD)
    if stem.ndim != 4 or head is None or head.ndim != 2:
        raise UserError(
            f'{title}: {_STEM} must have the shape (16, bands, 3, 3), not {stem.shape}, and'
            f' {_HEAD} (classes, features), not {None if head is None else head.shape}'
        )
    bands, outputs = stem.shape[1], head.shape[0]
    network = wide_resnet.build(options, outputs)
    kind = f'Wide-ResNet {options.depth}-{options.width} with norm {options.norm}'
    leaves: Leaves = fitted(
        shapes_of(network, bands), tensors.arrays, wide_resnet_name, title, kind
    )
    return Imported(options, leaves, bands, outputs, (), about)


def _options(
    arrays: Mapping[str, np.ndarray], arguments: Mapping[str, Any], activation: str, title: str
) -> ConfigDict:
    """The config group `model` of a file, by what it says or by its tensors."""
    options = base_config('supervised', NAME, 'folder').model
    guessed = dict(arguments) or {**_guess(arrays), 'activation': activation}
    guessed.setdefault('shortcut', 'input')  # files of before there was a choice do not say it
    if not guessed.get('activation'):
        names = ' or '.join(wide_resnet.ACTIVATIONS)
        raise UserError(f'{title} does not say its activation: give --activation={names}')
    if not arguments:
        say(
            f'{title} does not say what its shortcuts are of, and they are taken to be of the input'
            ' of a block, before norm and activation (FixMatch in PyTorch has them after)'
        )
    try:
        options.update({name: guessed[name] for name in ARGUMENTS[NAME]})
        check(wide_resnet.OPTIONS, options, 'model')
    except (KeyError, TypeError) as error:
        raise UserError(f'{title}: its metadata are damaged ({error!r}): export it anew') from error
    return options


def _guess(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The arguments that names and shapes of tensors leave no choice about."""
    blocks = max(int(match[1]) for name in arrays if (match := _BLOCK.fullmatch(name)))
    first = arrays['group1_block1.conv1.weight']
    norm = 'none'
    if 'norm.running_mean' in arrays:
        norm = 'batch'
    elif 'norm.weight' in arrays:  # group normalisation follows a convolution with a bias
        norm = 'group' if 'group1_block1.conv1.bias' in arrays else 'instance'
    return {
        'depth': 6 * blocks + 4,
        'width': max(first.shape[0] // 16, 1),
        'norm': norm,
        'density_head': 'density1.weight' in arrays,
        'density_alone': False,
    }
