"""A run: a folder, a config, the data split as the config says, and the method built from both."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, random
from jax.sharding import Mesh
from ml_collections import ConfigDict

from eojax.devices import sharding
from eojax.atomic_file import write_atomically
from eojax.runs.checkpoint import Checkpoints
from eojax.config.base import check_config, differing_keys, from_json, to_json
from eojax.data.dataset import Dataset
from eojax.data.facts import Limits
from eojax.feed.pipeline import Feed, check_streams, draw_batch
from eojax.data.splits import Splits
from eojax.runs.domains import SOURCE, TARGET, Domain, load_domains, open_domains
from eojax.errors import UserError
from eojax.feed.inputs import Inputs, choose_input
from eojax.methods import METHODS
from eojax.methods.method import Method, Task
from eojax.messages import say


class Run(NamedTuple):
    """All that training, evaluation and the apps need of a run.

    Attributes:
      folder: where it keeps what it writes.
      config: complete and checked.
      domains: its data sets by the config's group: `data` is what it is about, and evaluated on.
      task: what the method knows of them.
      method: built from the config.
      mesh: of all devices.
      input: what the compiled steps are fed.
      programs: what was compiled to score images (`eojax.evaluation.scoring`); kept as long as the run.
    """

    folder: Path
    config: ConfigDict
    domains: Mapping[str, Domain]
    task: Task
    method: Method
    mesh: Mesh
    input: Inputs
    programs: dict[Any, Any]

    @property
    def dataset(self) -> Dataset:
        """All images of the target, on the host or read on access."""
        return self.domains[TARGET].dataset

    @property
    def splits(self) -> Splits:
        """Indices into `dataset`."""
        return self.domains[TARGET].splits

    @property
    def limits(self) -> dict[str, Limits | None]:
        """Of the images of each domain, the values that become -1 and +1."""
        return {group: domain.dataset.limits for group, domain in self.domains.items()}


class Carry(NamedTuple):
    """What goes from step to step on the devices, and into a checkpoint.

    Attributes:
      state: the method's.
      step: int32, steps done.
      sums: of each metric since the last log.
      summed: int32, steps in `sums`.
      healthy: false once a metric was not finite or the loss passed its limit.
    """

    state: Any
    step: Array
    sums: dict[str, Array]
    summed: Array
    healthy: Array


def prepare(config: ConfigDict, folder: Path, training: bool = True) -> Run:
    """Checks the config, loads the data and builds the method.

    Args:
      training: whether the run may be trained; else what its folder keeps of the source domain
        stands for it, and its data need not be there.

    Raises:
      UserError: see `check_config` and the data set's `from_config`.
    """
    check_config(config)
    domains = load_domains(config) if training else open_domains(config, folder)
    mesh = sharding.data_mesh()
    task = _task(domains, mesh)
    method = METHODS[config.method.name].build(config, task)
    _warn_of_replicated_buffer(config, mesh)
    for phase in method.phases:
        check_streams(phase.streams, {g: d.parts for g, d in domains.items()}, mesh.size)
        for name, stream in phase.streams.items():
            if config.steps * stream.batch_size >= 2**31:
                raise UserError(
                    f'steps {config.steps} times the {name} batch of {stream.batch_size} images'
                    ' must stay below 2**31, where the count of draws ends'
                )
    inputs = {
        group: choose_input(
            domain.training,
            domain.truth,
            domain.parts,
            mesh,
            config.steps,
            config[group].resident_gigabytes,
            config[group].workers,
        )
        for group, domain in domains.items()
    }
    return Run(folder, config, domains, task, method, mesh, Inputs(inputs), {})


def _task(domains: Mapping[str, Domain], mesh: Mesh) -> Task:
    """What a method knows of the data."""
    target = domains[TARGET]
    height, width, bands = target.training.images.shape[1:]
    return Task(
        target.dataset.class_names,
        (height, width, bands),
        target.training,
        mesh.size,
        target.dataset.labels[target.splits.train],
        domains[SOURCE].training if SOURCE in domains else None,
    )


def _warn_of_replicated_buffer(config: ConfigDict, mesh: Mesh) -> None:
    parts = config.sampler.buffer_parts if 'sampler' in config else mesh.size
    if parts % mesh.size and sharding.is_main_process():
        say(
            f'sampler.buffer_parts={parts} does not divide over {mesh.size} devices: each keeps all'
            f' of the replay buffer, and exchanges its chains; {mesh.size} parts avoid both'
        )


def rebuilt(run: Run, rate: float) -> Run:
    """The run with its learning rates, those of all its stages, multiplied by `rate`."""
    config = run.config.copy_and_resolve_references()
    for group in (config, *config.values()):
        if isinstance(group, ConfigDict) and 'optimizer' in group:
            group.optimizer.learning_rate = group.optimizer.learning_rate * rate
    return run._replace(method=METHODS[config.method.name].build(config, run.task), programs={})


def check_folder(folder: Path, config: ConfigDict) -> None:
    """Makes the run's folder, or checks that it belongs to the same config.

    Raises:
      UserError: the folder holds another run, and the message names the differing keys; or it
        cannot be made.
    """
    file = folder / 'config.json'
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = file.exists()
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f'--workdir {folder} cannot be made a folder: {reason}') from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f'--workdir {folder} is not writable')
    if held:
        differing = differing_keys(config.to_dict(), from_json(file).to_dict())
        if differing:
            raise UserError(
                f'{folder} holds a run of another config ({"; ".join(differing)});'
                ' choose another --workdir, or delete it'
            )


def open_folder(folder: Path, config: ConfigDict) -> None:
    """Writes `config.json` to the run's folder, with what a resumed run may have changed.

    Raises:
      UserError: see `check_folder`.
    """
    check_folder(folder, config)
    file, text = folder / 'config.json', to_json(config).encode()
    if sharding.is_main_process() and not (file.exists() and file.read_bytes() == text):
        write_atomically(file, lambda f: f.write(text))


def initial_carry(run: Run, key: Array) -> Carry:
    """The carry before the first step, placed on the devices.

    Each process computes all of it by itself, and keeps what its devices hold.
    """
    streams, limits = run.method.phases[0].streams, run.limits
    key = sharding.local(key)
    feed = run.input.example(streams, key)
    batch = jax.jit(lambda f: draw_batch(f, streams, key, jnp.zeros((), jnp.int32), limits))(feed)
    state = run.method.init(random.fold_in(key, 0), batch)
    if run.method.phases[0].begin is not None:
        state = run.method.phases[0].begin(state)
    carry = fresh_sums(run, 0, state, jnp.zeros((), jnp.int32))
    return sharding.place(carry, carry_shardings(run, carry))


def begin_phase(run: Run, phase: int, carry: Carry) -> Carry:
    """The carry before the first step of a later phase, made of that after the phase before."""
    state, begin = carry.state, run.method.phases[phase].begin
    if begin is not None:
        shapes = jax.eval_shape(begin, state)
        places = sharding.state_shardings(run.mesh, shapes, run.method.split)
        state = jax.jit(begin, out_shardings=places)(state)
    fresh = fresh_sums(run, phase, state, carry.step)
    # Placed from the host: device_put cannot make them where a process has but one of the devices.
    small = (fresh.sums, fresh.summed, fresh.healthy)
    return Carry(state, carry.step, *sharding.place(small, sharding.replicated(run.mesh)))


def fresh_sums(run: Run, phase: int, state: Any, step: Array) -> Carry:
    """A carry of this state with nothing summed yet, for the metrics of a phase."""
    # An array each, since all are donated.
    sums = {name: jnp.zeros((), jnp.float32) for name in metric_names(run, phase, state)}
    return Carry(state, step, sums, jnp.zeros((), jnp.int32), jnp.ones((), bool))


def metric_names(run: Run, phase: int, state: Any) -> list[str]:
    """The names of the metrics of a phase, found without running it."""
    chosen = run.method.phases[phase]

    def metrics(feed: Feed, state: Any) -> Any:
        key, step = random.key(0), jnp.zeros((), jnp.int32)
        batch = draw_batch(feed, chosen.streams, key, step, run.limits)
        return chosen.step(state, batch, key)[1]

    return sorted(jax.eval_shape(metrics, run.input.shapes(chosen.streams), state))


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


def abstract_carry(run: Run, step: int) -> Carry:
    """Shapes, types and shardings of the carry after `step` steps, without computing anything."""
    key = random.key(0)
    streams = run.method.phases[0].streams

    def state_of(feed: Feed) -> Any:
        batch = draw_batch(feed, streams, key, jnp.zeros((), jnp.int32), run.limits)
        state = run.method.init(key, batch)
        for phase in run.method.phases[: phase_at(run, step)[0] + 1]:
            state = phase.begin(state) if phase.begin is not None else state
        return state

    state = jax.eval_shape(state_of, run.input.shapes(streams))
    carry = jax.eval_shape(
        lambda s: fresh_sums(run, phase_at(run, step)[0], s, jnp.zeros((), jnp.int32)), state
    )
    return jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
        carry,
        carry_shardings(run, carry),
    )


def default_folder(config_path: str) -> Path:
    """`runs/` and the config's name."""
    name = re.sub(r'\W+', '_', Path(config_path).stem)
    return Path('runs') / name


