"""Configs and training from Python."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

import eojax
from eojax.config.base import base_config
from eojax.training import loop
from tests.tiny_runs import tiny_run


def test_a_config_is_loaded_by_name_or_file_or_made_of_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = eojax.load_config('jem_eurosat_small', {'optimizer.learning_rate': 5e-4}, seed=3)
    assert (config.method.name, config.optimizer.learning_rate, config.seed) == ('jem', 5e-4, 3)
    file = tmp_path / 'mine.py'
    file.write_text(
        'from eojax.config import base_config\n'
        "def get_config():\n    return base_config('supervised', 'wide_resnet', 'landscapes')\n"
    )
    assert eojax.load_config(file).to_dict() == eojax.load_config(str(file)).to_dict()
    parts = eojax.load_config(method='supervised', model='wide_resnet', data='landscapes')
    expected = base_config('supervised', 'wide_resnet', 'landscapes')
    assert parts.to_dict() == expected.to_dict() == eojax.load_config(file).to_dict()
    other = eojax.load_config('jem_eurosat_small', method='supervised')
    assert other.method.name == 'supervised'
    capsys.readouterr()
    short = eojax.load_config('quickstart', steps=100)
    assert 0 < short.method.supervised_steps < 100
    assert 'supervised_steps' in capsys.readouterr().err


def test_configs_that_there_are_not_are_one_line() -> None:
    with pytest.raises(eojax.UserError, match=r'jem_eurosat_smal'):
        eojax.load_config('jem_eurosat_smal')
    with pytest.raises(eojax.UserError, match=r"unknown config key 'optimiser.learning_rate'"):
        eojax.load_config('quickstart', {'optimiser.learning_rate': 1e-3})
    with pytest.raises(eojax.UserError, match='say which config'):
        eojax.load_config()
    with pytest.raises(eojax.UserError, match='where the run is to be kept'):
        eojax.train(base_config('supervised', 'wide_resnet', 'landscapes'))


def test_training_opens_the_run_and_says_how_to_go_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the loop itself does is tested where it is; a run that was made before stands for it."""
    made, folder, asked = tiny_run('supervised'), tmp_path / 'run', []

    def stop(config: ConfigDict, folder: Path) -> None:
        raise loop.Stopped(2)

    def finish(config: ConfigDict, folder: Path) -> None:
        asked.append((config.steps, folder))
        shutil.copytree(made.folder, folder)

    monkeypatch.setattr(loop, 'train', stop)
    with pytest.raises(KeyboardInterrupt, match='is saved; the same call goes on'):
        eojax.train(made.run.config, folder)
    monkeypatch.setattr(loop, 'train', finish)
    run = eojax.train(made.run.config, str(folder))
    assert asked == [(4, folder)]
    assert run.folder == folder
    assert run.predict(np.zeros((3, 16, 16, 3), np.uint8)).names.shape == (3,)
    monkeypatch.chdir(tmp_path)
    eojax.train('quickstart')
    assert asked[1] == (1000, Path('runs/quickstart'))
    monkeypatch.setenv('HOME', str(tmp_path))  # here no shell puts it in place of ~
    eojax.train(made.run.config, '~/mine')
    assert asked[2][1] == tmp_path / 'mine'
