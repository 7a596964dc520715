"""Drawn pairs: what hills, sun, looks and orbit do, and that elevation tells what labels do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ml_collections import ConfigDict

from eojax.data import options as data_options
from eojax.data.dataset import ArraySource, Dataset
from eojax.data.sets import DATASETS
from eojax.data.sets.landscape_cover import CLASS_NAMES
from eojax.errors import UserError
from eojax.synthetic.regions import make_region

SIZE, REGIONS = 64, 8
RASTERS = ('images', 'elevation', 'sar', 'labels')


def drawn(**values: Any) -> tuple[Dataset, dict[str, np.ndarray]]:
    options = ConfigDict(data_options.defaults('landscape_pairs'))
    options.update({'num_images': 3 * REGIONS, 'size': SIZE, **values})
    data_options.check(options, 'data')
    data = DATASETS['landscape_pairs'].from_config(options, False)
    assert isinstance(data.source, ArraySource)
    return data, {name: np.asarray(data.source.arrays[name]) for name in RASTERS}


@pytest.fixture(scope='module')
def pairs() -> tuple[Dataset, dict[str, np.ndarray]]:
    return drawn()


def metres(arrays: dict[str, np.ndarray]) -> np.ndarray:
    return arrays['elevation'][..., 0] / 10.0


def test_relief_raises_hills_and_leaves_water_level(
    pairs: tuple[Dataset, dict[str, np.ndarray]],
) -> None:
    (data, steep), (_, flat) = pairs, drawn(relief=1.0)
    again = drawn()[1]
    for name in RASTERS:
        np.testing.assert_array_equal(steep[name], again[name])
    np.testing.assert_array_equal(steep['labels'], flat['labels'])
    low, high = data.facts.rasters['elevation'].limits[0]  # type: ignore[index]
    assert low <= steep['elevation'].min() <= steep['elevation'].max() <= high
    spread = np.ptp(metres(steep), axis=(1, 2)) / np.ptp(metres(flat), axis=(1, 2))
    assert np.median(spread) > 2.0
    assert spread.min() > 1.2
    # The water of a place is as level as before, but for what stands at its shore.
    lake = steep['labels'] == CLASS_NAMES.index('water')
    several = lake.sum((1, 2)) > 200
    assert several.sum() >= 3
    for place in np.flatnonzero(several):
        before, after = (metres(a)[place][lake[place]] for a in (flat, steep))
        level = np.median(before)
        assert (np.abs(before - level) < 0.2).mean() <= (
            np.abs(after - np.median(after)) < 0.9
        ).mean() + 0.02


def within_classes(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Values less the mean of their class in their place."""
    left = values.astype(np.float64)
    for place in range(len(values)):
        for number in np.unique(labels[place]):
            inside = labels[place] == number
            left[place][inside] -= left[place][inside].mean()
    return left


def slope(surface: np.ndarray, east: float, north: float) -> np.ndarray:
    """By how much the surface falls towards a direction: what faces it is positive."""
    down, right = np.gradient(surface, 10.0, axis=(1, 2))
    return north * down - east * right


def test_what_faces_the_sun_and_the_radar_is_bright(
    pairs: tuple[Dataset, dict[str, np.ndarray]],
) -> None:
    data, arrays = pairs
    assert data.places.groups is not None
    hills = 3  # the kind of region whose number it is, in the order of drawing
    chosen = data.places.groups == hills
    azimuth = float(make_region(0, hills).conditions.sun_azimuth[0])
    # Open ground alone: between trees, shadows and blur are at work as well.
    open_ground = ~np.isin(arrays['labels'][chosen], [CLASS_NAMES.index('trees')])
    surface, labels = metres(arrays)[chosen], arrays['labels'][chosen]
    lit = slope(surface, np.sin(azimuth), np.cos(azimuth))
    bright = within_classes(arrays['images'][chosen].mean(-1), labels)
    assert np.corrcoef(lit[open_ground], bright[open_ground])[0, 1] > 0.2
    # A descending pass looks west: the radar stands in the east.
    echo = within_classes(arrays['sar'][chosen][..., 0], labels)
    facing = slope(surface, 1.0, 0.0)
    assert np.corrcoef(facing[open_ground], echo[open_ground])[0, 1] > 0.2
    mirrored = within_classes(drawn(orbit='ascending')[1]['sar'][chosen][..., 0], labels)
    assert np.corrcoef(facing[open_ground], mirrored[open_ground])[0, 1] < -0.2


