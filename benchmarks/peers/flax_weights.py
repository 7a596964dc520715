"""eojax's parameters in the peers' networks, whose modules have the names of eojax's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

# Flax's own modules inside eojax's; in a peer the outer one is the layer itself.
_INNER = ('BatchNorm_0', 'GroupNorm_0')
_UP = re.compile(r'(^|\.)up\d+\.$')


def load_flax_parameters(module: nn.Module, parameters: Mapping[str, Any]) -> None:
    """Copies eojax's parameters in, kernels HWIO -> OIHW, dense ones transposed.

    The kernels of transposed convolutions, in modules called `up` and a number, are `[in, h, w,
    out]` there and `[in, out, h, w]` here.

    Args:
      parameters: nested mappings of numpy arrays, as eojax's models have them.

    Raises:
      ValueError: names are missing or left over, or a shape differs.
    """
    given = dict(torch_names(parameters))
    own = dict(module.named_parameters())
    if given.keys() != own.keys():
        differing = ', '.join(sorted(given.keys() ^ own.keys()))
        raise ValueError(f'parameters of one network alone: {differing}')
    for name, array in given.items():
        if array.shape != tuple(own[name].shape):
            raise ValueError(f'{name} is {tuple(own[name].shape)} here, {array.shape} there')
    with torch.no_grad():
        for name, array in given.items():
            own[name].copy_(torch.from_numpy(array))


def torch_names(parameters: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    """Pairs of PyTorch's name and float32 array, in PyTorch's layout."""
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            yield from torch_names(value, prefix if name in _INNER else f'{prefix}{name}.')
        elif name == 'kernel':
            array = np.array(value, np.float32)  # a copy: torch wants to own what it reads
            if _UP.search(prefix):
                yield f'{prefix}weight', array.transpose(0, 3, 1, 2)
            else:
                yield f'{prefix}weight', array.T if array.ndim == 2 else array.transpose(3, 2, 0, 1)
        else:
            yield f'{prefix}{"weight" if name == "scale" else name}', np.array(value, np.float32)
