"""The domains of a run: the data set that is evaluated, and another one that it may learn from too.

A config group each, of the same form: `data`, the target, and `source`. Everything else about them
is a mapping with these names. Whoever uses a trained run reads neither: the run's folder keeps all
that there is to know of them besides their pixels (`eojax.runs.known`).
"""

from __future__ import annotations
