"""Abilities of methods that train one network: its features of images, and its outputs for pixels.

Features are what a trained network makes of an image as a whole, before its outputs: images that
look alike to the network have features that are close, whatever it was trained for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from jax import Array

from eojax.methods.update.descent import Trained
from eojax.models.model import Network


class _State(Protocol):
    """The state of a method that trains one network."""

    @property
    def trained(self) -> Trained: ...


def features_of(
    network: Network, seen: Callable[[Array, Array], Array] = lambda raster, key: raster
) -> dict[str, Callable[..., Array]]:
    """The ability by its name, `features(state, *rasters, key)`; none where the network has none.

    It is of the averaged parameters, in evaluation mode: float32 `[N, D]`.

    Args:
      seen: `(raster, key) -> raster`, as the method shows it to the network.
    """
    describe = network.features
    if describe is None:
        return {}

    def features(state: _State, *inputs: Array) -> Array:
        *rasters, key = inputs
        shown = (seen(raster, key) for raster in rasters)
        return describe(state.trained.average, state.trained.statistics, *shown)

    return {'features': features}


def encoder_features_of(network: Network) -> dict[str, Callable[..., Array]]:
    """The ability by its name, `encoder_features(state, *rasters, key)`: of all levels.

    It is of the averaged parameters, in evaluation mode: float32 `[N, D]`; none where the network
    has no levels. Synthesised images are compared with real ones by these
    (`eojax.evaluation.synthesis`).
    """
    describe = network.encoder_means
    if describe is None:
        return {}

    def encoder_features(state: _State, *inputs: Array) -> Array:
        *rasters, _ = inputs
        return describe(state.trained.average, state.trained.statistics, *rasters)

    return {'encoder_features': encoder_features}


def pixel_logits_of(network: Network) -> dict[str, Callable[..., Array]]:
    """The ability by its name, `pixel_logits(state, *rasters, key)`: the network's outputs.

    It is of the averaged parameters, in evaluation mode: float32 `[N, h, w, K]`.
    """

    def pixel_logits(state: _State, *inputs: Array) -> Array:
        *rasters, _ = inputs  # the last one is a key, and nothing here is random
        outputs: Array = network.apply(state.trained.average, state.trained.statistics, *rasters)
        return outputs

    return {'pixel_logits': pixel_logits}
