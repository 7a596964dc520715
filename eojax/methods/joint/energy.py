"""Energies and densities of a classifier's logits, as functions of the images alone.

"Energy-based Models in Earth Observation" (Castillo-Navarro et al., 2022), after Grathwohl et al.
(2020), for a network f:

    p(x, y) = exp(f(x)[y]) / Z                                              (Eq. 4)
    E(x) = -log sum_y exp(f(x)[y])                                          (Eq. 6)

and E(x, y) = -f(x)[y] for a given class.

Notes:
  Under batch normalisation `method.likelihood_statistics` says which statistics f has in E(x), in
  the chains and in Eq. 3 alike. `running` makes E(x) each image's own, as in evaluation, and leaves
  the chains without communication between devices. `batch`, as in the published code of JEM++ and
  SADA-JEM, takes those of the chains or images that are seen together. One in the chains and the
  other in Eq. 3 would be two energies: chains then run away on the one that the loss does not see,
  within twenty steps of training. A sharpness-aware gradient of large radius needs `batch`, since
  running statistics do not fit the weights that it is taken at. The running statistics themselves
  are made by the labelled batch alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from eojax.models.model import Network
from eojax.samplers.shortcut import Cut


def log_density(logits: Array) -> Array:
    """log p(x) up to log Z, -E(x) of Eq. 6: the log-sum-exp of logits `[..., K]`."""
    return jax.nn.logsumexp(logits, axis=-1)


def energy_of(
    network: Network,
    parameters: Any,
    statistics: Any,
    labels: Array | None,
    key: Array | None = None,
) -> Callable[[Array], Array]:
    """The energy as a function of images alone: E(x) of Eq. 6, or E(x, y) of given labels.

    Batch normalisation, where there is any, uses its running statistics: the energy of an image is
    then its own, whatever else is in the batch.

    Args:
      key: where given, the network is that of training: batch normalisation uses the statistics of
        the images that it sees together, and dropout has this key, one mask for a whole chain.
    """
    parameters = _ready(network, parameters)

    def energy(images: Array) -> Array:
        if key is None:
            return _energy(network.apply(parameters, statistics, images), labels)
        return _energy(network.train(parameters, statistics, images, key=key)[0], labels)

    return energy


def cut_of(
    network: Network,
    parameters: Any,
    statistics: Any,
    labels: Array | None,
    key: Array | None = None,
) -> Cut | None:
    """The same energy, cut after the network's first layer; None where it cannot be cut."""
    stem, trunk = network.stem, network.trunk
    if stem is None or trunk is None:
        return None
    parameters = _ready(network, parameters)
    return Cut(
        lambda images: stem(parameters, images),
        lambda features: _energy(trunk(parameters, statistics, features, key), labels),
        network.affine_stem,
    )


def _ready(network: Network, parameters: Any) -> Any:
    """Brought to the type of the arithmetic once, and not anew in each update of a chain: XLA does
    not take casts out of loops."""
    return parameters if network.ready is None else network.ready(parameters)


def _energy(logits: Array, labels: Array | None) -> Array:
    if labels is None:
        return -log_density(logits)
    return -jnp.take_along_axis(logits, labels[:, None], 1)[:, 0]
