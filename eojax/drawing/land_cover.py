"""The colours that people expect of kinds of land: water blue, forest green, towns red.

A kind is a part of colour space in which a class may take any colour, so that several waters or
woods stay apart. The words of a class's name say which kind it is.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np


class Kind(NamedTuple):
    """A kind of land.

    Attributes:
      words: with which a word of a class's name begins.
      typical: the colour that most maps give it, `#rrggbb`.
      hue: from and to, in degrees of CIELAB; red is 40, yellow 90, green 140, blue 290.
      chroma: from and to; 0 is grey.
      lightness: from and to, 0 to 100.
    """

    words: str
    typical: str
    hue: tuple[float, float]
    chroma: tuple[float, float]
    lightness: tuple[float, float]

    def holds(self, lab: np.ndarray) -> np.ndarray:
        """Which of the colours, CIELAB `[num, 3]`, a class of this kind may take."""
        light, chroma = lab[:, 0], np.hypot(lab[:, 1], lab[:, 2])
        hue = np.degrees(np.arctan2(lab[:, 2], lab[:, 1])) % 360
        inside = np.ones(len(lab), bool)
        for value, (low, high) in (
            (hue, self.hue),
            (chroma, self.chroma),
            (light, self.lightness),
        ):
            inside &= (value >= low) & (value <= high)
        return inside


# The first kind that a name has a word of; so that an orchard is no field and a car park no park.
KINDS = (
    Kind('road street highway freeway motorway paved pavement impervious asphalt runway rail track'
         ' parking intersection overpass viaduct bridge', '#5a5a5a', (0, 360), (0, 14), (28, 72)),
    Kind('wetland marsh swamp bog mangrove', '#2aa198', (165, 225), (18, 80), (35, 85)),
    Kind('river stream canal', '#5db8f0', (225, 293), (22, 110), (18, 84)),
    Kind('water sea lake ocean pond harbor harbour port', '#1a56b0', (225, 293), (34, 110),
         (18, 84)),
    Kind('permanent orchard vineyard plantation olive', '#a8651e', (45, 78), (32, 100), (32, 68)),
    Kind('forest tree wood conifer deciduous jungle', '#1b5e2a', (118, 168), (18, 80), (18, 48)),
    Kind('shrub bush scrub brush heath chaparral', '#8a8a2e', (92, 122), (22, 75), (32, 64)),
    Kind('grass pasture meadow herb lawn vegetation plant golf park green', '#86cf5a', (105, 150),
         (25, 100), (56, 92)),
    Kind('crop arable farm field agri cultivat plow plough', '#efd04a', (72, 108), (38, 110),
         (62, 94)),
    Kind('industr commerc factory', '#8e44ad', (300, 350), (22, 100), (28, 70)),
    Kind('build urban town city village house housing home roof resid settle compact artificial',
         '#d7261e', (8, 50), (40, 110), (32, 64)),
    Kind('bare soil sand beach desert barren land ground', '#cdb07c', (40, 88), (14, 46), (54, 86)),
    Kind('rock mountain stone quarry mine', '#6f5a48', (30, 90), (6, 32), (26, 58)),
    Kind('snow ice glacier', '#e8f4fa', (180, 260), (4, 16), (90, 97)),
)  # fmt: skip


def kind_of(name: str) -> Kind | None:
    """The kind of land that a class's name speaks of; None where it speaks of none.

    Args:
      name: such as `HerbaceousVegetation`, `bare soil or sand`, `water`.
    """
    words = [word.lower() for word in re.findall(r'[A-Z]?[a-z]+|[A-Z]+', name)]
    for kind in KINDS:
        beginnings = tuple(kind.words.split())
        if any(word.startswith(beginnings) for word in words):
            return kind
    return None
