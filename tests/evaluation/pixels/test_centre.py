"""The middle of each place alone is tested, with all rasters: GeoNRW, trained, read, evaluated."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eojax.config.base import base_config, set_key
from eojax.data.dataset import Window
from eojax.errors import UserError
from eojax.evaluation.evaluation_set import EvaluationSet
from eojax.training import loop
from tests.data.sets.pixels.test_published_pixels import opened
from tests.data.sets.pixels.tiles import geonrw, geotiff, write_files
from tests.evaluation.test_evaluators import tiles

pytestmark = pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')


@pytest.mark.parametrize('side', [32, 64])
def test_batches_hold_the_middle_of_all_rasters(tmp_path: Path, side: int) -> None:
    data, _ = opened('geonrw', write_files(tmp_path, geonrw(side=50)), with_sar=True)
    names = tuple(data.facts.rasters)
    tested = EvaluationSet(data, names, side, 2, centre=True)
    shown, corner = min(side, 50), max((50 - side) // 2, 0)
    seen = []
    for batch in tested.batches(np.ones(2, bool)):
        for row, place in enumerate(batch.place.tolist()):
            window = Window(corner, corner, shown, shown)
            expected = data.source.read(place, window, (*names, 'labels'))
            for name in names:
                cut = batch.rasters[name][row, :shown, :shown]
                np.testing.assert_array_equal(cut, expected[name])
            labels = np.where(expected['labels'] == 255, -1, expected['labels'].astype(int))
            np.testing.assert_array_equal(batch.labels[row, :shown, :shown], labels)
            # What lies beyond a small place is not known.
            assert (batch.labels[row] >= 0).sum() == (labels >= 0).sum()
            seen.append(place)
    assert seen == list(range(data.places.num))


def test_the_middle_cuts_no_pixel_of_a_coarse_raster() -> None:
    with pytest.raises(UserError, match=r'evaluate\.centre=3 must be a multiple of 2'):
        list(
            EvaluationSet(tiles(), ('images', 'coarse'), 3, 5, centre=True).batches(
                np.ones(5, bool)
            )
        )


def config_of(root: Path) -> Any:
    config = base_config('segmentation', 'pixel_network', 'geonrw')
    values = {
        'data.root': str(root), 'steps': 2, 'batch_size': 2, 'method.window': 16,
        'method.rasters': 'images,elevation', 'log_every': 1, 'evaluate_every': 0,
        'tensorboard': False, 'evaluate.centre': 20, 'evaluate.keep_reference': False,
    }  # fmt: skip
    for key, value in values.items():
        set_key(config, key, value)
    return config


def test_a_run_on_geonrw_is_tested_on_the_middle(tmp_path: Path) -> None:
    files = geonrw(tiles=2)
    loop.train(config_of(write_files(tmp_path / 'nrw', files)), tmp_path / 'run')
    folder = tmp_path / 'run' / 'evaluation'
    assert json.loads((folder / 'evaluation.json').read_text())['test_images'] == 2
    with (folder / 'places.csv').open() as file:
        pixels = {row['place']: int(row['pixels']) for row in csv.DictReader(file)}
    # One label in eleven stands for none.
    known = int((np.arange(1600).reshape(40, 40)[10:30, 10:30] % 11 > 0).sum())
    assert pixels == {'herne/290_5627': known, 'herne/291_5627': known}


def test_labels_beyond_the_classes_stop_a_run_before_it_trains(tmp_path: Path) -> None:
    files = geonrw(tiles=2)
    strange = np.full((40, 40, 1), 3, np.uint8)
    strange[31, 7] = 200
    for name in ('aachen/290_5627', 'aachen/291_5627', 'bonn/290_5627', 'bonn/291_5627'):
        files[f'{name}_seg.tif'] = geotiff(strange)
    with pytest.raises(UserError, match=r'_seg\.tif: label 200 in row 31, column 7 is none of 0'):
        loop.train(config_of(write_files(tmp_path / 'nrw', files)), tmp_path / 'run')
    assert not list((tmp_path / 'run').glob('checkpoints/*'))
