"""Configs: complete, strict about keys, types and values, and the same after a trip to JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ml_collections import ConfigDict

from eojax.config.base import (
    base_config,
    check_config,
    differing_keys,
    flatten,
    from_json,
    set_key,
    to_json,
)
from eojax.config.command_line import load_config, read_arguments
from eojax.data.sets import DATASETS
from eojax.data.sets.pixels import PIXEL_DATASETS
from eojax.errors import UserError
from eojax.methods import METHODS
from eojax.models import MODELS


def changed(**changes: Any) -> ConfigDict:
    """A JEM config on landscapes; keys with `__` for the dot."""
    config = base_config('jem', 'wide_resnet', 'landscapes')
    with config.ignore_type():
        config.update_from_flattened_dict({k.replace('__', '.'): v for k, v in changes.items()})
    return config


# Networks that belong to a method, and methods that belong to a network.
PER_PIXEL = {name for name, architecture in MODELS.items() if architecture.per_pixel}
PAIRS = {
    'vae': {'convolutional_autoencoder'},
    'image_synthesis': {'image_generator'},
    'berundanet': {'wide_resnet'},
    'berundanet_segmentation': {'unet', 'segnet'},
    'fixmatch_segmentation': PER_PIXEL,
    'segmentation': PER_PIXEL,
    'w_net': {'unet'},
    # Others have batch normalisation by default, which an energy cannot have.
    'seg_jem': {'pixel_network'},
}
CLASSIFIERS = set(MODELS) - {'convolutional_autoencoder', 'image_generator'} - PER_PIXEL


def defaults_of(method: str, model: str, data: str) -> ConfigDict:
    """The config of three names; what a data set of files has no default for is set."""
    source = 'landscapes' if METHODS[method].needs_source else ''
    config = base_config(method, model, data, source)
    scenes = ('bigearthnet', 'dfc2017', 'oscd', 'sentinel2_folder')
    if data in ('airsar', 'folder', 'prepared', *scenes) or data in PIXEL_DATASETS:
        config.data.root = 'somewhere'
    if 'mask_values' in config.data:
        config.data.mask_values = '0=none,1=water'
    return config


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('model', MODELS)
def test_a_method_takes_its_networks_and_names_those_it_does_not_take(
    method: str, model: str
) -> None:
    config = defaults_of(method, model, 'landscapes')
    if model in PAIRS.get(method, CLASSIFIERS):
        check_config(config)
    else:
        with pytest.raises(UserError, match=r'model\.name'):
            check_config(config)


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('data', DATASETS)
def test_defaults_of_everything_pass(method: str, data: str) -> None:
    model = min(PAIRS.get(method, {'wide_resnet'}))
    assert DATASETS[data].name == data
    config = defaults_of(method, model, data)
    check_config(config)
    names = {'seed', 'steps', 'batch_size', 'log_every', 'evaluate_every', 'checkpoint_every'}
    groups = {'data', 'model', 'method', 'optimizer'}
    assert names | groups <= set(config.keys())
    assert {'name', 'source', 'root', 'size', 'labels_per_class'} <= set(config.data.keys())
    assert (config.method.name, config.model.name, config.data.name) == (method, model, data)
    with pytest.raises((AttributeError, KeyError)):
        config.stepz = 3


@pytest.mark.parametrize(
    ('names', 'line'),
    [
        (('jme', 'wide_resnet', 'eurosat'), "unknown method 'jme'; did you mean 'jem'"),
        (('jem', 'wideresnet', 'eurosat'), "unknown model 'wideresnet'; did you mean"),
        (('jem', 'wide_resnet', 'eurosatt'), "unknown data set 'eurosatt'; did you mean"),
    ],
)
def test_unknown_names(names: tuple[str, str, str], line: str) -> None:
    with pytest.raises(UserError, match=line):
        base_config(*names)


@pytest.mark.parametrize(
    ('changes', 'line'),
    [
        ({'steps': 0}, 'steps must be at least 1, not 0'),
        ({'batch_size': -3}, 'batch_size must be at least 1, not -3'),
        ({'log_every': 0}, 'log_every must be at least 1'),
        ({'checkpoint_every': 0}, 'checkpoint_every must be at least 1'),
        ({'steps_per_call': -1}, 'steps_per_call must not be negative'),
        ({'keep_checkpoints': 0}, 'keep_checkpoints must be at least 1'),
        ({'data__size': 0}, 'data.size must be at least 1'),
        ({'evaluate__batch_size': 0}, 'evaluate.batch_size must be at least 1'),
        ({'evaluate_every': -1}, 'evaluate_every must not be negative'),
        ({'recovery__tries': -1}, 'recovery.tries must not be negative'),
        ({'recovery__max_loss': 0.0}, 'recovery.max_loss must be positive'),
        ({'recovery__rate_factor': 1.0}, 'recovery.rate_factor must lie between 0 and 1'),
        ({'data__test_fraction': 0.0}, 'data.test_fraction must lie between 0 and 1'),
        ({'data__validation_fraction': 1.0}, 'data.validation_fraction must lie between 0 and 1'),
        ({'seed': -1}, 'seed must lie between 0 and'),
        ({'seed': 2**32}, 'seed must lie between 0 and'),
        ({'evaluate__checkpoint': 'newest'}, "unknown evaluate.checkpoint 'newest'"),
        (
            {'data__labels_per_class': '0'},
            "must be 'all' or a whole number from 1 on, not '0'",
        ),
        ({'data__source': 'tfds'}, 'leave data.source and data.root alone'),
        ({'data__num_images': 5}, 'data.num_images must be at least 100'),
        ({'model__depth': 12}, 'model.depth must be 10, 16, 22'),
        ({'data__size': 18}, 'data.size must be divisible by 4'),
        ({'method__supervised_steps': 1000}, 'method.supervised_steps 1000 leaves nothing'),
        ({'method__augment': 'flip'}, "unknown method.augment 'flip'; did you mean 'flips'"),
        ({'sampler__steps': 0}, 'sampler.steps must be at least 1'),
        ({'sampler__buffer_size': 3}, 'sampler.buffer_size 3 is less than a batch'),
        ({'optimizer__name': 'adamm'}, "unknown optimizer.name 'adamm'; did you mean 'adam'"),
        # Types.
        ({'steps': '100'}, "steps must be of type int, not '100'"),
        ({'steps': 10.0}, 'steps must be of type int, not 10.0'),
        ({'steps': True}, 'steps must be of type int, not True'),
        ({'tensorboard': 1}, 'tensorboard must be of type bool, not 1'),
        ({'data__labels_per_class': 5}, 'data.labels_per_class must be of type str, not 5'),
        ({'optimizer__learning_rate': float('nan')}, 'learning_rate must be a number, not nan'),
        ({'optimizer__milestones': 0.8}, 'optimizer.milestones must be of type tuple, not 0.8'),
        ({'optimizer__milestones': (0.8, 'a')}, "milestones must be of type float, not 'a'"),
        ({'model__name': 3}, r'config has no model\.name'),
    ],
)
def test_refusals(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line) as caught:
        check_config(changed(**changes))
    assert '\n' not in str(caught.value)


def test_a_whole_number_may_stand_for_a_float() -> None:
    check_config(changed(optimizer__learning_rate=1, optimizer__milestones=[0.5]))


@pytest.mark.parametrize(
    ('key', 'near'),
    [
        ('stepz', 'steps'),
        ('modle.depth', 'model.depth'),
        ('model.dept', 'model.depth'),
        ('sampler.stepsize', 'sampler.step_size'),
        ('optimizer.lr_warmup_steps', 'optimizer.warmup_steps'),
        ('tensorboard.x', 'tensorboard'),
    ],
)
def test_unknown_keys_name_the_nearest(key: str, near: str) -> None:
    config = base_config('jem', 'wide_resnet', 'landscapes')
    expected = f"unknown config key '{key}'; the nearest is '{near}'"
    with pytest.raises(UserError) as caught:
        set_key(config, key, 1)
    assert str(caught.value) == expected
    *group, leaf = key.split('.')
    if group in ([], ['model'], ['sampler'], ['optimizer']):
        config.unlock()
        (config[group[0]] if group else config)[leaf] = 1
        with pytest.raises(UserError, match=expected):
            check_config(config)


def test_keys_that_are_absent_or_no_config_at_all() -> None:
    config = changed().unlock()
    del config.optimizer['b1']
    with pytest.raises(UserError, match=r'config has no optimizer\.b1 \(default: 0\.9\)'):
        check_config(config)
    with pytest.raises(UserError, match=r'config has no method\.name'):
        check_config(ConfigDict({'steps': 3}))
    with pytest.raises(UserError, match='not dict'):
        check_config({'steps': 3})
    with pytest.raises(UserError, match="'model' is a group; set one of its keys"):
        set_key(changed(), 'model', 3)


def test_json_round_trip(tmp_path: Path) -> None:
    config = changed(optimizer__milestones=(0.5, 0.9), seed=7, data__labels_per_class='10')
    (tmp_path / 'config.json').write_text(to_json(config))
    again = from_json(tmp_path / 'config.json')
    assert dict(flatten(again)) == dict(flatten(config))
    assert isinstance(again.optimizer.milestones, tuple)
    assert json.loads(to_json(config))['data']['name'] == 'landscapes'
    check_config(again)
    with pytest.raises((AttributeError, KeyError)):
        again.stepz = 3


@pytest.mark.parametrize(
    ('text', 'line'),
    [
        ('{"steps": 3', 'is damaged'),
        ('[]', 'holds no JSON object'),
        ('{}', r'config has no method\.name'),
        ('{"method": 3, "model": {"name": "a"}}', r'config has no method\.name'),
        ('{"method": {"name": ["jem"]}}', r'config has no method\.name'),
        (
            '{"method": {"name": "jam"}, "model": {"name": "wide_resnet"},'
            ' "data": {"name": "eurosat"}}',
            "unknown method 'jam'",
        ),
        (
            '{"method": {"name": "jem"}, "model": {"name": "wide_resnet"},'
            ' "data": {"name": "eurosat"}, "stepz": 3}',
            "unknown config key 'stepz'; the nearest is 'steps'",
        ),
    ],
)
def test_files_that_are_no_config(tmp_path: Path, text: str, line: str) -> None:
    file = tmp_path / 'config.json'
    file.write_text(text)
    with pytest.raises(UserError, match=line) as caught:
        from_json(file)
    assert str(file) in str(caught.value)


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='is no run folder: it holds no config'):
        from_json(tmp_path / 'config.json')
    with pytest.raises(UserError, match='is no run folder: there is nothing of that name'):
        from_json(tmp_path / 'gone' / 'config.json')


def test_differing_keys_leave_out_the_free_ones() -> None:
    ours = changed(seed=1, log_every=3, data__root='x', evaluate__outlier_images=3, model__width=2)
    theirs = json.loads(to_json(changed(recovery__tries=9)))
    assert differing_keys(ours.to_dict(), theirs) == ['model.width: 10 -> 2', 'seed: 0 -> 1']
    same = changed(optimizer__milestones=(0.5,))
    assert differing_keys(same.to_dict(), json.loads(to_json(same))) == []
    del theirs['steps']
    assert 'steps: None -> 1000' in differing_keys(ours.to_dict(), theirs)


# Files and the command line.

_GOOD = """from eojax.config.base import base_config

