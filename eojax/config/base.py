"""The keys of a config: the same groups everywhere, defaults from the parts, strict checks.

A file in `configs/` calls `base_config` with the names of its method, model and data set and then
sets what it cares about. The result is locked: a key that no part knows is an error, not a no-op.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from eojax.data import options as data_options
from eojax.errors import UserError, unknown_name
from eojax.methods import METHODS
from eojax.methods.update import optimizers
from eojax.models import MODELS, buildable

# A run may be resumed with other values of these: they do not change what it computes.
FREE_AT_RESUME = (
    'data.root',
    'data.class_folders',
    'data.resident_gigabytes',
    'data.workers',
    'source.root',
    'source.class_folders',
    'source.resident_gigabytes',
    'source.workers',
    'evaluate',
    'log_every',
    'evaluate_every',
    'checkpoint_every',
    'keep_checkpoints',
    'recovery.tries',
    'tensorboard',
    'profile',
)

GENERATORS = ('threefry2x32', 'rbg')


def base_config(
    method: str = 'jem', model: str = 'wide_resnet', data: str = 'eurosat', source: str = ''
) -> ConfigDict:
    """The complete config of a method, a model and a data set, with every default.

    Args:
      source: another data set, for methods that learn from two (those that need a source).

    Keys at the top:
      seed: of everything random.
      steps: optimisation steps in all.
      batch_size: labelled images a step; a method may add streams of its own size.
      log_every, evaluate_every, checkpoint_every: in steps; `evaluate_every` 0 means at the end.
      keep_checkpoints: how many of the newest to keep.
      steps_per_call: steps compiled into one call; 0 takes 10 on accelerators, 1 on the CPU.
      tensorboard: whether scalars and sample grids also go to TensorBoard files.
      profile: whether to write a trace of some steps to `profile/` (`eojax.training.profiling`).
      random: the generator of all random numbers of training, one of `GENERATORS`. With threefry
        they are the same on every platform and number of devices; `rbg` is faster on TPUs and is
        neither.
      data: which set, what of it, and where it lives: training images of more than
        `resident_gigabytes` are not kept on the devices but streamed by `workers` processes
        (0: threads) for each process of the run. `labels_per_class` of its training images are
        labelled, or `labelled_in_all` over all classes, where that is not 0, and of them only those
        in `labelled_groups` (names of cities with a comma between them), where it names any, and
        `labelled_share` of each city's; `test_groups` and `validation_groups` name the cities, or
        single images, that are held out, and `validation_by` 'place' draws validation images from
        the labelled cities in place of whole cities;
        `classes` joins its classes in groups (`eojax.data.class_groups`), `class_folders` says what
        folders of other names hold (`eojax.data.class_folders`), and `unseen_classes` of
        pixels are kept from training (`eojax.data.unseen_classes`).
      source: likewise of the data set to learn from besides, where there is one. What is evaluated,
        and what the apps mean, is `data`.
      recovery: what counts as divergence, and what is done about it (`eojax.training.loop`).
      evaluate: how a trained run is evaluated (`eojax.evaluation.evaluate`); `keep_reference` says
        whether training ends with the scores of the run's own images, for commands that open the
        run without its data (`eojax.evaluation.reference`).

    Raises:
      UserError: for an unknown name.
    """
    config: dict[str, Any] = {
        'seed': 0,
        'steps': 1000,
        'batch_size': 64,
        'log_every': 50,
        'evaluate_every': 500,
        'checkpoint_every': 500,
        'keep_checkpoints': 3,
        'steps_per_call': 0,
        'tensorboard': True,
        'profile': False,
        'random': 'threefry2x32',
        'data': data_options.defaults(data),
        **({'source': data_options.defaults(source)} if source else {}),
        'model': {'name': model, **_entry('model', model, MODELS).defaults},
        'optimizer': dict(optimizers.DEFAULTS),
        'recovery': {'tries': 5, 'rate_factor': 0.5, 'max_loss': 1e6},
        'evaluate': {
            'batch_size': 256,
            'checkpoint': 'last',
            'inception': '',
            'inception_images': 2000,
            'outliers': '',
            'outlier_images': 1000,
            'window_overlap': 0.0,
            'boundary_pixels': 3,
            'keep_reference': True,
        },
    }
    for group, defaults in _entry('method', method, METHODS).defaults.items():
        config[group] = {**config.get(group, {}), **defaults}
    config['method'] = {'name': method, **config['method']}
    result = ConfigDict(config, sort_keys=False)
    result.lock()
    return result


def _entry(kind: str, name: str, table: Mapping[str, Any]) -> Any:
    if name not in table:
        raise unknown_name(kind, name, table)
    return table[name]


def check_config(config: ConfigDict) -> None:
    """Refuses what cannot work, before anything is read or allocated.

    Raises:
      UserError: one line that names the key.
    """
    if not isinstance(config, ConfigDict):
        raise UserError(f'a config is what base_config makes, not {type(config).__name__}')
    reference = base_config(*_names(dict(flatten(config))))
    known, given = dict(flatten(reference)), dict(flatten(config))
    for key in given:
        if key not in known:
            raise UserError(unknown_key(key, known))
    for key in known:
        if key not in given:
            raise UserError(f'config has no {key} (default: {known[key]!r})')
    for key, value in given.items():
        _check_type(key, value, known[key])
    _check_numbers(given)
    if config.random not in GENERATORS:
        raise unknown_name('random', config.random, GENERATORS)
    if config.evaluate.checkpoint not in ('last', 'best'):
        raise unknown_name('evaluate.checkpoint', config.evaluate.checkpoint, ('last', 'best'))
    optimizers.check(config.optimizer)
    _check_source(config)
    for group in ('data', 'source'):
        if group in config:
            data_options.check(config[group], group)
    _check_model(config)
    METHODS[config.method.name].check(config)


def _check_numbers(given: Mapping[str, Any]) -> None:
    for key in ('steps', 'batch_size', 'log_every', 'checkpoint_every', 'keep_checkpoints',
                'evaluate.batch_size'):  # fmt: skip
        if given[key] < 1:
            raise UserError(f'{key} must be at least 1, not {given[key]}')
    for key in ('evaluate_every', 'steps_per_call', 'recovery.tries'):
        if given[key] < 0:
            raise UserError(f'{key} must not be negative, not {given[key]}')
    if not 0 <= given['seed'] < 2**32:
        raise UserError(f'seed must lie between 0 and 2**32 - 1, not {given["seed"]}')
    if not 0.0 < given['recovery.rate_factor'] < 1.0:
        factor = given['recovery.rate_factor']
        raise UserError(f'recovery.rate_factor must lie between 0 and 1, not {factor}')
    if not given['recovery.max_loss'] > 0.0:
        raise UserError(f'recovery.max_loss must be positive, not {given["recovery.max_loss"]}')


def _check_source(config: ConfigDict) -> None:
    """A source is there for the methods that learn from one, and for no other."""
    name = config.method.name
    needed = [known for known, recipe in METHODS.items() if recipe.needs_source]
    if name in needed and 'source' not in config:
        raise UserError(
            f'method {name!r} learns from a second data set:'
            ' name it with base_config(method, model, data, source)'
        )
    if name not in needed and 'source' in config:
        raise UserError(
            f'method {name!r} takes no second data set, and the config has a group source;'
            f' these do: {", ".join(sorted(needed)) or "none"}'
        )


def _check_model(config: ConfigDict) -> None:
    """The network is one that the method trains, and takes the images of the data sets."""
    trained = METHODS[config.method.name].models or buildable()
    if config.model.name not in trained:
        raise UserError(
            f'method {config.method.name!r} does not train a {config.model.name}: model.name must'
            f' be {" or ".join(trained)}'
        )
    sizes = {f'{group}.size': config[group].size for group in ('data', 'source') if group in config}
    MODELS[config.model.name].check(config.model, sizes)


def _names(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Method, model and data set that a flat config names, and the source where it has one."""
    keys = ['method.name', 'model.name', 'data.name']
    if any(key.startswith('source.') for key in values):
        keys.append('source.name')
    for key in keys:
        if not isinstance(values.get(key), str):
            raise UserError(f'config has no {key}: make it with base_config(method, model, data)')
    return tuple(values[key] for key in keys)


