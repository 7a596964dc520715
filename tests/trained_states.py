"""States of methods with other parameters than training gave them."""

from __future__ import annotations

from typing import Any


def with_trained(state: Any, **changes: Any) -> Any:
    """A state with some fields of its `trained` replaced."""
    return state._replace(trained=state.trained._replace(**changes))
