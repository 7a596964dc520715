"""Windows of real tiles: of sizes that differ, and of rasters whose types differ."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rasterio
from jax import random
from PIL import Image

from eojax.data.dataset import ArraySource, Dataset, Places, Window
from eojax.data.facts import PIXEL_LABELS, UNKNOWN, Facts, Raster
from eojax.data.splits import Splits
from eojax.devices import sharding
from eojax.feed.pipeline import draw_batch
from eojax.feed.resident import place_training
from eojax.feed.streamed import StepReader, read_steps
from eojax.feed.streams import Stream
from tests.feed.split_places import SplitPlaces
from tests.real_data import real_data

KEY = random.key(5)
DUBAI = {
    'water': 'E2A929', 'land': '8429F6', 'road': '6EC1E4', 'building': '3C1098',
    'vegetation': 'FEDD3A',
}  # fmt: skip


class TilesInMemory:
    """A source of tiles of any size, by raster."""

    def __init__(self, tiles: Sequence[Mapping[str, np.ndarray]]) -> None:
        self.tiles = tiles

    def read(
        self, place: int, window: Window | None, rasters: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """See `eojax.data.dataset.Source.read`."""
        read = {name: self.tiles[place][name] for name in rasters}
        if window is None:
            return read
        row, column, height, width = window
        return {name: a[row : row + height, column : column + width] for name, a in read.items()}

    def subset(self, indices: np.ndarray) -> TilesInMemory:
        """See `eojax.data.dataset.Source.subset`."""
        return TilesInMemory([self.tiles[i] for i in indices])


def both_ways(domain: SplitPlaces, streams: Mapping[str, Stream], steps: int) -> list[Any]:
    """The batches of resident input, after a check that streamed input gives the same."""
    facts = {'data': domain.dataset.facts}
    resident = place_training(domain, list(streams.values()), sharding.data_mesh())
    draw = jax.jit(lambda feed, step: draw_batch({'data': feed}, streams, KEY, step, facts))
    batches = [jax.device_get(draw(resident, jnp.int32(step))) for step in range(steps)]
    reader = StepReader(domain, streams, KEY, steps)
    for step, rows in enumerate(read_steps(reader, domain.dataset.places, 0, 0)):
        streamed = jax.device_get(draw(rows, jnp.int32(step)))
        jax.tree.map(np.testing.assert_array_equal, streamed, batches[step])
    return batches


def split_of(num: int) -> Splits:
    train, none = np.arange(num, dtype=np.int32), np.arange(0, dtype=np.int32)
    return Splits(train, none, none, train[: num // 2], train[num // 2 :])


def test_dubai_tiles_of_five_sizes():
    tiles, names = [], []
    colours = {int(text, 16): number for number, text in enumerate(DUBAI.values())}
    with zipfile.ZipFile(real_data('dubai_land_cover.zip')) as file:
        for number in (1, 3, 4, 6, 7):
            for part in (1, 2):
                stem = f'dubai_land_cover/tile_{number}/{{}}/image_part_00{part}.{{}}'
                image, mask = (
                    np.asarray(Image.open(io.BytesIO(file.read(stem.format(*k)))).convert('RGB'))
                    for k in (('images', 'jpg'), ('masks', 'png'))
                )
                code = mask.astype(np.int64) @ [65536, 256, 1]
                labels = np.full(code.shape, UNKNOWN, np.uint8)
                for colour, label in colours.items():
                    labels[code == colour] = label
                tiles.append({'images': image, PIXEL_LABELS: labels})
                names.append(f'tile_{number}/{part}')
    sizes = np.array([tile['images'].shape[:2] for tile in tiles], np.int32)
    assert len(np.unique(sizes, axis=0)) >= 4
    facts = Facts(class_names=tuple(DUBAI), label='pixel')
    unknown = np.full(len(tiles), -1, np.int32)
    places = Places(tuple(names), sizes[:, 0], sizes[:, 1], unknown)
    domain = SplitPlaces(Dataset(facts, places, TilesInMemory(tiles)), split_of(len(tiles)))
    streams = {'a': Stream('labelled', 8, window=128), 'b': Stream('train', 6, window=256)}
    for batch in both_ways(domain, streams, 6):
        for name, stream in streams.items():
            for i, place in enumerate(batch[name]['index']):
                side, row, column = stream.window, batch[name]['row'][i], batch[name]['column'][i]
                assert side is not None
                cut = np.s_[row : row + side, column : column + side]
                image = np.rint((batch[name]['images'][i] + 1) * 127.5)
                np.testing.assert_array_equal(image, tiles[place]['images'][cut])
                labels = tiles[place][PIXEL_LABELS][cut].astype(np.int32)
                np.testing.assert_array_equal(
                    batch[name]['truth'][i], np.where(labels == UNKNOWN, -1, labels)
                )


def test_terramesh_rasters_of_four_types():
    limits = {'S2RGB': None, 'S2L2A': (0.0, 6000.0), 'S1RTC': (-30.0, 5.0), 'DEM': (-100.0, 3000.0)}
    arrays: dict[str, list[np.ndarray]] = {name: [] for name in (*limits, 'LULC')}
    with zipfile.ZipFile(real_data('terramesh_places.zip')) as file:
        for member in sorted(file.namelist()):
            with rasterio.open(io.BytesIO(file.read(member))) as opened:
                arrays[member.split('/')[0]].append(np.moveaxis(opened.read(), 0, -1))
    labels = np.stack(arrays.pop('LULC'))[..., 0]
    labels = np.where(labels == 0, UNKNOWN, labels - 1).astype(np.uint8)
    stored = {'images' if n == 'S2RGB' else n: np.stack(a) for n, a in arrays.items()}
    assert {str(a.dtype) for a in stored.values()} == {'uint8', 'int16', 'float64'}
    rasters = {}
    for name, pair in limits.items():
        key = 'images' if name == 'S2RGB' else name
        bands = tuple(f'{name}{i}' for i in range(stored[key].shape[-1]))
        given = None if pair is None else (pair,) * len(bands)
        rasters[key] = Raster(bands, str(stored[key].dtype), given)
    facts = Facts(class_names=tuple('abcdefghi'), rasters=rasters, label='pixel', size=(224, 224))
    sides = np.full((2, 3), 224, np.int32)
    places = Places(('one', 'three', 'two'), *sides, np.full(3, -1, np.int32))
    source = ArraySource({**stored, PIXEL_LABELS: labels})
    domain = SplitPlaces(Dataset(facts, places, source), split_of(3))
    streams = {'a': Stream('train', 6, rasters=tuple(rasters), window=64)}
    for batch in both_ways(domain, streams, 3):
        given = batch['a']
        for i, place in enumerate(given['index']):
            row, column = given['row'][i], given['column'][i]
            cut = np.s_[place, row : row + 64, column : column + 64]
            for name, pair in limits.items():
                if pair is None:
                    continue
                low, high = pair
                value = np.clip((stored[name][cut] - low) * 2.0 / (high - low) - 1.0, -1.0, 1.0)
                np.testing.assert_allclose(given[name][i], value, atol=2e-6)
                assert given[name].dtype == np.float32
            truth = labels[cut].astype(np.int32)
            np.testing.assert_array_equal(given['truth'][i], np.where(truth == UNKNOWN, -1, truth))


@pytest.mark.parametrize('window', [None, 64])
def test_whole_and_cut_images_need_no_labels(window: int | None):
    images = np.random.default_rng(0).normal(size=(5, 64, 64, 2)).astype(np.float32)
    facts = Facts(
        rasters={'images': Raster(('a', 'b'), 'float32', ((-4.0, 4.0),) * 2)},
        label='none', size=(64, 64),
    )  # fmt: skip
    places = Places(tuple('abcde'), *np.full((2, 5), 64, np.int32), np.full(5, -1, np.int32))
    domain = SplitPlaces(Dataset(facts, places, ArraySource({'images': images})), split_of(5))
    (batch,) = both_ways(domain, {'a': Stream('train', 4, window=window)}, 1)
    np.testing.assert_allclose(
        batch['a']['images'], np.clip(images[batch['a']['index']] / 4, -1, 1), atol=1e-6
    )
    assert (batch['a']['labels'] == -1).all()
