"""Another method, network or data set: what was set stays where it means the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from ml_collections import ConfigDict

from eojax.config.base import base_config, check_config, flatten
from eojax.config.command_line import load_config, read_arguments
from eojax.config.swap import Swapped, config_of, swapped
from eojax.errors import UserError
from eojax.runs.run import default_folder

CONFIGS = Path(__file__).parents[2] / 'configs'


def config_in(name: str) -> ConfigDict:
    return load_config(str(CONFIGS / f'{name}.py'))


def test_settings_of_both_methods_stay_and_the_rest_is_default() -> None:
    config = config_in('jem_eurosat_small')
    config.data.root, config.data.labels_per_class = '/data', 10
    found = swapped(config, {'method': 'fixmatch'})
    assert found.config.steps == 7000
    assert found.config.optimizer.learning_rate == 2e-3
    assert found.config.model.density_head
    assert found.config.method.augment == 'dihedral'  # was set
    assert found.config.method.unlabelled_ratio == 7
    assert found.config.method.threshold == 0.95
    assert (found.config.data.root, found.config.data.labels_per_class) == ('/data', '10')
    assert 'sampler' not in found.config
    check_config(found.config)
    assert 'method.supervised_steps=4000' in found.note
    assert 'method.threshold=0.95' in found.note
    assert '\n' not in found.note
    expected = dict(flatten(base_config('fixmatch', 'wide_resnet', 'eurosat')))
    assert list(dict(flatten(found.config))) == list(expected)


def test_a_default_that_was_not_set_is_that_of_the_new_part() -> None:
    before = base_config('supervised', 'wide_resnet', 'eurosat')
    after = swapped(before, {'method': 'fixmatch', 'data': 'so2sat'}).config
    assert after.method.augment == 'flips_shift'
    assert after.data.size == 32
    assert dict(flatten(after)) == dict(flatten(base_config('fixmatch', 'wide_resnet', 'so2sat')))


def test_what_is_said_of_one_data_set_does_not_hold_for_another() -> None:
    config = base_config('supervised', 'wide_resnet', 'eurosat')
    config.data.root, config.data.classes, config.data.size = 'E.zip', 'River', 32
    found = swapped(config, {'data': 'folder'})
    assert (found.config.data.root, found.config.data.classes) == ('', '')
    assert found.config.data.size == 32
    assert "data.root='E.zip'" in found.note


def test_a_key_of_another_meaning_is_dropped() -> None:
    config = config_in('jem_eurosat_small')  # width 1 of a Wide-ResNet is a factor
    found = swapped(config, {'method': 'segmentation', 'model': 'unet', 'data': 'landscape_cover'})
    assert found.config.model.width == 64
    assert found.config.model.activation == 'swish'
    check_config(found.config)


@pytest.mark.parametrize(
    ('parts', 'line'),
    [
        ({'method': 'segmentation'}, 'does not train a wide_resnet: say which network, --model='),
        ({'method': 'swd_transfer'}, 'learns from a second data set: say which, --source=NAME'),
        ({'data': 'eurosatt'}, "unknown data set 'eurosatt'; did you mean 'eurosat'"),
        ({'model': 'vit'}, "unknown model 'vit'"),
    ],
)
def test_parts_that_do_not_fit(parts: dict[str, str], line: str) -> None:
    with pytest.raises(UserError, match=line) as caught:
        swapped(config_in('jem_eurosat_small'), parts)
    assert '\n' not in str(caught.value)


def test_a_source_comes_and_goes_with_the_method() -> None:
    parts = {'method': 'swd_transfer', 'source': 'landscapes'}
    there = swapped(base_config('supervised', 'convnet', 'eurosat'), parts).config
    assert there.source.name == 'landscapes'
    check_config(there)
    assert 'source' not in swapped(there, {'method': 'supervised'}).config
    with pytest.raises(UserError, match='takes no second data set'):
        check_config(swapped(there, {'method': 'supervised', 'source': 'landscapes'}).config)


def test_the_only_network_of_a_method_comes_with_it() -> None:
    found = swapped(config_in('jem_eurosat_small'), {'method': 'vae'})
    assert found.config.model.name == 'convolutional_autoencoder'
    check_config(found.config)
    assert swapped(found.config, {}) == Swapped(found.config, '')
    # What a config says is not put right where nothing is swapped.
    wrong = base_config('vae', 'wide_resnet', 'eurosat')
    assert swapped(wrong, {}).config is wrong
    assert swapped(wrong, {'data': 'folder'}).config.model.name == 'wide_resnet'


def test_parts_alone_make_a_config() -> None:
    names = [
        ('supervised', 'landscapes', 'wide_resnet'),
        ('segmentation', 'landscape_cover', 'unet'),
    ]
    for method, data, model in names:
        config = config_of({'method': method, 'data': data})
        assert dict(flatten(config)) == dict(flatten(base_config(method, model, data)))
        check_config(config)
    with pytest.raises(UserError, match='say --method too'):
        config_of({'data': 'folder'})


def test_the_run_folder_says_which_parts_are_others() -> None:
    path = f'--config={CONFIGS}/jem_eurosat_small.py'
    names = [
        read_arguments(arguments).name
        for arguments in (
            [path],
            [path, '--method=fixmatch'],
            [path, '--data=landscapes', '--method', 'fixmatch', '--model=convnet'],
            ['--method=supervised', '--data=folder', '--model=wide_resnet'],
        )
    ]
    assert [str(default_folder(name)) for name in names] == [
        'runs/jem_eurosat_small',
        'runs/jem_eurosat_small_fixmatch',
        'runs/jem_eurosat_small_fixmatch_convnet_landscapes',
        'runs/supervised_wide_resnet_folder',
    ]
    for config in ('mine/jem.v2.py', 'jem.v2'):
        assert str(default_folder(config)) == 'runs/jem_v2'


def test_keys_are_changed_in_what_was_swapped_in() -> None:
    path = f'--config={CONFIGS}/jem_eurosat_small.py'
    typed = read_arguments([path, '--method=fixmatch', '--config.method.threshold=0.8'])
    assert typed.config is not None
    assert typed.config.method.threshold == 0.8
    with pytest.raises(UserError, match=r"key 'sampler\.steps'"):
        read_arguments([path, '--method=fixmatch', '--config.sampler.steps=3'])
