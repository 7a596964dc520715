"""The learning methods, by name."""

from __future__ import annotations

from types import ModuleType

from eojax.methods import fixmatch, fixmatch_jem, fixmatch_then_jem, jem, supervised

# Each module has DEFAULTS (config groups), ABILITIES (names), check(config), build(config, task).
METHODS: dict[str, ModuleType] = {
    'fixmatch': fixmatch,
    'fixmatch_jem': fixmatch_jem,
    'fixmatch_then_jem': fixmatch_then_jem,
    'jem': jem,
    'supervised': supervised,
}
