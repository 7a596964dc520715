"""The files that an imported network becomes: a run, or an encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

import eojax
from eojax.config.base import base_config, to_json
from eojax.data.facts import IMAGES, Facts, Files, Raster
from eojax.data.normalised import in_network_units
from eojax.data.reading.own.folder import FORMAT as OWN_FORMAT
from eojax.data.splits import Splits
from eojax.errors import UserError
from eojax.exporting.card_of_run import network_title
from eojax.importing.fitting import PARAMETERS, STATISTICS
from eojax.importing.network import Imported
from eojax.importing.resnet import HEAD, OWN
from eojax.runs.checkpoint import leaves_by_name
from eojax.runs.domains import TARGET
from eojax.runs.known import FILE, Known, known_json
from eojax.runs.opening import open_run
from eojax.weights import encoder_file, run_file
from eojax.weights.card import Card
from eojax.weights.encoder_file import About, EncoderFile
from eojax.weights.run_file import CONFIG, RunFile


class Origin(NamedTuple):
    """Where weights come from, and what whoever brings them in says of them.

    Attributes:
      file, sha256: of the file that they were read from.
      title, licence, data_licence, citation: of the card; empty ones are made or left out.
      limits: sentences about what they are not good for.
    """

    file: str
    sha256: str
    title: str = ''
    licence: str = ''
    data_licence: str = ''
    citation: str = ''
    limits: tuple[str, ...] = ()


class Images(NamedTuple):
    """The images that a network takes.

    Attributes:
      raster: bands, type and limits.
      size: side in pixels.
      mean, deviation: of each band in the data's units; empty where it takes [-1, 1] as they are.
      title: of the data set that it was trained on.
      metres: the side of a pixel on the ground; None where nobody says it.
    """

    raster: Raster
    size: int
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    title: str = ''
    metres: float | None = None


def write_encoder(
    network: Imported,
    bands: Sequence[str],
    mean: tuple[float, ...],
    deviation: tuple[float, ...],
    origin: Origin,
    out: Path,
) -> EncoderFile:
    """Writes a network without its head, to start trainings from.

    Args:
      bands: their names.
      mean, deviation: as in `Images`.

    Raises:
      UserError: the file cannot be written.
    """
    leaves = {name: array for name, array in network.leaves.items() if not name.startswith(HEAD)}
    about = About(
        title=origin.title or f'{network_title(network.model)} of {origin.file}',
        model=network.model.to_dict(),
        bands=tuple(bands),
        mean=mean,
        deviation=deviation,
        source=origin.file,
        source_sha256=origin.sha256,
        licence=origin.licence,
        citation=origin.citation,
        version=eojax.__version__,
        date=_today(),
    )
    content = EncoderFile(about, leaves)
    _written(out, lambda: encoder_file.write(out, content))
    return content


def write_run(
    network: Imported, classes: Sequence[str], images: Images, origin: Origin, out: Path
) -> RunFile:
    """Writes a classifier as a run, opens the file, and compares its state with the network's.

    Args:
      classes: their names, in the order of the outputs.

    Raises:
      UserError: the file cannot be written, or the mean and deviation are in other units.
    """
    raster, leaves = images.raster, dict(network.leaves)
    if images.mean:
        units = in_network_units(images.mean, images.deviation, raster, origin.file)
        leaves |= dict(zip(OWN, units, strict=True))
    config = _config(network.model, images)
    facts = _facts(classes, images, origin)
    counts = dict.fromkeys(Splits._fields, 0)
    known = Known(facts, facts.class_names, counts, (0,) * len(classes))
    state = {_state_name(name): array for name, array in leaves.items()}
    texts = {CONFIG: to_json(config), FILE: known_json({TARGET: known})}
    content = RunFile(_card(network, facts, images, origin), 0, 'last', texts, state, {})
    _written(out, lambda: run_file.write(out, content))
    try:
        _compare(state, out)
    except Exception:
        out.unlink(missing_ok=True)
        raise
    return content


def _state_name(leaf: str) -> str:
    """The name of a leaf in the state of the method `supervised`."""
    kind, _, name = leaf.partition('.')
    return f'trained.{"average" if kind == PARAMETERS else STATISTICS}.{name}'


def _config(model: ConfigDict, images: Images) -> ConfigDict:
    """Of a classifier on a folder of images, which whoever opens it need not have."""
    config = base_config('supervised', model.name, 'folder')
    config.model.update(model)
    config.model.dtype = 'float32'  # as PyTorch computes, on whatever device it is opened
    config.data.size = images.size
    config.data.root = images.title or 'unknown'
    return config


def _facts(classes: Sequence[str], images: Images, origin: Origin) -> Facts:
    raster = images.raster
    files = Files()
    if raster.dtype != 'uint8' or len(raster.bands) != 3:
        lowest = tuple(float(value) for value in raster.empty)
        files = Files(OWN_FORMAT, raster.bands, None, raster.dtype, lowest)
    return Facts(
        name='folder',
        title=images.title or f'data of {origin.file}',
        class_names=tuple(classes),
        rasters={IMAGES: raster},
        metres=images.metres,
        size=(images.size, images.size),
        files=files,
        licence=origin.data_licence,
        citation=origin.citation,
    )


def _card(network: Imported, facts: Facts, images: Images, origin: Origin) -> Card:
    kind = network_title(network.model)
    known = 'It knows the images that it was trained on elsewhere, of which eojax knows nothing'
    normalised = ''
    if images.mean:
        pairs = zip(images.mean, images.deviation, strict=True)
        listed = ', '.join(f'{mean:g} and {deviation:g}' for mean, deviation in pairs)
        normalised = f' Mean and deviation of the bands, in the units of the data: {listed}.'
    parameters = [a.size for n, a in network.leaves.items() if n.startswith(PARAMETERS)]
    return Card(
        title=origin.title or f'{kind} of {origin.file}',
        method='classifier of PyTorch, brought in',
        network=kind,
        data=facts.title,
        protocol=(
            f'Not trained by eojax: imported from {origin.file}, SHA-256 {origin.sha256}.'
            f'{normalised}'
        ),
        numbers={},
        limits=(f'{known}.', *origin.limits),
        licence=origin.licence,
        data_licence=origin.data_licence,
        citation=origin.citation,
        classes=facts.class_names,
        image_size=images.size,
        bands=facts.images.bands,
        parameters=sum(parameters),
        version=eojax.__version__,
        date=_today(),
    )


def _compare(state: Mapping[str, np.ndarray], file: Path) -> None:
    """Opens the file as others will, and compares the state that they get with what was written."""
    opened = leaves_by_name(open_run(file)[1])
    for name, array in state.items():
        if not np.array_equal(jax.device_get(opened[name]), array):
            raise RuntimeError(f'{file} does not give {name} of the network that was brought in')


def _written(out: Path, write: Any) -> None:
    try:
        write()
    except OSError as error:
        raise UserError(f'--out={out} cannot be written: {error.strerror or error}') from error


def _today() -> str:
    return datetime.now(UTC).strftime('%Y-%m-%d')
