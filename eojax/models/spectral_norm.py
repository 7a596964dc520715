"""Spectral normalisation of kernels, as functions of a tree of parameters and a state.

Miyato et al., "Spectral Normalization for Generative Adversarial Networks" (2018). With W a kernel
as a matrix of inputs times outputs, u and v unit vectors,

    v <- W u / ||W u||,   u <- W^T v / ||W^T v||                            (power iteration)
    s = v^T W u,          W_sn = W / s                                      (Eq. 8)

s goes to the largest singular value of W. For the gradient, u and v are constants (Eq. 11 there).
One iteration a training step is enough, as W changes little from step to step.

Networks know nothing of it: they get the normalised parameters in place of their own.

A network has dozens of kernels, and each product with one is a program of its own for the compiler.
So small kernels of equal shape are stacked, and one batched product serves all of them. Large ones
stay alone: a copy of them takes memory, and there are few.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import traverse_util
from jax import Array, lax, random

from eojax.errors import UserError

# Iterations before the first step, as of other implementations.
_FIRST = 15
# Kernels of more numbers are not stacked.
_SMALL = 2**18
_Place = tuple[str, ...]


class Vectors(NamedTuple):
    """The singular vectors of a kernel, as far as they are known.

    Attributes:
      inputs: v, float32 `[k k in]`.
      outputs: u, float32 `[out]`.
    """

    inputs: Array
    outputs: Array


# A tree of `Vectors` with the names of the parameters, of those kernels that are normalised.
Spectra = Mapping[str, Any]


def kernels(parameters: Any, chosen: Callable[[str], bool]) -> list[tuple[str, ...]]:
    """The places of the kernels whose name is chosen, in order.

    Args:
      parameters: nested mappings of arrays; kernels are those of two dimensions and more.
      chosen: of a name such as `encoder/down1/kernel`.
    """
    flat = traverse_util.flatten_dict(parameters)
    return [place for place, leaf in flat.items() if leaf.ndim > 1 and chosen('/'.join(place))]


def named(pattern: str) -> Callable[[str], bool]:
    """The choice of the names in which a regular expression is found.

    Raises:
      UserError: it is no regular expression.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(f'{pattern!r} is no regular expression: {error}') from error
    return lambda name: compiled.search(name) is not None


def begin(parameters: Any, chosen: Callable[[str], bool], key: Array) -> Spectra:
    """Vectors for the kernels that are chosen, after some iterations.

    Args:
      parameters, chosen: as of `kernels`.
      key: they begin at random.
    """
    flat = traverse_util.flatten_dict(parameters)
    vectors = {}
    for number, place in enumerate(kernels(parameters, chosen)):
        outputs = random.normal(random.fold_in(key, number), flat[place].shape[-1:])
        inputs = jnp.zeros((flat[place].size // flat[place].shape[-1],))
        vectors[place] = Vectors(inputs, _unit(outputs))
    spectra: Spectra = traverse_util.unflatten_dict(vectors)
    begun: Spectra = jax.jit(iterated, static_argnums=2)(parameters, spectra, _FIRST)
    return begun


def iterated(parameters: Any, spectra: Spectra, times: int = 1) -> Spectra:
    """The vectors after some power iterations; no gradient goes through them."""
    flat, held = traverse_util.flatten_dict(parameters), _flat(spectra)
    groups = _groups(flat, held)
    matrices = [lax.stop_gradient(_stacked(flat, group)) for group in groups]

    def once(vectors: list[Vectors]) -> list[Vectors]:
        new = []
        for matrix, (_, outputs) in zip(matrices, vectors, strict=True):
            inputs = _unit(jnp.einsum('...io,...o->...i', matrix, outputs))
            new.append(Vectors(inputs, _unit(jnp.einsum('...i,...io->...o', inputs, matrix))))
        return new

    # One loop for all kernels: one for each would take the compiler minutes.
    begun = [_vectors(held, group) for group in groups]
    new = once(begun) if times == 1 else lax.fori_loop(0, times, lambda _, x: once(x), begun)
    each = {
        place: Vectors(*(x[number] if len(group) > 1 else x for x in vectors))
        for group, vectors in zip(groups, new, strict=True)
        for number, place in enumerate(group)
    }
    after: Spectra = traverse_util.unflatten_dict({place: each[place] for place in held})
    return after


def norms(parameters: Any, spectra: Spectra) -> dict[str, Array]:
    """s of each normalised kernel, by its name."""
    found = _norms(traverse_util.flatten_dict(parameters), _flat(spectra))
    return {'/'.join(place): norm for place, norm in found.items()}


def normalised(parameters: Any, spectra: Spectra) -> Any:
    """The parameters with W / s in place of each normalised kernel; all others as they are."""
    flat = dict(traverse_util.flatten_dict(parameters))
    found = _norms(flat, _flat(spectra))
    return traverse_util.unflatten_dict(flat | {p: flat[p] / norm for p, norm in found.items()})


def _flat(spectra: Spectra) -> dict[tuple[str, ...], Vectors]:
    flat: dict[tuple[str, ...], Vectors] = traverse_util.flatten_dict(spectra)
    return flat


def _groups(flat: Mapping[_Place, Array], held: Iterable[_Place]) -> list[list[_Place]]:
    """Places of kernels whose matrices are stacked, or of one that stays alone."""
    groups: dict[Any, list[_Place]] = {}
    for place in held:
        matrix = _matrix(flat[place])
        # A large one is a group of its own, by its name.
        key = (matrix.shape, matrix.dtype) if matrix.size <= _SMALL else place
        groups.setdefault(key, []).append(place)
    return [*groups.values()]


def _stacked(flat: Mapping[_Place, Array], group: list[_Place]) -> Array:
    """The matrices of a group, `[n, inputs, outputs]`; of one kernel without the first axis."""
    matrices = [_matrix(flat[place]) for place in group]
    return jnp.stack(matrices) if len(group) > 1 else matrices[0]


def _vectors(held: Mapping[_Place, Vectors], group: list[_Place]) -> Vectors:
    """Those of a group, stacked as its matrices are."""
    if len(group) == 1:
        return held[group[0]]
    return Vectors(*(jnp.stack(each) for each in zip(*(held[p] for p in group), strict=True)))


def _matrix(kernel: Array) -> Array:
    return kernel.reshape(-1, kernel.shape[-1])


def _norms(flat: Mapping[_Place, Array], held: Mapping[_Place, Vectors]) -> dict[_Place, Array]:
    """s of each kernel; the gradient goes through W alone."""
    found: dict[_Place, Array] = {}
    for group in _groups(flat, held):
        inputs, outputs = (lax.stop_gradient(x) for x in _vectors(held, group))
        product = jnp.einsum('...io,...o->...i', _stacked(flat, group), outputs)
        # A kernel of zeros, such as nobody starts with, stays one.
        of_group = jnp.maximum((inputs * product).sum(-1), 1e-12)
        found |= {p: of_group[n] if len(group) > 1 else of_group for n, p in enumerate(group)}
    return {place: found[place] for place in held}


def _unit(vectors: Array) -> Array:
    """Along the last axis."""
    length = jnp.sqrt(jnp.square(vectors).sum(-1, keepdims=True))
    return vectors / jnp.maximum(length, 1e-12)
