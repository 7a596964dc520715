"""Figures of guarantees, by what they say."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from eojax.drawing import guarantees
from eojax.metrics.areas import estimate_areas
from eojax.metrics.conformal import shares_of_blocks


@pytest.mark.parametrize('each', [1, 50])
def test_blocks_that_hold_all_are_no_single_places(each: int, monkeypatch: pytest.MonkeyPatch):
    drawn: list[Figure] = []
    monkeypatch.setattr(guarantees, 'save_figure', lambda figure, path: drawn.append(figure))
    blocks = np.arange(6).repeat(each)
    shares = shares_of_blocks(np.ones(len(blocks), bool), blocks)
    sizes = np.array([0, len(blocks), 0])
    guarantees.set_coverage(shares, 0.9, sizes, 'pixels', 'sets.png')
    said = ' '.join(text.get_text() for text in drawn[0].findobj(Text))
    assert ('is a block of its own' in said) == (each == 1)
    assert 'asked for 90%' in said


@pytest.mark.parametrize(('left_open', 'text'), [(0.0, ''), (0.3, ' (30% left open)')])
def test_areas_say_how_much_of_the_ground_the_map_leaves_open(
    left_open: float, text: str, monkeypatch: pytest.MonkeyPatch
):
    drawn: list[Figure] = []
    monkeypatch.setattr(guarantees, 'save_figure', lambda figure, path: drawn.append(figure))
    counts = np.array([[80, 20], [15, 85], [30, 30]])
    areas = estimate_areas(counts, np.array([0.4, 0.6 - left_open, left_open]))
    guarantees.area_intervals(areas, ('grass', 'town'), 'areas.png')
    legend = drawn[0].axes[0].get_legend()
    assert legend is not None
    assert f'as the map counts it{text}' in [entry.get_text() for entry in legend.get_texts()]
