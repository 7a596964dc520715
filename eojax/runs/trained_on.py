"""A line about the data that a run has learnt from, where nobody should trust it without one."""

from __future__ import annotations

from eojax.devices import sharding
from eojax.messages import say
from eojax.runs.run import Run


def say_if_drawn(run: Run) -> None:
    """Says once for a command that a model has learnt from drawings alone."""
    if run.facts.synthetic and sharding.is_main_process():
        say(f'{run.folder} was {drawn_text(run)}')


def drawn_text(run: Run) -> str:
    """The warning about a run that has learnt from drawings; empty for any other."""
    if not run.facts.synthetic:
        return ''
    return 'trained on drawn landscapes, not on real images'
