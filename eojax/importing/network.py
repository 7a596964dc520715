"""A network that was brought in, before it becomes a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from eojax.importing.fitting import Leaves


class Imported(NamedTuple):
    """A network of ours with weights of a file.

    Attributes:
      model: the config group `model`.
      leaves: parameters and statistics by name, `parameters.stem.kernel`.
      bands: how many the images have.
      outputs: of the head; 0 where the file has none that fits.
      left: tensors of the file that belong to no part of the network, by name.
      about: the facts that `eojax export` wrote; empty for other files.
    """

    model: ConfigDict
    leaves: Leaves
    bands: int
    outputs: int
    left: tuple[str, ...]
    about: Mapping[str, Any]
