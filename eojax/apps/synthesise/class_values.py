"""The meaning of a land-cover file's values: which class of a run each number or colour is.

A number that is taken for another class is a wrong image that looks right, so nothing is guessed.
In this order:

1. `--classes`, numbers or colours by the user, or `numbers` for those of the run;
2. names in the file, `CLASS_0=water`, as maps by `eojax map` have them;
3. numbers or colours, also those of a palette, as the files of the run's data set store them;
4. colours in a file of three bands: those that the run's data set shows its classes in;
5. where these hold none, as those of drawn landscapes: the run's own, 0, 1, 2, ...

Another file is refused with a line that asks for `--classes`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from eojax.data import class_groups
from eojax.data.facts import UNKNOWN
from eojax.data.kinds import StoredLabels
from eojax.data.sets import DATASETS
from eojax.data.sets.pixels.mask_values import mask_values
from eojax.data.sources.label_values import LabelValues, label_values
from eojax.errors import UserError, unknown_name
from eojax.runs.domains import TARGET
from eojax.runs.run import Run

OPTION = '--classes'
# Of `--classes`: the run's own numbers.
NUMBERS = 'numbers'
_TAG = re.compile(r'CLASS_([0-9]+)')


class Meaning(NamedTuple):
    """The classes of a file's values.

    Attributes:
      values: the run's class of each number or colour.
      text: where that is from, in words.
    """

    values: LabelValues
    text: str


def meaning_of(
    run: Run, said: str, tags: Mapping[str, str], colours: bool, palette: bool, title: str
) -> Meaning:
    """The meaning of a file's values.

    Args:
      said: `--classes`; empty where the user says nothing.
      tags: of the file.
      colours: whether it has three bands.
      palette: whether its numbers are entries of a palette.
      title: of the file, for messages.

    Raises:
      UserError: nothing says what the values mean, or classes that the run does not know.
    """
    names = run.facts.class_names
    if said == NUMBERS:
        return Meaning(_numbered(names), 'the numbers of the run')
    if said:
        meaning = mask_values(said, OPTION)
        for name in meaning.class_names:
            if name not in names:
                raise unknown_name(f'class in {OPTION}', name, names)
        known = {
            value: None if number is None else names.index(meaning.class_names[number])
            for value, number in meaning.values.items()
        }
        return Meaning(label_values(known), OPTION)
    named: dict[int | str, int | None] = {
        int(match[1]): names.index(name)
        for key, name in tags.items()
        if (match := _TAG.fullmatch(key)) and name in names
    }
    if named and not colours:
        return Meaning(label_values(named), 'the names of classes in the file')
    stored = _of_data_set(run)
    if stored is not None and (stored.colours == colours or (stored.colours and palette)):
        return Meaning(stored, f'the values of {run.facts.title or run.facts.name}')
    shown: dict[int | str, int | None] = {
        run.facts.class_colours.get(name, '').lower(): number for number, name in enumerate(names)
    }
    if colours and '' not in shown and len(shown) == len(names):
        return Meaning(label_values(shown), f'the colours of {run.facts.title or run.facts.name}')
    if not colours and run.facts.synthetic:
        return Meaning(_numbered(names), 'the numbers of the run')
    raise UserError(
        f'{title}: nothing says which class its {"colours" if colours else "numbers"} are: say'
        f' {OPTION}={"#rrggbb" if colours else "1"}={names[0]},...'
        f'{"" if colours else f", or {OPTION}={NUMBERS} where 0 is {names[0]} and so on"}'
    )


def _numbered(names: tuple[str, ...]) -> LabelValues:
    return label_values({number: number for number in range(len(names))})


def _of_data_set(run: Run) -> LabelValues | None:
    """The run's class of each value in the files of its data set; None where nothing tells.

    Classes that `data.classes` joins are one; those that it leaves out, and those that were kept
    from training, are unknown.
    """
    options = run.config[TARGET]
    kind = DATASETS.get(options.name)
    if kind is None or kind.stored_labels is None:
        return None
    stored: StoredLabels | None = kind.stored_labels(options)
    if stored is None:
        return None
    groups = class_groups.parse(options.classes)
    group_of = {member: group for group, members in groups.items() for member in members}
    names = run.facts.class_names
    final = [group_of.get(name) if groups else name for name in stored.class_names]
    number_of = [names.index(name) if name in names else UNKNOWN for name in final]
    classes = stored.values.classes.copy()
    for place, number in enumerate(stored.values.classes.tolist()):
        if number != UNKNOWN:
            classes[place] = number_of[number]
    return stored.values._replace(classes=classes)
