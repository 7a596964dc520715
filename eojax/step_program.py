"""A phase's step as one compiled program: drawing, augmenting, the method's step, the sums."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax, random

from eojax import run as runs
from eojax import sharding
from eojax.data.pipeline import Resident, draw_batch
from eojax.methods.method import Phase
from eojax.run import Carry, Run


class Programs(NamedTuple):
    """A phase compiled for several steps a call, and for one."""

    many: Callable[[Carry, Resident, Array], tuple[Carry, Array]]
    one: Callable[[Carry, Resident, Array], tuple[Carry, Array]]
    seconds: float


def step_program(
    run: Run, phase: Phase, steps: int
) -> Callable[[Carry, Resident, Array], tuple[Carry, Array]]:
    """The function `(carry, resident, key) -> (carry, ticket)` of some steps of a phase.

    The ticket is the step counter, in a buffer of its own: the host may wait for it after the
    carry has been donated to a later call.
    """
    max_loss = run.config.recovery.max_loss

    def one(carry: Carry, resident: Resident, key: Array) -> Carry:
        batch = draw_batch(resident, phase.streams, random.fold_in(key, 1), carry.step)
        batch = lax.with_sharding_constraint(batch, sharding.split(run.mesh))
        state, metrics = phase.step(carry.state, batch, random.fold_in(key, 2 + carry.step))
        sums = {
            name: carry.sums[name] + jnp.asarray(value, jnp.float32)
            for name, value in metrics.items()
        }
        finite = jnp.all(jnp.stack([jnp.isfinite(v).all() for v in metrics.values()]))
        healthy = carry.healthy & finite & (jnp.abs(metrics['loss']) <= max_loss)
        return Carry(state, carry.step + 1, sums, carry.summed + 1, healthy)

    def program(carry: Carry, resident: Resident, key: Array) -> tuple[Carry, Array]:
        if steps == 1:
            carry = one(carry, resident, key)
        else:
            carry, _ = lax.scan(
                lambda c, _: (one(c, resident, key), None), carry, None, length=steps
            )
        return carry, carry.step + 0

    return program


def compile_phase(run: Run, phase: Phase, carry: Carry, key: Array) -> Programs:
    """Compiles the programs of a phase, before its first step."""
    begun = time.perf_counter()
    places = runs.carry_shardings(run, carry)
    everywhere = sharding.replicated(run.mesh)

    def compiled(steps: int) -> Any:
        jitted = jax.jit(
            step_program(run, phase, steps),
            donate_argnums=0,
            in_shardings=(places, everywhere, everywhere),
            out_shardings=(places, everywhere),
        )
        return jitted.lower(carry, run.resident, key).compile()

    one = compiled(1)
    many = compiled(run.config.steps_per_call) if run.config.steps_per_call > 1 else one
    return Programs(many, one, time.perf_counter() - begun)


@jax.jit
def all_finite(state: Any) -> Array:
    """Whether no array of a state holds NaN or infinity."""
    leaves = [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]))
