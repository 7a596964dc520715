"""Options: each says what it means and what it may be, and its default is one of these."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from eojax.apps.options import main
from eojax.config.listing import of_all_parts
from eojax.config.options import options_of
from eojax.config.page import as_markdown
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


def test_the_page_of_all_options_is_fresh() -> None:
    page = Path(__file__).parents[2] / 'docs' / 'options.md'
    assert page.read_text() == as_markdown(of_all_parts()), (
        'write it anew: python -m eojax.apps.options --markdown > docs/options.md'
    )


def test_the_page_has_every_option() -> None:
    text = as_markdown(of_all_parts())
    for parameter in everything():
        key, option = parameter.values
        group, _, leaf = key.partition('.')
        # Groups of other parts within a group are in the notes of the page.
        within = group in ('fixmatch', 'discriminator') and '.' in leaf
        if group == 'source' or within or leaf == 'name':
            continue
        meaning = option.meaning.replace('|', r'\|').replace('<', '&lt;')
        assert f'| `{key}` |' in text
        assert f'| {meaning} |' in text


def listed(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    main(arguments)
    return capsys.readouterr().out


def test_options_are_listed_with_their_values(capsys: pytest.CaptureFixture[str]) -> None:
    path = f'--config={Path(__file__).parents[2]}/configs/quickstart.py'
    found = listed(path, 'buffer_size', capsys=capsys)
    assert found == (
        '  sampler.buffer_size = 500  (whole number, 1 or more; images; default 10000)\n'
        '      images in the replay buffer\n'
    )
    assert 'sampler.steps = 3 ' in listed(
        path, '--config.sampler.steps=3', 'sampler', capsys=capsys
    )
    everywhere = listed('threshold', capsys=capsys)
    assert 'Method fixmatch\n  method.threshold = 0.95 ' in everywhere
    assert 'Method swd_transfer\n  method.pseudo_label_threshold = 0.95' in everywhere
    swapped = listed('--method=fixmatch', '--data=landscapes', 'num_images', capsys=capsys)
    assert swapped.startswith('  data.num_images = 4000  (whole number, 100 or more; images)\n')


@pytest.mark.parametrize(
    ('arguments', 'line'),
    [
        (['--method=jem', '--data=landscapes', 'thresold'], 'thresold'),
        (['learning_rat3'], "'learning_rat3'; the nearest is 'optimizer.learning_rate'"),
        (['--markdwon'], "unknown argument '--markdwon'"),
    ],
)
def test_an_unknown_option_is_one_line(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 1
    assert line in capsys.readouterr().err
