"""What makes the processes of tests quicker and changes no result."""

from __future__ import annotations

import functools
import gc

import pytest


def make_quick() -> None:
    """Less work for the garbage collector, and one context of the compiler for all programs.

    Tracing makes many objects that live long: a tenth of the time went to looking through them.

    JAX makes a context for each program that it lowers and registers all dialects in it anew: a
    quarter of the time of a small program, of which tests have thousands. The function is none of
    JAX's public ones: where it is gone, nothing changes.
    """
    from jax._src.interpreters import mlir

    gc.set_threshold(100_000, 20, 50)
    if hasattr(mlir, 'make_ir_context'):
        mlir.make_ir_context = functools.cache(mlir.make_ir_context)


def shorten_repairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repairs take one step of a rough solver: unoptimised, as tests compile them, 16 s become 1.

    For tests of which the repaired pixels are not the subject.
    """
    from eojax.apps.restore import repair

    monkeypatch.setattr(
        repair, 'Inpainting', functools.partial(repair.Inpainting, steps=1, solver_steps=4)
    )
