"""Random windows: drawn by area, uniform, the same of jax and NumPy, resident and streamed."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from eojax.data.dataset import ArraySource, Dataset, Places, Source, Window
from eojax.data.facts import Facts, Raster
from eojax.data.splits import Splits
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.feed import shelves, windows
from eojax.feed.inputs import ResidentInput, StreamedInput
from eojax.feed.pipeline import batch_shapes, draw_batch
from eojax.feed.resident import place_training
from eojax.feed.streamed import StepReader, read_steps
from eojax.feed.streams import Stream, check_streams
from tests.data.places_on_access import CoordinatePlaces
from tests.feed.split_places import SplitPlaces

KEY = random.key(11)
SIZES = np.array([(40, 60), (64, 34), (90, 36), (36, 36), (50, 130), (60, 60)], np.int32)
LIMITS = ((0.0, 1000.0),)
RASTERS = {
    'images': Raster(('row', 'column', 'place'), 'uint8'),
    'elevation': Raster(('row', 'column'), 'int16', ((-500.0, 500.0),) * 2, 2),
    'sar': Raster(('sum',), 'float64', LIMITS),
}
ALL = ('images', 'elevation', 'sar')
FACTS = Facts(class_names=tuple('abcdefg'), rasters=RASTERS, label='pixel')


def domain_of(sizes: np.ndarray = SIZES, facts: Facts = FACTS, labelled: int = 3) -> SplitPlaces:
    """Places whose pixels are their own coordinates; the first of all is not for training."""
    num = len(sizes)
    names = tuple(f'tile_{i}' for i in range(num))
    labels = np.full(num, -1, np.int32)
    source = CoordinatePlaces(sizes)
    dataset = Dataset(facts, Places(names, sizes[:, 0], sizes[:, 1], labels), source)
    train, none = np.arange(1, num, dtype=np.int32), np.arange(0, dtype=np.int32)
    splits = Splits(train, none, none, train[:labelled], train[labelled:])
    return SplitPlaces(dataset, splits)


def equal_domain() -> SplitPlaces:
    sizes = np.full((7, 2), (48, 70), np.int32)
    return domain_of(sizes, FACTS._replace(size=(48, 70)))


STREAMS = {
    'labelled': Stream('labelled', 6, rasters=ALL, window=16),
    'other': Stream('train', 10, rasters=('elevation',), window=34),
    'plain': Stream('unlabelled', 4, window=8),
}


def drawn(domain: SplitPlaces, streams: dict[str, Stream], steps: list[int]) -> list[Any]:
    """Batches of resident input."""
    resident = place_training(domain, list(streams.values()), sharding.data_mesh())
    facts = {'data': domain.dataset.facts}
    draw = jax.jit(lambda r, s: draw_batch({'data': r}, streams, KEY, s, facts))
    return [jax.device_get(draw(resident, jnp.int32(step))) for step in steps]


def assert_same(first: Any, second: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, first, second)


def chi_square(counts: np.ndarray, expected: np.ndarray) -> float:
    """In units of its deviation, above its mean."""
    free = counts.size - 1
    value = float((np.square(counts - expected) / expected).sum())
    return (value - free) / np.sqrt(2 * free)


def test_draws_by_area_are_uniform_over_the_pixels():
    num, seeds = 200_000, np.asarray(windows.window_seeds(KEY))
    heights, widths = SIZES.T
    positions = np.arange(num)
    thresholds = windows.area_thresholds(heights, widths)
    places = windows.draw_places(positions, seeds, thresholds)
    area = heights * widths
    assert chi_square(np.bincount(places, minlength=6), num * area / area.sum()) < 5.0
    for window, grid in ((16, 2), (33, 1), (20, 4)):
        at = (positions, seeds, heights[places], widths[places], window, grid)
        row, column = windows.draw_corners(*at)
        assert not (row % grid).any()
        assert not (column % grid).any()
        for place in range(6):
            rows, columns = ((side - window) // grid + 1 for side in SIZES[place])
            mine = places == place
            corner = row[mine] // grid * columns + column[mine] // grid
            assert corner.max() < rows * columns
            if rows * columns > 1:
                counts = np.bincount(corner, minlength=rows * columns)
                assert chi_square(counts, np.full(counts.size, mine.mean() * num / counts.size)) < 5


def test_large_places_and_many_choices_lose_nothing():
    words = np.array([0, 1, 2**16, 2**31, 2**32 - 1, 123456789], np.uint32)
    for choices in (1, 2, 65_537, 2**31 - 1, 2**32 - 1):
        found = windows._scaled(words, np.full(len(words), choices, np.uint32))
        assert found.tolist() == [int(word) * choices >> 32 for word in words]
    # A share of one in 2**20 is met as often as it should be.
    sides = np.array([[1, 1], [1, 2**20 - 1]])
    assert windows.area_thresholds(sides[:, 0], sides[:, 1]).tolist() == [2**12]


def test_jax_and_numpy_draw_the_same():
    heights, widths = (np.array(side) for side in SIZES.T)
    thresholds = windows.area_thresholds(heights, widths)
    seeds = windows.window_seeds(KEY)

    @jax.jit
    def draw(positions: Any, thresholds: Any, heights: Any, widths: Any) -> Any:
        places = windows.draw_places(positions, seeds, thresholds)
        return places, *windows.draw_corners(
            positions, seeds, heights[places], widths[places], 16, 2
        )

    positions = np.concatenate([np.arange(500), 2**31 - 1 - np.arange(500)])
    ours = draw(jnp.asarray(positions, jnp.int32), thresholds, heights, widths)
    places = windows.draw_places(positions, np.asarray(seeds), thresholds)
    at = (positions, np.asarray(seeds), heights[places], widths[places], 16, 2)
    assert_same(jax.device_get(ours), (places, *windows.draw_corners(*at)))


@pytest.mark.parametrize('make', [domain_of, equal_domain], ids=['differing', 'equal'])
def test_rasters_and_labels_are_cut_at_the_same_place(make: Any):
    domain = make()
    train, places = domain.splits.train, domain.dataset.places
    for batch in drawn(domain, STREAMS, [0, 1, 57]):
        for name, stream in STREAMS.items():
            side = stream.window
            assert side is not None
            given = batch[name]
            rows = given['row'][:, None, None] + np.arange(side)[None, :, None]
            columns = given['column'][:, None, None] + np.arange(side)[None, None, :]
            place = train[given['index']]
            assert (rows.max((1, 2)) < places.heights[place]).all()
            assert (columns.max((1, 2)) < places.widths[place]).all()
            both = np.broadcast_arrays(rows, columns)
            if 'images' in stream.rasters:
                pixels = np.rint((given['images'] + 1) * 127.5)
                np.testing.assert_array_equal(pixels[..., 0], both[0])
                np.testing.assert_array_equal(pixels[..., 1], both[1])
                np.testing.assert_array_equal(pixels[:, 0, 0, 2], place)
            if 'elevation' in stream.rasters:
                half = given['elevation'] * 500.0
                np.testing.assert_allclose(half[..., 0], both[0] // 2 - 100, atol=1e-3)
                np.testing.assert_allclose(half[..., 1], both[1] // 2 + 100, atol=1e-3)
            if 'sar' in stream.rasters:
                total = (given['sar'][..., 0] + 1) * 500.0
                np.testing.assert_allclose(total, both[0] + both[1] + 0.5, atol=1e-3)
            truth = (both[0] * 3 + both[1]) % 8
            truth = np.where(truth == 7, -1, truth)  # stored as unknown
            np.testing.assert_array_equal(given['truth'], truth)
            known = np.isin(place, domain.splits.labelled)[:, None, None]
            np.testing.assert_array_equal(given['labels'], np.where(known, truth, -1))
            assert given['labels'].dtype == given['truth'].dtype == np.int32


@pytest.mark.parametrize('name', ['flips_shift', 'dihedral', 'dihedral_shift'])
def test_augmented_rasters_and_labels_still_belong_together(name: str):
    domain = domain_of()
    streams = {'labelled': STREAMS['labelled']._replace(augment=name, batch_size=60)}
    given = drawn(domain, streams, [3])[0]['labelled']
    rows, columns, place = np.moveaxis(np.rint((given['images'] + 1) * 127.5), -1, 0)
    assert (place == domain.splits.train[given['index']][:, None, None]).all()
    still = given['row'][:, None, None] + np.arange(16)[None, :, None]
    assert (rows != still).any((1, 2)).mean() > 0.6
    np.testing.assert_allclose(given['elevation'][..., 0] * 500.0, rows // 2 - 100, atol=1e-3)
    np.testing.assert_allclose(given['elevation'][..., 1] * 500.0, columns // 2 + 100, atol=1e-3)
    total = (given['sar'][..., 0] + 1) * 500.0
    np.testing.assert_allclose(total, rows + columns + 0.5, atol=1e-3)
    truth = (rows * 3 + columns) % 8
    truth = np.where(truth == 7, -1, truth)
    np.testing.assert_array_equal(given['truth'], truth)
    known = np.isin(place, domain.splits.labelled)
    np.testing.assert_array_equal(given['labels'], np.where(known, truth, -1))


def test_whole_images_and_windows_of_equal_places_come_in_the_same_order():
    domain = equal_domain()
    cut, whole = (
        {'a': Stream('train', 4, rasters=('images', 'elevation'), window=window)}
        for window in (48, None)
    )
    first = drawn(domain, cut, [0, 5])
    second = drawn(domain, whole, [0, 5])
    for ours, theirs in zip(first, second, strict=True):
        np.testing.assert_array_equal(ours['a']['index'], theirs['a']['index'])
        assert theirs['a']['elevation'].shape == (*theirs['a']['images'].shape[:3], 2)
        for i, column in enumerate(ours['a']['column']):
            np.testing.assert_array_equal(
                ours['a']['elevation'][i], theirs['a']['elevation'][i, :, column : column + 48]
            )


@pytest.mark.parametrize('make', [domain_of, equal_domain], ids=['differing', 'equal'])
def test_streamed_is_resident_from_any_step_by_any_number_of_workers(make: Any):
    domain = make()
    expected = drawn(domain, STREAMS, list(range(9)))
    facts = {'data': domain.dataset.facts}
    finish = jax.jit(lambda rows, step: draw_batch({'data': rows}, STREAMS, KEY, step, facts))
    for rows_at_once, start, workers in ((64, 0, 0), (3, 0, 0), (3, 4, 2)):
        reader = StepReader(domain, STREAMS, KEY, 9, rows_at_once=rows_at_once)
        read = list(read_steps(reader, domain.dataset.places, start, workers))
        assert len(read) == 9 - start
        for step, rows in enumerate(read, start):
            assert_same(jax.device_get(finish(rows, jnp.int32(step))), expected[step])


def test_feeds_have_the_shapes_that_they_say_and_one_program_serves_all_steps():
    domain, mesh = domain_of(), sharding.data_mesh()
    key = sharding.place_key(KEY, mesh)
    for one in (
        StreamedInput(domain, mesh, 20, 0), ResidentInput(domain, list(STREAMS.values()), mesh),
    ):  # fmt: skip
        traced = []

        @jax.jit
        def finish(rows: Any, step: Any, traced: list[int] = traced) -> Any:
            traced.append(1)
            return draw_batch({'data': rows}, STREAMS, KEY, step, {'data': FACTS})

        for step in range(3):
            fed = one.feed(STREAMS, key, step)
            described = [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(fed)]
            shapes = jax.tree.leaves(one.shapes(STREAMS))
            assert described == [(shape.shape, shape.dtype) for shape in shapes]
            assert jax.tree.structure(fed) == jax.tree.structure(one.shapes(STREAMS))
            finish(fed, jnp.int32(step))
        assert len(traced) == 1
        one.close()


def test_nothing_that_grows_with_the_data_is_a_constant():
    texts = []
    for times in (1, 40):
        domain = domain_of(np.tile(SIZES, (times, 1)))
        resident = place_training(domain, list(STREAMS.values()), sharding.data_mesh())
        trace = jax.make_jaxpr(
            lambda r: draw_batch({'data': r}, STREAMS, KEY, jnp.int32(0), {'data': FACTS})
        )(resident)
        assert all(np.size(constant) < 50 for constant in trace.consts)
        texts.append(str(trace))
    assert len(texts[1]) < 1.1 * len(texts[0])


def test_shelves_hold_every_place_apart():
    rng = np.random.default_rng(0)
    heights, widths = rng.integers(3, 90, (2, 60))
    plan = shelves.arrange(heights, widths, 4)
    used = np.zeros((plan.height, plan.width), int)
    for height, width, top, left in zip(heights, widths, plan.tops, plan.lefts, strict=True):
        assert top % 4 == left % 4 == 0
        used[top : top + height, left : left + width] += 1
    assert used.max() == 1
    assert used.sum() == (heights * widths).sum()
    assert used.mean() > 0.7


@pytest.mark.parametrize(
    ('changes', 'line'),
    [
        ({'window': 40}, r'data: tile_1 has 64 by 34 pixels, less than the window .* \(3 places'),
        ({'window': 35, 'rasters': ('images',)}, 'must be a positive multiple of 2'),
        ({'window': None}, 'the places of data differ in size: set a window'),
        ({'window': 16, 'rasters': ('height',)}, "asks for the raster 'height'; data has elevat"),
    ],
)
def test_what_cannot_be_drawn_is_refused(changes: dict[str, Any], line: str):
    stream = Stream('train', 4)._replace(**changes)
    with pytest.raises(UserError, match=line):
        check_streams({'a': stream}, {'data': domain_of()}, 1)


def test_types_and_limits_are_checked():
    for raster, line in (
        (Raster(('a',), 'int64', LIMITS), 'of type int64: store integers of at most 32 bits'),
        (Raster(('a',), 'int16'), 'of type int16 and needs limits'),
    ):
        facts = FACTS._replace(rasters={'images': raster})
        with pytest.raises(UserError, match=line):
            check_streams({'a': Stream('train', 4, window=8)}, {'data': domain_of(facts=facts)}, 1)
    sizes = np.full((4, 2), (48, 71), np.int32)
    odd = domain_of(sizes, FACTS._replace(size=(48, 71)))
    with pytest.raises(UserError, match='48 by 71 pixels, are no multiple of 2'):
        check_streams({'a': Stream('train', 4)}, {'data': odd}, 1)


def with_images(raster: Raster) -> dict[str, Any]:
    return {'rasters': {**RASTERS, 'images': raster}}


@pytest.mark.parametrize('grid', [1, 2, 32])
def test_no_raster_of_a_picture_has_a_height_that_32_divides(grid: int):
    scales = (1, grid) if grid < 32 else (32,)
    for height in range(grid * 25, grid * 100, grid):
        chosen = shelves.uneven_height(height, grid, scales)
        assert height <= chosen <= height + 32 * grid
        assert chosen % grid == 0
        assert all(chosen // scale % 32 for scale in scales)
    # Where no height is such, it stays.
    assert shelves.uneven_height(64, 32, (1,)) == 64


@pytest.mark.parametrize(
    ('change', 'line'),
    [
        ({'class_names': tuple('abc')}, 'tile_[1-5]: a pixel has class [3-6]; .* 3 classes'),
        (with_images(Raster(('a',), 'uint8')), 'tile_[1-5]: images is uint8 '),
        (
            with_images(RASTERS['images']._replace(dtype='uint16', limits=LIMITS * 3)),
            'tile_[1-5]: images is uint8 .*; the data set says uint16',
        ),
    ],
)
def test_pixels_that_are_not_what_the_facts_say_are_refused_by_name(change: Any, line: str):
    domain = domain_of(facts=FACTS._replace(**change))
    streams = {'a': Stream('train', 8, window=16)}
    with pytest.raises(UserError, match=line):
        place_training(domain, list(streams.values()), sharding.data_mesh())
    reader = StepReader(domain, streams, KEY, 3)
    with pytest.raises(UserError, match=line):
        list(read_steps(reader, domain.dataset.places, 0, 0))


def test_windows_of_arrays_know_the_scale_of_a_raster_that_comes_alone():
    fine, half = np.zeros((2, 8, 12, 1), np.uint8), np.arange(48).reshape(2, 4, 6, 1)
    source: Source = ArraySource({'images': fine, 'elevation': half})
    read = source.read(1, Window(2, 4, 4, 6), ('elevation',))['elevation']
    np.testing.assert_array_equal(read, half[1, 1:3, 2:5])
    with pytest.raises(UserError, match=r'place 1: rows 6 to 9, .* do not lie in its 12x8 pixels'):
        source.read(1, Window(6, 0, 4, 4), ('images',))


@pytest.mark.parametrize(
    'stream',
    [
        Stream('train', 4, rasters=('images', 'elevation'), window=8),
        Stream('labelled', 2, 'dihedral_shift', window=8),
    ],
)
def test_shapes_are_those_of_what_is_drawn(stream: Stream) -> None:
    (batch,) = drawn(domain_of(), {'one': stream}, [0])
    shapes = batch_shapes({'one': stream}, {'data': FACTS})['one']
    assert {k: (v.shape, v.dtype) for k, v in shapes.items()} == {
        k: (v.shape, v.dtype) for k, v in batch['one'].items()
    }


def test_shapes_of_whole_images_are_those_of_what_is_drawn() -> None:
    domain, stream = equal_domain(), Stream('train', 4)
    (batch,) = drawn(domain, {'one': stream}, [0])
    shapes = batch_shapes({'one': stream}, {'data': domain.dataset.facts})['one']
    assert {k: (v.shape, v.dtype) for k, v in shapes.items()} == {
        k: (v.shape, v.dtype) for k, v in batch['one'].items()
    }
