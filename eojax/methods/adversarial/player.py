"""One of two networks that are trained against each other, with normalised spectra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from jax import Array

from eojax.methods.update.descent import Aside, Descent, Trained
from eojax.models import spectral_norm
from eojax.models.spectral_norm import Spectra


class Player(NamedTuple):
    """A network's values.

    Attributes:
      trained: parameters as the optimiser moves them.
      spectra: of those kernels that the network gets divided by their largest singular value.
    """

    trained: Trained
    spectra: Spectra

    def turned(self) -> Player:
        """The same after one power iteration: once before each update."""
        spectra = spectral_norm.iterated(self.trained.parameters, self.spectra)
        return self._replace(spectra=spectra)

    @property
    def parameters(self) -> Any:
        """As the network gets them."""
        return self.normalised(self.trained.parameters)

    def normalised(self, parameters: Any) -> Any:
        """Others of the same names as the network gets them."""
        return spectral_norm.normalised(parameters, self.spectra)

    def moved(
        self, descent: Descent, loss: Callable[[Any], tuple[Array, Aside]]
    ) -> tuple[Player, Aside]:
        """One update.

        Args:
          loss: of the parameters as the network gets them; the gradient goes through their norms.
        """
        trained, aside = descent.step(self.trained, lambda p: loss(self.normalised(p)))
        return self._replace(trained=trained), aside


def begin(
    descent: Descent,
    parameters: Any,
    statistics: Any,
    chosen: Callable[[str], bool],
    key: Array,
) -> Player:
    """A player before its first update.

    Args:
      chosen: the kernels that are normalised, by name.
      key: of the singular vectors.
    """
    spectra = spectral_norm.begin(parameters, chosen, key)
    return Player(descent.begin(parameters, statistics), spectra)
