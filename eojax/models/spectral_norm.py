"""Spectral normalisation of kernels, as functions of a tree of parameters and a state.

Miyato et al., "Spectral Normalization for Generative Adversarial Networks" (2018). With W a kernel
as a matrix of inputs times outputs, u and v unit vectors,

    v <- W u / ||W u||,   u <- W^T v / ||W^T v||                            (power iteration)
    s = v^T W u,          W_sn = W / s                                      (Eq. 8)

s goes to the largest singular value of W. For the gradient, u and v are constants (Eq. 11 there).
One iteration a training step is enough, as W changes little from step to step.

Networks know nothing of it: they get the normalised parameters in place of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import traverse_util
from jax import Array, lax, random

from eojax.errors import UserError

# Iterations before the first step, as of other implementations.
_FIRST = 15


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
    flat = traverse_util.flatten_dict(parameters)
    matrices = {place: lax.stop_gradient(_matrix(flat[place])) for place in _flat(spectra)}

    def once(held: dict[tuple[str, ...], Vectors]) -> dict[tuple[str, ...], Vectors]:
        new = {}
        for place, matrix in matrices.items():
            inputs = _unit(matrix @ held[place].outputs)
            new[place] = Vectors(inputs, _unit(inputs @ matrix))
        return new

    # One loop for all kernels: one for each would take the compiler minutes.
    begun = _flat(spectra)
    new = once(begun) if times == 1 else lax.fori_loop(0, times, lambda _, held: once(held), begun)
    after: Spectra = traverse_util.unflatten_dict(new)
    return after


def norms(parameters: Any, spectra: Spectra) -> dict[str, Array]:
    """s of each normalised kernel, by its name."""
    flat = traverse_util.flatten_dict(parameters)
    return {
        '/'.join(place): _norm(flat[place], vectors) for place, vectors in _flat(spectra).items()
    }


def normalised(parameters: Any, spectra: Spectra) -> Any:
    """The parameters with W / s in place of each normalised kernel; all others as they are."""
    flat = dict(traverse_util.flatten_dict(parameters))
    for place, vectors in _flat(spectra).items():
        flat[place] = flat[place] / _norm(flat[place], vectors)
    return traverse_util.unflatten_dict(flat)


def _flat(spectra: Spectra) -> dict[tuple[str, ...], Vectors]:
    flat: dict[tuple[str, ...], Vectors] = traverse_util.flatten_dict(spectra)
    return flat


def _matrix(kernel: Array) -> Array:
    return kernel.reshape(-1, kernel.shape[-1])


def _norm(kernel: Array, vectors: Vectors) -> Array:
    inputs, outputs = (lax.stop_gradient(vector) for vector in vectors)
    # A kernel of zeros, such as nobody starts with, stays one.
    return jnp.maximum(inputs @ (_matrix(kernel) @ outputs), 1e-12)


def _unit(vector: Array) -> Array:
    return vector / jnp.maximum(jnp.sqrt(jnp.square(vector).sum()), 1e-12)
