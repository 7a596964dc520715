"""Colours of classes: to the colour blind, simulated by Viénot's matrices, no two look alike."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from eojax.data.sets import aid, airsar, eurosat, landscape_cover, local_climate_zones, ucmerced
from eojax.data.sets.pixels import loveda
from eojax.drawing.class_colours import class_colours, rgb
from eojax.drawing.land_cover import kind_of

# F. Viénot, H. Brettel, J. D. Mollon, 1999, on linear red, green and blue: no defect, no red, no
# green cones. The colours are chosen by other matrices.
EYES = np.array([
    np.eye(3),
    [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],
    [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
])  # fmt: skip


def nearest(colours) -> float:
    """CIEDE2000 of the two colours that are most alike to any of the eyes."""
    values = np.array(colours) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    shown = np.clip(np.einsum('eij,nj->eni', EYES, linear), 0, 1)
    looks = rgb2lab(np.where(shown <= 0.0031308, shown * 12.92, 1.055 * shown ** (1 / 2.4) - 0.055))
    pairs = combinations(range(len(colours)), 2)
    return min(deltaE_ciede2000(looks[:, a], looks[:, b]).min() for a, b in pairs)


@pytest.mark.parametrize(
    ('names', 'known'),
    [
        (eurosat.CLASS_NAMES, eurosat.CLASS_COLOURS),
        (landscape_cover.CLASS_NAMES, landscape_cover.CLASS_COLOURS),
        (local_climate_zones.CLASS_NAMES, None),
        (airsar.CLASS_NAMES, None),
        (ucmerced.CLASS_NAMES, None),
        (tuple(f'class {number}' for number in range(12)), None),
    ],
)
def test_no_eyes_take_two_classes_for_one(names, known):
    assert nearest(class_colours(names, known)) > 6


def test_many_classes_still_differ():
    assert nearest(class_colours(aid.CLASS_NAMES)) > 3


def test_colours_that_a_data_set_publishes_stay():
    facts = loveda.FACTS
    published = tuple(rgb(facts.class_colours[name]) for name in facts.class_names)
    assert class_colours(facts.class_names, facts.class_colours) == published


def test_earlier_runs_of_eurosat_take_the_colours_of_today():
    earlier = {name: '#123456' for name in eurosat.CLASS_NAMES}
    assert nearest([rgb('#1b5e20'), rgb('#4d4d4d'), rgb('#d7261e')]) < 6
    earlier |= {'Forest': '#1b5e20', 'Highway': '#4d4d4d', 'Residential': '#d7261e'}
    today = class_colours(eurosat.CLASS_NAMES, eurosat.CLASS_COLOURS)
    assert class_colours(eurosat.CLASS_NAMES, earlier) == today


def test_land_has_the_colours_of_its_kind():
    names = ('deep water', 'forest', 'corn field', 'town')
    (_, _, water), forest, (red, _, blue), town = class_colours(names)
    assert water == max(class_colours(names)[0])
    assert forest[1] == max(forest)
    assert red > 150 > blue
    assert town[0] > 2 * max(town[1:])
    assert kind_of('ParkingLot') == kind_of('road') != kind_of('Park')
    assert kind_of('class 7') is None
