"""The network that judges synthesised images: a run that segments real ones of the same kind.

"Synthesizing Optical and SAR Imagery From Land Cover Maps and Auxiliary Raster Data" (Baier and
others, 2022), section III-C: a U-Net that was trained on real images alone. It has to have the
classes of the data set that is evaluated, and to see what is synthesised and nothing else, in the
same bands and limits: else its maps would say nothing of the images.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from eojax.config.base import from_json
from eojax.data.facts import Facts, Raster
from eojax.errors import UserError
from eojax.methods import METHODS
from eojax.methods.method import ability
from eojax.runs.opening import load_state, open_untrained, saved_steps
from eojax.runs.run import Run
from eojax.weights.unpacked import WEIGHTS, run_folder

KEY = 'evaluate.segmenter'


class Segmenter(NamedTuple):
    """A trained run that segments.

    Attributes:
      run: with abilities `pixel_logits` and, of networks with an encoder, `encoder_features`.
      state: of its method.
    """

    run: Run
    state: Any

    @property
    def describes(self) -> bool:
        """Whether it gives features that images can be compared by."""
        return 'encoder_features' in self.run.method.abilities


def target_of(run: Run) -> str:
    """The name of the raster that a run synthesises."""
    return str(run.config.method.target)


def inputs_of(run: Run) -> tuple[str, ...]:
    """The names of the rasters that an image is made of, in the order of the generator."""
    return tuple(name for name in run.method.rasters if name != target_of(run))


def open_segmenter(run: Run) -> Segmenter | None:
    """The segmenter that a run's config names, opened once; None where it names none.

    Raises:
      UserError: no such run, or one that cannot judge what this run synthesises; in one line.
    """
    place = run.config.evaluate.segmenter
    if not place:
        return None
    known = (KEY, place)
    if known not in run.programs:
        run.programs[known] = _opened(run, place)
    segmenter = run.programs[known]
    assert isinstance(segmenter, Segmenter)
    return segmenter


def _opened(run: Run, place: str) -> Segmenter:
    try:
        folder = run_folder(place)
        segmenter = open_untrained(from_json(folder / 'config.json'), folder)
        _check(segmenter, run, place)
        return Segmenter(*load_state(segmenter))
    except UserError as error:
        raise UserError(str(error) if KEY in str(error) else f'{KEY}: {error}') from error


def _check(segmenter: Run, run: Run, place: str | Path) -> None:
    """Refuses a segmenter of other classes, rasters, bands or limits, or a half trained one."""
    ability(segmenter.method, 'pixel_logits', segmenter.config.method.name, METHODS)
    target, title = target_of(run), f'{KEY}={place}'
    theirs, ours = segmenter.facts, run.facts
    if theirs.class_names != ours.class_names:
        raise UserError(
            f'{title} has the classes {", ".join(theirs.class_names)}, and the data set of'
            f' {run.folder} has {", ".join(ours.class_names)}: train it on the same classes'
        )
    if segmenter.method.rasters != (target,):
        raise UserError(
            f'{title} sees {", ".join(segmenter.method.rasters)}, and only {target} is synthesised:'
            f' train it with method.rasters={target}'
        )
    steps = [] if (segmenter.folder / WEIGHTS).is_file() else saved_steps(segmenter)
    if steps and steps[-1] < segmenter.config.steps:
        raise UserError(
            f'{title} was trained for {steps[-1]:,} of its {segmenter.config.steps:,} steps: train'
            ' it to its end, so that it judges all alike'
        )
    differing = _differences(_seen(theirs, target), _seen(ours, target))
    if differing:
        raise UserError(f'{title} sees {target} with {differing}: train it on the same data')


def _seen(facts: Facts, name: str) -> Raster:
    return facts.rasters[name]


def _differences(theirs: Raster, ours: Raster) -> str:
    """What differs in how two networks see a raster, for a message; empty where nothing does."""
    for key in ('bands', 'limits', 'scale'):
        before, now = getattr(theirs, key), getattr(ours, key)
        if before != now:
            return f'{key} {before}, and the data set evaluated has {now}'
    return ''
