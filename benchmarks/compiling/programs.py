"""A config's training program for devices that are not here, through the project's own code."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax import random
from jax.sharding import Mesh
from ml_collections import ConfigDict

from benchmarks.compiling import stand_ins
from benchmarks.flops import CHAINS
from benchmarks.training_step import Needed, needed_of
from eojax.devices import sharding, target
from eojax.devices.compiler_options import compiler_options
from eojax.errors import UserError
from eojax.methods.method import Phase
from eojax.runs import run as runs
from eojax.runs.carry import abstract_carry, metric_names
from eojax.runs.run import Run
from eojax.training.step_program import lower_steps

# What libtpu is asked for: at full effort one convolution takes up to half a minute. Memory, loops
# and collectives are the same; the schedules of convolutions are not.
QUICK = -1.0
_EFFORT = 'jax_exec_time_optimization_effort'


class Program(NamedTuple):
    """A compiled step of a training.

    Attributes:
      run: of the config, with nothing read or placed.
      phase: of which it is a step.
      chain: updates of a chain in that step; 0 where it has no chains.
      text: the optimised program.
      needed: memory of one device, by jax's analysis.
      trace_seconds, compile_seconds: what it took here.
    """

    run: Run
    phase: Phase
    chain: int
    text: str
    needed: Needed
    trace_seconds: float
    compile_seconds: float


def compile_step(config: ConfigDict, mesh: Mesh, phase: int = -1, effort: float = QUICK) -> Program:
    """Compiles one step of a phase of a config.

    Args:
      config: complete; its published data sets need not be there.
      mesh: of the devices.
      phase: its number; the last by default.
      effort: of the compiler for its program's speed, -1 to 1, where it takes one.

    Raises:
      UserError: a config that does not fit, or a program that the compiler refuses, such as one
        that does not fit into the memory.
    """
    stand_ins.prepare(config)
    begun = time.perf_counter()
    with target.compiling_for(mesh):
        run = runs.prepare(config, Path(), mesh, stand_ins.read_stand_in, place=False)
        count = len(run.method.phases)
        if not -count <= phase < count:
            raise UserError(f'there is no phase {phase}: the config has {count}, from 0 on')
        number = phase % count
        chosen = run.method.phases[number]
        before = sum(earlier.steps for earlier in run.method.phases[:number])
        state = abstract_carry(run, before, ()).state
        metrics = metric_names(run, number, state)
        carry = abstract_carry(run, before, metrics)
        key = jax.eval_shape(lambda: random.key(config.seed, impl=config.random))
        everywhere = sharding.replicated(run.mesh)
        placed: Any = jax.ShapeDtypeStruct(key.shape, key.dtype, sharding=everywhere)
        lowered = lower_steps(run, chosen, carry, placed, 1)
        traced = time.perf_counter()
        program = compiled(lowered, effort)
    run.feed.close()
    return Program(
        run,
        chosen,
        int(config.sampler.steps) if CHAINS in metrics else 0,
        program.as_text(),
        needed_of(program),
        traced - begun,
        time.perf_counter() - traced,
    )


def compiled(lowered: jax.stages.Lowered, effort: float = QUICK) -> Any:
    """The program, compiled with that effort.

    Raises:
      UserError: the compiler refuses it.
    """
    before = jax.config.values[_EFFORT]
    jax.config.update(_EFFORT, effort)
    try:
        return lowered.compile(compiler_options=compiler_options())
    except jax.errors.JaxRuntimeError as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(f'the compiler refuses the program: {first[:400]}') from error
    finally:
        jax.config.update(_EFFORT, before)
