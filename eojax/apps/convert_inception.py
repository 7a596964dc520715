"""Converts the published PyTorch file of the FID Inception weights to the npz that eojax reads.

    python -m eojax.apps.convert_inception \
        --weights=pt_inception-2015-12-05-6726825d.pth --out=inception_v3_fid.npz

Nothing in the file is executed (see `eojax.models.torch_weights`). Arrays are stored under the
names of the TensorFlow graph that the weights were first published in, in float32.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from eojax.command_parser import CommandParser
from eojax.errors import UserError, one_line_errors
from eojax.home import expand_paths
from eojax.models.inception import LAYERS, npz_shapes
from eojax.models.torch_weights import read_state_dict
from eojax.program_name import program_name

# Entry of the npz: name under the PyTorch layer.
_ENTRIES = {
    'weight': 'conv.weight',
    'beta': 'bn.bias',
    'mean': 'bn.running_mean',
    'var': 'bn.running_var',
}
_STEM = {
    'Conv2d_1a_3x3': 'conv',
    'Conv2d_2a_3x3': 'conv_1',
    'Conv2d_2b_3x3': 'conv_2',
    'Conv2d_3b_1x1': 'conv_3',
    'Conv2d_4a_3x3': 'conv_4',
}


def _tower(branch: str, tower: str, num: int) -> dict[str, str]:
    """Names along one chain of convolutions: `branch_1`, `branch_2` are `conv`, `conv_1`."""
    graph = [f'{tower}/conv', *(f'{tower}/conv_{index}' for index in range(1, num))]
    return {f'{branch}_{index}': name for index, name in enumerate(graph, 1)}


_ENDS = {'branch1x1': 'conv', 'branch_pool': 'tower_2/conv'}
_BLOCK_35 = _ENDS | _tower('branch5x5', 'tower', 2) | _tower('branch3x3dbl', 'tower_1', 3)
_BLOCK_17 = _ENDS | _tower('branch7x7', 'tower', 3) | _tower('branch7x7dbl', 'tower_1', 5)
_BLOCK_8 = {
    'branch1x1': 'conv',
    'branch3x3_1': 'tower_conv',
    'branch3x3_2a': 'tower_mixed_conv',
    'branch3x3_2b': 'tower_mixed_conv_1',
    'branch3x3dbl_1': 'tower_1_conv',
    'branch3x3dbl_2': 'tower_1_conv_1',
    'branch3x3dbl_3a': 'tower_1_mixed_conv',
    'branch3x3dbl_3b': 'tower_1_mixed_conv_1',
    'branch_pool': 'tower_2_conv',
}
_BLOCKS: list[tuple[str, str, dict[str, str]]] = [
    ('Mixed_5b', 'mixed', _BLOCK_35),
    ('Mixed_5c', 'mixed_1', _BLOCK_35),
    ('Mixed_5d', 'mixed_2', _BLOCK_35),
    ('Mixed_6a', 'mixed_3', {'branch3x3': 'conv'} | _tower('branch3x3dbl', 'tower', 3)),
    ('Mixed_6b', 'mixed_4', _BLOCK_17),
    ('Mixed_6c', 'mixed_5', _BLOCK_17),
    ('Mixed_6d', 'mixed_6', _BLOCK_17),
    ('Mixed_6e', 'mixed_7', _BLOCK_17),
    ('Mixed_7a', 'mixed_8', _tower('branch3x3', 'tower', 2) | _tower('branch7x7x3', 'tower_1', 4)),
    ('Mixed_7b', 'mixed_9', _BLOCK_8),
    ('Mixed_7c', 'mixed_10', _BLOCK_8),
]


def torch_names() -> dict[str, str]:
    """The PyTorch file's name of each of the graph's layers (`LAYERS`)."""
    names = {graph: torch for torch, graph in _STEM.items()}
    for torch, graph, branches in _BLOCKS:
        names |= {f'{graph}/{layer}': f'{torch}.{branch}' for branch, layer in branches.items()}
    return names


def to_graph_names(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The npz's arrays, float32, from a PyTorch state dict; the classifier's are left out.

    Raises:
      UserError: a tensor is missing, has another shape, or the batch norm has a gamma.
    """
    arrays: dict[str, np.ndarray] = {}
    shapes = npz_shapes()
    for graph, torch in torch_names().items():
        for entry, suffix in _ENTRIES.items():
            tensor = _tensor(state, f'{torch}.{suffix}', shapes[f'{graph}/{entry}'])
            arrays[f'{graph}/{entry}'] = tensor
        gamma = state.get(f'{torch}.bn.weight')
        if gamma is not None and not np.all(gamma == 1):
            raise UserError(
                f"{torch}.bn.weight is not 1 everywhere: these are another Inception-v3's weights, "
                'not those of 2015-12-05 that FID is defined on'
            )
    return arrays


def _tensor(state: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name not in state:
        raise UserError(f'no tensor {name!r}: these are not the FID Inception weights')
    tensor = state[name]
    if tensor.shape != shape or tensor.dtype.kind != 'f' or not np.isfinite(tensor).all():
        raise UserError(
            f'{name} is {tensor.dtype} {tensor.shape}, expected finite floating point {shape}: '
            'these are not the FID Inception weights'
        )
    return tensor.astype(np.float32)


def convert(weights: Path, out: Path) -> None:
    """Reads `weights` and writes `out`, which appears complete or not at all.

    Raises:
      UserError: `weights` cannot be read or is another network, or `out` is no npz in a folder.
    """
    if out.suffix != '.npz' or not out.absolute().parent.is_dir():
        raise UserError(f'--out={out}: give a file name that ends in .npz, in a folder that exists')
    state = read_state_dict(weights)
    try:
        arrays = to_graph_names(state)
    except UserError as error:
        raise UserError(f'{weights}: {error}') from None
    with tempfile.TemporaryDirectory(dir=out.absolute().parent, prefix='.convert-') as folder:
        partial = Path(folder) / out.name
        # Values as they are; NumPy's types leave its array arguments untyped.
        np.savez(partial, **arrays)  # type: ignore[arg-type]
        os.replace(partial, out)
    print(f'wrote {out}: {len(LAYERS)} layers, {len(arrays)} arrays')


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = CommandParser(
        prog=program_name('eojax.apps.convert_inception'),
        description=(__doc__ or '').split('\n')[0],
    )
    parser.add_argument('--weights', type=Path, required=True, help='published PyTorch file (.pth)')
    parser.add_argument('--out', type=Path, required=True, help='npz to write')
    options = parser.parse_args(arguments)
    with one_line_errors():
        expand_paths(options)
        convert(options.weights, options.out)


if __name__ == '__main__':
    main()
