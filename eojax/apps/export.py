"""Writes a trained run to one file, to hand on or to use elsewhere.

    python -m eojax.apps.export --workdir=runs/jem_eurosat_small --out=jem.safetensors
    python -m eojax.apps.export --workdir=runs/jem_eurosat_small --out=jem.onnx
    python -m eojax.apps.export --workdir=runs/jem_eurosat_small --out=jem_torch.safetensors \\
      --format=torch

`--format=safetensors`: the run itself. Every command takes the file in place of the run's folder,
  and needs neither the folder nor the data set: `--workdir=jem.safetensors`. It holds the averaged
  weights, the config without paths of this machine, what the run's `reference/` keeps of its data
  (percentiles, textures), which images were learnt from (hashes), and a card: data, protocol,
  numbers on the test split, limits, licences (`eojax.weights.run_file`). Not in it: the optimiser's
  state, so that training does not go on from it, nor training images, but for `--examples`.
`--format=onnx`: the network's logits, for ONNX Runtime and the like (`eojax.exporting.onnx_graph`).
`--format=torch`: the network's weights by the names and in the layout of PyTorch, as safetensors
  (`eojax.exporting.torch_wide_resnet`; those of a ResNet are torchvision's,
  `eojax.exporting.torch_resnet`).

Where `--format` is not given, the ending of `--out` says it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from eojax.errors import UserError
from eojax.exporting.card_of_run import Words
from eojax.exporting.export_run import Wishes, export_run
from eojax.exporting.onnx_graph import export_onnx
from eojax.exporting.torch_weights import export_torch
from eojax.runs.command import open_trained, run_command, run_parser
from eojax.runs.opening import state_evaluated
from eojax.weights.card import described
from eojax.weights.unpacked import sha256_of

FORMATS = {'safetensors': '.safetensors', 'onnx': '.onnx', 'torch': '.safetensors'}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = run_parser(
        'export',
        'Writes a trained run to one file, to hand on or to use elsewhere.',
        '--workdir=runs/jem_eurosat_small --out=jem.safetensors',
        out=False,
    )
    parser.add_argument('--out', type=Path, required=True, help='file to write')
    parser.add_argument(
        '--format', choices=sorted(FORMATS), help='else by the ending of --out: .onnx is onnx'
    )
    parser.add_argument(
        '--buffer', type=int, default=256,
        help='images of the replay buffer to keep (default: 256), from which samples go on',
    )  # fmt: skip
    parser.add_argument(
        '--examples', type=int, default=0,
        help='training images to keep (default: none); mind their licence',
    )  # fmt: skip
    parser.add_argument('--title', default='', help='of the card, in a line')
    parser.add_argument('--licence', default='', help='of the weights')
    parser.add_argument('--data_licence', default='', help="else the data set's own")
    parser.add_argument('--citation', default='', help="else the data set's own")
    parser.add_argument('--training', default='', help='how it was trained: hours, machine')
    parser.add_argument(
        '--limit', action='append', default=[], help='a sentence about its limits; may be repeated'
    )
    run_command(parser, arguments, _check, _export)


def _check(options: argparse.Namespace) -> None:
    """Refuses a file that cannot be written, before anything is read."""
    out = options.out
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise UserError(f'--out={out}: give a file name in a folder that exists')
    wanted = FORMATS[_format(options)]
    if out.suffix != wanted:
        raise UserError(
            f'--out={out}: files of --format={_format(options)} end in {wanted}, such as'
            f' {out.with_suffix(wanted).name}'
        )


def _format(options: argparse.Namespace) -> str:
    return options.format or ('onnx' if options.out.suffix == '.onnx' else 'safetensors')


def _export(options: argparse.Namespace) -> None:
    run, state = open_trained(options.workdir, options.checkpoint, options.data_root)
    if _format(options) == 'torch':
        count = export_torch(run, state, options.out)
        print(
            f'{options.out}: {count:,} numbers by the names of PyTorch; open it by'
            f' eojax.exporting.torch_{run.config.model.name}.load'
        )
        return
    if _format(options) == 'onnx':
        export_onnx(run, state, options.out)
        print(f'{options.out}: takes images [N, bands, H, W] from -1 to 1, gives logits')
        return
    words = Words(
        options.title,
        options.licence,
        options.data_licence,
        options.citation,
        options.training,
        tuple(options.limit),
    )
    which = options.checkpoint or state_evaluated(run)
    wishes = Wishes(which, options.buffer, options.examples, words)
    content = export_run(run, state, wishes, options.out)
    size = options.out.stat().st_size
    print(described(content.card, options.out.name, size, sha256_of(options.out)))
    print(f'\n{options.out}: use it as --workdir={options.out}')


if __name__ == '__main__':
    main()
