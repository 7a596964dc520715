"""Coordinates along a map: round numbers at the right places."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from rasterio.crs import CRS
from rasterio.transform import Affine

from eojax.apps.map_scene.coordinates import draw_ticks, frame_of, tick_labels


def test_ticks_stand_where_their_coordinates_are():
    transform = Affine(10, 0, 300_050, 0, -10, 4_000_000)
    frame = frame_of(CRS.from_epsg(32648), transform, 500, 400)
    assert frame is not None
    assert frame.system == 'EPSG:32648, metre'
    axes = Figure().add_subplot()
    axes.imshow(np.zeros((250, 200)))  # half the scene's size
    draw_ticks(axes, frame, 250, 200)
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert '302,000' in labels
    pixel = axes.get_xticks()[labels.index('302,000')]
    # 1,950 m from the left edge, in pixels of 20 m, whose first has its centre at 0.
    assert pixel == pytest.approx(1950 / 20 - 0.5)
    rows = dict(zip([t.get_text() for t in axes.get_yticklabels()], axes.get_yticks(), strict=True))
    assert rows['4,000,000'] == pytest.approx(-0.5)


def test_scenes_without_or_with_turned_coordinates_have_no_ticks():
    assert frame_of(None, Affine.identity(), 5, 5) is None
    assert frame_of(CRS.from_epsg(32648), Affine.rotation(20), 5, 5) is None


def test_labels_are_unique_and_have_one_number_of_decimals():
    assert tick_labels(np.array([105.1, 105.15, 105.2])) == ['105.10', '105.15', '105.20']
