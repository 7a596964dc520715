"""Run folders as a finished training leaves them, without checkpoints: numbers and no network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from eojax.config.base import set_key, to_json
from eojax.studies.grid.process import reliability_file


def write_finished(
    folder: Path, config: ConfigDict, step: int | None = None, **numbers: Any
) -> Path:
    """A folder of a run whose evaluation says these numbers.

    Args:
      step: the last one; that of the config where None.
    """
    step = config.steps if step is None else step
    evaluation = folder / 'evaluation'
    evaluation.mkdir(parents=True, exist_ok=True)
    (folder / 'config.json').write_text(to_json(config))
    (folder / 'metrics.jsonl').write_text(json.dumps({'step': step, 'loss': 1.0}) + '\n')
    values = {'step': step, 'test_images': 40, **numbers}
    (evaluation / 'evaluation.json').write_text(json.dumps(values))
    return folder


def write_reliability(folder: Path, counts: list[int], confidence: list, accuracy: list) -> None:
    """The bins of the run's calibration; None where one is empty."""
    bins = {'counts': counts, 'confidence': confidence, 'accuracy': accuracy}
    reliability_file(folder).write_text(json.dumps({'bins': bins}))


def changed(config: ConfigDict, **changes: Any) -> ConfigDict:
    """A copy with other values, by key, with `__` for the dot."""
    copy = config.copy_and_resolve_references()
    for key, value in changes.items():
        set_key(copy, key.replace('__', '.'), value)
    return copy
