"""The card of a trained run, from its config, its data and its numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

import eojax
from eojax.data.facts import Facts
from eojax.runs import starting
from eojax.runs.carry import abstract_carry
from eojax.runs.run import Run
from eojax.weights.card import Card

_MODELS = {'unet': 'U-Net', 'segnet': 'SegNet', 'convnet': 'convolutional network'}


class Words(NamedTuple):
    """The words of a card that nobody can know but whoever exports; empty ones are made.

    Attributes: as of `Card`; `limits` stand after those that follow from the run.
    """

    title: str = ''
    licence: str = ''
    data_licence: str = ''
    citation: str = ''
    training: str = ''
    limits: tuple[str, ...] = ()


def card_of(run: Run, numbers: Mapping[str, Any], words: Words) -> Card:
    """The card of a run at its step.

    Args:
      numbers: of the test split, as `evaluation.json` has them.
    """
    facts, config = run.facts, run.config
    side = run.method.window or max(facts.size or (config.data.size,) * 2)
    title = facts.title or config.data.name
    method = config.method.name
    protocol = ' '.join(filter(None, (_protocol(run), words.training)))
    return Card(
        title=words.title or f'{method} on {title}, {side} x {side} pixels',
        method=method,
        network=network_title(config.model),
        data=title,
        protocol=protocol,
        numbers={key: float(value) for key, value in numbers.items() if math.isfinite(value)},
        limits=(*_limits(run, facts, side, bool(numbers)), *words.limits),
        licence=words.licence,
        data_licence=words.data_licence or facts.licence,
        citation=words.citation or facts.citation,
        classes=tuple(facts.class_names),
        image_size=side,
        bands=tuple(facts.images.bands),
        parameters=_parameters(run),
        version=eojax.__version__,
        date=datetime.now(UTC).strftime('%Y-%m-%d'),
    )


def network_title(model: ConfigDict) -> str:
    """The network of a config group `model` in words: Wide-ResNet 28-10, ResNet-18, ..."""
    if model.name == 'wide_resnet':
        norm = '' if model.norm == 'none' else f', {model.norm} normalisation'
        return f'Wide-ResNet {model.depth}-{model.width}{norm}'
    if model.name == 'resnet':
        other = '' if model.width == 64 else f' of width {model.width}'
        return f'ResNet-{model.depth}{other}, {model.stem} stem'
    if 'width' in model and 'depth' in model:
        return f'{_MODELS.get(model.name, model.name)} of width {model.width}, depth {model.depth}'
    return _MODELS.get(model.name, model.name)


def _parameters(run: Run) -> int:
    """How many numbers the network has, statistics of batch normalisation aside."""
    state = abstract_carry(run, max(run.step - 1, 0), ()).state
    trained = getattr(state, 'trained', None)
    if trained is None:  # of two stages, the second
        trained = getattr(getattr(state, 'second', None) or state.first, 'trained')  # noqa: B009
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(trained.average))


def _protocol(run: Run) -> str:
    known, config = run.known['data'], run.config
    counts = known.counts
    places = 'images' if run.facts.label == 'image' else 'places'
    labelled = '' if counts['labelled'] == counts['train'] else f' ({counts["labelled"]} labelled)'
    return (
        f'{counts["train"]:,} training {places}{labelled}, {counts["validation"]:,} for'
        f' validation, {counts["test"]:,} for testing; seed {config.seed};'
        f' step {run.step:,} of {config.steps:,}, with {config.batch_size} labelled {places} a'
        f' step.{_beginning(run)}'
    )


def _beginning(run: Run) -> str:
    """A sentence about the weights that training started from; empty for random ones."""
    file = run.folder / starting.FILE
    if not file.is_file():
        return ''
    record = json.loads(file.read_text())
    return f' Started from the weights {record["weights"]}, SHA-256 {record["sha256"]}.'


def _limits(run: Run, facts: Facts, side: int, measured: bool) -> Iterator[str]:
    ground = f' at {facts.metres:g} m a pixel' if facts.metres else ''
    yield (
        f'It knows images of {side} x {side} pixels{ground}, with the bands'
        f' {", ".join(facts.images.bands)}, as {facts.title or "its data set"} has them; of other'
        ' sensors, places, seasons and scales nothing is known.'
    )
    yield (
        f'Every image or pixel gets one of its {len(facts.class_names)} classes, also where it'
        ' shows none of them.'
    )
    abilities = run.method.abilities
    if 'log_density' in abilities or 'pixel_log_density' in abilities:
        yield (
            'log p(x) is not normalised: it ranks images beside those of training, and is no'
            ' probability.'
        )
    counts = run.known['data'].counts
    if measured and counts['test'] < 100:
        places = 'images' if facts.label == 'image' else 'places'
        yield f'Its numbers are of {counts["test"]} test {places}, which is few.'
