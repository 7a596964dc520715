"""Pixels without data: batches say which they are, whatever value stands there, in both ways in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from eojax.data.columns import name_at
from eojax.data.dataset import Dataset, Window
from eojax.data.facts import Facts, Raster, from_json, to_json, valid_of
from eojax.data.shards.grid import Grid
from eojax.data.shards.index import open_prepared
from eojax.data.shards.write import Job, make_plan, write_all
from eojax.data.sources.layout import Layout, layer, read_layout
from eojax.data.splits import Splits
from eojax.devices import sharding
from eojax.feed.inputs import ResidentInput, StreamedInput
from eojax.feed.pipeline import batch_shapes, draw_batch
from eojax.feed.streams import Stream
from tests.data.rasters import write_raster
from tests.feed.split_places import SplitPlaces

KEY = random.key(5)
FACTS = Facts(
    class_names=('land', 'water'),
    rasters={
        'images': Raster(),
        'elevation': Raster(('ground',), 'float32', ((-10.0, 90.0),), 2),
    },
    label='pixel',
)
LAYOUT = Layout(
    {
        'images': layer('{name}_rgb.tif'),
        'elevation': layer('{name}_dem.tif'),
        'labels': layer('{name}_seg.tif', values={0: 0, 1: 1}),
    }
)
STREAMS = {
    'both': Stream('train', 6, 'dihedral', rasters=('images', 'elevation'), window=16),
    'colours': Stream('train', 4, window=24),
}
# Of each place, where the images and the elevation have none, in pixels of the place.
SIZES = ((40, 60), (40, 60), (64, 36))
NO_COLOURS = (slice(0, 40), slice(30, 60))
NO_GROUND = (slice(0, 20), slice(0, 36))


def _masks() -> list[dict[str, np.ndarray]]:
    masks = [{name: np.ones(size, bool) for name in FACTS.rasters} for size in SIZES]
    masks[0]['images'][NO_COLOURS] = False
    masks[2]['elevation'][NO_GROUND] = False
    return masks


def _written(folder: Path, nodata: int | None, ground: float, sizes: Any = SIZES) -> Dataset:
    """Places whose files hold these values where they have no data; 0 is no colour otherwise."""
    folder.mkdir()
    for number, (size, masks) in enumerate(zip(sizes, _masks(), strict=False)):
        rng = np.random.default_rng(number)
        images = rng.integers(1, 200, (*size, 3), np.uint8)
        elevation = rng.uniform(0.0, 80.0, (size[0] // 2, size[1] // 2, 1)).astype(np.float32)
        labels = rng.integers(0, 2, (*size, 1), np.uint8)
        if nodata is not None:
            images[~masks['images']] = nodata
            elevation[~masks['elevation'][::2, ::2]] = ground
        write_raster(folder / f'{number}_rgb.tif', images, nodata=nodata)
        write_raster(folder / f'{number}_dem.tif', elevation, nodata=ground)
        write_raster(folder / f'{number}_seg.tif', labels)
    return read_layout(folder, FACTS, LAYOUT)


def _domain(dataset: Dataset) -> SplitPlaces:
    train, none = np.arange(dataset.places.num, dtype=np.int32), np.arange(0, dtype=np.int32)
    return SplitPlaces(dataset, Splits(train, none, none, train[:1], train[1:]))


def _drawn(domain: SplitPlaces, streamed: bool) -> list[Any]:
    facts, mesh = {'data': domain.dataset.facts}, sharding.data_mesh(jax.devices()[:1])
    way = (
        StreamedInput(domain, mesh, 3, 0)
        if streamed
        else ResidentInput(domain, list(STREAMS.values()), mesh)
    )
    draw = jax.jit(lambda feed, step: draw_batch({'data': feed}, STREAMS, KEY, step, facts))
    batches = [jax.device_get(draw(way.feed(STREAMS, KEY, s), jnp.int32(s))) for s in range(3)]
    way.close()
    return batches


@pytest.fixture(scope='module')
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return _written(tmp_path_factory.mktemp('places') / 'one', 0, -9999.0)


@pytest.fixture(scope='module')
def batches(dataset: Dataset) -> list[Any]:
    return _drawn(_domain(dataset), streamed=False)


def test_batches_say_which_pixels_hold_data(dataset: Dataset, batches: list[Any]) -> None:
    assert [raster.missing for raster in dataset.facts.rasters.values()] == [True, True]
    masks, shares = _masks(), []
    for batch in batches:
        colours = batch['colours']
        for row in range(4):
            top, left = colours['row'][row], colours['column'][row]
            window = (slice(top, top + 24), slice(left, left + 24))
            expected = masks[colours['index'][row]]['images'][window]
            np.testing.assert_array_equal(colours['valid'][row], expected)
        assert (colours['images'][~colours['valid']] == -1.0).all()
        assert (colours['labels'][~colours['valid']] == -1).all()
        both = batch['both']
        for row in range(6):
            top, left = both['row'][row], both['column'][row]
            window = (slice(top, top + 16), slice(left, left + 16))
            place = masks[both['index'][row]]
            expected = (place['images'] & place['elevation'])[window]
            # Turned with the window; so their number says enough here, and the pixels below.
            assert both['valid'][row].sum() == expected.sum()
        # No colour is 0 where there is data.
        bare = (both['images'] == -1.0).all(-1) | (both['elevation'][..., 0] == -1.0)
        np.testing.assert_array_equal(both['valid'], ~bare)
        # All pixels of the files have a class, but for those that the network sees nothing of.
        np.testing.assert_array_equal(both['truth'] >= 0, both['valid'])
        shares += [colours['valid'].mean(), both['valid'].mean()]
    assert 0.3 < np.mean(shares) < 0.95


def test_streamed_is_resident(dataset: Dataset, batches: list[Any]) -> None:
    again = _drawn(_domain(dataset), streamed=True)
    jax.tree.map(np.testing.assert_array_equal, again, batches)
    shapes = batch_shapes(STREAMS, {'data': dataset.facts})
    assert jax.tree.map(lambda a: (a.shape, str(a.dtype)), shapes) == jax.tree.map(
        lambda a: (a.shape, str(a.dtype)), batches[0]
    )


def test_the_value_that_files_hold_for_no_data_changes_nothing(
    tmp_path: Path, batches: list[Any]
) -> None:
    other = _drawn(_domain(_written(tmp_path / 'other', 255, 5000.0)), streamed=False)
    jax.tree.map(np.testing.assert_array_equal, other, batches)


def test_without_missing_pixels_there_is_no_mask(tmp_path: Path) -> None:
    dataset = _written(tmp_path / 'whole', None, -9999.0, SIZES[:1])
    images = dataset.facts.images
    assert not images.missing
    shapes = batch_shapes(STREAMS, {'data': dataset.facts})
    # Floats may always be without data, as no header says that none of them is no number.
    assert ('valid' in shapes['both'], 'valid' in shapes['colours']) == (True, False)
    assert 'missing' not in to_json(dataset.facts)['rasters']['images']
    assert from_json(to_json(dataset.facts)) == dataset.facts


def test_masks_are_read_alone_by_windows_and_at_their_own_resolution(dataset: Dataset) -> None:
    window = Window(10, 0, 20, 36)
    names = (valid_of('elevation'), valid_of('images'))
    read = dataset.source.read(2, window, names)
    assert tuple(read) == names
    np.testing.assert_array_equal(read[names[0]], _masks()[2]['elevation'][10:30:2, ::2])
    assert read[names[1]].all()
    assert read[names[1]].shape == (20, 36)


def test_prepared_windows_keep_their_masks(dataset: Dataset, tmp_path: Path) -> None:
    write_all(
        Job(dataset, make_plan(dataset, Grid(16, 16), 7, 'png'), tmp_path / 'out'), progress=False
    )
    prepared = open_prepared(tmp_path / 'out')
    assert prepared.facts.rasters == dataset.facts.rasters
    names = ('images', *dataset.facts.masks(dataset.facts.rasters))
    shares = []
    for number in range(0, prepared.places.num, 5):
        place, _, corner = str(name_at(prepared.places.names, number)).rpartition('/')
        row, column = map(int, corner.split('_'))
        place_number = list(dataset.places.names).index(place)
        expected = dataset.source.read(place_number, Window(row, column, 16, 16), names)
        read = prepared.source.read(number, None, names)
        jax.tree.map(np.testing.assert_array_equal, read, expected)
        shares.append(read[valid_of('images')].mean())
    assert min(shares) < 1.0 == max(shares)


def test_what_stands_for_no_data_fits_the_type() -> None:
    for dtype, limits, expected in (
        ('uint16', ((-100.0, 900.0), (50.0, 900.0)), [0, 50]),
        ('float32', ((-100.5, 900.0), (0.0, 1.0)), [-100.5, 0.0]),
        ('uint8', None, [0, 0]),
    ):
        empty = Raster(('a', 'b'), dtype, limits).empty
        assert empty.dtype == dtype
        assert empty.tolist() == expected
