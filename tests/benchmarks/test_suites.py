"""Which configs are timed, at which sizes."""

from __future__ import annotations

import pytest

from benchmarks import suites
from eojax.config import check_config, flatten
from eojax.errors import UserError

ALL = [(name, entry) for name, suite in suites.suites().items() for entry in suite.entries]


@pytest.mark.parametrize(('suite', 'entry'), ALL)
def test_every_entry_is_a_config_that_could_train(suite, entry):
    config = suites.suites()[suite].entries[entry]()
    check_config(config)
    assert config.data.name == 'landscapes'


def test_the_gpu_suite_has_the_published_size():
    config = suites.suites()['gpu'].entries['jem']()
    sizes = 'WRN-28-10, 64 px, batch 64, 20 steps, bfloat16'
    assert suites.described(config) == sizes


def test_the_cpu_suite_has_the_same_method_at_a_smaller_size():
    config = suites.suites()['cpu'].entries['jem']()
    assert suites.described(config) == 'WRN-16-2, 64 px, batch 16, 5 steps, float32'
    full = dict(flatten(suites.suites()['gpu'].entries['jem']()))
    different = {key for key, value in flatten(config) if full[key] != value}
    assert different == {
        'batch_size', 'model.depth', 'model.width', 'model.dtype', 'method.likelihood_batch_size',
        'sampler.steps', 'sampler.buffer_size',
    }  # fmt: skip


def test_sizes_are_told_in_words():
    config = suites.suites()['cpu'].entries['quickstart']()
    assert suites.described(config) == 'WRN-10-1, 32 px, batch 64, 16 chains, 8 steps, float32'
    supervised = suites.suites()['cpu'].entries['supervised']()
    assert suites.described(supervised) == 'WRN-16-2, 64 px, batch 16, float32'


def test_entries_can_be_chosen():
    _, entries = suites.choose('tiny', ('supervised',))
    assert [entry.name for entry in entries] == ['supervised']
    assert len(suites.choose('tiny')[1]) >= 2


@pytest.mark.parametrize(
    ('name', 'only', 'message'),
    [
        ('cup', (), r"unknown suite 'cup'; did you mean 'cpu'\? \(known: cpu, gpu\)"),
        ('cpu', ('gem',), r"unknown entry of the cpu suite 'gem'; did you mean 'jem'\?"),
        ('gpu', (), 'the gpu suite is for accelerators and jax computes on cpu'),
    ],
)
def test_what_cannot_be_timed_is_refused_in_one_line(name, only, message):
    with pytest.raises(UserError, match=message):
        suites.choose(name, only)
