"""Mistakes in options end in one line."""

from __future__ import annotations

import pytest

from eojax.command_parser import CommandParser


@pytest.fixture
def parser() -> CommandParser:
    made = CommandParser(prog='eojax predict')
    made.add_argument('--top', type=int)
    made.add_argument('--share', type=float)
    made.add_argument('--checkpoint', choices=('last', 'best'))
    made.add_argument('--out', required=True)
    return made


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--out=a', '--tpo=3'], "unknown option '--tpo'; did you mean '--top'?"),
        (['--out=a', '--frequency=3'], "unknown option '--frequency'"),
        (['--out=a', 'photos', 'more'], "'photos' belongs to no option"),
        (['--out=a', '--top=many'], "--top must be a whole number, not 'many'"),
        (['--out=a', '--share=10%'], "--share must be a number, not '10%'"),
        (['--out=a', '--checkpoint=first'], "--checkpoint: invalid choice: 'first'"),
        ([], 'the following arguments are required: --out'),
    ],
)
def test_a_mistake_is_one_line(
    parser: CommandParser,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(words)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f'eojax: {message}')
    assert error.endswith('(eojax predict --help says more)\n')
    assert error.count('\n') == 1


def test_right_options_are_parsed(parser: CommandParser) -> None:
    found = parser.parse_args(['--out=a', '--top=3', '--share=0.5'])
    assert (found.out, found.top, found.share) == ('a', 3, 0.5)
    found, rest = parser.parse_known_args(['--out=a', '--config.steps=3'])
    assert rest == ['--config.steps=3']
