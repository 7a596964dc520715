"""A config's training step as workloads: end to end, the step alone, the input alone.

End to end is what training runs: the same compiled programs, fed the same way. The step alone has
one batch, drawn before; the input alone draws, augments and normalises, and nothing learns from it.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random
from ml_collections import ConfigDict

from benchmarks.timing import Workload, repeated
from eojax.devices import sharding
from eojax.devices.compiler_options import compiler_options
from eojax.feed.pipeline import draw_batch
from eojax.methods.image_synthesis import SynthesisState
from eojax.methods.method import Phase
from eojax.runs import run as runs
from eojax.runs.carry import Carry, carry_shardings, fresh_sums, initial_carry, metric_names
from eojax.runs.run import Run
from eojax.training.step_program import Programs, compile_phase, order_key

END_TO_END, STEP_ALONE, INPUT_ALONE = 'end to end', 'step alone', 'input alone'


class Memory(NamedTuple):
    """The most memory in use on one device.

    Attributes:
      size: in bytes.
      measured: whether the device said so; else it is what the program's analysis says.
    """

    size: int
    measured: bool


class Needed(NamedTuple):
    """Bytes of a compiled step.

    Attributes:
      held: parameters, moments, data: what is there between steps.
      temporary: what a step needs besides.
      peak: of both, less what is given back to where it came from.
    """

    held: int
    temporary: int
    peak: int


class TrainingStep:
    """The last phase of a config, compiled and warmed up.

    Attributes:
      run: of the config, in no folder.
      phase: that is timed.
      parameters: initial ones, on the host; of two networks that are trained against each other,
        by their names, with the vectors of spectral normalisation.
      compile_seconds: of the phase's programs.
      steps_per_call: how many steps one `END_TO_END` does.
      memory: after the first calls.
    """

    def __init__(self, config: ConfigDict) -> None:
        self.run: Run = runs.prepare(config, Path())  # which writes nothing
        self.phase: Phase = self.run.method.phases[-1]
        self._key = sharding.place_key(random.key(config.seed, impl=config.random), self.run.mesh)
        before = _peak_memory()
        self._carry = _last_carry(self.run, self._key)
        self.parameters = jax.tree.map(np.asarray, jax.device_get(_parameters(self._carry.state)))
        self._programs: Programs = compile_phase(self.run, self.phase, self._carry, self._key)
        self.compile_seconds = self._programs.seconds
        self.steps_per_call = self._programs.steps_per_call
        streams, facts = self.phase.streams, self.run.facts_by_group
        self._drawing = jax.jit(
            lambda feed, key, step: draw_batch(feed, streams, key, step, facts),
            out_shardings=sharding.split(self.run.mesh),
        )
        self._position = 0
        self._train(2)
        self.memory = _memory_of(self._programs.many, before, _peak_memory())

    @property
    def images(self) -> int:
        """Images that one step is fed."""
        return sum(stream.batch_size for stream in self.phase.streams.values())

    def healthy(self) -> bool:
        """Whether the metrics stayed finite in all that was timed."""
        return bool(self._carry.healthy)

    def close(self) -> None:
        self.run.feed.close()

    def workloads(self) -> list[Workload]:
        """Warmed up."""
        made = [
            Workload(END_TO_END, self._train),
            Workload(STEP_ALONE, self._step_alone()),
            Workload(INPUT_ALONE, repeated(lambda: self._draw(self._feed()))),
        ]
        for workload in made:
            workload.run(1)
        return made

    def _feed(self) -> Any:
        """The feed of the next step: of streamed input, the next batch that was read."""
        step = self._position % self.run.config.steps
        self._position += self.steps_per_call
        return self.run.feed.feed(self.phase.streams, order_key(self._key), step)

    def _train(self, calls: int) -> None:
        def call() -> Array:
            self._carry, ticket = self._programs.many(self._carry, self._feed(), self._key)
            return ticket

        repeated(call)(calls)

    def _draw(self, feed: Any) -> Any:
        return self._drawing(feed, order_key(self._key), np.int32(self._position))

    def _step_alone(self) -> Any:
        batch = self._draw(self._feed())
        held = jax.tree.map(jnp.copy, self._carry.state)  # that of the carry is donated
        places = carry_shardings(self.run, self._carry).state
        step = jax.jit(
            self.phase.step,
            donate_argnums=0,
            out_shardings=(places, None),
            compiler_options=compiler_options(),
        )

        def call() -> Any:
            nonlocal held
            held, metrics = step(held, batch, self._key)
            return metrics

        return repeated(call)


def _parameters(state: Any) -> Any:
    if not isinstance(state, SynthesisState):
        return state.trained.parameters
    players = {'generator': state.generator, 'discriminator': state.discriminator}
    return {
        name: {'parameters': player.trained.parameters, 'spectra': player.spectra}
        for name, player in players.items()
    }


def _last_carry(run: Run, key: Array) -> Carry:
    """The carry before the first step of the last phase, as if those before had changed nothing."""
    carry = initial_carry(run, key)
    if len(run.method.phases) == 1:
        return carry
    state, done = carry.state, 0
    for before, phase in itertools.pairwise(run.method.phases):
        done += before.steps
        state = phase.begin(state) if phase.begin is not None else state
    last = len(run.method.phases) - 1
    carry = fresh_sums(metric_names(run, last, state), state, jnp.int32(done))
    return jax.device_put(carry, carry_shardings(run, carry))


def _peak_memory() -> int | None:
    """The most memory that the first device had in use so far; None where it does not say."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get('peak_bytes_in_use')


def _memory_of(program: Any, before: int | None, after: int | None) -> Memory:
    """The peak of a program that ran between the two readings.

    A device keeps the highest peak of all that ran on it: where that did not rise, the program had
    less, and its analysis has to say how much.
    """
    if before is not None and after is not None and after > before:
        return Memory(after, measured=True)
    return Memory(needed_of(program).peak, measured=False)


def needed_of(program: Any) -> Needed:
    """What a compiled program needs, by its analysis."""
    analysis = program.memory_analysis()
    held, temporary = analysis.argument_size_in_bytes, analysis.temp_size_in_bytes
    after = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return Needed(int(held), int(temporary), int(held + temporary + after))
