"""The page of a report: values put into the templates that lie beside this file.

Text that comes from files can hold anything, so every value is escaped where a template writes it.
The page carries a policy that forbids the browser to load anything at all.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from eojax.apps.report.wording import pieces


class Section(NamedTuple):
    """A part of the page with a heading.

    Attributes:
      name: of its template, and what links point to.
      title: its heading.
      link: its name among the links at the top.
      content: what the template shows; the section is left out where this is empty.
    """

    name: str
    title: str
    link: str
    content: Any


class Table(NamedTuple):
    """A table of text.

    Attributes:
      title: what it shows.
      header: of all columns; no header row where all are empty.
      rows: of cells; the first of each names the row.
      visible: whether the title stands above it; else only screen readers tell it.
      note: a line below it.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    visible: bool = False
    note: str = ''


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader('eojax.apps.report'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters['pieces'] = pieces
    return environment


def render(template: str, **values: Any) -> str:
    """A template, by its file name, with values in it."""
    return _environment().get_template(template).render(**values)
