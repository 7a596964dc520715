"""A training step on forced CPU devices, in a process of its own that steps when it is told to.

The number of CPU devices is fixed when jax starts, so every number of them needs its process. All
of them are started before the first is timed, and then take turns: `ForcedDevices.run` is a
workload for `benchmarks.timing.interleave`.

    python -m benchmarks.forced_devices '{"batch": 16, ...}'   is what it starts

Each line on its standard input is a number of steps; one line on its standard output answers it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

from jax import random
from ml_collections import ConfigDict

from benchmarks.compiling.hlo import Program
from benchmarks.timing import repeated
from eojax.config.base import base_config
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.runs import run as runs
from eojax.runs.carry import initial_carry
from eojax.training.step_program import compile_phase, order_key

# What every number of devices up to this divides.
BUFFER_PARTS = 4


class Size(NamedTuple):
    """The network and images of the measured step.

    Attributes:
      depth, width: of the Wide-ResNet.
      pixels: of an image's side.
      updates: of a chain.
    """

    depth: int = 10
    width: int = 2
    pixels: int = 32
    updates: int = 5


def jem_config(batch: int, size: Size) -> ConfigDict:
    """A small JEM on drawn landscapes, with its replay buffer in `BUFFER_PARTS` parts."""
    config = base_config('jem', 'wide_resnet', 'landscapes')
    config.batch_size = config.method.likelihood_batch_size = batch
    config.data.update({'size': size.pixels, 'num_images': 400})
    config.model.update({'depth': size.depth, 'width': size.width})
    config.sampler.update(
        {'steps': size.updates, 'buffer_size': 50 * batch, 'buffer_parts': BUFFER_PARTS}
    )
    return config


class ForcedDevices:
    """A process with that many CPU devices and a compiled step; a context manager.

    Attributes:
      devices: how many.
      batch: labelled images of a step, and as many unlabelled ones and chains.
      collectives: of the compiled step, bytes by kind.
    """

    def __init__(self, devices: int, batch: int, size: Size) -> None:
        self.devices, self.batch = devices, batch
        flags = (
            f'{os.environ.get("XLA_FLAGS", "")} --xla_force_host_platform_device_count={devices}'
        )
        asked = json.dumps({'batch': batch, **size._asdict()})
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'benchmarks.forced_devices', asked],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
            env={**os.environ, 'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': flags.strip()},
        )
        self.collectives: dict[str, int] = {}

    def wait(self) -> None:
        """Until it is compiled and warmed up.

        Raises:
          UserError: it ended before that.
        """
        ready = self._answer()
        self.collectives = ready['collectives']
        assert ready['devices'] == self.devices

    def run(self, steps: int) -> None:
        """Does that many steps, the last of them to its end."""
        assert self._process.stdin is not None
        self._process.stdin.write(f'{steps}\n')
        self._process.stdin.flush()
        self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise UserError(f'the process with {self.devices} CPU devices ended with code {code}')
        return json.loads(line)

    def __enter__(self) -> ForcedDevices:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def serve(asked: dict[str, int], lines: IO[str], answer: Callable[[Any], None]) -> None:
    """Compiles the step that is asked for, and takes the steps that it is told to."""
    size = Size(**{name: value for name, value in asked.items() if name in Size._fields})
    run = runs.prepare(jem_config(asked['batch'], size), Path())  # which writes nothing
    key = sharding.place_key(random.key(0), run.mesh)
    carry = initial_carry(run, key)
    phase = run.method.phases[-1]
    programs = compile_phase(run, phase, carry, key)
    feed = run.feed.feed(phase.streams, order_key(key), 0)  # resident: the same for all steps

    def step() -> Any:
        nonlocal carry
        carry, ticket = programs.one(carry, feed, key)
        return ticket

    times = repeated(step)
    times(2)
    found = Program(programs.one.as_text()).exchanged()  # type: ignore[attr-defined]
    answer({'devices': run.mesh.size, 'collectives': found})
    for line in lines:
        times(int(line))
        answer({})
    run.feed.close()


def main() -> None:
    """Serves on standard input and output; what else is printed goes to standard error."""
    with os.fdopen(os.dup(1), 'w') as out:
        os.dup2(2, 1)

        def answer(value: Any) -> None:
            out.write(json.dumps(value) + '\n')
            out.flush()

        serve(json.loads(sys.argv[1]), sys.stdin, answer)


if __name__ == '__main__':
    main()
