"""Options: each says what it means and what it may be, and its default is one of these."""

from __future__ import annotations

import math
from typing import Any

import pytest

from eojax.config.options import options_of
from eojax.data.sets import DATASETS
from eojax.errors import UserError
from eojax.methods import METHODS
from eojax.models import MODELS
from eojax.option import (
    ANY,
    BELOW_ONE,
    NOT_NEGATIVE,
    OR_INFINITE,
    Option,
    at_least,
    between,
    check,
    flat,
    one_of,
)

UNITS = {
    '', 'steps', 'steps of the chain', 'images', 'pixels', 'pixels of 10 m', 'tiles', 'sub-tiles',
    'regions', 'features', 'levels', 'stages', 'blocks', 'clusters', 'nats', 'dB', 'GB', 'metres',
    'of images in [-1, 1]',
}  # fmt: skip


def everything() -> list[Any]:
    """The options of each method, network and data set, by where they are."""
    methods = [(method, 'wide_resnet', 'eurosat') for method in METHODS]
    models = [('supervised', model, 'eurosat') for model in MODELS]
    data = [('supervised', 'wide_resnet', name) for name in DATASETS]
    found: dict[tuple[str, str], Option] = {}
    for names in (*methods, *models, *data):
        source = 'so2sat' if METHODS[names[0]].needs_source else ''
        for key, option in flat(options_of(*names, source)):
            found[key, option.meaning] = option
    return [pytest.param(key, option, id=key) for (key, _), option in found.items()]


@pytest.mark.parametrize(('key', 'option'), everything())
def test_an_option_says_what_it_means(key: str, option: Option) -> None:
    assert 8 <= len(option.meaning) <= 100
    assert option.meaning == ' '.join(option.meaning.split())
    assert option.meaning.endswith('...') or option.meaning[-1] not in '.,:;'
    assert option.unit in UNITS
    option.refuse(key, option.default)
    number = isinstance(option.default, (int, float)) and not isinstance(option.default, bool)
    # Every number has a range; what names a thing of a few has choices.
    assert not (number and option.within == ANY)
    assert option.within.text or option.within == ANY
    assert number or isinstance(option.default, tuple) or not option.unit or 'labels' in key


def test_the_parts_of_a_run_are_all_named() -> None:
    keys = [key for key, _ in flat(options_of('fine_tune', 'convnet', 'folder', 'so2sat'))]
    assert len(keys) == len(set(keys))
    assert {'seed', 'data.root', 'source.sensor', 'model.widths', 'method.source_steps'} <= set(
        keys
    )


@pytest.mark.parametrize(
    ('option', 'value', 'message'),
    [
        (Option(3, 'a number', at_least(2)), 1, 'a.b must be at least 2, not 1'),
        (Option(3, 'a number', at_least(2)), 3.0, 'a.b must be of type int, not 3.0'),
        (Option(0.5, 'a share', BELOW_ONE), 1, r'a.b must lie in [0, 1), not 1'),
        (Option(0.5, 'a number', NOT_NEGATIVE), math.inf, 'a.b must be a finite number, not inf'),
        (Option(0.5, 'a number', OR_INFINITE), -0.1, 'a.b must not be negative, not -0.1'),
        (Option(1, 'a number', between(1, 5, 'must be from')), 6, 'a.b must be from 1 to 5, not 6'),
        (Option('fast', 'a word', one_of('fast', 'slow')), 'fest',
         "unknown a.b 'fest'; did you mean 'fast'? (known: fast, slow)"),
        (Option((1.0,), 'numbers'), 1.0, 'a.b must be of type tuple, not 1.0'),
    ],
)  # fmt: skip
def test_what_an_option_refuses_is_one_line_with_its_key(
    option: Option, value: Any, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        check({'b': option}, {'b': value}, 'a')
    assert str(caught.value) == message
    check({'b': option}, {'b': option.default}, 'a')


def test_infinity_is_a_number_where_it_is_one() -> None:
    check({'a': Option(1.0, 'a bound', OR_INFINITE)}, {'a': math.inf})
