"""The runs of the papers' figures and tables, in the published size and in a small one.

A run is named by its method, its data set and its number of labels; whichever figure asks for it,
it lies in the same folder, `WORKDIR/SERIES/LABELS_labels/seed_SEED`, and is trained once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from eojax.config.base import set_keys
from eojax.config.command_line import read_arguments
from eojax.data.parts.labelled import LABELS_KEY
from eojax.errors import UserError
from eojax.messages import say
from eojax.methods import METHODS
from eojax.studies.grid.cells import OF_IMAGES, Cell
from eojax.studies.label_efficiency.rows import labels_of

ALL = 'all'
# The data set that the small configs are written for; another one is put in its place.
_SMALL_DATA = 'eurosat'
# With all labels these small configs, which are for few, take as many steps as JEM's classifier.
_SMALL_ALL = {'supervised': '--config.steps=4000'}
# Of a small run on one of two CPU cores, as recorded in `benchmarks/results/`; of JEM by the card
# of `jem-eurosat-32`; of the VAE, and of what has all labels, by its steps.
MINUTES = {'supervised': 2.0, 'berundanet': 11.0, 'fixmatch': 29.0, 'fixmatch_then_jem': 28.0,
           'jem': 34.0, 'vae': 50.0}  # fmt: skip
_MINUTES_ALL = {'supervised': 8.0}
NAMES = {'supervised': 'Wide-ResNet', 'berundanet': 'BerundaNet', 'fixmatch': 'FixMatch',
         'fixmatch_then_jem': 'FixMatch, then JEM', 'jem': 'JEM', 'vae': 'VAE'}  # fmt: skip


class Trained(NamedTuple):
    """A run but for its seed and its size.

    Attributes:
      method, data: names as in a config.
      labels: per class: a number, or `all`.
    """

    method: str
    data: str
    labels: str = ALL

    @property
    def title(self) -> str:
        """For people."""
        name = NAMES[self.method]
        if self.method == 'vae':
            return name
        return f'{name}, all labels' if self.labels == ALL else f'{name}, {self.labels} per class'

    def series(self, small: bool) -> str:
        """The config's name, and that of the folder of its runs."""
        return f'{self.method}_{self.data}{"_small" if small else ""}'

    @property
    def small_minutes(self) -> float:
        """About how long the small run takes on one CPU core."""
        own = _MINUTES_ALL if self.labels == ALL else {}
        return own.get(self.method, MINUTES[self.method])


def grid_of(methods: Iterable[str], data: str, labels: Iterable[str]) -> tuple[Trained, ...]:
    """The runs of a table: each method with each number of labels."""
    numbers = [*labels]
    return tuple(Trained(method, data, number) for method in methods for number in numbers)


class Configs:
    """The configs of runs, each read once.

    Args:
      small: the small ones.
      roots: where data sets lie, by name.
      changes: of all runs, `--config.KEY=VALUE`.
    """

    def __init__(self, small: bool, roots: Mapping[str, Path], changes: Sequence[str]) -> None:
        self.small = small
        self._roots, self._changes = roots, changes
        self._made: dict[tuple[str, ...], ConfigDict] = {}
        self._said: set[str] = set()

    def of(self, run: Trained, seed: int) -> ConfigDict:
        """The config of a run.

        Raises:
          UserError: a change that it does not take.
        """
        words = self._words(run)
        if words not in self._made:
            self._made[words] = self._read(run, words)
        own = self._made[words].copy_and_resolve_references()
        set_keys(own, {LABELS_KEY: run.labels, 'seed': seed})
        if run.data in self._roots:
            set_keys(own, {'data.root': str(self._roots[run.data])})
        return own

    def _words(self, run: Trained) -> tuple[str, ...]:
        """The command line of `eojax.main` that makes it."""
        if not self.small:
            return (f'--config={run.method}_{run.data}', *self._changes)
        words = [f'--config={run.method}_{_SMALL_DATA}_small']
        if run.data != _SMALL_DATA:
            words.append(f'--data={run.data}')
        if run.labels == ALL and run.method in _SMALL_ALL:
            words.append(_SMALL_ALL[run.method])
        return (*words, *self._changes)

    def _read(self, run: Trained, words: Sequence[str]) -> ConfigDict:
        try:
            typed = read_arguments(words)
        except UserError as error:
            raise UserError(f'{run.series(self.small)}: {error}') from error
        assert typed.config is not None
        # The first note would be of the data set that takes EuroSAT's place.
        for note in typed.notes[1 if run.data != _SMALL_DATA and self.small else 0 :]:
            line = f'{run.series(self.small)}: {note}'
            if line not in self._said:
                say(line)
            self._said.add(line)
        return typed.config


def folder_of(workdir: Path, run: Trained, small: bool, seed: int) -> Path:
    """The folder of a run."""
    return workdir / run.series(small) / f'{run.labels}_labels' / f'seed_{seed}'


def cells_of(
    workdir: Path, runs: Iterable[Trained], configs: Configs, seeds: Sequence[int]
) -> list[Cell]:
    """The runs as cells of a grid, each once: all of the first seed, then of the next."""
    return [_cell(workdir, run, configs, seed) for seed in seeds for run in dict.fromkeys(runs)]


def _cell(workdir: Path, run: Trained, configs: Configs, seed: int) -> Cell:
    config = configs.of(run, seed)
    series = run.series(configs.small)
    title = f'{series}, {run.title}, seed {seed}'
    classifies = 'logits' in METHODS[run.method].abilities
    measures = OF_IMAGES if classifies else ()
    folder = folder_of(workdir, run, configs.small, seed)
    return Cell(folder, config, labels_of(config.to_dict(), series), title, measures)
