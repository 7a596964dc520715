"""Batch statistics of a generator whose batch is split over two devices are those of one device."""

from __future__ import annotations

from tests.forced_devices import run_on_devices

PROGRAM = """
import jax, numpy as np
from jax import random
from ml_collections import ConfigDict
from eojax import option
from eojax.devices import sharding
from eojax.models import image_generator

assert jax.device_count() == 2
small = {'width': 2, 'levels': 1, 'blocks': 1, 'spade_width': 2}
options = ConfigDict({**option.defaults(image_generator.OPTIONS), **small})
network = image_generator.build(options, 'fusion', 3, 1)
labels = random.randint(random.key(0), (4, 8, 8), -1, 3)
# The two halves of the batch differ, so that each alone has other statistics.
raster = random.normal(random.key(1), (4, 8, 8, 1)) + np.arange(4.0)[:, None, None, None]
parameters, statistics = network.init(random.key(2), labels, raster)

@jax.jit
def train(parameters, statistics, labels, raster):
    return network.train(parameters, statistics, labels, raster, key=random.key(3))

alone = train(parameters, statistics, labels, raster)
mesh = sharding.data_mesh()
everywhere = sharding.place((parameters, statistics), sharding.replicated(mesh))
both = sharding.place((labels, raster), sharding.split(mesh))
assert len(both[0].sharding.device_set) == 2
split = train(*everywhere, *both)
half = train(parameters, statistics, labels[:2], raster[:2])
jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), split, alone)
different = jax.tree.map(lambda a, b: np.abs(a - b).max() > 1e-3, half[1], alone[1])
assert any(jax.tree.leaves(different))
print('done')
"""


def test_batch_statistics_are_those_of_the_whole_batch() -> None:
    run_on_devices(PROGRAM, 2)
