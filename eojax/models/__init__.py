"""The networks that configs can name."""

from __future__ import annotations

from types import ModuleType

from eojax.models import wide_resnet

# Each module has DEFAULTS (the config group), check(config) and build(config, num_outputs).
MODELS: dict[str, ModuleType] = {'wide_resnet': wide_resnet}
