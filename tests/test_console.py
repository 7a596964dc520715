from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from eojax import __version__, console
from eojax.apps import configs
from eojax.config.command_line import read_arguments
from eojax.config.shipped import config_file, shipped_configs
from eojax.errors import UserError
from eojax.program_name import program_name


@pytest.mark.parametrize('name', console.COMMANDS)
def test_each_command_is_there_and_takes_arguments(name: str) -> None:
    command = console.COMMANDS[name]
    function = getattr(importlib.import_module(command.module), command.function)
    assert next(iter(inspect.signature(function).parameters)) == 'arguments'


def test_a_command_speaks_of_itself_by_its_own_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, 'argv', ['/usr/bin/eojax', 'map', '--help'])
    with pytest.raises(SystemExit) as ended:
        console.main()
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith('usage: eojax map ')
    assert 'example: eojax map --workdir=' in ' '.join(text.split())


def test_the_name_of_a_program_is_its_module_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, 'argv', ['/home/me/eojax'])
    assert program_name('eojax.evaluate') == 'python -m eojax.evaluate'


def test_help_lists_all_commands_and_imports_no_jax(capsys: pytest.CaptureFixture[str]) -> None:
    console.main([])
    text = capsys.readouterr().out
    assert all(f'  {name} ' in text for name in console.COMMANDS)
    lines = (
        "import sys; from eojax.console import main; main(['--help']); print('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, '-c', lines], capture_output=True, text=True, check=True)
    assert done.stdout.endswith('False\n')


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    console.main(['--version'])
    assert capsys.readouterr().out == f'eojax {__version__}\n'


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['trian'], "unknown command 'trian'; did you mean 'train'?"),
        (['--config=quickstart'], 'say the command first: eojax train --config=quickstart'),
    ],
)
def test_a_wrong_command_is_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        console.main(words)
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count('\n') == 1


def test_configs_go_by_name_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    typed = read_arguments(['--config=quickstart', '--config.seed=3'])
    assert typed.config is not None
    assert (typed.config.data.name, typed.config.seed, typed.name) == (
        'landscapes',
        3,
        'quickstart',
    )


def test_a_file_of_ones_own_comes_before_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'quickstart').write_text('')
    assert config_file('quickstart') == Path('quickstart')


@pytest.mark.parametrize(
    ('named', 'message'),
    [
        ('quickstrat', 'the nearest is quickstart'),
        ('elsewhere/quickstart.py', 'one of that name comes with eojax: --config=quickstart'),
        ('quickstart.py:small', 'a config takes no arguments'),
    ],
)
def test_a_config_that_is_not_there_names_the_nearest(named: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        config_file(named)


def test_the_configs_are_listed_with_their_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    configs.main([])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(shipped_configs())
    assert all(len(line.split(maxsplit=1)[1]) > 20 for line in lines)
    configs.main(['quickstart'])
    assert capsys.readouterr().out == shipped_configs()['quickstart'].read_text()
