"""Windows split over two devices are those of one, resident and streamed."""

from __future__ import annotations

from pathlib import Path

from tests.process_groups import start_processes, wait_for

_PROGRAM = """
import jax, numpy as np
from jax import lax, random
import jax.numpy as jnp
from eojax.devices import sharding
from eojax.feed.inputs import ResidentInput, StreamedInput
from eojax.feed.pipeline import draw_batch
from eojax.feed.streamed import StepReader
from eojax.feed.streams import check_streams
from tests.feed.test_windows import FACTS, KEY, STREAMS, domain_of, equal_domain

for domain in (domain_of(), equal_domain()):
    mesh = sharding.data_mesh()
    assert mesh.size == 2
    check_streams(STREAMS, {'data': domain}, mesh.size)
    facts = {'data': domain.dataset.facts}
    key = sharding.place_key(KEY, mesh)

    def draw(feed, key, step, everywhere):
        return draw_batch({'data': feed}, STREAMS, key, step, facts, everywhere)

    def everywhere(indices):
        return lax.with_sharding_constraint(indices, sharding.replicated(mesh))

    split = jax.jit(
        lambda f, k, s: draw(f, k, s, everywhere), out_shardings=sharding.split(mesh)
    )
    alone = jax.jit(lambda f, s: draw(f, KEY, s, lambda i: i))
    reader = StepReader(domain, STREAMS, KEY, 5)
    for way in (ResidentInput(domain, list(STREAMS.values()), mesh),
                StreamedInput(domain, mesh, 5, 0)):
        for step in range(3):
            number = sharding.place(np.int32(step), sharding.replicated(mesh))
            batch = split(way.feed(STREAMS, key, step), key, number)
            expected = alone(reader.step(step), jnp.int32(step))
            assert all(len(leaf.sharding.device_set) == 2 for leaf in jax.tree.leaves(batch))
            jax.tree.map(
                lambda a, b: np.testing.assert_array_equal(np.asarray(a), np.asarray(b)),
                batch, expected,
            )
        feed = way.feed(STREAMS, key, 3)
        text = split.lower(feed, key, number).compile().as_text()
        assert 'all-gather' not in text and 'all-to-all' not in text and 'permute' not in text
        way.close()
"""


def test_two_devices_hold_the_windows_of_one(tmp_path: Path) -> None:
    group = start_processes(1, 2, ['-c', _PROGRAM], tmp_path)
    assert wait_for(group) == [0], (tmp_path / '0.log').read_text()
