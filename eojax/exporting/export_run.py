"""A trained run as one file (`eojax.weights.run_file`), which every command opens as a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from eojax.config.base import base_config, to_json
from eojax.data import options as data_options
from eojax.errors import UserError
from eojax.evaluation import reference
from eojax.evaluation.guarantees.sample import arrays_of, kept_name, thinned, validation_sample
from eojax.exporting.card_of_run import Words, card_of
from eojax.messages import say
from eojax.runs.opening import open_run
from eojax.runs.run import Run
from eojax.runs.weights import needed_leaves, state_of
from eojax.weights import run_file
from eojax.weights.run_file import CONFIG, TEXTS, RunFile

# Paths on the machine that trained; whoever gets the file has others.
_PATHS = ('root', 'inception', 'outliers')
# Of the validation part's places, those that go along: images are mostly fewer, pixels are more.
_CALIBRATION = 20_000
_ASKED = ('logits', 'pixel_logits', 'log_density', 'pixel_log_density', 'features')


class Wishes(NamedTuple):
    """The choices of whoever exports.

    Attributes:
      which: the `last` or the `best` checkpoint.
      buffer: images of the replay buffer to keep.
      examples: training images to keep, as they are stored; 0 where their licence forbids it.
      words: of the card.
    """

    which: str
    buffer: int = 256
    examples: int = 0
    words: Words = Words()


def export_run(run: Run, state: Any, wishes: Wishes, out: Path) -> RunFile:
    """Writes a run's file, opens it, and compares its outputs with the run's.

    Args:
      run: opened, with the step of the state.
      out: the file.

    Returns:
      What was written.

    Raises:
      UserError: the file cannot be written, or does not compute what the run does.
    """
    if jax.process_count() > 1:
        raise UserError('a run is exported by one process: start it without a launcher')
    if wishes.buffer < 1:
        raise UserError(f'--buffer must be at least 1 image, not {wishes.buffer}')
    if wishes.examples < 0:
        raise UserError(f'--examples must not be negative, not {wishes.examples}')
    leaves = needed_leaves(state, wishes.buffer)
    texts = dict(_texts(run))
    numbers = _numbers(run, texts)
    empty = RunFile(card_of(run, numbers, wishes.words), run.step, wishes.which, texts, leaves, {})
    opened = state_of(run, empty, out)
    content = empty._replace(arrays=dict(_arrays(run, state, opened, wishes)))
    try:
        run_file.write(out, content)
    except OSError as error:
        raise UserError(f'--out={out} cannot be written: {error.strerror or error}') from error
    try:
        _compare(run, state, out)
    except Exception:
        out.unlink(missing_ok=True)
        raise
    return content


def _texts(run: Run) -> Iterator[tuple[str, str]]:
    for name in TEXTS:
        if name == CONFIG:
            yield name, to_json(_without_paths(run))
        elif (run.folder / name).is_file():
            yield name, (run.folder / name).read_text(encoding='utf-8')


def _without_paths(run: Run) -> Any:
    """The run's config with the defaults of what names files of this machine."""
    config = run.config.copy_and_resolve_references()
    groups = [group for group in ('data', 'source') if group in config]
    names = [config.method.name, config.model.name, *(config[group].name for group in groups)]
    defaults = base_config(*names)
    for group in (*groups, 'evaluate'):
        for key in _PATHS:
            if key in config[group]:
                config[group][key] = defaults[group][key]
    if config.model.get('weights'):  # they were read once, and only their name says something
        config.model.weights = Path(config.model.weights).name
    for group in groups:
        try:
            data_options.check(config[group], group)
        except UserError:  # a data set that must be named: its name is all that is kept
            config[group].root = Path(run.config[group].root).name
    return config


def _numbers(run: Run, texts: dict[str, str]) -> Mapping[str, Any]:
    """The numbers of this very step on the test split; others are dropped, and a line says so."""
    name = 'evaluation/evaluation.json'
    if name not in texts:
        say(f'{run.folder} was not evaluated: the card has no numbers (eojax evaluate makes them)')
        return {}
    numbers: dict[str, Any] = json.loads(texts[name])
    if numbers.get('step') != run.step:
        del texts[name]
        say(
            f'{run.folder / name} is of step {numbers.get("step")}, and this state of step'
            f' {run.step}: the card has no numbers (eojax evaluate makes them)'
        )
        return {}
    return numbers


def _arrays(
    run: Run, state: Any, opened: Any, wishes: Wishes
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """The arrays of the run's npz files that go along."""
    contents = reference.load(run.folder / 'contents.npz')
    if contents:
        yield 'contents', contents
    folder = run.folder / 'reference'
    scores = reference.kept_scores(run, state)
    if scores:
        # The opened state has other moments, and so another fingerprint.
        scores[reference.FINGERPRINT] = reference.fingerprint(run, opened)
        yield f'reference/step_{run.step}', scores
    elif {'log_density', 'pixel_log_density'} & set(run.method.abilities):
        say(
            f'{folder} keeps no scores of step {run.step}: without the data set, maps and'
            ' comparisons of the file have no percentiles of log p(x)'
        )
    calibration = _calibration(run, state)
    if calibration:
        calibration[reference.FINGERPRINT] = reference.fingerprint(run, opened)
        yield f'reference/{kept_name(run)}', calibration
    texture = reference.load(folder / 'texture.npz')
    if texture:
        yield 'reference/texture', texture
    examples = reference.load(folder / 'examples.npz')
    if wishes.examples and examples:
        rows = np.linspace(0, len(examples['labels']) - 1, wishes.examples).round().astype(int)
        rows = np.unique(rows)
        yield 'reference/examples', {name: values[rows] for name, values in examples.items()}


def _calibration(run: Run, state: Any) -> dict[str, np.ndarray]:
    """What guarantees are calibrated on; empty, and a line says why, where it is not to be had."""
    if not {'logits', 'pixel_logits'} & set(run.method.abilities):
        return {}
    try:
        return arrays_of(thinned(validation_sample(run, state), _CALIBRATION))
    except UserError as error:
        say(f'maps by the file give no guarantees (--coverage, --not_known, --areas): {error}')
        return {}


def _compare(run: Run, state: Any, file: Path) -> None:
    """Opens the file as others will, and compares all that it says of an image, to the last bit."""
    other, opened = open_run(file)
    side = run.method.window or min(run.facts.size or (64, 64))
    random = np.random.default_rng(0)
    rasters = [
        random.uniform(-1.0, 1.0, (1, side, side, len(run.facts.rasters[name].bands)))
        for name in run.method.rasters
    ]
    inputs = [raster.astype(np.float32) for raster in rasters]
    for name in sorted(run.method.abilities.keys() & set(_ASKED)):
        before, after = (
            jax.jit(one.method.abilities[name])(its, *inputs, jax.random.key(0))
            for one, its in ((run, state), (other, opened))
        )
        if not np.array_equal(before, after):
            raise RuntimeError(f'{file} does not give the {name} of {run.folder}')
