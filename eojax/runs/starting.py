"""Training that starts from weights of another run, or from imported ones: `model.weights`.

They are read once, when a run begins: a run that is resumed goes on from its checkpoints, and one
that is opened needs them no more. `started_from.json` in the run's folder says which they were.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from eojax.atomic_file import write_atomically
from eojax.data.facts import Limits, Raster
from eojax.data.normalised import in_network_units
from eojax.data.reading.scenes.band_names import kind, plain
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.messages import say
from eojax.methods.update.descent import Trained
from eojax.models import MODELS
from eojax.models.model import Architecture
from eojax.models.resnet import INPUT_DEVIATION, INPUT_MEAN
from eojax.runs.carry import abstract_carry
from eojax.runs.checkpoint import leaves_by_name
from eojax.runs.opening import open_run
from eojax.runs.run import Run
from eojax.weights import encoder_file, shipped
from eojax.weights.unpacked import sha256_of

FILE = 'started_from.json'
_PARAMETERS, _STATISTICS = 'parameters', 'statistics'
_SHOWN = 6


class Given(NamedTuple):
    """Weights to start from, and what they were trained on.

    Attributes:
      title: for messages.
      sha256: of the file; of all leaves where it is a run folder.
      leaves: by name, `parameters.stem.kernel`.
      model: the config group `model` of theirs.
      raster: bands and limits of their images; of an encoder, whose limits nobody says, without.
      classes: the names of their classes; empty for an encoder.
      mean, deviation: of each band in the data's units, of an encoder that states them.
    """

    title: str
    sha256: str
    leaves: Mapping[str, np.ndarray]
    model: Mapping[str, Any]
    raster: Raster
    classes: tuple[str, ...]
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()


class Start(NamedTuple):
    """The weights of a run's beginning, in the layout of its own network.

    Attributes:
      given: where they come from.
      leaves: those that are taken, by name.
      left: what is not taken, a phrase each.
      notes: what else whoever starts the training should know, a line each.
    """

    given: Given
    leaves: Mapping[str, np.ndarray]
    left: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def into(self, state: Any) -> Any:
        """A method's state before its first step, with these weights in its network."""
        trained: Trained = state.trained
        parts = {_PARAMETERS: trained.parameters, _STATISTICS: trained.statistics}
        names = list(leaves_by_name(parts))
        leaves = [
            np.asarray(self.leaves[name], leaf.dtype) if name in self.leaves else leaf
            for name, leaf in zip(names, jax.tree.leaves(parts), strict=True)
        ]
        new = jax.tree.unflatten(jax.tree.structure(parts), leaves)
        average = jax.tree.map(np.array, jax.device_get(new[_PARAMETERS]))
        # The moments begin at zero whatever the parameters are.
        trained = trained._replace(
            parameters=new[_PARAMETERS], statistics=new[_STATISTICS], average=average
        )
        return state._replace(trained=trained)

    def write(self, folder: Path) -> None:
        """Writes `started_from.json`, and tells what was taken."""
        if not sharding.is_main_process():
            return
        total = len(self.leaves) + len(self.left)
        shown = ', '.join(self.left[:_SHOWN]) + (', ...' if len(self.left) > _SHOWN else '')
        say(
            f'starting from {self.given.title}: {len(self.leaves)} of {total} tensors taken'
            f'{f"; not {shown}" if shown else ""}'
        )
        for note in self.notes:
            say(note)
        record = {
            'weights': self.given.title,
            'sha256': self.given.sha256,
            'bands': list(self.given.raster.bands),
            'taken': len(self.leaves),
            'left': list(self.left),
        }
        text = json.dumps(record, indent=2) + '\n'
        write_atomically(folder / FILE, lambda file: file.write(text.encode()))


