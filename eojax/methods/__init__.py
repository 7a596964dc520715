"""The learning methods, by name."""

from __future__ import annotations

from types import ModuleType

from eojax.methods import (
    berundanet,
    fine_tune,
    fixmatch,
    fixmatch_jem,
    fixmatch_then_jem,
    jem,
    sar_only,
    supervised,
    swd_transfer,
    vae,
)

# Each module has DEFAULTS (config groups), ABILITIES (names), check(config), build(config, task).
METHODS: dict[str, ModuleType] = {
    'berundanet': berundanet,
    'fine_tune': fine_tune,
    'fixmatch': fixmatch,
    'fixmatch_jem': fixmatch_jem,
    'fixmatch_then_jem': fixmatch_then_jem,
    'jem': jem,
    'sar_only': sar_only,
    'supervised': supervised,
    'swd_transfer': swd_transfer,
    'vae': vae,
}
