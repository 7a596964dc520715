"""Brings in weights of PyTorch, as a run that every command takes, or to start a training from.

    eojax import --weights=jem_torch.safetensors --out=jem.safetensors
    eojax import --weights=resnet18.safetensors --out=encoder.safetensors \\
      --mean=123.675,116.28,103.53 --std=58.395,57.12,57.375
    eojax train --config=NAME --model=resnet --config.model.weights=encoder.safetensors

Two layouts are known. A Wide-ResNet or ResNet as `eojax export --format=torch` writes it becomes a
run. Another ResNet-18, -34, -50, -101 or -152 by the names of torchvision, which timm, torchgeo,
MoCo and others have too (behind `backbone.`, `module.encoder_q.` or any other prefix), becomes a
run where `--class_names` names its classes, and otherwise an encoder, without a head, which
`--config.model.weights` starts a training from.

Files are safetensors or NumPy's npz. A pickle (.pt, .pth) is not opened; the message says how to
make the other of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eojax.command_parser import CommandParser
from eojax.data.facts import Raster
from eojax.data.reading.own import limits as band_limits
from eojax.data.reading.own.kind import TYPES
from eojax.errors import UserError, one_line_errors
from eojax.home import expand_paths
from eojax.importing import normalisation, resnet, wide_resnet
from eojax.importing.files import Images, Origin, write_encoder, write_run
from eojax.importing.network import Imported
from eojax.importing.tensors import Tensors, read_tensors
from eojax.messages import say
from eojax.models.wide_resnet import ACTIVATIONS
from eojax.program_name import program_name
from eojax.weights import encoder_file
from eojax.weights.card import described
from eojax.weights.run_file import SUFFIX
from eojax.weights.unpacked import sha256_of

_COLOURS = ('red', 'green', 'blue')
_OF_EIGHT_BITS = (0.0, 255.0)
_SHOWN = 4


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    options = _parser().parse_args(arguments)
    with one_line_errors():
        expand_paths(options)
        _check(options)
        _import(options)


def _parser() -> argparse.ArgumentParser:
    called = program_name('eojax.apps.import_weights')
    parser = CommandParser(
        prog=called,
        description='Brings in weights of PyTorch: a Wide-ResNet of eojax, or a ResNet.',
        epilog=f'example: {called} --weights=resnet18.safetensors --out=encoder.safetensors',
    )
    add = parser.add_argument
    add('--weights', type=Path, required=True, help='file with tensors, safetensors or npz')
    add('--out', type=Path, required=True, help='file to write, .safetensors')
    add('--prefix', help='of the names of the network among others, such as backbone')
    add(
        '--activation',
        choices=list(ACTIVATIONS),
        default='',
        help='of a Wide-ResNet whose file does not say it',
    )
    add('--class_names', default='', help='in the order of the outputs, with commas between')
    add('--bands', default='', help='their names in order, with commas between')
    add(
        '--limits',
        default='',
        help='values that -1 and 1 stand for: LOW:HIGH, or a pair for each band with commas',
    )
    add('--dtype', choices=TYPES, help='type of the values in image files')
    add('--image_size', type=int, help='side of the images in pixels')
    add('--mean', default='', help='of each band, that images are normalised by, in units of data')
    add('--std', default='', help='likewise the standard deviation')
    add('--title', default='', help='of the card, in a line')
    add('--licence', default='', help='of the weights')
    add('--data_licence', default='', help='of the images that they were trained on')
    add('--citation', default='', help='of the weights')
    add(
        '--limit',
        action='append',
        default=[],
        help='a sentence about what they are not good for; may be repeated',
    )
    return parser  # fmt: skip


def _check(options: argparse.Namespace) -> None:
    """Refuses a file that cannot be written, before anything is read."""
    out = options.out
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise UserError(f'--out={out}: give a file name in a folder that exists')
    if out.suffix != SUFFIX:
        raise UserError(f'--out={out}: the file ends in {SUFFIX}, as {out.with_suffix(SUFFIX)}')
    if out.absolute() == options.weights.absolute():
        raise UserError(f'--out={out} is --weights itself: give another name')
    if options.image_size is not None and options.image_size < 1:
        raise UserError(f'--image_size must be at least 1 pixel, not {options.image_size}')


def _import(options: argparse.Namespace) -> None:
    tensors = read_tensors(options.weights)
    network = _network(tensors, options)
    about = network.about
    bands = _bands(options.bands, network, about)
    mean, deviation = normalisation.parse(options.mean, options.std, network.bands)
    if mean and network.model.name != resnet.NAME:
        raise UserError('--mean and --std are of ResNets: a Wide-ResNet takes images from -1 to 1')
    classes = _classes(options.class_names, network, about)
    origin = Origin(
        options.weights.name,
        sha256_of(options.weights),
        options.title,
        options.licence,
        options.data_licence or about.get('data_licence', ''),
        options.citation or about.get('citation', ''),
        tuple(options.limit),
    )
    taken = len(tensors.arrays) - len(network.left)
    say(f'{options.weights}: {taken} of {len(tensors.arrays)} tensors taken{_left(network)}')
    if not classes:
        encoder = write_encoder(network, bands, mean, deviation, origin, options.out)
        print(encoder_file.described(encoder, options.out.name))
        print(f'\n{options.out}: train from it, {_training_line(network, options.out)}')
        return
    images = _images(options, bands, about)
    images = images._replace(mean=mean, deviation=deviation)
    content = write_run(network, classes, images, origin, options.out)
    size = options.out.stat().st_size
    print(described(content.card, options.out.name, size, sha256_of(options.out)))
    print(f'\n{options.out}: use it as --workdir={options.out}')


def _network(tensors: Tensors, options: argparse.Namespace) -> Imported:
    title = str(options.weights)
    if wide_resnet.is_wide_resnet(tensors.arrays):
        return wide_resnet.read(tensors, options.activation, title)
    if resnet.prefixes(tensors.arrays):
        return resnet.read(tensors, options.prefix, bool(options.class_names), title)
    names = ', '.join(sorted(tensors.arrays)[:_SHOWN])
    raise UserError(
        f'{title} is neither a Wide-ResNet of "eojax export --format=torch" nor a ResNet of'
        f' torchvision (conv1.weight, layer1.0.conv1.weight, ...): it has {len(tensors.arrays)}'
        f' tensors, {names}, ...'
    )


def _left(network: Imported) -> str:
    if not network.left:
        return ''
    shown = ', '.join(network.left[:_SHOWN])
    more = ', ...' if len(network.left) > _SHOWN else ''
    return f'; left out are {len(network.left)}: {shown}{more}'


def _bands(text: str, network: Imported, about: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the bands: as the user says, as the file says, colours, or numbers."""
    names = tuple(map(str, about.get('bands', ())))
    if text:
        names = tuple(part.strip() for part in text.split(','))
    if not names:
        numbered = tuple(f'band {i}' for i in range(1, network.bands + 1))
        names = _COLOURS if network.bands == len(_COLOURS) else numbered
    if len(names) != network.bands or len(set(names)) != len(names) or not all(names):
        raise UserError(
            f'--bands names {", ".join(names)}; the network has {network.bands} bands, each with'
            ' another name'
        )
    return names


