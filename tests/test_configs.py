"""Every file in `configs/`: complete, strict, and trained for two steps and evaluated in small."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from ml_collections import ConfigDict

from eojax.command_line import load_config
from eojax.config import check_config, flatten, set_key, to_json
from eojax.train import train
from tests.data.labelled_archives import eurosat_members, write_zip
from tests.training_runs import rows

CONFIGS = sorted((Path(__file__).parents[1] / 'configs').glob('*.py'))
# What makes a run small; a config without the key is left as it is.
TINY: dict[str, Any] = {
    'steps': 2, 'batch_size': 4, 'log_every': 1, 'evaluate_every': 2, 'checkpoint_every': 2,
    'steps_per_call': 1, 'data.size': 16, 'data.ground_size': 16, 'data.num_images': 100,
    'data.labels_per_class': 'all', 'model.depth': 10, 'model.width': 1,
    'method.likelihood_batch_size': 4, 'method.score_matching_batch_size': 4,
    'optimizer.warmup_steps': 0, 'sampler.steps': 2, 'sampler.buffer_size': 20,
    'sampler.buffer_parts': 1, 'evaluate.batch_size': 20, 'evaluate.outlier_images': 10,
    'evaluate.inception': '', 'evaluate.outliers': '',
}  # fmt: skip
# One of the two steps is in the first phase, where there are two.
AT_MOST_ONE = ('method.supervised_steps',)


@pytest.fixture(scope='module')
def eurosat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive in EuroSAT's layout with ten images of each class."""
    return write_zip(tmp_path_factory.mktemp('data') / 'EuroSAT.zip', eurosat_members(10))


def tiny(config: ConfigDict, eurosat: Path) -> ConfigDict:
    known = dict(flatten(config))
    for key, value in TINY.items():
        if key in known:
            set_key(config, key, value)
    for key in AT_MOST_ONE:
        if key in known:
            set_key(config, key, min(known[key], 1))
    if config.data.name == 'eurosat':
        config.data.update({'source': 'files', 'root': str(eurosat)})
    return config


def test_there_are_configs() -> None:
    assert CONFIGS


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_says_what_it_is(path: Path) -> None:
    config = load_config(str(path))
    check_config(config)
    assert json.loads(to_json(config))['data']['name'] == config.data.name
    text = path.read_text()
    assert len(text.splitlines()) <= 120
    # The command that runs it, for whoever opens the file.
    assert f'--config=configs/{path.name}' in text


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_trains_two_steps_and_evaluates(path: Path, tmp_path: Path, eurosat: Path) -> None:
    config = tiny(load_config(str(path)), eurosat)
    out = train(config, tmp_path / 'run')
    found = rows(tmp_path / 'run')
    assert [row['step'] for row in found] == [1, 2]
    assert all(math.isfinite(row['loss']) for row in found)
    assert 'validation_accuracy' in found[-1]
    numbers = json.loads((out / 'evaluation.json').read_text())
    assert 0.0 <= numbers['accuracy'] <= 1.0
    assert all(math.isfinite(value) for value in numbers.values())
    assert (out / 'confusion_matrix.png').stat().st_size > 0
    for name in ('config.json', 'splits.json', 'checkpoints/2', 'tensorboard'):
        assert (tmp_path / 'run' / name).exists() or (name == 'tensorboard' != config.tensorboard)