def read_start(run: Run) -> Start | None:
    """The weights that the config names, checked against the run's network; None for random ones.

    Raises:
      UserError: they are not there, or of another network, or of other bands: one line with the
        tensor and both shapes, or the option to set.
    """
    place, model = run.config.model.get('weights', ''), run.config.model
    if not place:
        return None
    given, architecture = _read(place, run.images), MODELS[model.name]
    _check_model(given, model, architecture)
    chosen = _chosen(given, run.images, model.weights_bands, architecture.first)
    leaves = _of_our_bands(given, run.images, chosen, architecture.first)
    trained = abstract_carry(run, 0, ()).state.trained
    wanted = leaves_by_name({_PARAMETERS: trained.parameters, _STATISTICS: trained.statistics})
    same_classes = given.classes == run.facts.class_names
    taken: dict[str, np.ndarray] = {}
    left: list[str] = []
    for name in dict.fromkeys((*wanted, *leaves)):
        ours = tuple(wanted[name].shape) if name in wanted else None
        theirs = leaves[name].shape if name in leaves else None
        short, head = name.partition('.')[2], name.split('.')[1] in architecture.heads
        if ours == theirs and (same_classes or not short.startswith('head.')):
            taken[name] = leaves[name]
        elif head:
            left.append(f'{short} ({_difference(ours, theirs)})')
        else:
            raise UserError(
                f'model.weights {given.title} does not fit: {short} has'
                f' {"no" if theirs is None else f"the shape {theirs} as"} tensor there, and'
                f' {"none" if ours is None else f"the shape {ours}"} in this run'
            )
    notes = (
        '' if model.weights_bands else _in_order(given, run.images),
        _other_limits(given, run.images, chosen),
    )
    return Start(given, taken, tuple(left), tuple(filter(None, notes)))


def _difference(ours: tuple[int, ...] | None, theirs: tuple[int, ...] | None) -> str:
    if theirs is None:
        return 'not there, starts at random'
    if ours is None:
        return 'not in this network'
    return 'of other classes' if ours == theirs else f'{theirs} there, {ours} here'


def _read(place: str, raster: Raster) -> Given:
    path = shipped.folder_or_file(place)
    if not path.exists():
        raise UserError(f'model.weights {place}: no such file or folder')
    title = path.name.removesuffix('.safetensors')
    if path.is_file() and encoder_file.is_encoder(path):
        about, leaves = encoder_file.read(path)
        bands = raster._replace(bands=about.bands, limits=None)
        return Given(
            title, sha256_of(path), leaves, about.model, bands, (), about.mean, about.deviation
        )
    run, state = open_run(path)
    trained = getattr(state, 'trained', None)
    if not isinstance(trained, Trained):
        raise UserError(
            f'model.weights {place}: a run of {run.config.method.name} has several networks; give'
            ' one of a single one'
        )
    parts = {_PARAMETERS: trained.average, _STATISTICS: trained.statistics}
    arrays = {
        name: np.asarray(jax.device_get(leaf)) for name, leaf in leaves_by_name(parts).items()
    }
    digest = sha256_of(path) if path.is_file() else _sha256(arrays)
    classes = run.facts.class_names
    return Given(title, digest, arrays, run.config.model.to_dict(), run.images, classes)


def _sha256(leaves: Mapping[str, np.ndarray]) -> str:
    total = hashlib.sha256()
    for name in sorted(leaves):
        total.update(name.encode() + np.ascontiguousarray(leaves[name]).tobytes())
    return total.hexdigest()


def _check_model(given: Given, model: Mapping[str, Any], architecture: Architecture) -> None:
    """Refuses weights of another network, also where their shapes would fit."""
    if given.model['name'] != model['name']:
        raise UserError(
            f'model.weights {given.title} is a {given.model["name"]}, and model.name is'
            f' {model["name"]}: say --model={given.model["name"]}'
        )
    free = {'name', 'weights', 'weights_bands', *architecture.free}
    other = [
        f'--config.model.{key}={_typed(value)}'
        for key, value in given.model.items()
        if key not in free and key in model and _plain(model[key]) != _plain(value)
    ]
    if other:
        raise UserError(
            f'model.weights {given.title} is of another {model["name"]}: say {" ".join(other)}'
        )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (tuple, list)) else value


def _typed(value: Any) -> str:
    return ','.join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def _in_order(given: Given, ours: Raster) -> str:
    """A line where no band of the weights has a name of ours, so that their order says which is
    which; else empty."""
    theirs = given.raster.bands
    if any(_found(band, theirs) is not None for band in ours.bands):
        return ''
    pairs = [f'{one} as {other}' for one, other in zip(ours.bands, theirs, strict=False)]
    return (
        f'{given.title} does not name the bands of the images; they are taken in order,'
        f' {", ".join(pairs)}: others by --config.model.weights_bands'
    )


