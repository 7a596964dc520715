"""The networks that ship with eojax, each opened as it is shipped and asked about real images."""

from __future__ import annotations

import numpy as np
import pytest

import eojax
from eojax.apps import weights
from eojax.data.dataset import Window
from eojax.data.facts import Facts
from eojax.data.sources.layout import Layout, layer, read_layout
from eojax.evaluation import reference
from eojax.evaluation.guarantees.rules import calibrate_sets
from eojax.evaluation.guarantees.sample import validation_sample
from eojax.weights import run_file, shipped
from tests.data.sources.test_real_layouts import DUBAI, DUBAI_CLASSES
from tests.real_data import real_data

# By the images that they keep, the least share that is right.
OF_IMAGES = {
    'fixmatch-eurosat-32-10-labels': 0.6,
    'fixmatch-jem-eurosat-32-10-labels': 0.6,
    'jem-eurosat-32': 0.85,
    'jem-eurosat-64': 0.8,
}
OF_PIXELS = {'fixmatch-dubai': 0.85, 'seg-jem-dubai': 0.78}


def test_the_shipped_weights_are_listed_and_small(capsys: pytest.CaptureFixture[str]) -> None:
    weights.main([])
    text = capsys.readouterr().out
    assert set(shipped.names()) == OF_IMAGES.keys() | OF_PIXELS.keys()
    assert all(name in text for name in shipped.names())
    assert sum(shipped.path_of(name).stat().st_size for name in shipped.names()) < 12e6
    for name in shipped.names():
        card = run_file.read_card(shipped.path_of(name))
        assert card.licence
        assert card.data_licence
        assert card.citation
        assert card.numbers['test_images'] > 0


@pytest.mark.parametrize(('name', 'least'), OF_IMAGES.items())
def test_shipped_weights_know_the_images_that_they_keep(name: str, least: float) -> None:
    run = eojax.open(name, batch_size=20)
    kept = reference.examples(run.run)
    right = run.predict(kept.images).indices == kept.labels
    assert right.mean() >= least  # of 20 images
    if 'log_density' in run.abilities:
        noise = np.random.default_rng(0).integers(0, 256, kept.images.shape, np.uint8)
        assert run.percentile(noise).max() < 1 < np.median(run.percentile(kept.images))


@pytest.mark.parametrize(('name', 'least'), OF_PIXELS.items())
def test_shipped_weights_map_an_image_of_the_test_tile(name: str, least: float) -> None:
    layout = Layout(
        {
            'images': layer('dubai_land_cover/{group}/images/{name}.jpg'),
            'labels': layer('dubai_land_cover/{group}/masks/{name}.png', values=DUBAI),
        }
    )
    facts = Facts('dubai', class_names=DUBAI_CLASSES, label='pixel')
    data = read_layout(real_data('dubai_land_cover.zip'), facts, layout)
    assert data.names is not None
    place = data.names.index('tile_3/image_part_009')
    read = data.source.read(place, Window(0, 0, 256, 256), ('images', 'labels'))
    run = eojax.open(name, batch_size=1)
    assert run.class_names == DUBAI_CLASSES
    known = read['labels'] != 255
    right = run.predict(read['images'][None]).indices[0] == read['labels']
    assert right[known].mean() >= least


@pytest.mark.parametrize('name', OF_IMAGES)
def test_shipped_weights_give_sets_of_classes_without_data(name: str) -> None:
    opened = eojax.open(name)
    held = validation_sample(opened.run, opened.state)
    rule = calibrate_sets(held, 0.9, 'lac')
    # EuroSAT has no blocks of ground: the rank of 0.9 (n + 1) among n images.
    assert rule.blocks == len(held.labels) > 1000
    covered = rule.holds(held.probabilities, np.random.default_rng(0))[
        np.arange(len(held.labels)), held.labels
    ]
    assert 0.9 <= covered.mean() < 0.902
