"""The carry: the values that go from step to step on the devices, and how they begin."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, random

from eojax.devices import sharding
from eojax.feed.pipeline import batch_shapes
from eojax.feed.streams import Batch
from eojax.methods.method import Metrics, Phase
from eojax.runs.domains import TARGET
from eojax.runs.run import Run


class Carry(NamedTuple):
    """The values that go from step to step on the devices, and into a checkpoint.

    Attributes:
      state: the method's.
      step: int32, steps done.
      sums: of each metric since the last log; see `eojax.training.step_program.Interval`.
      summed: int32, steps in `sums`.
      healthy: false once a metric was not finite or the loss passed its limit.
    """

    state: Any
    step: Array
    sums: dict[str, Array]
    summed: Array
    healthy: Array


def initial_carry(run: Run, key: Array, fill: Callable[[Any], Any] = lambda state: state) -> Carry:
    """The carry before the first step, placed on the devices.

    Each process computes all of it by itself, and keeps what its devices hold.

    Args:
      fill: puts weights that training starts from into the method's state.
    """
    first, init = run.method.phases[0], run.method.init
    shapes = batch_shapes(first.streams, run.facts_by_group)
    fitted = None
    if run.method.fit is not None:
        assert run.domains is not None  # whoever trains has read them
        fitted = run.method.fit(run.domains[TARGET].training)

    @jax.jit  # one program: operation by operation, each would be compiled by itself
    def begun(key: Array, fitted: Any) -> Any:
        example = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        return init(random.fold_in(key, 0), example, fitted)

    state = fill(begun(sharding.local(key), fitted))
    if first.begin is not None:
        state = jax.jit(first.begin)(state)
    carry = fresh_sums(metric_names(run, 0, state), state, jnp.zeros((), jnp.int32))
    return sharding.place(carry, carry_shardings(run, carry))


def begin_phase(run: Run, phase: int, carry: Carry) -> Carry:
    """The carry before the first step of a later phase, made of that after the phase before."""
    state, begin = carry.state, run.method.phases[phase].begin
    if begin is not None:
        shapes = jax.eval_shape(begin, state)
        places = sharding.state_shardings(run.mesh, shapes, run.method.split)
        state = jax.jit(begin, out_shardings=places)(state)
    fresh = fresh_sums(metric_names(run, phase, state), state, carry.step)
    # Placed from the host: device_put cannot make them where a process has but one of the devices.
    small = (fresh.sums, fresh.summed, fresh.healthy)
    return Carry(state, carry.step, *sharding.place(small, sharding.replicated(run.mesh)))


def with_sums(run: Run, phase: int, carry: Carry) -> Carry:
    """A carry with sums of the metrics of its phase: they begin anew where a checkpoint has others,
    as that of another version of eojax may."""
    names = metric_names(run, phase, carry.state)
    if sorted(carry.sums) == names:
        return carry
    fresh = fresh_sums(names, carry.state, carry.step)
    sums, summed = sharding.place((fresh.sums, fresh.summed), sharding.replicated(run.mesh))
    return carry._replace(sums=sums, summed=summed)


def fresh_sums(names: Iterable[str], state: Any, step: Array) -> Carry:
    """A carry of this state with nothing summed yet, for metrics of these names."""
    # An array each, since all are donated.
    sums = {name: jnp.zeros((), jnp.float32) for name in sorted(names)}
    return Carry(state, step, sums, jnp.zeros((), jnp.int32), jnp.ones((), bool))


def metric_names(run: Run, phase: int, state: Any) -> list[str]:
    """The names of the metrics of a phase, found without running it."""
    chosen, mesh = run.method.phases[phase], run.mesh
    key = jax.eval_shape(lambda: random.key(0, impl=run.config.random))
    placed = (
        _placed(state, sharding.state_shardings(mesh, state, run.method.split)),
        _placed(batch_shapes(chosen.streams, run.facts_by_group), sharding.split(mesh)),
        _placed(key, sharding.replicated(mesh)),
    )
    return sorted(jax.eval_shape(jitted_step(chosen), *placed)[1])


def jitted_step(phase: Phase) -> Callable[[Any, Batch, Array], tuple[Any, Metrics]]:
    """The step of a phase, part of whatever program calls it.

    Tracing a step takes seconds. JAX keeps what it traced for arguments of the same shapes, types
    and mesh, so the names of the metrics and the compiled program come from one trace.
    """
    return jax.jit(phase.step, inline=True)


def _placed(tree: Any, places: Any) -> Any:
    """The shapes of a tree that lives at `places`, or all of it at one place."""
    if isinstance(places, jax.sharding.Sharding):
        one = places
        places = jax.tree.map(lambda _: one, tree)
    return jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
        tree,
        places,
    )


def carry_shardings(run: Run, carry: Carry) -> Carry:
    """Where each leaf of a carry lives."""
    everywhere = sharding.replicated(run.mesh)
    rest = jax.tree.map(lambda _: everywhere, carry)
    return rest._replace(state=sharding.state_shardings(run.mesh, carry.state, run.method.split))


def phase_at(run: Run, step: int) -> tuple[int, int]:
    """The number of the phase that does the step after `step` steps, and where it ends."""
    end = 0
    for number, phase in enumerate(run.method.phases):
        end += phase.steps
        if step < end:
            return number, end
    return len(run.method.phases) - 1, end


def abstract_carry(run: Run, step: int, metrics: Iterable[str]) -> Carry:
    """Shapes, types and shardings of the carry after `step` steps, without computing anything.

    No step of training is traced, and no data are needed.

    Args:
      metrics: the names of what is summed, as the checkpoint has them.
    """
    streams = run.method.phases[0].streams
    batch = batch_shapes(streams, run.facts_by_group)

    def state_of(batch: Any, fitted: Any) -> Any:
        state = run.method.init(random.key(0), batch, fitted)
        for phase in run.method.phases[: phase_at(run, step)[0] + 1]:
            state = phase.begin(state) if phase.begin is not None else state
        return state

    state = jax.eval_shape(state_of, batch, run.method.fitted)
    carry = jax.eval_shape(lambda s: fresh_sums(metrics, s, jnp.zeros((), jnp.int32)), state)
    return _placed(carry, carry_shardings(run, carry))