def _other_limits(given: Given, ours: Raster, chosen: tuple[int, ...]) -> str:
    """A line where the weights know the same values as other ones in [-1, 1]; else empty."""
    if not given.classes or len(chosen) != len(ours.bands):  # of an encoder nobody says them
        return ''
    theirs = _limits(given.raster)
    for band, number, pair in zip(ours.bands, chosen, _limits(ours), strict=True):
        if theirs[number] != pair:
            low, high = theirs[number]
            return (
                f'{given.title} saw {low:g} to {high:g} ({given.raster.dtype}) as -1 to 1, and here'
                f' {band} is {pair[0]:g} to {pair[1]:g} ({ours.dtype}): in the same units, the same'
                ' limits keep what it has learnt'
            )
    return ''


def _limits(raster: Raster) -> Limits:
    # 8-bit values are 0 to 255 whatever the limits are.
    eight_bits = raster.dtype == 'uint8' or raster.limits is None
    return ((0.0, 255.0),) * len(raster.bands) if eight_bits else raster.limits or ()


def _of_our_bands(
    given: Given, ours: Raster, chosen: tuple[int, ...], first: str
) -> dict[str, np.ndarray]:
    """The leaves with the bands of our images in the first layer, and their mean and deviation.

    Args:
      chosen: for each of our bands the number of theirs that it is.
    """
    theirs = given.raster
    leaves = dict(given.leaves)
    if chosen != tuple(range(len(theirs.bands))):
        kernel = f'{_PARAMETERS}.{first}.kernel'
        leaves[kernel] = leaves[kernel][:, :, list(chosen)]
        for name in (f'{_STATISTICS}.{INPUT_MEAN}', f'{_STATISTICS}.{INPUT_DEVIATION}'):
            if name in leaves:
                leaves[name] = leaves[name][list(chosen)]
    if given.mean:
        mean, deviation = ([of[i] for i in chosen] for of in (given.mean, given.deviation))
        units = in_network_units(mean, deviation, ours, given.title)
        leaves[f'{_STATISTICS}.{INPUT_MEAN}'], leaves[f'{_STATISTICS}.{INPUT_DEVIATION}'] = units
    return leaves


def _chosen(given: Given, ours: Raster, text: str, first: str) -> tuple[int, ...]:
    """For each of our bands the number of theirs that it is."""
    theirs, all_of_them = given.raster.bands, tuple(range(len(given.raster.bands)))
    listed = ', '.join(f'{i} {band}' for i, band in enumerate(theirs, 1))
    if not text:
        found = [_found(band, theirs) for band in ours.bands]
        reordered = any(number not in (None, place) for place, number in enumerate(found))
        if first and (len(theirs) != len(ours.bands) or reordered):
            raise UserError(
                f'model.weights {given.title} has the bands {listed}, and the images'
                f' {", ".join(ours.bands)}: say which of its bands these are, by names or numbers,'
                f' --config.model.weights_bands={_example(theirs, ours.bands)}'
            )
        return all_of_them
    if not first:
        raise UserError('model.weights_bands: the first layer of this network cannot be cut')
    chosen = tuple(_number(part.strip(), theirs, given.title, listed) for part in text.split(','))
    if len(chosen) != len(ours.bands):
        raise UserError(
            f'model.weights_bands {text} are {len(chosen)}, and the images have'
            f' {len(ours.bands)} bands: {", ".join(ours.bands)}'
        )
    return chosen


def _number(part: str, bands: tuple[str, ...], title: str, listed: str) -> int:
    found = _found(part, bands)
    if found is not None:
        return found
    if part.isdecimal() and 1 <= int(part) <= len(bands):
        return int(part) - 1
    raise UserError(f'model.weights_bands: no band {part!r} in {title}; it has {listed}')


def _example(theirs: tuple[str, ...], ours: tuple[str, ...]) -> str:
    """The same names where they are there, else the first number."""
    numbers = (_found(band, theirs) or 0 for band in ours)
    return ','.join(str(1 + number) for number in numbers)


def _found(band: str, bands: Sequence[str]) -> int | None:
    """The number of a band among others: by its name, or as the one that means the same, as red and
    B04 do; None where there is none."""
    for meaning in (plain, lambda name: kind(name) or plain(name)):
        known = [meaning(one) for one in bands]
        if known.count(meaning(band)) == 1:
            return known.index(meaning(band))
    return None
