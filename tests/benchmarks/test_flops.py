"""Counted operations against formulas."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from benchmarks import flops
from benchmarks.suites import adapted, suites
from eojax.data.facts import Raster
from eojax.models import convolution
from tests.tiny_runs import tiny_config


def test_the_formula_counts_the_taps_of_a_convolution_one_by_one():
    # 3 x 3 on 4 x 4: in each direction 2 + 3 + 3 + 2 taps; with stride 2, 2 + 3.
    assert flops._convolution_flops(4, 3, 1, 5, 7) == 2 * 10 * 10 * 5 * 7
    assert flops._convolution_flops(4, 3, 2, 5, 7) == 2 * 5 * 5 * 5 * 7
    assert flops._convolution_flops(4, 1, 2, 5, 7) == 2 * 2 * 2 * 5 * 7


@pytest.mark.parametrize(
    ('depth', 'width', 'size', 'steps'), [(28, 10, 64, 20), (16, 2, 64, 5), (16, 2, 32, 1)]
)
def test_a_step_of_jem_is_its_convolutions(depth, width, size, steps):
    changes = {'model.depth': depth, 'model.width': width, 'data.size': size}
    config = adapted('jem_eurosat.py', {**changes, 'sampler.steps': steps, 'batch_size': 8})
    config.method.likelihood_batch_size = chains = 4
    counted = flops.step_flops(config, (size, size, 3), 10)
    forward, stem = flops.wide_resnet_convolutions(depth, width, size, 3)
    # In the image: one forward pass, and as much back. In the weights: as much again, but nothing
    # back to the images; for the labelled images, the real and the sampled ones.
    assert counted.chain == pytest.approx(2 * forward * chains, rel=0.02)
    assert counted.training == pytest.approx((3 * forward - stem) * (8 + 2 * chains), rel=0.02)
    assert counted.updates == steps
    assert counted.total == counted.chain * steps + counted.training


def test_a_supervised_step_has_no_chain():
    config = adapted('supervised_eurosat.py', {'batch_size': 8})
    counted = flops.step_flops(config, (64, 64, 3), 10)
    forward, stem = flops.wide_resnet_convolutions(28, 10, 64, 3)
    assert counted.updates == 0
    assert counted.total == pytest.approx((3 * forward - stem) * 8, rel=0.02)


def test_a_step_of_a_u_net_is_its_convolutions():
    width, depth, size = 32, 3, 64
    changes = {'model.width': width, 'model.depth': depth, 'method.window': size}
    config = adapted('segmentation_minifrance.py', {**changes, 'batch_size': 2})
    counted = flops.step_flops(config, (512, 512, 3), 8)
    forward, first = flops.unet_convolutions(width, depth, size, 3, 8)
    assert counted.total == pytest.approx((3 * forward - first) * 2, rel=0.02)
    # A teacher's pass has no gradient.
    config = adapted('fixmatch_dubai_small.py', {**changes, 'batch_size': 2})
    counted = flops.step_flops(config, (512, 512, 3), 8)
    expected = (3 * forward - first) * 4 + forward * 2
    assert counted.total == pytest.approx(expected, rel=0.02)


def test_the_formula_of_a_u_net_counts_layer_by_layer():
    # At depth 1 and 4 px: 10 taps a side, 4 of 2 px; what doubles the sides makes 16 pixels.
    encoder = 2 * 100 * (3 * 5 + 5 * 5) + 2 * 16 * (5 * 10 + 10 * 10)
    decoder = 2 * 16 * 10 * 5 + 2 * 100 * (10 * 5 + 5 * 5)
    total, first = flops.unet_convolutions(5, 1, 4, 3, 7)
    assert total == encoder + decoder + 2 * 16 * 5 * 7
    assert first == 2 * 100 * 3 * 5


@pytest.mark.parametrize('density', ['local', 'head'])
def test_a_chain_of_windows_is_counted_for_the_network_that_its_density_is_read_from(density):
    side, chains = 32, 4
    changes = {'method.density': density, 'method.density_width': 16, 'sampler.steps': 7}
    changes |= {'method.chain_window': side, 'batch_size': chains}
    config = adapted('seg_jem_dubai_small.py', changes)
    counted = flops.step_flops(config, (64, 64, 3), 5)
    layer = flops._convolution_flops
    stem = layer(side, 5, 1, 3, 32)
    expected = {
        # A stem of 16 features and four layers more, with a border around each map.
        'local': 2 * sum(layer(side + 2, 3, 1, c, 16) for c in (3, 16, 16, 16, 16)),
        # The gradient of an output that is the density itself does not need its value.
        'head': 2 * stem + layer(side, 5, 1, 32, 6),
    }
    assert counted.updates == 7
    assert counted.chain == pytest.approx(expected[density] * chains, rel=0.1)
    # Before the chains there is score matching, of the same windows.
    assert flops.step_flops(config, (64, 64, 3), 5, phase=0).updates == 0


def test_a_phase_without_chains_has_none():
    config = tiny_config('jem')
    config.method.supervised_steps = 2
    assert flops.step_flops(config, (16, 16, 3), 10, phase=0).updates == 0
    assert flops.step_flops(config, (16, 16, 3), 10).updates == 3


def test_a_loop_in_a_program_counts_once_which_is_why_chains_are_multiplied():
    x = jax.ShapeDtypeStruct((64, 64), jnp.float32)

    def chain(x: jax.Array, steps: int) -> jax.Array:
        return lax.scan(lambda x, _: (x @ x, None), x, None, length=steps)[0]

    once, often = flops.counted(lambda x: chain(x, 3), x), flops.counted(lambda x: chain(x, 30), x)
    assert once == pytest.approx(often, rel=1e-3)


def test_counting_leaves_the_convolutions_as_they_were():
    before = convolution._convolution_cpu
    with flops.plain_convolutions():
        assert convolution._convolution_cpu is convolution._convolution_xla
    assert convolution._convolution_cpu is before


@pytest.mark.parametrize('entry', suites()['tiny'].entries)
def test_every_entry_of_the_suites_can_be_counted(entry):
    config = suites()['tiny'].entries[entry]()
    source = (16, 16, 3) if 'source' in config else None
    least = 1e6 if source else 1e7  # the transfer's encoders are small
    beside = {'elevation': Raster(('surface',))} if entry == 'image_synthesis' else {}
    counted = flops.step_flops(config, (16, 16, 3), 10, source_shape=source, beside=beside)
    assert counted.total > least
