from __future__ import annotations

import numpy as np
import pytest

from eojax.data.reading import sentinel2
from eojax.data.reading.sentinel2 import RGB, Level
from tests.data.rasters import surface


def test_depths_are_those_of_the_literature():
    # Bodhaine et al., "On Rayleigh Optical Depth Calculations", 1999, table 2 (sea level, 45 N).
    assert sentinel2.rayleigh_depth(0.55) == pytest.approx(0.0972, rel=0.01)
    assert sentinel2.rayleigh_depth(0.45) == pytest.approx(0.2210, rel=0.015)


def test_air_is_brightest_in_blue_and_clear_in_the_infrared():
    path, transmittance = sentinel2.atmosphere(('B02', 'B03', 'B04', 'B08', 'B12'))
    assert (np.diff(path) < 0).all()
    assert 500 < path[0] < 750
    assert path[-1] < 5
    assert transmittance[-1] == pytest.approx(1.0, abs=0.01)
    assert ((transmittance > 0.75) & (transmittance <= 1.0)).all()


def test_level_1c_loses_its_offset_alone():
    values = np.array([[[1500, 1400, 1700]]], np.uint16)
    out = sentinel2.to_level_1c(values, RGB, Level.L1C, 1000.0)
    np.testing.assert_array_equal(out, [[[500, 400, 700]]])
    assert out.dtype == np.float32


def test_level_2a_of_forest_becomes_the_forest_of_eurosat():
    # Mean of EuroSAT's class Forest: 38.8, 63.8 and 75.2 of 255, that is 418, 688 and 811.
    forest = np.array([0.026, 0.041, 0.024]) * 1e4
    out = sentinel2.to_level_1c(forest, RGB, Level.L2A, 0.0)
    np.testing.assert_allclose(out, [418, 688, 811], rtol=0.05)


@pytest.mark.parametrize('offset', [0.0, 1000.0])
@pytest.mark.parametrize('level', list(Level))
def test_dark_pixels_tell_level_and_offset(level, offset):
    values = surface(60, 60).reshape(-1, 3) * 1e4
    if level is Level.L1C:
        values = sentinel2.to_level_1c(values, RGB, Level.L2A, 0.0)
    assert sentinel2.guess_level(values + offset) == (level, offset)


@pytest.mark.parametrize(
    ('text', 'level'),
    [
        ('S2A_MSIL2A_20200223T033731_N0214_R061_T48QUE', Level.L2A),
        ('S2B_MSIL1C_20220301T103849_N0400_R008_T32UNF.tif', Level.L1C),
        ('Level-2A scene', Level.L2A),
        ('scene_L1C.tif', Level.L1C),
        ('XL2AB.tif', None),
        ('', None),
    ],
)
def test_names_tell_the_level(text, level):
    assert sentinel2.level_by_name(text) is level


@pytest.mark.parametrize(
    ('tags', 'name', 'offset'),
    [
        ({'PROCESSING_BASELINE': '04.00'}, 'a.tif', 1000.0),
        ({'PROCESSING_BASELINE': '02.14'}, 'a.tif', 0.0),
        ({}, 'S2A_MSIL2A_20220223T033731_N0510_R061_T48QUE.tif', 1000.0),
        ({}, 'S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP.tif', None),
        ({'PROCESSING_BASELINE': 'unknown'}, 'a.tif', None),
        ({}, 'a.tif', None),
    ],
)
def test_names_and_tags_tell_the_offset(tags, name, offset):
    assert sentinel2.offset_by_tags(tags, name) == offset
