from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ml_collections import ConfigDict
from sklearn.ensemble import RandomForestClassifier

from eojax.data import options as data_options
from eojax.data.sets import landscape_zones
from eojax.data.sets.landscape_zones import CLASS_NAMES, SENSORS, generate, make_scenes
from eojax.data.sets.local_climate_zones import LOW_RISE, SO2SAT_COUNTS
from eojax.data.value_range import scale_to_unit
from eojax.errors import UserError
from eojax.synthetic.scene import Scene
from eojax.synthetic.views.render_sar import multilook_db, render_sar


def _options(**values: Any) -> ConfigDict:
    return ConfigDict({**data_options.defaults('landscape_zones'), **values})


@pytest.mark.parametrize('sensor', list(SENSORS))
@pytest.mark.parametrize('size', [16, 33])
def test_data_set_keeps_its_contract(sensor: str, size: int) -> None:
    data = generate(40, size, 3, sensor)
    bands = {'rgb': 3, 'sar': 2, 'sar_db': 1}[sensor]
    assert data.images.shape == (40, size, size, bands)
    assert data.images.dtype == (np.uint8 if sensor == 'rgb' else np.uint16)
    assert len(data.bands) == bands
    assert (data.limits is None) == (sensor == 'rgb')
    assert data.labels.dtype == np.int32
    assert data.class_names == CLASS_NAMES
    assert list(data.names) == sorted(set(data.names))
    assert [n.split('/')[0] for n in data.names] == [CLASS_NAMES[k] for k in data.labels]
    counts = np.bincount(data.labels, minlength=17)
    assert counts.max() - counts.min() <= 1


def test_a_small_set_is_part_of_a_larger_one_of_the_same_seed() -> None:
    small, large = generate(20, 16, 5, 'sar'), generate(45, 16, 5, 'sar')
    by_name = dict(zip(large.names, large.images, strict=True))
    for name, image in zip(small.names, small.images, strict=True):
        np.testing.assert_array_equal(image, by_name[name])


def test_sensors_see_the_same_places_and_seeds_different_ones() -> None:
    colour, radar, other = generate(34, 16, 1), generate(34, 16, 1, 'sar'), generate(34, 16, 2)
    assert colour.names == radar.names
    np.testing.assert_array_equal(colour.labels, radar.labels)
    same = (colour.images.reshape(34, -1) == other.images.reshape(34, -1)).all(1)
    assert not same.any()
    # The water that is blue in one view is dark in the other: place 16 is of class water.
    scene = make_scenes(16, 16, 1, [16])
    place = radar.names.index('water/water_000016')
    parts = scale_to_unit(radar.images, radar.limits)[place] * landscape_zones.AMPLITUDE_LIMIT
    seen = render_sar(scene)[0]
    inside = np.maximum(np.abs(seen.real), np.abs(seen.imag)) < landscape_zones.AMPLITUDE_LIMIT
    np.testing.assert_allclose(parts[..., 0][inside], seen.real[inside], atol=1e-4)
    np.testing.assert_allclose(parts[..., 1][inside], seen.imag[inside], atol=1e-4)


def test_amplitudes_are_stored_symmetrically_and_cut() -> None:
    data = generate(170, 16, 0, 'sar')
    values = scale_to_unit(data.images, data.limits)
    assert data.images.max() == 65534  # some corner reflectors are cut
    assert (np.abs(values) == 1.0).mean() < 0.01
    assert abs(values.mean()) < 0.01
    assert values.std() > 0.1
    assert scale_to_unit(np.array([[32767, 32767]], np.uint16), data.limits).max() == 0.0


def test_decibels_are_stored_in_hundredths() -> None:
    data = generate(17, 16, 4, 'sar_db')
    scene = make_scenes(10, 16, 4, [10])
    stored = data.images[data.names.index('dense trees/dense trees_000010')][..., 0]
    np.testing.assert_allclose(
        stored / 100.0 - 100.0, multilook_db(render_sar(scene))[0], atol=6e-3
    )
    low, high = data.limits[0]  # type: ignore[index]
    assert (low, high) == (7500.0, 10500.0)  # -25 and 5 dB


