"""A run: a folder, a config, what is known of its data, and the method built from these."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jax.sharding import Mesh
from ml_collections import ConfigDict

from eojax.atomic_file import write_atomically
from eojax.config.base import check_config, differing_keys, from_json, to_json
from eojax.data.dataset import Dataset
from eojax.data.facts import Facts, Raster
from eojax.data.splits import Splits
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.feed.inputs import Inputs, choose_input
from eojax.feed.pipeline import batch_shapes
from eojax.feed.streams import Stream, check_streams
from eojax.memory import check_fits
from eojax.messages import say
from eojax.methods import METHODS
from eojax.methods.method import Method, Task
from eojax.models.arithmetic import settle
from eojax.runs import contents
from eojax.runs.domains import (
    SOURCE,
    TARGET,
    Domain,
    Reader,
    as_begun,
    kept_record,
    load_domain,
    load_domains,
    read_dataset,
    verify_splits,
)
from eojax.runs.known import FILE, Known, known_of, read_known, verify_facts


class Run(NamedTuple):
    """All that training, evaluation and the apps need of a run.

    Attributes:
      folder: where it keeps what it writes.
      config: complete and checked.
      known: what is known of its data sets without their pixels, by the config's group: `data` is
        what it is about, and evaluated on.
      task: what the method knows of them.
      method: built from the config.
      mesh: of all devices.
      programs: what was compiled to score images (`eojax.evaluation.scoring`); kept as long as the
        run.
      step: training steps done by the state that goes with it.
      domains: its data sets by group, where they were read: a run that is opened to be used has
        none until `with_data`.
      input: what the compiled steps are fed, in training.
    """

    folder: Path
    config: ConfigDict
    known: Mapping[str, Known]
    task: Task
    method: Method
    mesh: Mesh
    programs: dict[Any, Any]
    step: int = 0
    domains: Mapping[str, Domain] | None = None
    input: Inputs | None = None

    @property
    def facts(self) -> Facts:
        """Of the target."""
        return self.known[TARGET].facts

    @property
    def images(self) -> Raster:
        """Bands, type and limits of the target's images."""
        return self.facts.images

    @property
    def dataset(self) -> Dataset:
        """All places of the target, which must have been read."""
        return self._target.dataset

    @property
    def splits(self) -> Splits:
        """Indices into `dataset`."""
        return self._target.splits

    @property
    def facts_by_group(self) -> dict[str, Facts]:
        """The facts of each data set without its pixels."""
        return {group: known.facts for group, known in self.known.items()}

    @property
    def feed(self) -> Inputs:
        """The feed of the compiled steps, of a run that is trained."""
        if self.input is None:
            raise ValueError('this run was opened to be used: nothing feeds its steps')
        return self.input

    @property
    def _target(self) -> Domain:
        if self.domains is None:
            raise ValueError('the data of this run were not read: use with_data')
        return self.domains[TARGET]


def build(
    config: ConfigDict,
    folder: Path,
    known: Mapping[str, Known],
    domains: Mapping[str, Domain] | None = None,
    mesh: Mesh | None = None,
) -> Run:
    """The run of a checked config.

    Args:
      known: of its data sets.
      domains: the data sets themselves, to train on.
      mesh: of the devices; all that are here by default.

    Raises:
      UserError: a config that does not fit the data.
    """
    mesh = mesh or sharding.data_mesh()
    _check_labels(config, known)
    task = _task(known, mesh)
    method = METHODS[config.method.name].build(config, task)
    return Run(folder, config, known, task, method, mesh, {}, domains=domains)


def prepare(
    config: ConfigDict,
    folder: Path,
    mesh: Mesh | None = None,
    read: Reader = read_dataset,
    place: bool = True,
) -> Run:
    """A run that can be trained: checks the config, reads the data and builds the method.

    Args:
      mesh: of the devices; all that are here by default.
      read: reads the data set of a config group.
      place: whether training data go to the devices; without that, the run can be compiled alone.

    Raises:
      UserError: see `check_config` and the data set's `from_config`.
    """
    check_config(config)
    config = settle(config, _begun(folder))
    kept = read_known(folder) if (folder / FILE).exists() else {}
    begun = {group: one.facts for group, one in kept.items()}
    domains = {
        group: as_begun(domain, folder, config, group)
        for group, domain in load_domains(config, begun, read).items()
    }
    known = {group: known_of(domain) for group, domain in domains.items()}
    run = build(config, folder, known, domains, mesh)
    if sharding.is_main_process():
        for note in run.method.notes:
            say(note)
    for phase in run.method.phases:
        check_streams(phase.streams, domains, run.mesh.size)
        for name, stream in phase.streams.items():
            if config.steps * stream.batch_size >= 2**31:
                raise UserError(
                    f'steps {config.steps} times the {name} batch of {stream.batch_size} images'
                    ' must stay below 2**31, where the count of draws ends'
                )
        _check_batches(run, phase.streams)
    inputs = {
        group: choose_input(
            domain,
            [s for p in run.method.phases for s in p.streams.values() if s.data == group],
            run.mesh,
            config.steps,
            config[group].resident_gigabytes,
            config[group].workers,
            place,
        )
        for group, domain in domains.items()
    }
    return run._replace(input=Inputs(inputs))


