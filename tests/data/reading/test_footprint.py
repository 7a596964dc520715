from __future__ import annotations

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.transform import Affine

from eojax.data.reading.scenes.footprint import Footprint, footprint


def _area(ring: tuple[tuple[float, float], ...]) -> float:
    x, y = np.array(ring[:-1]).T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def _of_degrees(west: float, north: float, degrees: float) -> Footprint:
    place = footprint(CRS.from_epsg(4326), Affine(0.01, 0, west, 0, -0.01, north), 100, 100)
    assert place is not None
    assert degrees == 1.0
    return place


def test_a_patch_on_the_central_meridian_and_the_equator():
    # The middle of UTM's zone 48 is 105 degrees east, at 500 km.
    transform = Affine(10.0, 0.0, 500_000.0 - 320.0, 0.0, -10.0, 320.0)
    place = footprint(CRS.from_epsg(32648), transform, 64, 64)
    assert place is not None
    assert (place.longitude, place.latitude) == pytest.approx((105.0, 0.0), abs=1e-6)
    (ring,) = place.rings
    assert len(ring) == 5
    assert ring[0] == ring[-1]
    # 640 m of ground, of 111.3 km a degree.
    assert _area(ring) == pytest.approx((640 / 111_320) ** 2, rel=0.01)


def test_outlines_are_counterclockwise_and_cut_at_the_180th_meridian():
    (ring,) = _of_degrees(10.0, 50.0, 1.0).rings
    assert _area(ring) == pytest.approx(1.0)
    place = _of_degrees(179.75, 50.0, 1.0)
    assert place.longitude == pytest.approx(-179.75)
    areas = {}
    for ring in place.rings:
        west, east = min(x for x, _ in ring), max(x for x, _ in ring)
        areas[west, east] = _area(ring)
    assert areas == pytest.approx({(-180.0, -179.25): 0.75, (179.75, 180.0): 0.25})
    west_of_it = _of_degrees(-180.25, 50.0, 1.0).rings
    assert sorted(round(_area(ring), 6) for ring in west_of_it) == [0.25, 0.75]


def test_off_the_earth_is_no_place():
    assert footprint(CRS.from_epsg(3035), Affine(1e9, 0, 1e12, 0, -1e9, 1e12), 10, 10) is None