def test_a_scene_does_not_depend_on_its_neighbours() -> None:
    together, alone = make_scenes(3, 16, 2, [1, 5, 9]), make_scenes(3, 16, 2, [5])
    for name in Scene._fields:
        if name != 'conditions':
            np.testing.assert_array_equal(getattr(together, name)[1], getattr(alone, name)[0])


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'num': 0}, 'at least 1'),
        ({'num': 2, 'size': 15}, 'smallest is 16'),
        ({'num': 2, 'seed': -1}, '0 or more'),
        ({'num': 2, 'sensor': 'radar'}, "unknown data.sensor 'radar'"),
    ],
)
def test_bad_arguments_give_one_line(arguments: dict, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        generate(**arguments)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'root': '/somewhere'}, 'leave data.source and data.root alone'),
        ({'sensor': 'sa'}, "did you mean 'sar'"),
        ({'size': 8}, 'data.size must be at least 16'),
        ({'seed': -1}, 'data.seed must not be negative'),
        ({'num_images': 100}, 'data.num_images must be at least 170'),
    ],
)
def test_bad_options_name_their_key(values: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        data_options.check(_options(**values), 'data')


def test_unknown_labels_and_negative_indices_are_refused() -> None:
    with pytest.raises(UserError, match='unknown label 17'):
        make_scenes(17, 16)
    with pytest.raises(UserError, match='index -1'):
        make_scenes(1, 16, 0, [-1])


def test_the_config_chooses_sensor_size_and_seed() -> None:
    options = _options(num_images=170, size=16, seed=7, sensor='sar')
    data_options.check(options, 'data')
    data = landscape_zones.KIND.from_config(options, progress=False)
    np.testing.assert_array_equal(data.images, generate(170, 16, 7, 'sar').images)
    assert _options().size == 32


def _texture(values: np.ndarray) -> np.ndarray:
    """Means and spreads of `[num, 32, 32, bands]` at several scales."""
    features = [values.mean((1, 2))]
    for factor in (1, 2, 4, 8):
        side = 32 // factor
        coarse = values.reshape(len(values), side, factor, side, factor, -1).mean((2, 4))
        features += [coarse.std((1, 2)), np.abs(np.diff(coarse, axis=1)).mean((1, 2))]
        features += list(np.quantile(coarse, (0.05, 0.5, 0.95), axis=(1, 2)))
    return np.concatenate(features, axis=1)


def test_zones_can_be_told_apart_better_in_colour_than_in_radar_and_not_fully() -> None:
    num, train = 1360, 1020
    order = np.random.default_rng(0).permutation(num)
    accuracy = {}
    for sensor in ('rgb', 'sar'):
        data = generate(num, 32, 0, sensor)
        values = scale_to_unit(data.images, data.limits)
        if sensor == 'sar':
            values = (values**2).sum(-1, keepdims=True)  # intensity
        features, labels = _texture(values)[order], data.labels[order]
        forest = RandomForestClassifier(60, random_state=0, min_samples_leaf=2)
        forest.fit(features[:train], labels[:train])
        accuracy[sensor] = forest.score(features[train:], labels[train:])
    chance = 1 / 17
    assert accuracy['rgb'] < 0.9
    assert accuracy['sar'] > 4 * chance
    assert accuracy['rgb'] > accuracy['sar'] + 0.08


def test_classes_that_are_not_wanted_are_not_drawn_and_change_no_other() -> None:
    everything = generate(68, 16, 3, 'sar')
    wanted = ('water', 'open low-rise')
    some = generate(68, 16, 3, 'sar', wanted)
    kept = [everything.class_names[k] in wanted for k in everything.labels]
    assert some.names == tuple(n for n, keep in zip(everything.names, kept, strict=True) if keep)
    np.testing.assert_array_equal(some.images, everything.images[kept])
    np.testing.assert_array_equal(some.labels, everything.labels[kept])
    assert some.class_names == everything.class_names


def test_an_uncalibrated_radar_has_a_gain_at_each_place_and_the_same_texture() -> None:
    plain, gained = (generate(170, 16, 2, 'sar_db', gain_db=g) for g in (0.0, 4.0))
    difference = (gained.images.astype(float) - plain.images.astype(float)) / 100.0
    gains = difference.mean((1, 2, 3))
    assert difference.std((1, 2, 3)).max() < 0.02  # up to rounding
    assert 3.2 < gains.std() < 4.8
    assert abs(gains.mean()) < 1.0
    some = generate(170, 16, 2, 'sar_db', ('water',), 4.0)
    np.testing.assert_array_equal(some.images, gained.images[gained.labels == 16])
    colours = [generate(17, 16, 2, 'rgb', gain_db=g).images for g in (0.0, 4.0)]
    np.testing.assert_array_equal(*colours)


def test_classes_may_be_as_frequent_as_in_so2sat() -> None:
    data = generate(2000, 16, 0, 'rgb', frequencies='so2sat')
    shares = np.bincount(data.labels, minlength=17) / 2000
    np.testing.assert_allclose(shares, np.asarray(SO2SAT_COUNTS) / 352_366, atol=0.002)
    fewer = generate(300, 16, 0, 'rgb', frequencies='so2sat')
    assert {n.split('_')[-1] for n in fewer.names} == {f'{i:06d}' for i in range(300)}
    assert set(fewer.names) <= set(data.names)
    with pytest.raises(UserError, match='so2sat'):
        generate(300, 16, 0, 'rgb', frequencies='so2sta')


def test_low_rise_zones_differ_by_their_backscatter_level_more_than_by_its_pattern() -> None:
    # What instance normalisation takes away; the README quotes such numbers of more forests.
    data = generate(17 * 160, 32, 0, 'sar', LOW_RISE)
    values = scale_to_unit(data.images, data.limits)
    intensity = (values**2).sum(-1, keepdims=True)
    order = np.random.default_rng(0).permutation(len(data.labels))
    accuracy = []
    for view in (intensity, intensity / intensity.mean((1, 2), keepdims=True)):
        features = _texture(view)[order]
        forest = RandomForestClassifier(60, random_state=0).fit(
            features[:480], data.labels[order][:480]
        )
        accuracy.append(forest.score(features[480:], data.labels[order][480:]))
    assert accuracy[0] > accuracy[1] + 0.08
    assert accuracy[1] > 0.3
