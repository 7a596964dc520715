"""Tensors by PyTorch's names in place of the leaves of a network of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import jax
import numpy as np

from eojax.errors import UserError
from eojax.exporting.torch_weights import TO_TORCH, TRACKED
from eojax.models.model import Network
from eojax.runs.checkpoint import leaves_by_name

# Of the names of leaves, `parameters.stem.kernel` and `statistics.stem_norm.mean`.
PARAMETERS, STATISTICS = 'parameters', 'statistics'
Leaves = dict[str, np.ndarray]
Shapes = dict[str, tuple[int, ...]]


def shapes_of(network: Network, bands: int) -> Shapes:
    """The shapes of a network's leaves by name; nothing is computed."""
    image = jax.ShapeDtypeStruct((1, 32, 32, bands), np.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    parameters, statistics = jax.eval_shape(network.init, key, image)
    leaves = leaves_by_name({PARAMETERS: parameters, STATISTICS: statistics})
    return {name: tuple(leaf.shape) for name, leaf in leaves.items()}


def torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a leaf as PyTorch has it."""
    return tuple(shape[axis] for axis in TO_TORCH[len(shape)])


def fitted(
    shapes: Shapes,
    arrays: Mapping[str, np.ndarray],
    torch_name: Callable[[str], str],
    title: str,
    kind: str,
) -> Leaves:
    """Each leaf's values in our layout, from tensors that must be all of the network's.

    Args:
      shapes: of the leaves, by name.
      arrays: in PyTorch's layout, all that belong to the network; its counters of steps are
        ignored.
      torch_name: PyTorch's name of a leaf, without `parameters.` or `statistics.`.
      title: of the file, for messages.
      kind: of the network, for messages.

    Raises:
      UserError: a missing, surplus, wrongly shaped, quantised or non-finite tensor, by its name.
    """
    names = {leaf: torch_name(leaf.partition('.')[2]) for leaf in shapes}
    arrays = {name: a for name, a in arrays.items() if name.rpartition('.')[2] != TRACKED}
    for leaf, name in names.items():
        wanted = torch_shape(shapes[leaf])
        if name not in arrays:
            raise UserError(
                f'{title} lacks {name}, which a {kind} has with the shape {wanted}'
                f'{_more(n for n in names.values() if n not in arrays)}'
            )
        if arrays[name].shape != wanted:
            raise UserError(
                f'{title}: {name} has the shape {arrays[name].shape}, and that of a {kind} has'
                f' {wanted}'
            )
        if arrays[name].dtype.kind != 'f':
            raise UserError(
                f'{title}: {name} holds whole numbers ({arrays[name].dtype}), as quantised weights'
                ' do: bring them back to floats first'
            )
        if not np.isfinite(arrays[name]).all():
            raise UserError(f'{title}: {name} holds values that are not finite')
    for name in sorted(arrays.keys() - set(names.values())):
        raise UserError(
            f'{title} has {name} of shape {arrays[name].shape}, which no {kind} has'
            f'{_more(arrays.keys() - set(names.values()))}'
        )
    return {leaf: in_our_layout(arrays[name]) for leaf, name in names.items()}


def in_our_layout(array: np.ndarray) -> np.ndarray:
    """A tensor of PyTorch's layout in ours, float32."""
    inverse = np.argsort(TO_TORCH[array.ndim])
    return np.ascontiguousarray(array.transpose(inverse), np.float32)


def _more(names: Iterable[str]) -> str:
    count = len(list(names)) - 1
    return f' ({count} more like this)' if count > 0 else ''
