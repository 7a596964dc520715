"""The apps of synthesis on a run as training leaves it, its generator untrained."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np
import pytest
import rasterio

import eojax
from eojax.apps.edit import command as edit
from eojax.apps.synthesise import command as synthesise
from eojax.config.base import base_config
from eojax.runs import run as runs
from eojax.runs.beginning import write_beginning
from eojax.runs.carry import carry_shardings, initial_carry
from eojax.runs.checkpoint import Checkpoints
from eojax.runs.opening import checkpoint_folder
from tests.apps.generators import write_cover
from tests.data.rasters import write_raster

HEIGHT, WIDTH = 40, 52


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = base_config('image_synthesis', 'image_generator', 'landscape_pairs')
    config.steps = config.log_every = config.evaluate_every = config.checkpoint_every = 2
    config.batch_size, config.tensorboard = 2, False
    config.data.update({'size': 32, 'num_images': 8, 'regions': 4})
    config.model.update({'width': 2, 'levels': 1, 'blocks': 1})
    config.method.update({'window': 32, 'average_decay': 0.5})
    config.discriminator.update({'width': 2, 'scales': 1})
    config.evaluate.batch_size = 4
    folder = tmp_path_factory.mktemp('synthesis')
    run = runs.prepare(config, folder)
    write_beginning(run)
    carry = initial_carry(run, jax.random.key(0))
    carry = jax.device_put(carry, carry_shardings(run, carry))
    checkpoints = Checkpoints(checkpoint_folder(folder, 'last'), 1)
    checkpoints.save(0, carry, {'attempt': 0, 'best_score': 0.0})
    checkpoints.close()
    return folder


@pytest.fixture(scope='module')
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Land that rises from left to right, in decimetres."""
    path = tmp_path_factory.mktemp('inputs')
    classes = np.random.default_rng(0).integers(0, 8, (HEIGHT // 4, WIDTH // 4))
    heights = np.broadcast_to(np.arange(WIDTH) * 20, (HEIGHT, WIDTH)).astype(np.int16)
    cover = write_cover(path / 'cover.tif', classes.repeat(4, 0).repeat(4, 1))
    return cover, write_raster(path / 'dem.tif', heights[..., None])


def test_a_run_makes_the_same_image_by_command_and_from_python(
    folder: Path, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    synthesise.main([
        f'--workdir={folder}', '--checkpoint=last', f'--land_cover={inputs[0]}',
        f'--raster=elevation={inputs[1]}', f'--out={tmp_path}/image.tif',
    ])  # fmt: skip
    with rasterio.open(tmp_path / 'image.tif') as file:
        image = np.moveaxis(file.read(), 0, -1)
    labels, heights = (rasterio.open(path).read(1)[None] for path in inputs)
    run = eojax.open(folder, 'last')
    assert 'makes: images (red, green, blue as uint8, 0 to 255)' in repr(run)
    made = run.synthesise(labels, elevation=heights)
    np.testing.assert_array_equal(made[0], image)
    assert len(np.unique(image)) > 20
    names = np.array(run.class_names)[labels]
    np.testing.assert_array_equal(run.synthesise(names, elevation=heights), made)


def test_water_rises_in_the_images_of_a_run(
    folder: Path, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    edit.main([
        f'--workdir={folder}', '--checkpoint=last', f'--land_cover={inputs[0]}',
        f'--raster=elevation={inputs[1]}', '--flood=200,500', f'--out={tmp_path}/out',
        '--margin=auto',
    ])  # fmt: skip
    summary = json.loads((tmp_path / 'out' / 'summary.json').read_text())
    dry, wet = summary['edits']
    assert 0 < dry['hectares_flooded'] < wet['hectares_flooded']
    change = dry['images']['images']
    assert change['mean_change_inside'] > 0.0
    assert change['mean_change_outside'] == 0.0
    assert 0 < summary['runs'][0]['margin'] < 32
