"""The keys of a config: the same groups everywhere, defaults from the parts, strict checks.

A file in `configs/` calls `base_config` with the names of its method, model and data set and then
sets what it cares about. The result is locked: a key that no part knows is an error, not a no-op.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from eojax import option
from eojax.config.options import options_of
from eojax.data import options as data_options
from eojax.errors import UserError
from eojax.methods import METHODS
from eojax.methods.update import optimizers
from eojax.models import MODELS, buildable
from eojax.models.arithmetic import AUTO

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
    'sinks',
    'profile',
)


class Config(ConfigDict):
    """A config whose texts take whole numbers too: `labels_per_class = 5` is stored as '5'."""

    def __setitem__(self, key: str, value: Any) -> None:
        if self.is_type_safe and key in self:
            value = option.as_text(value, self[key])
        super().__setitem__(key, value)

    @classmethod
    def of(cls, values: Mapping[str, Any], sort_keys: bool = True) -> Config:
        """A config of nested mappings, each group of which is one."""
        groups = {k: cls.of(v) if isinstance(v, Mapping) else v for k, v in values.items()}
        return cls(groups, sort_keys=sort_keys)


def base_config(
    method: str = 'jem', model: str = 'wide_resnet', data: str = 'eurosat', source: str = ''
) -> ConfigDict:
    """The complete config of a method, a model and a data set, with every default.

    Args:
      source: another data set, for methods that learn from two (those that need a source).

    The meaning and the range of each key: `eojax.config.options`. What is evaluated, and what the
    apps mean, is the group `data`, not `source`.

    Raises:
      UserError: for an unknown name.
    """
    config = Config.of(option.defaults(options_of(method, model, data, source)), sort_keys=False)
    config.lock()
    return config


def check_config(config: ConfigDict) -> None:
    """Refuses what cannot work, before anything is read or allocated.

    Raises:
      UserError: one line that names the key.
    """
    if not isinstance(config, ConfigDict):
        raise UserError(f'a config is what base_config makes, not {type(config).__name__}')
    given = dict(flatten(config))
    known = dict(flatten(base_config(*names_of(given))))
    for key in given:
        if key not in known:
            raise UserError(unknown_key(key, known))
    for key in known:
        if key not in given:
            raise UserError(f'config has no {key} (default: {known[key]!r})')
    option.check(options_of(*names_of(given)), config)
    optimizers.check(config.optimizer)
    _check_source(config)
    for group in ('data', 'source'):
        if group in config:
            data_options.check(config[group], group)
    _check_model(config)
    METHODS[config.method.name].check(config)


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
    if config.model.get('weights') and not METHODS[config.method.name].starts_from_weights:
        able = sorted(name for name, recipe in METHODS.items() if recipe.starts_from_weights)
        raise UserError(
            f'method {config.method.name!r} does not start from model.weights; these do:'
            f' {", ".join(able)}'
        )
    if config.model.get('weights_bands') and not config.model.weights:
        raise UserError('model.weights_bands is set, but model.weights is not')
    sizes = {f'{group}.size': config[group].size for group in ('data', 'source') if group in config}
    MODELS[config.model.name].check(config.model, sizes)


def names_of(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Method, model and data set that a flat config names, and the source where it has one.

    Raises:
      UserError: it does not name them.
    """
    keys = ['method.name', 'model.name', 'data.name']
    if any(key.startswith('source.') for key in values):
        keys.append('source.name')
    for key in keys:
        if not isinstance(values.get(key), str):
            raise UserError(f'config has no {key}: make it with base_config(method, model, data)')
    return tuple(values[key] for key in keys)


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
    """`key: theirs -> ours` for all keys that must agree before a run may be resumed.

    An arithmetic of `auto` agrees with any: a run that has begun keeps the one that it was settled
    to (`eojax.models.arithmetic`).
    """
    first, second = _plain(dict(flatten(ours))), _plain(dict(flatten(theirs)))
    lines = []
    for key in sorted(first.keys() | second.keys()):
        if any(key == free or key.startswith(f'{free}.') for free in FREE_AT_RESUME):
            continue
        before, now = second.get(key), first.get(key)
        if f'.{key}'.endswith('.model.dtype') and AUTO in (before, now):
            continue
        if option.as_text(before, now) != option.as_text(now, before):
            lines.append(f'{key}: {before!r} -> {now!r}')
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
        config = base_config(*names_of(values))
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
        there = path.parent.exists()
        why = 'it holds no config.json' if there else 'there is nothing of that name'
        raise UserError(f'{path.parent} is no run folder: {why}') from error
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
        new[key] = tuple(value) if listed else option.as_text(value, known[key])
        option.check_type(key, new[key], known[key])
    config.update_from_flattened_dict(new)
