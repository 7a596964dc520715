"""Grids of samples by class, of one run or several, and the course of the chains that make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eojax.apps.generate import Request, choose_chain, choose_starts
from eojax.drawing import figures
from eojax.drawing.pictures import ClassImages, displayed, grid_by_class, visible_bands
from eojax.errors import UserError
from eojax.evaluation.generation import (
    GRID_SAMPLES,
    class_shares,
    classes_of,
    make_samples,
    real_examples,
)
from eojax.evaluation.sampling import film_samples
from eojax.runs.command import open_trained
from eojax.runs.run import Run
from eojax.studies.papers.item import Compared, Outcome, Work
from eojax.studies.papers.runs import NAMES, Trained

_FILE = 'figure.png'
_CHAINS = 8
_SHOWN_STEPS = (0, 5, 10, 25)  # and the last one, as in the thesis
_EVERY = 5


def by_class(work: Work, real: int, each: int, file: str = _FILE) -> Outcome:
    """A row for each class: real images, then samples of each run.

    Args:
      real, each: columns of real images and of each run's samples.
      file: name of the PNG.
    """
    sets: list[ClassImages] = []
    columns: list[str] = []
    shares: dict[str, dict[str, float]] = {}
    names: Sequence[str] = ()
    for one in work.plan.runs:
        run, state = open_trained(work.folder(one))
        if not sets:
            names = run.facts.class_names
            images, labels = real_examples(run, real)
            seen = displayed(images, run.images.bands, run.images.limits)
            sets.append(ClassImages(seen, labels, real))
            columns += ['real'] * real
        made = make_samples(run, state, GRID_SAMPLES)
        classes = classes_of(run, state, made)
        sets.append(ClassImages(visible_bands(made.images, run.images.bands), classes, each))
        columns += [_column(one)] * each
        if classes is not None:
            shares[one.title] = class_shares(classes, names)
    grid = grid_by_class(sets, len(names))
    figures.image_grid(grid, work.out / file, list(names), _once(columns))
    kinds = '; '.join(['real', *(one.title for one in work.plan.runs)])
    caption = (
        f'Samples by class, from left to right: {kinds}. The class is the one that the run takes a'
        f' sample for; the first of {GRID_SAMPLES} in the order in which they were drawn, so that a'
        ' class that the model makes seldom has white places. Samples of a run without classes'
        ' stand in no order.'
    )
    numbers = [
        Compared(title, key, value) for title, own in shares.items() for key, value in own.items()
    ]
    return Outcome(caption, numbers, [file])


def _column(run: Trained) -> str:
    """The title of a run's columns: short, in two lines."""
    name = NAMES[run.method]
    return name if run.method == 'vae' else f'{name}\n{run.labels} labels'


def _once(columns: Sequence[str]) -> list[str]:
    """The title of each group of columns above its first one."""
    return [
        name if number == 0 or columns[number - 1] != name else ''
        for number, name in enumerate(columns)
    ]


def chains(work: Work) -> Outcome:
    """The course of chains that begin afresh."""
    (one,) = work.plan.runs
    run, state = open_trained(work.folder(one))
    film, steps = _film(run, state, run.config.seed)
    shown = visible_bands(film, run.images.bands)
    figures.filmstrip(shown, steps, work.out / _FILE)
    caption = (
        f'{_CHAINS} chains of stochastic gradient Langevin dynamics on log p(x) of {one.title},'
        f' after {", ".join(map(str, steps))} steps, begun as those of training begin.'
    )
    return Outcome(caption, [Compared(one.title, 'chain_steps', float(steps[-1]))], [_FILE])


def _film(run: Run, state: Any, seed: int) -> tuple[np.ndarray, list[int]]:
    """Frames uint8 `[frames, chains, H, W, C]` of the shown steps, and the steps."""
    request = Request(_CHAINS, start='fresh', seed=seed)
    chain = choose_chain(run, request)
    if chain is None:
        raise UserError(f'{run.folder}: method {run.config.method.name!r} has no chains')
    steps = max(-(-chain.steps // _EVERY), _SHOWN_STEPS[-1] // _EVERY + 1) * _EVERY
    starts = choose_starts(run, state, request)
    longer = chain._replace(steps=steps)
    film = film_samples(run, state, starts, seed, longer, _EVERY, apart=True)
    shown = [*_SHOWN_STEPS, steps]
    return film[[step // _EVERY for step in shown]][:, :_CHAINS], shown


def jem(*labels: str) -> tuple[Trained, ...]:
    """JEM on EuroSAT, with these numbers of labels."""
    return tuple(Trained('jem', 'eurosat', number) for number in labels)
