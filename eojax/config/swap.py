"""Another method, network or data set in a config: what was set stays where it means the same.

The new parts bring their defaults. A setting of the config, which is a value that differs from the
default of its old parts, holds on where the new parts have the same option, with the same meaning;
what is said of one data set (its files, classes and groups) does not hold for another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from eojax.config.base import base_config, flatten, names_of, set_keys
from eojax.config.options import options_of
from eojax.errors import UserError, unknown_name
from eojax.methods import METHODS
from eojax.option import Option, flat

# What can be swapped, in the order of `base_config`.
PARTS = ('method', 'model', 'data', 'source')
# Of the groups `data` and `source`: what is said of one data set, and not of another.
_OF_ONE_SET = ('root', 'classes', 'class_folders', 'labelled_groups', 'test_groups',
               'validation_groups', 'unseen_classes')  # fmt: skip
# New defaults that a line lists, at most.
_LISTED = 12


class Swapped(NamedTuple):
    """A config with other parts.

    Attributes:
      config: complete; not checked.
      note: one line that says which settings were dropped and which defaults came.
    """

    config: ConfigDict
    note: str


def config_of(parts: Mapping[str, str]) -> ConfigDict:
    """The config of parts alone, with every default.

    Args:
      parts: of `PARTS`, by name. The method and the data set must be among them; the network is the
        usual one of the method where it is not.

    Raises:
      UserError: one that is missing or unknown; one line that names the option.
    """
    for part, example in (('method', 'supervised'), ('data', 'folder')):
        if part not in parts:
            raise UserError(
                f'say --{part} too (--{part}={example} for instance), or start from a config:'
                ' --config=NAME'
            )
    trained = _recipe(parts['method']).models
    usual = 'unet' if 'unet' in trained else (*trained, 'wide_resnet')[0]
    return _base({'model': usual, **parts})


def swapped(config: ConfigDict, parts: Mapping[str, str]) -> Swapped:
    """The config with other parts.

    Args:
      parts: of `PARTS`, by name; those that are missing stay, but for a network that the method
        does not train where it trains one alone, and a source that it does not learn from.

    Raises:
      UserError: an unknown part; a method that trains none of this network, or that needs a source.
    """
    values = dict(flatten(config))
    before = dict(zip(PARTS, names_of(values), strict=False))
    after = _fitting({**before, **parts}, parts) if parts else before
    if after == before:
        return Swapped(config, '')
    old, new = (dict(flat(options_of(**names))) for names in (before, after))
    base = _base(after)
    settings = {k: v for k, v in values.items() if k in old and v != old[k].default}
    kept = {
        key: value
        for key, value in settings.items()
        if key in new and _same(key, value, old[key], new[key], before, after)
    }
    set_keys(base, kept)
    dropped = [key for key in settings if key not in kept and not _is_name(key)]
    came = [
        key
        for key, option in new.items()
        if key not in kept and not _is_name(key) and (key not in old or old[key] != option)
    ]
    new_values = {key: new[key].default for key in came}
    new_groups = {key.partition('.')[0] for key in new} - {key.partition('.')[0] for key in old}
    lost = {key: settings[key] for key in dropped}
    return Swapped(base, _note(before, after, lost, new_values, new_groups))


def _fitting(wanted: dict[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """The parts, with a network and a source that fit the method, where that is another."""
    recipe = _recipe(wanted['method'])
    if 'method' not in given:
        return wanted
    if recipe.models and wanted['model'] not in recipe.models and 'model' not in given:
        if len(recipe.models) > 1:
            raise UserError(
                f'method {wanted["method"]!r} does not train a {wanted["model"]}: say which'
                f' network, --model={" or --model=".join(recipe.models)}'
            )
        wanted['model'] = recipe.models[0]
    if not recipe.needs_source and 'source' not in given:
        wanted.pop('source', None)
    if recipe.needs_source and 'source' not in wanted:
        raise UserError(
            f'method {wanted["method"]!r} learns from a second data set: say which, --source=NAME'
        )
    return wanted


def _recipe(method: str) -> Any:
    if method not in METHODS:
        raise unknown_name('method', method, METHODS)
    return METHODS[method]


def _base(parts: Mapping[str, str]) -> ConfigDict:
    return base_config(*(parts[part] for part in PARTS if part in parts))


def _is_name(key: str) -> bool:
    return key in {f'{part}.name' for part in PARTS}


def _same(
    key: str,
    value: Any,
    old: Option,
    new: Option,
    before: Mapping[str, str],
    after: Mapping[str, str],
) -> bool:
    """Whether a setting means the same to the new parts, which take it."""
    group, _, leaf = key.partition('.')
    if (
        group in ('data', 'source')
        and before.get(group) != after.get(group)
        and leaf in _OF_ONE_SET
    ):
        return False
    if _is_name(key) or old.meaning != new.meaning or old.unit != new.unit:
        return False
    try:
        new.refuse(key, value)
    except UserError:
        return False
    return True


def _note(
    before: Mapping[str, str],
    after: Mapping[str, str],
    dropped: Mapping[str, Any],
    came: Mapping[str, Any],
    new_groups: Collection[str],
) -> str:
    swaps = [
        f'{part} {before[part]} -> {after[part]}' if part in before and part in after
        else f'{part} {after[part]}' if part in after else f'no {part}'
        for part in PARTS
        if before.get(part) != after.get(part)
    ]  # fmt: skip
    return (
        f'{", ".join(swaps)}; settings that no longer apply: {_listed(dropped)};'
        f' defaults that came: {_listed(came, new_groups)}'
    )


def _listed(values: Mapping[str, Any], whole: Collection[str] = ()) -> str:
    """Keys and values; the `whole` groups by their names alone."""
    groups = {key: key.partition('.')[0] for key in values}
    items = [f'{key}={value!r}' for key, value in values.items() if groups[key] not in whole]
    items += [f'the group {group}' for group in dict.fromkeys(groups.values()) if group in whole]
    more = f' and {len(items) - _LISTED} more' if len(items) > _LISTED else ''
    return (', '.join(items[:_LISTED]) or 'none') + more
