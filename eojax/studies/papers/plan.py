"""What can be made of an item with the data that there are, and what stands in for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from eojax.data.reading.scene_paths import name_of, scenes_at
from eojax.errors import UserError
from eojax.studies.papers import transfer
from eojax.studies.papers.item import Item, Place, PlaceOf, Plan
from eojax.studies.papers.runs import Trained
from eojax.studies.papers.sources import SOURCES, missing_text

# The map of the true classes of a scene, in the folder of its city.
_TRUTH = 'lcz/*_GT.tif'


class Given(NamedTuple):
    """What the command line names.

    Attributes:
      data: paths by the names of `SOURCES`.
      stand_ins: paths of other domains and scenes, by their names.
      small: whether small runs are wanted.
      labels, methods: the only ones that are wanted of an item's runs; all where empty.
    """

    data: Mapping[str, Path]
    stand_ins: Mapping[str, Path]
    small: bool
    labels: Sequence[str] = ()
    methods: Sequence[str] = ()


def plan_of(item: Item, given: Given) -> Plan:
    """The runs, domains and scenes of an item.

    What belongs to a data set that is missing is left out, and a line says so. Other domains and
    scenes, where some are named, stand in for those that are missing.

    Raises:
      UserError: nothing is left: one line with all that is missing; or `given.labels` or
        `given.methods` leave no run.
    """
    if item.experiment:
        return _transfer(item, given)
    wanted = _wanted(item, given)
    missing = [name for name in dict.fromkeys(run.data for run in wanted) if name not in given.data]
    runs = tuple(run for run in wanted if run.data not in missing)
    if not runs:
        raise UserError(f'{item.key} needs {missing_text(missing)}')
    notes = [f'left out, as it is missing: {missing_text(missing)}'] if missing else []
    domains, more, replaced = _domains(item, given)
    places, others, moved = _places(item, given, {run.data for run in runs})
    if item.places:
        mapped = {place.trained_on for place in places}
        runs = tuple(run for run in runs if run.data in mapped)
    lacking = [name for name in item.optional if name not in given.data]
    if lacking:
        notes.append(f'left out, as it is missing: {missing_text(lacking)}')
    return Plan(
        item, runs, domains, places, tuple([*notes, *more, *others]), replaced or moved
    )  # fmt: skip


def _transfer(item: Item, given: Given) -> Plan:
    if not given.small and transfer.DATA not in given.data:
        raise UserError(
            f'{item.key} needs {missing_text([transfer.DATA])}, or --small: drawn places'
        )
    return Plan(item, (), {}, (), ())


def _wanted(item: Item, given: Given) -> tuple[Trained, ...]:
    """The item's runs of the labels and methods that are wanted; both are for its tables."""
    if not item.over_seeds:
        return item.runs
    known = (*item.runs, *item.more)
    runs = tuple(
        run
        for run in (known if given.methods else item.runs)
        if (not given.labels or run.labels in given.labels)
        and (not given.methods or run.method in given.methods)
    )
    if not runs:
        labels = ','.join(dict.fromkeys(run.labels for run in known))
        methods = ','.join(dict.fromkeys(run.method for run in known))
        raise UserError(
            f'{item.key} has no such run: its labels are {labels}, its methods {methods}'
        )
    return runs


def check_chosen(items: Iterable[Item], given: Given) -> None:
    """Refuses labels and methods that none of the tables has: they would be left out unsaid.

    Raises:
      UserError: names the first, and those that there are.
    """
    known = [run for item in items if item.over_seeds for run in (*item.runs, *item.more)]
    for option, wanted, there in (
        ('labels', given.labels, [run.labels for run in known]),
        ('methods', given.methods, [run.method for run in known]),
    ):
        lost = [name for name in wanted if known and name not in there]
        if lost:
            listed = ','.join(dict.fromkeys(there))
            raise UserError(f'--{option}: no table that is asked for has {lost[0]}, but {listed}')


def _domains(item: Item, given: Given) -> tuple[dict[str, tuple[str, Path]], Sequence[str], bool]:
    """The other data sets, the notes on them, and whether others stand in for some."""
    missing = [name for name in item.domains if name not in given.data]
    found = {
        SOURCES[name].title: (name, given.data[name]) for name in item.domains if name in given.data
    }
    if not missing:
        return found, (), False
    if given.stand_ins:
        found |= {name: (name, path) for name, path in given.stand_ins.items()}
        return found, (_stand_in_text(given.stand_ins, missing),), True
    if found:
        return found, (f'left out, as it is missing: {missing_text(missing)}',), False
    raise UserError(
        f'{item.key} needs {missing_text(missing)}; or --domain=NAME=PATH for others in their place'
    )


def _places(
    item: Item, given: Given, trained: set[str]
) -> tuple[tuple[Place, ...], Sequence[str], bool]:
    """The scenes, the notes on them, and whether others stand in for some.

    Args:
      trained: the data sets of the runs.
    """
    wanted = [place for place in item.places if place.trained_on in trained]
    missing = [*dict.fromkeys(place.data for place in wanted if place.data not in given.data)]
    found = [_find(place, given.data[place.data]) for place in wanted if place.data in given.data]
    if not missing:
        return tuple(found), (), False
    if given.stand_ins:
        lost = dict.fromkeys(place.trained_on for place in wanted if place.data in missing)
        others, names = _scenes(given.stand_ins)
        found += [one._replace(trained_on=trained_on) for trained_on in lost for one in others]
        return tuple(found), (_stand_in_text(names, missing),), True
    if found:
        return tuple(found), (f'left out, as it is missing: {missing_text(missing)}',), False
    raise UserError(
        f'{item.key} needs {missing_text(missing)}; or --domain=NAME=PATH for a scene in its place'
    )


def _scenes(stand_ins: Mapping[str, Path]) -> tuple[list[Place], list[str]]:
    """The scenes among other domains, and the names of these: images are no scenes.

    Raises:
      UserError: there is none.
    """
    found: list[Place] = []
    names, refused = [], []
    for name, path in stand_ins.items():
        try:
            scenes = scenes_at(path, f'--domain={name}')
        except UserError as error:
            refused.append(error)
            continue
        names.append(name)
        for scene in scenes:
            title = name if len(scenes) == 1 else f'{name} {name_of(scene, path)}'
            found.append(Place(title, scene, ''))
    if not found:
        raise refused[0]
    return found, names


def _stand_in_text(stand_ins: Iterable[str], missing: Sequence[str]) -> str:
    titles = ', '.join(SOURCES[name].title for name in missing)
    return f'in place of {titles}: {", ".join(stand_ins)}, which the paper does not show'


def _find(place: PlaceOf, root: Path) -> Place:
    """A scene in the folder of its data set.

    Raises:
      UserError: it is not there.
    """
    folders = sorted(
        folder for folder in [root, *root.rglob('*')]
        if folder.is_dir() and place.city in folder.name.lower()
    )  # fmt: skip
    for folder in folders:
        try:
            first, *_ = scenes_at(folder, '--data')
        except UserError:  # labels or the like
            continue
        truth = next(iter(sorted(folder.glob(_TRUTH))), None)
        return Place(place.title, first, place.trained_on, truth)
    raise UserError(f'{root}: no scene of {place.title}, no folder named *{place.city}* with one')
