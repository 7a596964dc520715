"""Accelerators: their published rates, memory and what joins them to others.

Sources:
  Google Cloud documentation, "TPU v4", "TPU v5e", "TPU v5p" and "TPU v6e" (system architecture):
    bfloat16 peak per chip 275, 197, 459 and 918 TFLOP/s; memory 32, 16, 95 and 32 GiB at 1228, 819,
    2765 and 1640 GB/s; interconnect per chip, one direction, 2400, 1600, 4800 and 3584 Gb/s over 6,
    4, 6 and 4 ports, so 50, 50, 100 and 112 GB/s a port.
  NVIDIA, data sheets: "H100 Tensor Core GPU", SXM, 989 TFLOP/s dense bfloat16, 3.35 TB/s, NVLink
    900 GB/s in both directions together; "H200 Tensor Core GPU", SXM, 141 GB at 4.8 TB/s; "A100
    Tensor Core GPU", SXM, 312 TFLOP/s, 80 GB at 2039 GB/s, NVLink 600 GB/s; "L4 Tensor Core GPU",
    121 TFLOP/s, 24 GB at 300 GB/s, PCIe 4.0 x16; "DGX H100", 8 GPUs and 8 InfiniBand NDR ports of
    400 Gb/s for them; "DGX A100", 8 HDR ports of 200 Gb/s.
  Of a card: CUDA C++ Programming Guide, "Compute Capabilities", and the data sheets.
"""

from __future__ import annotations

from typing import NamedTuple

_GB = 1e9
_GIB = 2**30


class Card(NamedTuple):
    """A GPU as XLA's description of a target has it.

    Attributes:
      name: as the driver calls it.
      capability: major and minor number.
      cores: streaming multiprocessors.
      units: floating-point units of one of them.
      threads: that one of them holds.
      shared: bytes of shared memory of one of them, and of one block at most.
      level2: bytes of the second-level cache.
      clock: GHz.
    """

    name: str
    capability: tuple[int, int]
    cores: int
    units: int
    threads: int
    shared: tuple[int, int]
    level2: int
    clock: float


class Chip(NamedTuple):
    """A kind of accelerator and what joins it to others; rates as published, in one direction.

    Attributes:
      title: for tables.
      flops_per_second: peak of dense products in bfloat16.
      inner: bytes per second that a chip sends in a ring inside its group.
      memory: bytes.
      bytes_per_second: of its memory.
      group: chips of a group; 0 where all are one group.
      outer: bytes per second between groups, for each chip.
      card: of a GPU; None of a TPU.
      megacore: of a TPU, whether its two cores are one device.
    """

    title: str
    flops_per_second: float
    inner: float
    memory: float
    bytes_per_second: float
    group: int = 0
    outer: float = 0.0
    card: Card | None = None
    megacore: bool = False


# A TPU's ring takes two of its ports: one ring through all chips, used in both directions.
CHIPS = {
    'tpu_v4': Chip('TPU v4', 275e12, 2 * 50e9, 32 * _GIB, 1228 * _GB, megacore=True),
    'tpu_v5e': Chip('TPU v5e', 197e12, 2 * 50e9, 16 * _GIB, 819 * _GB),
    'tpu_v5p': Chip('TPU v5p', 459e12, 2 * 100e9, 95 * _GIB, 2765 * _GB, megacore=True),
    'tpu_v6e': Chip('TPU v6e', 918e12, 2 * 112e9, 32 * _GIB, 1640 * _GB),
    'a100': Chip(
        'A100 SXM, NVLink in nodes of 8, HDR between', 312e12, 300e9, 80 * _GB, 2039 * _GB, 8, 25e9,
        Card('NVIDIA A100-SXM4-80GB', (8, 0), 108, 64, 2048, (167_936, 166_912), 40 << 20, 1.41),
    ),
    'h100': Chip(
        'H100 SXM, NVLink in nodes of 8, NDR between', 989e12, 450e9, 80 * _GB, 3352 * _GB, 8, 50e9,
        Card('NVIDIA H100 80GB HBM3', (9, 0), 132, 128, 2048, (233_472, 232_448), 50 << 20, 1.98),
    ),
    'h200': Chip(
        'H200 SXM, NVLink in nodes of 8, NDR between', 989e12, 450e9, 141 * _GB, 4800 * _GB, 8,
        50e9, Card('NVIDIA H200', (9, 0), 132, 128, 2048, (233_472, 232_448), 50 << 20, 1.98),
    ),
    'l4': Chip(
        'L4, PCIe', 121e12, 32e9, 24 * _GB, 300 * _GB, 8, 12.5e9,
        Card('NVIDIA L4', (8, 9), 58, 128, 1536, (102_400, 101_376), 48 << 20, 2.04),
    ),
}  # fmt: skip