def open_run(folder: str | Path, which: str = '') -> tuple[Run, Any]:
    """A trained run and its state, for evaluation and the apps.

    Args:
      folder: of the run.
      which: `last` or `best` checkpoint; what the config's `evaluate.checkpoint` says where empty.

    Raises:
      UserError: no run folder, no checkpoint, a damaged one, or data that is not there.
    """
    folder = Path(folder)
    run = prepare(from_json(folder / 'config.json'), folder, training=False)
    return run, load_state(run, which or run.config.evaluate.checkpoint)


def load_state(run: Run, which: str, step: int | None = None) -> Any:
    """The state of the `last` or `best` checkpoint of a run, or of that of a step.

    Args:
      step: one of `saved_steps`; the newest where None.

    Raises:
      UserError: it is not there, or damaged.
    """
    place = checkpoint_folder(run.folder, which)
    if not place.is_dir():
        raise UserError(f'{run.folder} has no checkpoint in {place.name}/: train the run first')
    checkpoints = Checkpoints(place, run.config.keep_checkpoints)
    steps = checkpoints.steps()
    if not steps:
        raise UserError(f'{run.folder} has no checkpoint in {place.name}/: train the run first')
    step = steps[-1] if step is None else step
    carry, _ = checkpoints.restore(step, abstract_carry(run, step))
    checkpoints.close()
    return carry.state


def saved_steps(run: Run) -> list[int]:
    """The steps that a run has checkpoints of, ascending."""
    place = checkpoint_folder(run.folder)
    return Checkpoints(place, run.config.keep_checkpoints).steps() if place.is_dir() else []


def checkpoint_folder(folder: Path, which: str = 'last') -> Path:
    """Where the newest checkpoints, or the one best in validation, of a run lie."""
    return folder / ('checkpoints' if which == 'last' else 'best')
