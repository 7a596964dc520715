"""The command: whatever is typed wrong is one line and an exit code, never a traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from eojax import errors
from eojax.errors import UserError, one_line_errors, unknown_name
from tests.data.labelled_archives import eurosat_members, write_zip

ROOT = Path(__file__).parents[1]

LANDSCAPES = """
from eojax.config.base import base_config

def get_config():
    config = base_config('jem', 'wide_resnet', 'landscapes')
    config.data.num_images = 100
    config.data.size = 16
    return config
"""
FILES = {
    'good.py': LANDSCAPES,
    'eurosat.py': 'from eojax.config.base import base_config as get_config\n',
    'syntax.py': 'def get_config(:\n    pass\n',
    'nothing.py': 'x = 3\n',
    'typo.py': LANDSCAPES.replace('config.data.size', 'config.data.sise'),
    'text.py': LANDSCAPES.replace('16', "'16'"),
    'raises.py': 'def get_config():\n    raise RuntimeError("first\\nsecond")\n',
}


class Typed(NamedTuple):
    """Arguments, with `{}` for the folder of the files, and what the one line must say."""

    arguments: str
    line: str


WRONG = {
    'nothing': Typed('', 'say what to run: --config=configs/NAME.py'),
    'config without value': Typed('--config', 'say which config'),
    'missing file': Typed('--config=missing.py', 'config file not found: missing.py'),
    'missing, with a space': Typed('--config missing.py', 'config file not found: missing.py'),
    'with arguments': Typed('--config={}/good.py:x', 'a config takes no arguments'),
    'a folder': Typed('--config={}', 'config file not found'),
    'forgotten flag': Typed('{}/good.py', 'unknown argument'),
    'syntax error': Typed('--config={}/syntax.py', r'syntax\.py: SyntaxError'),
    'no get_config': Typed('--config={}/nothing.py', r'nothing\.py: AttributeError'),
    'unknown key in file': Typed('--config={}/typo.py', r'typo\.py: .*sise'),
    'wrong type in file': Typed('--config={}/text.py', r'text\.py: TypeError'),
    'an error in file': Typed('--config={}/raises.py', r'raises\.py: RuntimeError: first second'),
    'unknown group': Typed('--config={}/good.py --config.modle.depth=10', "'model.depth'"),
    'unknown key': Typed('--config={}/good.py --config.stepz=10', "the nearest is 'steps'"),
    'no number': Typed('--config={}/good.py --config.steps=abc', 'steps must be of type int'),
    'no number after a space': Typed('--config={}/good.py --config.steps abc', 'steps.*abc'),
    'no value': Typed('--config={}/good.py --config.steps', 'Missing value for flag'),
    'no truth': Typed('--config={}/good.py --config.tensorboard=2', 'must be true or false'),
    'unknown boolean': Typed('--config={}/good.py --noconfig.tensorbord', "'tensorboard'"),
    'no boolean': Typed('--config={}/good.py --noconfig.steps', 'true or false'),
    'a stray word': Typed('--config={}/good.py --config.tensorboard false', "argument 'false'"),
    'unknown flag': Typed('--config={}/good.py --wrokdir=x', 'Did you mean: workdir'),
    'unknown method': Typed('--config={}/good.py --config.method.name=jam', "did you mean 'jem'"),
    'another method': Typed('--config={}/good.py --config.method.name=vae', 'say --method=vae'),
    'swapped, unknown': Typed('--config={}/good.py --method=jam', "did you mean 'jem'"),
    'swapped, no network': Typed('--config={}/good.py --method=segmentation', '--model=unet'),
    'a part alone': Typed('--method=jem', 'say --data too'),
    'too few steps': Typed('--config={}/good.py --config.steps=0', 'steps must be at least 1'),
    'unknown model': Typed('--config={}/good.py --config.model.name=vit', "unknown model 'vit'"),
    'unknown data': Typed('--config={}/good.py --config.data.name=mars', "data set 'mars'"),
    'words in a tuple': Typed(
        '--config={}/good.py --config.optimizer.milestones=a,b', r'milestones must be .*float'
    ),
    'impossible': Typed('--config={}/good.py --config.sampler.buffer_size=3', 'sampler.buffer_siz'),
    'no such data': Typed(
        '--config={}/eurosat.py --config.data.root=/nowhere --workdir={}/a', '/nowhere'
    ),
    'truncated zip': Typed(
        '--config={}/eurosat.py --config.data.root={}/cut.zip --workdir={}/b', r'cut\.zip'
    ),
    'no zip at all': Typed(
        '--config={}/eurosat.py --config.data.root={}/good.py --workdir={}/c', r'good\.py'
    ),
    'too few of a class': Typed(
        '--config={}/eurosat.py --config.data.root={}/few.zip --workdir={}/d', 'too few'
    ),
    'workdir is a file': Typed('--config={}/good.py --workdir={}/good.py', '--workdir'),
    'workdir below a file': Typed('--config={}/good.py --workdir={}/good.py/x', '--workdir'),
    'no inception file': Typed(
        '--config={}/good.py --config.evaluate.inception=no.npz', 'evaluate.inception'
    ),
}
RIGHT = {'help': '--help', 'short': '-h', 'keys': '--config.seed=3 --config={}/good.py --help'}


@pytest.fixture(scope='module')
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str]]:
    """Exit code, stdout and stderr of all the commands above."""
    folder = tmp_path_factory.mktemp('typed')
    for name, text in FILES.items():
        (folder / name).write_text(text)
    whole = write_zip(folder / 'few.zip', eurosat_members(1)).read_bytes()
    (folder / 'cut.zip').write_bytes(whole[: len(whole) // 2])
    typed = {name: case.arguments for name, case in WRONG.items()} | RIGHT
    commands = [text.replace('{}', str(folder)).split() for text in typed.values()]
    done = subprocess.run(
        [sys.executable, '-m', 'tests.forked_commands'],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(typed, map(tuple, json.loads(done.stdout)), strict=True))


@pytest.mark.parametrize('name', WRONG)
def test_what_is_typed_wrong_is_one_line(
    name: str, results: dict[str, tuple[int, str, str]]
) -> None:
    code, out, err = results[name]
    assert code == 1, err
    assert 'Traceback' not in err
    assert out == ''
    # The data may have told before how many images it has, and drawn a bar.
    lines = [line for line in re.split(r'[\r\n]+', err) if line.startswith('eojax:')]
    lines = [line for line in lines if not re.search(r': \d+ images \(', line)]
    assert len(lines) == 1, err
    assert re.search(WRONG[name].line, lines[0]), lines[0]


@pytest.mark.parametrize('name', RIGHT)
def test_help(name: str, results: dict[str, tuple[int, str, str]]) -> None:
    code, out, err = results[name]
    assert code == 0
    assert err == ''
    assert '--config=FILE [--workdir=DIR] [--config.KEY=VALUE ...]' in out
    key = '  --config.data.num_images=100\n      images that are drawn (whole number, 100 or'
    assert (key in out) == (name == 'keys')
    assert ('--config.seed=3\n' in out) == (name == 'keys')


def test_python_m_is_the_same(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, '-m', 'eojax.main', '--config=missing.py'],
        capture_output=True, text=True, cwd=ROOT, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == 'eojax: config file not found: missing.py\n'
    assert done.stdout == ''


# The one line itself.


@pytest.mark.parametrize(
    ('error', 'code', 'line'),
    [
        (UserError('two\nlines'), 1, 'two lines'),
        (FileNotFoundError(2, 'No such file or directory', 'x.zip'), 1, "directory: 'x.zip'"),
        (
            MemoryError('Unable to allocate 3 TiB'),
            1,
            '3 TiB): ask for fewer or smaller images at a time',
        ),
        (MemoryError(), 1, 'not enough memory: ask for fewer or smaller images at a time'),
        (KeyboardInterrupt(), 130, 'stopped'),
    ],
)
def test_errors_in_one_line(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.delenv('EOJAX_DEBUG', raising=False)

    def fail() -> None:
        with one_line_errors():
            raise error

    with pytest.raises(SystemExit) as caught:
        fail()
    assert caught.value.code == code
    said = capsys.readouterr().err
    assert said.startswith('eojax: ')
    assert said.endswith(f'{line}\n')
    assert said.count('\n') == 1
    monkeypatch.setenv('EOJAX_DEBUG', '1')
    with pytest.raises(type(error)):
        fail()


def test_bugs_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError), one_line_errors():
        raise ZeroDivisionError


def test_unknown_name_offers_the_nearest_and_all() -> None:
    line = str(unknown_name('model', 'unett', ('wide_resnet', 'unet')))
    assert line == "unknown model 'unett'; did you mean 'unet'? (known: unet, wide_resnet)"
    assert 'did you mean' not in str(unknown_name('model', 'xyz', ('wide_resnet', 'unet')))
    assert issubclass(errors.UserError, Exception)
    assert os.linesep not in line