def get_config():
    c = base_config()
{}    return c
"""


def config_file(folder: Path, text: str = '') -> str:
    file = folder / 'some.py'
    file.write_text(
        _GOOD.format(text) if 'get_config' not in text and 'raise' not in text else text
    )
    return str(file)


@pytest.mark.parametrize(
    ('text', 'line'),
    [
        ('    c.modle = 3\n', r'some\.py: .*modle'),
        ("    c.steps = 'many'\n", r'some\.py: TypeError: .*steps'),
        ('    c.model.depth = = 3\n', r'some\.py: SyntaxError: '),
        ('raise RuntimeError("no\\nway")', r'some\.py: RuntimeError: no'),
        ('get_config = 3', r'some\.py: TypeError: '),
        ('def get_config(): pass', r'some\.py: get_config\(\) must return a config, not NoneType'),
        ('def get_config(): return {}', r'must return a config, not dict'),
        ('def get_configs(): pass', r"some\.py: AttributeError: .*get_config"),
        ('from eojax.config.base import base_config as b\nget_config = lambda: b("jam")',
         r"some\.py: unknown method 'jam'; did you mean 'jem'"),
    ],
)  # fmt: skip
def test_config_files_with_mistakes_are_named(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        load_config(config_file(tmp_path, text))


def test_config_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'config file not found: nowhere\.py$'):
        load_config('nowhere.py')
    with pytest.raises(UserError, match=r'a config takes no arguments: use --config\.key=value'):
        load_config(config_file(tmp_path) + ':labels=20')
    with pytest.raises(UserError, match='say which config'):
        load_config('')
    with pytest.raises(UserError, match='config file not found'):
        load_config(str(tmp_path))
    (tmp_path / 'config.json').write_text('{}')
    with pytest.raises(UserError, match='is no Python file'):
        load_config(str(tmp_path / 'config.json'))


@pytest.mark.parametrize(
    ('arguments', 'line'),
    [
        (['--config.modle.depth=10'], "key 'modle.depth'; the nearest is 'model.depth'"),
        (['--config.steps=abc'], "steps must be of type int, not 'abc'"),
        (['--config.steps=1e3'], "steps must be of type int, not '1e3'"),
        (['--config.optimizer.learning_rate=fast'], "must be of type float, not 'fast'"),
        (['--config.tensorboard=maybe'], "tensorboard must be true or false, not 'maybe'"),
        (['--config.tensorboard=yes'], "tensorboard must be true or false, not 'yes'"),
        (['--noconfig.tensorbord'], "key 'tensorbord'; the nearest is 'tensorboard'"),
        (['--noconfig.steps'], '--noconfig.steps is for keys that are true or false'),
        (['--config.model=wide_resnet'], "'model' is a group"),
        (['--config.'], "unknown config key ''"),
        (['--config.method.name=jam'], "unknown method 'jam'; did you mean 'jem'"),
        (['--config.model.name=densenet'], "unknown model 'densenet'"),
        (['--config.data.name=euro'], "unknown data set 'euro'"),
        (['--config.method.name=supervised'], 'method.name=supervised has other options'),
    ],
)  # fmt: skip
def test_overrides_with_mistakes(tmp_path: Path, arguments: list[str], line: str) -> None:
    with pytest.raises(UserError, match=line) as caught:
        read_arguments([f'--config={config_file(tmp_path)}', *arguments])
    assert '\n' not in str(caught.value)


def test_overrides_that_are_right(tmp_path: Path) -> None:
    path = config_file(tmp_path)
    right = [
        '--config.steps=5', '-config.seed=3', '--noconfig.tensorboard', '--config.tensorboard',
        '--config.optimizer.milestones=(0.8,0.9)', '--config.data.labels_per_class=5',
        '--config.optimizer.learning_rate=1', '--config.data.name=ucmerced', '--workdir=x',
        '--config.steps', '7', '--', '--config.modle=3',
    ]  # fmt: skip
    typed = read_arguments([f'--config={path}', *right])
    assert typed.config is not None
    assert typed.rest == ('--workdir=x', '--', '--config.modle=3')
    assert typed.name == 'some'
    assert (typed.config.steps, typed.config.seed, typed.config.tensorboard) == (7, 3, True)
    assert typed.config.optimizer.milestones == (0.8, 0.9)
    assert (typed.config.optimizer.learning_rate, typed.config.data.name) == (1.0, 'ucmerced')
    assert typed.config.data.labels_per_class == '5'
    assert read_arguments(['--config.steps', '9', '--config', path]).config.steps == 9
    assert read_arguments(['--help']) == (None, '', (), ('--help',))
    with pytest.raises(UserError, match=r'--config\.steps=3 changes no config'):
        read_arguments(['--config.steps=3'])
    with pytest.raises(UserError, match='say which config'):
        read_arguments(['--config'])


def test_numbers_may_be_given_as_numbers(tmp_path: Path) -> None:
    config = base_config('jem', 'wide_resnet', 'landscapes')
    config.data.labels_per_class = 5
    assert config.data.labels_per_class == '5'
    copied = config.copy_and_resolve_references()
    copied.data.update({'labels_per_class': 7})
    set_key(config, 'data.test_groups', 12)
    assert (copied.data.labels_per_class, config.data.test_groups) == ('7', '12')
    with pytest.raises(TypeError, match='labels_per_class'):
        config.data.labels_per_class = True
    # As some other program may have written it.
    plain = json.loads(to_json(config))
    plain['data']['labels_per_class'] = 5
    (tmp_path / 'config.json').write_text(json.dumps(plain))
    assert to_json(from_json(tmp_path / 'config.json')) == to_json(config)
    assert differing_keys(config.to_dict(), plain) == []
    assert differing_keys(copied.to_dict(), plain)[0] == "data.labels_per_class: 5 -> '7'"
