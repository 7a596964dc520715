"""The traffic between devices in a training step, and the time it takes.

The predictions are first-order: bytes over rates, no latency, one utilisation for all chips. They
say where communication begins to matter, not how fast a cluster is.

Rates of chips: `benchmarks.chips`.
Ring all-reduce: Patarasuk and Yuan, Bandwidth optimal all-reduce algorithms for clusters of
  workstations, 2009.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
from jax import random
from ml_collections import ConfigDict

from benchmarks.chips import Chip
from benchmarks.flops import StepFlops
from eojax.data.facts import Facts, Raster
from eojax.feed.pipeline import batch_shapes
from eojax.methods import METHODS
from eojax.methods.method import Task


class Prediction(NamedTuple):
    """A step on n chips, predicted.

    Attributes:
      compute_seconds: of one chip's share of the step.
      communication_seconds: of the all-reduce.
      no_overlap: efficiency where a chip computes or communicates, never both.
      full_overlap: efficiency where the all-reduce runs beside the whole backward pass of the
        parameters, and only what is longer than that is waited for. Nothing else can hide it: the
        next step's chains need the new parameters.
    """

    compute_seconds: float
    communication_seconds: float
    no_overlap: float
    full_overlap: float


def ring_all_reduce_bytes(size: float, devices: int) -> float:
    """The bytes that each device of a ring sends to sum `size` bytes: 2 (n - 1) / n of them."""
    return 2.0 * (devices - 1) / devices * size


def all_reduce_seconds(size: float, devices: int, chip: Chip) -> float:
    """Seconds to sum `size` bytes over so many chips.

    Over several groups: scattered inside the groups, each part summed between them, and gathered.

    Raises:
      ValueError: neither do the chips fit into one group nor do the groups come out even.
    """
    if not chip.group or devices <= chip.group:
        return ring_all_reduce_bytes(size, devices) / chip.inner
    if devices % chip.group:
        raise ValueError(f'{devices} chips are no whole number of groups of {chip.group}')
    inside = ring_all_reduce_bytes(size, chip.group) / chip.inner
    between = ring_all_reduce_bytes(size / chip.group, devices // chip.group) / chip.outer
    return inside + between


def predict(
    flops: StepFlops, size: float, devices: int, chip: Chip, utilisation: float, share: float
) -> Prediction:
    """A step of `devices` chips.

    Args:
      flops: of one chip's step with the whole batch.
      size: bytes that are summed over the chips.
      utilisation: of the peak, reached in computing.
      share: of the batch that each chip computes: 1 with a batch for each chip (weak scaling),
        1 / devices with one batch for all (strong scaling).
    """
    rate = utilisation * chip.flops_per_second
    compute = share * flops.total / rate
    # Forward, and backward to images and to parameters: the last two thirds can hide something.
    backward = 2.0 / 3.0 * share * flops.training / rate
    communication = all_reduce_seconds(size, devices, chip)
    waited = max(0.0, communication - backward)
    return Prediction(
        compute, communication, compute / (compute + communication), compute / (compute + waited)
    )


def reduced_bytes(
    config: ConfigDict, image_shape: tuple[int, int, int], num_classes: int
) -> tuple[int, int]:
    """Bytes of the gradient and of the metrics of a config's last phase, all float32.

    Nothing is computed or allocated, and no data are read.
    """
    short = config.copy_and_resolve_references()
    if 'sampler' in short:
        short.sampler.start = 'uniform'  # which needs no images
    facts = Facts(class_names=tuple(str(number) for number in range(num_classes)))
    task = Task(facts, image_shape, num_training=1, label_counts=(1,) * num_classes)
    method = METHODS[config.method.name].build(short, task)
    phase, key = method.phases[-1], random.key(0)
    raster = Raster(tuple(str(number) for number in range(image_shape[-1])))
    known = facts._replace(rasters={'images': raster}, size=image_shape[:2])
    batch = batch_shapes(phase.streams, {'data': known})
    state = jax.eval_shape(method.init, key, batch, method.fitted)
    _, metrics = jax.eval_shape(phase.step, state, batch, key)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.trained.parameters))
    return 4 * parameters, 4 * len(metrics)
