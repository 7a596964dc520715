"""The best that a device reaches: a large matrix product and a large copy, measured like the steps.

The product is bfloat16 on accelerators and float32 on the CPU, which is what the steps of the two
suites compute in.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import random

from benchmarks.timing import Workload, repeated

MATMUL, COPY = 'matrix product', 'copy'


class Ceiling(NamedTuple):
    """Workloads whose times say what the device can do.

    Attributes:
      matmul, copy: named `MATMUL` and `COPY`.
      matmul_flops: floating-point operations of one product.
      copy_bytes: read and written by one copy.
    """

    matmul: Workload
    copy: Workload
    matmul_flops: float
    copy_bytes: float


def build(size: int = 0, megabytes: int = 0) -> Ceiling:
    """Both workloads on the first device, compiled and warmed up.

    Args:
      size: rows and columns of the matrices; 0 takes 8192 on accelerators, 2048 on the CPU.
      megabytes: what is copied, in units of 2**20 bytes; 0 takes 2048 on accelerators, 256 on the
        CPU: far beyond every cache.
    """
    cpu = jax.default_backend() == 'cpu'
    size = size or (2048 if cpu else 8192)
    megabytes = megabytes or (256 if cpu else 2048)
    dtype = jnp.float32 if cpu else jnp.bfloat16
    left, right = (
        random.normal(key, (size, size)).astype(dtype) for key in random.split(random.key(0))
    )
    values = jnp.ones((megabytes * 2**18,), jnp.float32)
    product = jax.jit(jnp.matmul)
    copy = jax.jit(jnp.copy)
    matmul = Workload(MATMUL, repeated(lambda: product(left, right)))
    copying = Workload(COPY, repeated(lambda: copy(values)))
    for workload in (matmul, copying):
        workload.run(1)
    return Ceiling(matmul, copying, 2.0 * size**3, 2.0 * values.nbytes)