def test_more_looks_have_less_speckle(pairs: tuple[Dataset, dict[str, np.ndarray]]) -> None:
    def roughness(arrays: dict[str, np.ndarray]) -> float:
        """Of neighbours two pixels apart, which share no speckle, in dB."""
        echo = arrays['sar'][..., 0] / 100.0
        return float(np.median(np.abs(echo[:, :, 2:] - echo[:, :, :-2])))

    one, many = (drawn(num_images=REGIONS, looks=looks)[1] for looks in (1, 16))
    assert roughness(one) > 1.5 * roughness(pairs[1]) > 1.5 * roughness(many)


def test_both_orbits_are_one_or_the_other() -> None:
    passes = {
        orbit: drawn(num_images=REGIONS, orbit=orbit)[1]['sar']
        for orbit in ('descending', 'ascending', 'both')
    }
    same = [
        [np.array_equal(passes['both'][place], passes[one][place]) for place in range(REGIONS)]
        for one in ('descending', 'ascending')
    ]
    assert np.array_equal(np.array(same[0]), ~np.array(same[1]))
    assert any(same[0])
    assert any(same[1])


def explained(features: np.ndarray, target: np.ndarray, held_out: np.ndarray) -> float:
    """R^2 of a ridge regression on places that it has not seen.

    Args:
      features: `[places, height, width, features]`; target: `[places, height, width]`.
    """
    known = features[~held_out].reshape(-1, features.shape[-1])
    mean, deviation = known.mean(0), known.std(0) + 1e-6

    def design(part: np.ndarray) -> np.ndarray:
        values = (features[part].reshape(-1, features.shape[-1]) - mean) / deviation
        return np.concatenate([values, np.ones((len(values), 1))], 1)

    inputs, outputs = design(~held_out), target[~held_out].ravel()
    gram = inputs.T @ inputs + 10.0 * np.eye(inputs.shape[1])
    weights = np.linalg.solve(gram, inputs.T @ outputs)
    truth = target[held_out].ravel()
    return float(1.0 - ((design(held_out) @ weights - truth) ** 2).mean() / truth.var())


def elevation_features(surface: np.ndarray, reach: int = 4) -> np.ndarray:
    """By how much the surroundings stand above a pixel, in the eight directions."""
    padded = np.pad(surface, ((0, 0), (reach, reach), (reach, reach)), mode='edge')
    size = surface.shape[1]
    shifts = [
        (row * step, column * step)
        for row in (-1, 0, 1) for column in (-1, 0, 1) for step in (1, 2, reach) if row or column
    ]  # fmt: skip
    above = [
        padded[:, reach + row : reach + row + size, reach + column : reach + column + size]
        - surface
        for row, column in shifts
    ]
    above = np.stack(above, -1)
    return np.sign(above) * np.sqrt(np.abs(above))


def test_labels_with_elevation_tell_more_of_unseen_regions_than_labels(
    pairs: tuple[Dataset, dict[str, np.ndarray]],
) -> None:
    data, arrays = pairs
    assert data.places.groups is not None
    held_out = np.isin(data.places.groups, [3, 5])  # hills and a valley
    labels = np.eye(len(CLASS_NAMES))[arrays['labels']]
    surface = elevation_features(metres(arrays))
    targets = {
        'images': np.log(1.0 + arrays['images'].mean(-1)),
        'sar': arrays['sar'][..., 0] / 100.0,
    }
    for name, gain in (('images', 0.02), ('sar', 0.05)):
        alone, raster, both = (
            explained(features, targets[name], held_out)
            for features in (labels, surface, np.concatenate([labels, surface], -1))
        )
        assert both > alone + gain, (name, alone, raster, both)
        assert both > raster + gain, (name, alone, raster, both)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'relief': -1.0}, r'data\.relief must lie between 0 and 10'),
        ({'looks': 0}, r'data\.looks must lie between 1 and 100'),
        ({'orbit': 'left'}, r"data\.orbit 'left'"),
        ({'sun': 5.0}, r'data\.sun must be 0, or from 10 to 90'),
    ],
)
def test_bad_options_name_their_key(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        drawn(**values)
