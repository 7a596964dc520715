"""Images of land cover from Python."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from eojax.errors import UserError
from eojax.library.opened import OpenedRun
from tests.apps.generators import FACTS, NAMES, by_class, by_height, run_of
from tests.tiny_runs import tiny_run


@pytest.fixture(scope='module')
def colours() -> OpenedRun:
    return OpenedRun(run_of(by_class), ())


@pytest.fixture(scope='module')
def radar() -> OpenedRun:
    return OpenedRun(run_of(by_height, ('elevation',), 'sar'), ())


@pytest.fixture(scope='module')
def labels() -> np.ndarray:
    return np.random.default_rng(0).integers(-1, 3, (5, 20, 30))


def test_classes_become_images_of_any_size(colours: OpenedRun, labels: np.ndarray) -> None:
    for part in (labels, labels[:, :9, :14]):
        images = colours.synthesise(part)
        assert images.dtype == np.uint8
        assert images.shape == (*part.shape, 3)
        red = np.where(part < 0, 128, np.array([0, 128, 255])[part])
        np.testing.assert_array_equal(images[..., 0], red)
    assert 'synthesise' in colours.abilities
    names = np.array((*NAMES, 'unknown'))[labels]
    np.testing.assert_array_equal(colours.synthesise(names), colours.synthesise(labels))


def test_rasters_go_by_name_and_in_their_units(radar: OpenedRun, labels: np.ndarray) -> None:
    heights = np.random.default_rng(1).integers(-100, 101, labels.shape).astype(np.int16)
    for part, given in ((labels, heights), (labels[:, :16, :16], heights[:, :16, :16])):
        images = radar.synthesise(part, elevation=given)
        assert images.dtype == np.float32
        expected = -30.0 + 15.0 * (given / 100.0 + 1.0)
        np.testing.assert_allclose(images[..., 1], expected, atol=1e-4)
    again = radar.synthesise(labels, elevation=heights[..., None], overlap=0)
    np.testing.assert_allclose(again, radar.synthesise(labels, elevation=heights), atol=1e-4)


def test_a_coarse_raster_is_given_as_it_is_stored(labels: np.ndarray) -> None:
    known = FACTS.rasters['elevation']._replace(scale=2)
    facts = FACTS._replace(rasters={**FACTS.rasters, 'elevation': known})
    run = OpenedRun(run_of(by_height, ('elevation',), 'sar', facts=facts), ())
    heights = np.random.default_rng(1).integers(-100, 101, (5, 10, 15)).astype(np.int16)
    images = run.synthesise(labels, elevation=heights)
    expected = -30.0 + 15.0 * (heights.repeat(2, 1).repeat(2, 2) / 100.0 + 1.0)
    np.testing.assert_allclose(images[..., 1], expected, atol=1e-4)


def test_labels_may_be_left_out_where_nobody_looks_at_them() -> None:
    def heights_alone(state: Any, labels: Any, rasters: Any, key: Any) -> Any:
        return rasters[0].repeat(2, -1)

    run = OpenedRun(run_of(heights_alone, ('elevation',), 'sar', generator='raster'), ())
    images = run.synthesise(None, elevation=np.zeros((2, 16, 16), np.int16))
    np.testing.assert_allclose(images, np.broadcast_to([-10.0, -15.0], (2, 16, 16, 2)), atol=1e-4)


def test_what_is_not_like_training_is_one_line(
    colours: OpenedRun, radar: OpenedRun, labels: np.ndarray
) -> None:
    wrong = labels.copy()
    wrong[2, 7, 9] = 3
    heights = np.zeros(labels.shape, np.int16)
    cases = [
        ('labels[2] holds 3 in row 7, column 9; classes are 0 to 2', colours, wrong, {}),
        ("unknown class in labels 'sea'", colours, np.full((1, 4, 4), 'sea'), {}),
        ('labels must be [N, H, W], not [4, 4]: one map is labels[None]', colours,
         np.ones((4, 4), int), {}),
        ('whole numbers or names of classes, not float64', colours, labels + 0.5, {}),
        ('labels are needed', colours, None, {}),
        ("takes no raster 'elevation'; it takes none", colours, labels, {'elevation': heights}),
        ('give elevation=array', radar, labels, {}),
        ('must be of the same ground', radar, labels, {'elevation': heights[:, 1:]}),
        ('elevation are float64', radar, labels, {'elevation': heights + 0.5}),
        ('elevation have masked pixels: fill them (elevation.filled', radar, labels,
         {'elevation': np.ma.masked_equal(heights, 0)}),
        ('labels have masked pixels', colours, np.ma.masked_equal(labels, 1), {}),
    ]  # fmt: skip
    for text, run, given, rasters in cases:
        with pytest.raises(UserError, match=re.escape(text)) as refused:
            run.synthesise(given, **rasters)
        assert '\n' not in str(refused.value)
    for overlap, text in ((2.5, 'overlap must be a whole number'), (16, 'overlap=16: windows of')):
        with pytest.raises(UserError, match=f'^{text}'):
            colours.synthesise(labels, overlap=overlap)  # type: ignore[arg-type]
    case = tiny_run('supervised')
    with pytest.raises(UserError, match='cannot synthesise; these can'):
        OpenedRun(case.run, case.state).synthesise(labels)