def _classes(text: str, network: Imported, about: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the classes; empty for an encoder.

    Raises:
      UserError: another number of them than of outputs, or a Wide-ResNet without any.
    """
    names = tuple(map(str, about.get('classes', ())))
    if text:
        names = tuple(part.strip() for part in text.split(','))
    if not names and network.model.name == resnet.NAME:
        return ()
    if len(names) != network.outputs or len(set(names)) != len(names) or not all(names):
        outputs = f'{network.outputs} outputs' if network.outputs else 'no head that gives classes'
        raise UserError(
            f'--class_names has {len(names)} names ({", ".join(names) or "none"}), and the network'
            f' {outputs}: give one name for each, all different'
        )
    return names


def _images(
    options: argparse.Namespace, bands: tuple[str, ...], about: Mapping[str, Any]
) -> Images:
    """The images that a classifier takes, by the options, or else as the file says."""
    pixels = about.get('pixels', (0, 0))
    size = options.image_size or int(pixels[0])
    if not size:
        raise UserError('give --image_size=PIXELS, the side of the images that it was trained on')
    raster = _raster(options, bands, about)
    return Images(raster, size, title=str(about.get('title', '')), metres=about.get('metres'))


def _raster(
    options: argparse.Namespace, bands: tuple[str, ...], about: Mapping[str, Any]
) -> Raster:
    limits = tuple((float(low), float(high)) for low, high in about.get('limits', ()))
    dtype = options.dtype or about.get('dtype', '')
    if options.limits:
        limits = band_limits.parse(options.limits, bands, 'float32') or ()
    if not limits:
        if len(bands) != len(_COLOURS):
            raise UserError(
                'give --limits=LOW:HIGH, the values in image files that -1 and 1 stand for, or a'
                ' pair for each band'
            )
        limits = (_OF_EIGHT_BITS,) * len(bands)
    if not dtype:
        if any(pair != _OF_EIGHT_BITS for pair in limits):
            raise UserError(f'give --dtype, the type of the values in image files: {_types()}')
        dtype = 'uint8'
    if dtype == 'uint8':
        if any(pair != _OF_EIGHT_BITS for pair in limits):
            raise UserError('--limits of uint8 are 0:255; give --dtype for values of another type')
        return Raster(bands)
    return Raster(bands, dtype, limits)


def _types() -> str:
    return ', '.join(TYPES)


def _training_line(network: Imported, out: Path) -> str:
    model = network.model
    keys = ('depth', 'width', 'stem') if model.name == resnet.NAME else ('depth', 'width')
    typed = ' '.join(f'--config.model.{key}={model[key]}' for key in keys)
    return f'--model={model.name} {typed} --config.model.weights={out}'


if __name__ == '__main__':
    main()
