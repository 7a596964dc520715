"""The command `eojax`: everything that can be run, as subcommands.

`eojax map --workdir=RUN ...` is `python -m eojax.apps.map_scene --workdir=RUN ...`; each subcommand
has its own `--help`. Nothing heavy is imported before it is known which one is wanted.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from eojax import __version__, interrupt
from eojax.errors import UserError, one_line_errors, unknown_name
from eojax.program_name import CONSOLE


class Command(NamedTuple):
    """A subcommand.

    Attributes:
      module: where it is.
      help: a line on what it does.
      function: of the module, that takes the arguments.
    """

    module: str
    help: str
    function: str = 'main'


GROUPS: Mapping[str, Mapping[str, Command]] = {
    'train': {
        'train': Command('eojax.main', 'train by a config, or go on after a stop', 'command'),
        'configs': Command('eojax.apps.configs', 'list the configs that come with eojax'),
        'options': Command('eojax.apps.options', 'list what can be set, and what it means'),
        'prepare': Command('eojax.data.prepare', 'make shards of a data set, for large ones'),
    },
    'use a trained model': {
        'evaluate': Command('eojax.evaluation.command', 'its test split, or your labelled images'),
        'predict': Command('eojax.apps.predict.command', 'a table with the class of each image'),
        'map': Command('eojax.apps.map_scene.command', 'land-cover maps of whole scenes'),
        'generate': Command('eojax.apps.generate', 'new images'),
        'restore': Command('eojax.apps.restore.command', 'fill missing pixels'),
        'synthesise': Command(
            'eojax.apps.synthesise.command', 'images of a map of land cover (study: synthesis)'
        ),
        'edit': Command(
            'eojax.apps.edit.command', 'the same with rising water or other land cover'
        ),
        'report': Command('eojax.apps.report.command', 'a page about a run'),
    },
    'hand on': {
        'weights': Command('eojax.apps.weights', 'list the trained networks that come with eojax'),
        'demo': Command('eojax.apps.demo', 'show one of them at work'),
        'export': Command('eojax.apps.export', 'write a trained run to one file'),
        'import': Command('eojax.apps.import_weights', 'bring in weights of PyTorch'),
    },
    'compare': {
        'compare': Command('eojax.apps.compare_domains.command', 'sets of images with training'),
        'calibration': Command('eojax.apps.calibration', 'reliability of several runs'),
        'representativeness': Command(
            'eojax.apps.representativeness.command', 'whether training places represent others'
        ),
    },
    'study': {
        'study': Command('eojax.studies.sweep.command', 'train all combinations of some options'),
        'label-efficiency': Command(
            'eojax.studies.label_efficiency.command', 'methods against the number of labels'
        ),
        'papers': Command(
            'eojax.studies.papers.command', "the papers' figures and tables, one by one"
        ),
        'segmentation': Command(
            'eojax.studies.segmentation.command', 'methods, labels and losses for pixels'
        ),
        'synthesis': Command(
            'eojax.studies.synthesis.command', 'trains image generators (to use one: synthesise)'
        ),
        'transfer': Command('eojax.studies.transfer_study.command', 'optical to SAR'),
    },
    'other': {
        'convert-inception': Command('eojax.apps.convert_inception', 'weights for FID and KID'),
    },
}
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}
# Other words that people try.
_ALIASES = {
    'sample': 'generate',
    'map-scene': 'map',
    'map_scene': 'map',
    'compare-domains': 'compare',
    'compare_domains': 'compare',
    'label_efficiency': 'label-efficiency',
    'sweep': 'study',
    'synthesize': 'synthesise',
}


def help_text() -> str:
    """All subcommands, by what they are for."""
    lines = [f'usage: {CONSOLE} COMMAND [options]; {CONSOLE} COMMAND --help says more']
    for title, commands in GROUPS.items():
        lines += ['', f'{title}:', *(f'  {name:<20}{one.help}' for name, one in commands.items())]
    lines += ['', f'example: {CONSOLE} train --config=quickstart']
    return '\n'.join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a subcommand.

    Args:
      arguments: without the program's name; those of the process where None.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    first = words[0] if words else '--help'
    if first in ('-h', '--help', 'help'):
        print(help_text())
        return
    if first in ('-V', '--version', 'version'):
        print(f'{CONSOLE} {__version__}')
        return
    with one_line_errors():
        name = _ALIASES.get(first, first)
        if name.startswith('-'):
            raise UserError(f'say the command first: {CONSOLE} train {name}, for instance')
        if name not in COMMANDS:
            raise unknown_name('command', first, COMMANDS)
    interrupt.stop_at_once()
    sys.argv = [f'{CONSOLE} {name}', *words[1:]]
    command = COMMANDS[name]
    getattr(importlib.import_module(command.module), command.function)(words[1:])


if __name__ == '__main__':
    main()