def _check_batches(run: Run, streams: Mapping[str, Stream]) -> None:
    """Refuses batches that are larger than all memory of this machine."""
    for name, batch in batch_shapes(streams, run.facts_by_group).items():
        num_bytes = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in batch.values())
        size = ' x '.join(map(str, batch[streams[name].rasters[0]].shape[1:3]))
        what = f'the {name} batch of {streams[name].batch_size} images of {size} pixels'
        check_fits(num_bytes, what, 'set batch_size or data.size lower')


def with_data(run: Run, group: str = TARGET) -> Run:
    """The run with a data set of it read, to be evaluated on; nothing where it was read before.

    Raises:
      UserError: the data are not there, or are not those that the run was trained on: the message
        says which option tells where they are.
    """
    if run.domains is not None and group in run.domains:
        return run
    try:
        domain = load_domain(run.config, group, run.known[group].facts)
    except UserError as error:
        # What a data set says is meant for training, which names it by another option.
        text = str(error).replace('--config.data.root=', '--data_root=')
        option = '--data_root=PATH' if group == TARGET else 'the config of the run'
        how = '' if '--data_root=' in text else f' (say where it lies now by {option})'
        raise UserError(
            f'the data set that the run was trained on is needed for this: {text}{how}'
        ) from error
    domain = as_begun(domain, run.folder, run.config, group)
    # Classes first: where one was renamed, so were all names of its images.
    verify_facts(f'{run.folder}, {group}', run.known[group].facts, domain.dataset.facts)
    domain = _of_the_run(run.folder, group, domain)
    return run._replace(domains={**(run.domains or {}), group: domain})


def _of_the_run(folder: Path, group: str, domain: Domain) -> Domain:
    """The data set with the parts that the run began with, by names, or else by pixels."""
    try:
        verify_splits(folder, group, domain)
    except UserError as error:
        if kept_record(folder, group).rule != domain.record.rule:  # no file need be another one
            raise
        renamed = contents.by_contents(folder, group, domain)
        if renamed is None:
            raise UserError(f'{error}{contents.learnt_share(folder, group, domain)}') from error
        if sharding.is_main_process():
            say(
                f'{group}: files were renamed or added since {folder} was trained; the images of'
                ' each part are found by their pixels'
            )
        return renamed
    contents.verify(folder, group, domain)
    return domain


def _check_labels(config: ConfigDict, known: Mapping[str, Known]) -> None:
    """Refuses data whose kind of label the method cannot learn from."""
    name = config.method.name
    wanted = METHODS[name].labels
    each = {'image': 'a class for each image', 'pixel': 'a class for each pixel', 'none': 'none'}
    for group, one in known.items():
        label = one.facts.label
        if label not in wanted:
            fitting = ', '.join(sorted(n for n, r in METHODS.items() if label in r.labels))
            raise UserError(
                f'method {name!r} learns from {each[wanted[0]]}, and {group}.name'
                f' {config[group].name!r} has {each[label]}; these methods fit: {fitting or "none"}'
            )


def _task(known: Mapping[str, Known], mesh: Mesh) -> Task:
    """The facts of the data that a method may know."""
    target, source = known[TARGET], known.get(SOURCE)
    return Task(
        target.facts,
        image_shape(target.facts),
        target.counts['train'],
        target.label_counts,
        mesh.size,
        None if source is None else source.facts,
        None if source is None else image_shape(source.facts),
        () if source is None else source.label_counts,
    )


def image_shape(facts: Facts) -> tuple[int, int, int]:
    """Height, width and bands of the raster `images`, of places that are equally large."""
    height, width = facts.size or (0, 0)
    return height, width, len(facts.images.bands)


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
        begun = from_json(file)
        differing = differing_keys(settle(config, begun).to_dict(), begun.to_dict())
        if differing:
            raise UserError(
                f'{folder} holds a run of another config ({"; ".join(differing)});'
                ' choose another --workdir, or delete it'
            )


def others_in(folder: Path) -> list[str]:
    """The names of what is in a folder that no run has begun in, sorted; none where one has."""
    if not folder.is_dir() or (folder / 'config.json').exists():
        return []
    ours = ('lock.json', 'output.txt')
    return sorted(p.name for p in folder.iterdir() if p.name not in ours and p.name[0] != '.')


def _begun(folder: Path) -> ConfigDict | None:
    """The config that the run in a folder began with; None where none did."""
    file = folder / 'config.json'
    return from_json(file) if file.exists() else None


def open_folder(folder: Path, config: ConfigDict) -> None:
    """Writes `config.json` to the run's folder, with what a resumed run may have changed.

    Raises:
      UserError: see `check_folder`.
    """
    check_folder(folder, config)
    file, text = folder / 'config.json', to_json(config).encode()
    if sharding.is_main_process() and not (file.exists() and file.read_bytes() == text):
        write_atomically(file, lambda f: f.write(text))


def default_folder(config: str) -> Path:
    """`runs/` and the config's name, of its path or as it is: `jem.v2.py` and `jem.v2` are one."""
    name = Path(config).name.removesuffix('.py')
    return Path('runs') / re.sub(r'\W+', '_', name)
