"""A phase's step as one compiled program: drawing, augmenting, the method's step, the sums."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax, random

from eojax.devices import sharding, target
from eojax.devices.compiler_options import compiler_options
from eojax.feed.pipeline import Feed, draw_batch
from eojax.methods.method import COUNTED, Metrics, Phase
from eojax.runs.carry import Carry, carry_shardings, jitted_step
from eojax.runs.run import Run


class Programs(NamedTuple):
    """A phase compiled.

    Attributes:
      many: `steps_per_call` steps in one call.
      one: a single step.
      interval: ends a logging interval: `carry -> (carry with its sums begun anew, interval)`.
      steps_per_call: how many `many` does.
      seconds: that compilation took.
    """

    many: Callable[[Carry, Feed, Array], tuple[Carry, Array]]
    one: Callable[[Carry, Feed, Array], tuple[Carry, Array]]
    interval: Callable[[Carry], tuple[Carry, Interval]]
    steps_per_call: int
    seconds: float


class Interval(NamedTuple):
    """The sums of a logging interval on the devices.

    Attributes:
      sums: of each metric; of a share, times how much it counts (`eojax.methods.method.share_of`).
      summed: int32, steps in `sums`.
      healthy: whether all metrics were finite and the loss in its limit, and the state is finite:
        the loss shows the parameters before an update, what the last one did shows in the state.
    """

    sums: dict[str, Array]
    summed: Array
    healthy: Array


def order_key(key: Array) -> Array:
    """Of the run's key, the one that the order of the data and their augmentation derive from."""
    return random.fold_in(key, 1)


def step_program(
    run: Run, phase: Phase, steps: int
) -> Callable[[Carry, Feed, Array], tuple[Carry, Array]]:
    """The function `(carry, feed, key) -> (carry, ticket)` of some steps of a phase.

    The ticket is the step counter, in a buffer of its own: the host may wait for it after the
    carry has been donated to a later call.
    """
    max_loss, facts = run.config.recovery.max_loss, run.facts_by_group
    step = jitted_step(phase)

    def everywhere(indices: Array) -> Array:
        return lax.with_sharding_constraint(indices, sharding.replicated(run.mesh))

    def one(carry: Carry, feed: Feed, key: Array) -> Carry:
        batch = draw_batch(feed, phase.streams, order_key(key), carry.step, facts, everywhere)
        batch = lax.with_sharding_constraint(batch, sharding.split(run.mesh))
        state, metrics = step(carry.state, batch, random.fold_in(key, 2 + carry.step))
        sums = {name: carry.sums[name] + value for name, value in _weighed(metrics).items()}
        finite = jnp.all(jnp.stack([jnp.isfinite(v).all() for v in metrics.values()]))
        healthy = carry.healthy & finite & (jnp.abs(metrics['loss']) <= max_loss)
        return Carry(state, carry.step + 1, sums, carry.summed + 1, healthy)

    def program(carry: Carry, feed: Feed, key: Array) -> tuple[Carry, Array]:
        if steps == 1:
            carry = one(carry, feed, key)
        else:
            carry, _ = lax.scan(lambda c, _: (one(c, feed, key), None), carry, None, length=steps)
        return carry, carry.step + 0

    return program


def _weighed(metrics: Metrics) -> dict[str, Array]:
    """Each metric as float32, and a share times how much it counts."""
    values = {name: jnp.asarray(value, jnp.float32) for name, value in metrics.items()}
    return {name: value * values.get(f'{name}{COUNTED}', 1.0) for name, value in values.items()}


def means(sums: Mapping[str, float], summed: int) -> dict[str, float]:
    """The means of an interval's metrics; NaN of a share of which nothing was counted.

    Args:
      sums, summed: of an `Interval`, on the host.
    """
    found = {}
    for name, value in sums.items():
        if name.endswith(COUNTED):
            continue
        share = f'{name}{COUNTED}' in sums
        over = float(sums[f'{name}{COUNTED}']) if share else max(int(summed), 1)
        found[name] = float(value) / over if over else math.nan
    return found


def lower_steps(run: Run, phase: Phase, carry: Carry, key: Array, steps: int) -> jax.stages.Lowered:
    """The program of some steps of a phase, traced and not yet compiled.

    Args:
      carry, key: arrays, or shapes with shardings.
    """
    places = carry_shardings(run, carry)
    everywhere = sharding.replicated(run.mesh)
    feed = run.feed.shapes(phase.streams)
    jitted = jax.jit(
        step_program(run, phase, steps),
        donate_argnums=0,
        in_shardings=(places, jax.tree.map(lambda leaf: leaf.sharding, feed), everywhere),
        out_shardings=(places, everywhere),
    )
    return jitted.lower(carry, feed, key)


def compile_phase(run: Run, phase: Phase, carry: Carry, key: Array) -> Programs:
    """Compiles the programs of a phase, before its first step."""
    begun = time.perf_counter()
    places = carry_shardings(run, carry)
    everywhere = sharding.replicated(run.mesh)

    def compiled(steps: int) -> Any:
        lowered = lower_steps(run, phase, carry, key, steps)
        return lowered.compile(compiler_options=compiler_options())

    one = compiled(1)
    steps = steps_per_call(run)
    many = compiled(steps) if steps > 1 else one
    interval = jax.jit(
        end_interval,
        donate_argnums=0,
        in_shardings=(places,),
        out_shardings=(places, everywhere),
    )
    ended = interval.lower(carry).compile()
    return Programs(many, one, ended, steps, time.perf_counter() - begun)


def steps_per_call(run: Run) -> int:
    """The config's number; where that is 0, one on the CPU, whose loops are slow, else ten.

    Streamed input feeds one step a call.
    """
    if run.feed.streamed:
        return 1
    return run.config.steps_per_call or (1 if target.platform() == 'cpu' else 10)


def end_interval(carry: Carry) -> tuple[Carry, Interval]:
    """The carry with its sums begun anew, and what they were."""
    healthy = carry.healthy & all_finite(carry.state)
    # Sums of their own: those of the carry are donated.
    sums = jax.tree.map(lambda value: value + 0.0, carry.sums)
    zeros = jax.tree.map(jnp.zeros_like, (carry.sums, carry.summed))
    interval = Interval(sums, carry.summed + 0, healthy)
    return carry._replace(sums=zeros[0], summed=zeros[1]), interval


@jax.jit
def all_finite(state: Any) -> Array:
    """Whether no array of a state holds NaN or infinity."""
    leaves = [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]))