def _check_type(key: str, value: Any, default: Any) -> None:
    """A `UserError` unless the value is of the default's type; a number may stand for a float."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(default, tuple):  # all of them hold numbers
        if not isinstance(value, (tuple, list)):
            raise UserError(f'{key} must be of type tuple, not {value!r}')
        for element in value:
            _check_type(key, element, 0.0)
    elif not (isinstance(default, float) and number) and type(value) is not type(default):
        raise UserError(f'{key} must be of type {type(default).__name__}, not {value!r}')
    elif number and math.isnan(value):
        raise UserError(f'{key} must be a number, not {value!r}')


def unknown_key(key: str, known: Mapping[str, Any]) -> str:
    """One line about a key that does not exist, with the nearest that does."""
    inside = [k for k in known if k.startswith(f'{key}.')]
    if inside:
        return f'config key {key!r} is a group; set one of its keys, such as {inside[0]!r}'
    near = difflib.get_close_matches(key, list(known), n=1, cutoff=0.0)
    if '.' in key:
        group, leaf = key.rsplit('.', 1)
        siblings = [k for k in known if k.rsplit('.', 1)[0] == group]
        leaves = {k.rsplit('.', 1)[1]: k for k in siblings if '.' in k}
        match = difflib.get_close_matches(leaf, list(leaves), n=1, cutoff=0.5)
        near = [leaves[match[0]]] if match else near
    return f'unknown config key {key!r}; the nearest is {near[0]!r}'


def flatten(config: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    """Pairs of dotted key and value, in order."""
    for key, value in config.items():
        if isinstance(value, (ConfigDict, Mapping)):
            yield from flatten(value, f'{prefix}{key}.')
        else:
            yield f'{prefix}{key}', value


def differing_keys(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """`key: theirs -> ours` for all keys that must agree before a run may be resumed."""
    first, second = _plain(dict(flatten(ours))), _plain(dict(flatten(theirs)))
    lines = []
    for key in sorted(first.keys() | second.keys()):
        if any(key == free or key.startswith(f'{free}.') for free in FREE_AT_RESUME):
            continue
        if first.get(key) != second.get(key):
            lines.append(f'{key}: {second.get(key)!r} -> {first.get(key)!r}')
    return lines


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def to_json(config: ConfigDict) -> str:
    """The config as indented JSON, keys in their order."""
    return json.dumps(config.to_dict(), indent=2) + '\n'


def from_json(path: Path) -> ConfigDict:
    """The config of a run folder.

    Raises:
      UserError: the file is absent or is no config of this version.
    """
    values = dict(flatten(read_json(path)))
    try:
        config = base_config(*_names(values))
        set_keys(config, values)
    except UserError as error:
        raise UserError(f'{path}: {error}') from error
    return config


def read_json(path: Path) -> dict[str, Any]:
    """The object in a run's `config.json`.

    Raises:
      UserError: the file is absent or holds no object.
    """
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f'{path.parent} is no run folder: it holds no config.json') from error
    except ValueError as error:
        raise UserError(f'{path} is damaged: {error}') from error
    if not isinstance(values, dict):
        raise UserError(f'{path} is damaged: it holds no JSON object')
    return values


def set_key(config: ConfigDict, key: str, value: Any) -> None:
    """Sets a dotted key; unknown keys and wrong types are a `UserError`."""
    set_keys(config, {key: value})


def set_keys(config: ConfigDict, values: Mapping[str, Any]) -> None:
    """Sets dotted keys, or none of them; unknown keys and wrong types are a `UserError`."""
    known, new = dict(flatten(config)), {}
    for key, value in values.items():
        if key not in known:
            raise UserError(unknown_key(key, known))
        listed = isinstance(known[key], tuple) and isinstance(value, list)
        new[key] = tuple(value) if listed else value
        _check_type(key, new[key], known[key])
    with config.ignore_type():  # slow: once for all keys
        config.update_from_flattened_dict(new)
