"""Which configs are timed, at which sizes."""

from __future__ import annotations

import pytest

from benchmarks import suites
from benchmarks.peers import jem as jem_peers
from eojax.config.base import base_config, check_config, flatten
from eojax.config.command_line import load_config
from eojax.errors import UserError

ALL = [(name, entry) for name, suite in suites.suites().items() for entry in suite.entries]


@pytest.mark.parametrize(('suite', 'entry'), ALL)
def test_every_entry_is_a_config_that_could_train(suite, entry):
    config = suites.suites()[suite].entries[entry]()
    check_config(config)
    # Nothing has to be downloaded, and a transfer keeps its two sensors.
    if 'source' in config:
        assert (config.data.sensor, config.source.sensor) == ('sar', 'rgb')
        assert config.data.name == config.source.name == 'landscape_zones'
    else:
        by_pixels = 'segmentation' in entry or entry == 'seg_jem'
        others = 'landscape_cover' if by_pixels else 'landscapes'
        assert config.data.name == {'image_synthesis': 'landscape_pairs'}.get(entry, others)
        assert config.data.labelled_groups == config.data.test_groups == ''  # of other data


@pytest.mark.parametrize('suite', suites.suites())
def test_jems_peers_take_the_entry_that_they_are_there_for(suite):
    jem_peers.check(suites.suites()[suite].entries['jem']())


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
        'method.score_matching_batch_size',
        'sampler.steps', 'sampler.buffer_size',
    }  # fmt: skip


def test_sizes_are_told_in_words():
    config = suites.suites()['cpu'].entries['quickstart']()
    assert suites.described(config) == 'WRN-10-1, 32 px, batch 64, 16 chains, 8 steps, float32'
    supervised = suites.suites()['cpu'].entries['supervised']()
    assert suites.described(supervised) == 'WRN-16-2, 64 px, batch 16, float32'


def test_the_size_of_a_synthesis_is_told_too():
    gpu, cpu = (suites.suites()[name].entries['image_synthesis']() for name in ('gpu', 'cpu'))
    words = 'generator 64, 4 levels, 9 blocks, 256 px, batch 32, bfloat16'
    assert suites.described(gpu) == words
    assert suites.described(cpu) == 'generator 8, 2 levels, 3 blocks, 64 px, batch 8, float32'


def test_the_sizes_of_fixmatch_and_of_the_transfer_are_told_too():
    gpu, cpu = (suites.suites()[name].entries for name in ('gpu', 'cpu'))
    words = 'WRN-28-2, 64 px, batch 64 + 7 x 64, bfloat16'
    assert suites.described(gpu['fixmatch']()) == words
    words = 'WRN-16-2, 64 px, batch 16 + 3 x 16, float32'
    assert suites.described(cpu['fixmatch']()) == words
    assert suites.described(cpu['fixmatch_jem']()) == words.replace(', float', ', 5 steps, float')
    transfer = base_config('swd_transfer', 'convnet', 'landscape_zones', 'landscape_zones')
    transfer.model.widths = (8, 24)
    words = 'convnet 8-24, 32 px, batch 64 + 2 x 128, 128 projections, float32'
    assert suites.described(transfer) == words


def test_the_sizes_of_methods_for_pixels_are_told_too():
    gpu, cpu = (suites.suites()[name].entries for name in ('gpu', 'cpu'))
    words = 'U-Net 64, depth 4, 256 px, batch 32, bfloat16'  # the original's width and depth
    assert suites.described(gpu['segmentation']()) == words
    words = 'U-Net 64, depth 4, 256 px, batch 8 + 1 x 8, bfloat16'
    assert suites.described(gpu['fixmatch_segmentation']()) == words
    config = cpu['seg_jem']()
    words = 'pixel network 32, 64 px, batch 16 + 1 x 16, chains of 32 px, 4 steps, float32'
    assert suites.described(config) == words
    config.method.update({'density': 'local', 'density_width': 24})
    assert 'density 24, chains of 32 px' in suites.described(config)
    # Two cores train these configs as they are, FixMatch with the views that its peers have.
    for entry, file in (('fixmatch_segmentation', 'fixmatch'), ('seg_jem', 'seg_jem')):
        small = load_config(str(suites.CONFIGS / f'{file}_dubai_small.py'))
        timed = dict(flatten(cpu[entry]()))
        same = {key: value for key, value in flatten(small) if not key.startswith('data.')}
        if entry == 'fixmatch_segmentation':
            assert timed['method.classmix_share'] == 0.0 < same['method.classmix_share']
            same = {key: value for key, value in same.items() if key not in suites.VIEWS}
        assert {key: timed[key] for key in same} == same


def test_another_transfers_data_are_drawn_too(tmp_path, monkeypatch):
    """A source that would be downloaded is drawn instead, and keeps its number of labels."""
    text = (
        'from eojax.config.base import base_config\n\n\n'
        'def get_config():\n'
        "    config = base_config('swd_transfer', 'convnet', 'landscape_zones', 'eurosat')\n"
        "    config.data.sensor = 'sar'\n"
        "    config.source.labels_per_class = '7'\n"
        '    return config\n'
    )
    (tmp_path / 'transfer.py').write_text(text)
    monkeypatch.setattr(suites, 'CONFIGS', tmp_path)
    config = suites.adapted('transfer.py', {'batch_size': 5, 'sampler.steps': 1})
    assert (config.data.name, config.data.sensor) == ('landscape_zones', 'sar')
    assert (config.source.name, config.source.labels_per_class) == ('landscapes', '7')
    assert config.batch_size == 5


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
