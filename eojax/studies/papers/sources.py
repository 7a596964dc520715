"""The data that the papers' figures and tables need: what they are, and where to get them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from eojax.errors import UserError, unknown_name
from eojax.evaluation.outliers import TAKEN
from eojax.home import expanded


class Source(NamedTuple):
    """A data set, or another file, that `--data=NAME=PATH` names.

    Attributes:
      title: for people.
      where: it is to be had.
    """

    title: str
    where: str


INCEPTION = 'inception'
SOURCES: Mapping[str, Source] = {
    'eurosat': Source('EuroSAT, RGB', 'http://madm.dfki.de/files/sentinel/EuroSAT.zip'),
    'so2sat': Source('So2Sat LCZ42', 'https://github.com/zhu-xlab/So2Sat-LCZ42'),
    'aid': Source('AID', 'https://captain-whu.github.io/AID/'),
    'ucmerced': Source('UC Merced', 'http://weegee.vision.ucmerced.edu/datasets/landuse.html'),
    'oscd': Source('OSCD', 'https://rcdaudt.github.io/oscd/'),
    'potsdam': Source('ISPRS Potsdam', 'https://www.isprs.org/education/benchmarks/UrbanSemLab/'),
    'bigearthnet': Source('BigEarthNet', 'https://bigearth.net'),
    'dfc2017': Source(
        'DFC2017',
        'https://www.grss-ieee.org/community/technical-committees/2017-ieee-grss-data-fusion-contest/',
    ),
    INCEPTION: Source('Inception weights of FID and KID', 'eojax convert-inception'),
}


def missing_text(names: Sequence[str]) -> str:
    """What is missing, by which option it is named and where to get it."""
    return '; '.join(
        f'{SOURCES[name].title}: --data={name}=PATH ({SOURCES[name].where})' for name in names
    )


def parse_paths(option: str, texts: Sequence[str], known: Collection[str] = ()) -> dict[str, Path]:
    """The paths of `--data=NAME=PATH` or `--domain=NAME=PATH`, by name.

    Args:
      known: the only names that there are; any others than those of `SOURCES` where empty.

    Raises:
      UserError: no name and path, a name twice or unknown, or nothing there.
    """
    paths: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition('=')
        if not equals or not path or not re.fullmatch(r'[A-Za-z0-9_-]+', name):
            raise UserError(f'--{option}={text}: write --{option}=NAME=PATH')
        if known and name not in known:
            raise unknown_name(f'data set in --{option}={text}:', name, known)
        if name in paths:
            raise UserError(f'--{option}={text}: {name} is given twice')
        if not known and name in SOURCES:
            raise UserError(f'--{option}={text}: say --data={text} for {SOURCES[name].title}')
        if not known and name in TAKEN:
            raise UserError(f'--{option}={text}: the name {name} is taken; choose another')
        paths[name] = expanded(path)
        if not paths[name].exists():
            raise UserError(f'--{option}={text}: no such file or folder: {path}')
    return paths
