"""Accelerators to compile for: devices that only a compiler has.

XLA compiles for GPUs and TPUs on a machine that has neither: for TPUs with `libtpu`, for NVIDIA's
GPUs with jax's CUDA plugin and a description of the card (`pip install -e '.[aot]'`). Nothing can
be run on such devices.
"""

from __future__ import annotations

import importlib.util
import math
import os
import re
from typing import NamedTuple

import jax
from jax.experimental import topologies
from jax.sharding import Mesh

from benchmarks.chips import CHIPS, Chip
from eojax.devices.sharding import data_mesh
from eojax.errors import UserError, unknown_name

# GPUs of a host, as in NVIDIA's servers.
_HOST = 8
# Of slices of TPUs: how many sides they have, and the longest side of those of two.
_SIDES = {'v4': 3, 'v5p': 3, 'v5e': 2, 'v6e': 2}
_LONGEST = 16
# As targets name chips.
_KEYS = {key.removeprefix('tpu_'): key for key in CHIPS}


class Target(NamedTuple):
    """Devices to compile for.

    Attributes:
      name: `h100:8`, `v5e:4x4`, `v5e:4x4*2` (two slices).
      kind: as the target says it, `v5e`.
      shape: of the chips: their number, or the sides of a slice of TPUs.
      slices: how many of them.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    slices: int = 1

    @property
    def chip(self) -> Chip:
        return CHIPS[_KEYS[self.kind]]

    @property
    def devices(self) -> int:
        """How many chips there are in all."""
        return math.prod(self.shape) * self.slices

    @property
    def platform(self) -> str:
        """As jax calls it."""
        return 'tpu' if self.chip.card is None else 'gpu'


def parse(text: str) -> Target:
    """The target that a text names.

    Raises:
      UserError: one line that says what is wrong with it.
    """
    match = re.fullmatch(r'([a-z0-9]+)(?::(\d+(?:x\d+)*))?(?:\*(\d+))?', text.strip().lower())
    if match is None:
        raise UserError(
            f'the target {text!r} is no CHIP:SHAPE, such as h100:8, v5e:4x4, v5p:4x4x4 or, of two'
            ' slices, v5e:4x4*2'
        )
    kind, shape, slices = match[1], match[2], int(match[3] or 1)
    if kind not in _KEYS:
        raise unknown_name('chip', kind, _KEYS)
    sides = tuple(int(side) for side in (shape or '1').split('x'))
    gpu = CHIPS[_KEYS[kind]].card is not None
    if gpu and (len(sides) > 1 or slices > 1):
        raise UserError(f'the target {text!r}: of GPUs say how many, {kind}:8')
    if not gpu and sides == (1,):
        sides = (1,) * _SIDES[kind]
    if not math.prod(sides) or not slices:
        raise UserError(f'the target {text!r} has no chips')
    if not gpu and len(sides) == 1:
        like = '2x4' if _SIDES[kind] == 2 else '2x2x1'
        raise UserError(f'the target {text!r}: of TPUs say the sides of the slice, {kind}:{like}')
    if not gpu and len(sides) != _SIDES[kind]:
        raise UserError(f'the target {text!r}: slices of {kind} have {_SIDES[kind]} sides')
    if not gpu and len(sides) == 2 and max(sides) > _LONGEST:
        raise UserError(
            f'the target {text!r}: slices of {kind} have at most {_LONGEST}x{_LONGEST} chips; of'
            f' several slices say {kind}:{_LONGEST}x{_LONGEST}*2'
        )
    if gpu and sides[0] > _HOST and sides[0] % _HOST:
        raise UserError(f'the target {text!r}: more than {_HOST} GPUs are whole hosts of {_HOST}')
    return Target(text.strip().lower(), kind, sides, slices)


def missing(target: Target) -> str:
    """What must be installed to compile for a target, and how; empty where all is there."""
    module, title = (
        ('libtpu', 'libtpu')
        if target.platform == 'tpu'
        else ('jax_cuda12_plugin', "jax's CUDA plugin")
    )
    there = importlib.util.find_spec(module) is not None
    return '' if there else f"{title}: pip install -e '.[aot]'"


def mesh_for(target: Target) -> Mesh:
    """A mesh of devices that are not here, on the axis `data`.

    Raises:
      UserError: what it takes is not installed, or there is no such slice.
    """
    lacking = missing(target)
    if lacking:
        raise UserError(f'to compile for {target.name}, install {lacking}')
    try:
        described = _tpus(target) if target.platform == 'tpu' else _gpus(target)
    except (RuntimeError, ValueError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f'there are no devices {target.name} to compile for: {reason}') from error
    return data_mesh(described.devices)


def _tpus(target: Target) -> topologies.TopologyDescription:
    # What libtpu would ask the machine's metadata server.
    os.environ.setdefault('TPU_SKIP_MDS_QUERY', '1')
    os.environ.setdefault('TPU_WORKER_HOSTNAMES', 'localhost')
    os.environ.setdefault('TPU_WORKER_ID', '0')
    os.environ.setdefault('TPU_ACCELERATOR_TYPE', 'v5litepod-4')
    # Compiling takes no chip: a second process may do it at the same time.
    os.environ.setdefault('ALLOW_MULTIPLE_LIBTPU_LOAD', '1')
    options: dict[str, object] = {}
    if target.chip.megacore:
        options['chip_config_name'] = 'megacore'
    if math.prod(target.shape) == 1:
        options['chips_per_host_bounds'] = (1, 1, 1)
    if target.slices > 1:
        options['num_slices'] = target.slices
    name = f'{target.kind}:{"x".join(map(str, target.shape))}'
    return topologies.get_topology_desc(platform='tpu', topology_name=name, **options)


def _gpus(target: Target) -> topologies.TopologyDescription:
    number = target.shape[0]
    hosts = -(-number // _HOST)
    return topologies.get_topology_desc(
        platform='cuda',
        target_config=_described(target.chip),
        topology=f'1x{hosts}x{number // hosts}',
    )


def _described(chip: Chip) -> str:
    """XLA's `GpuTargetConfigProto` of a card, as text."""
    card = chip.card
    assert card is not None
    major, minor = card.capability
    return f"""
gpu_device_info {{
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: {card.shared[0]}
  threads_per_core_limit: {card.threads}
  core_count: {card.cores}
  fpus_per_core: {card.units}
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: {int(chip.bytes_per_second)}
  l2_cache_size: {card.level2}
  clock_rate_ghz: {card.clock}
  device_memory_size: {int(chip.memory)}
  shared_memory_per_block_optin: {card.shared[1]}
  cuda_compute_capability {{ major: {major} minor: {minor} }}
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 patch: 0 }}
runtime_version {{ major: 12 minor: 9 patch: 0 }}
device_description_str: "{card.name}"
"""


def on_the_cpu() -> None:
    """Has jax compute on the CPU alone: what is compiled for others is not run."""
    jax.config.update('jax_platforms', 'cpu')
