"""The last convolution of networks with an output for each pixel, in float32 where it counts."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax

from eojax.models.convolution import Convolution, add_bias


class Head(nn.Module):
    """One convolution to the outputs of a task.

    Its sums are float32 and stay so. In bfloat16 outputs that differ by less than one part in 256
    are equal: the first of such classes would count as the most probable.

    Attributes:
      num_outputs: for each pixel.
      dtype: of the factors where the kernel is 1 x 1, float32 for larger ones; parameters and
        outputs are float32.
      size: side of the kernel.
    """

    num_outputs: int
    dtype: Any = jnp.float32
    size: int = 1

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[N, h, w, any]` to float32 `[N, h, w, num_outputs]`."""
        if self.size == 1 and self.dtype != jnp.float32:
            return _PreciseProduct(self.num_outputs, self.dtype, name='conv')(x)
        return Convolution(self.num_outputs, self.size, name='conv')(x.astype(jnp.float32))


class _PreciseProduct(nn.Module):
    """A convolution of 1 x 1 whose factors are of a short type and whose sums are float32.

    Parameters as of `Convolution`.
    """

    num_outputs: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (1, 1, x.shape[-1], self.num_outputs)
        kernel = self.param('kernel', nn.initializers.he_normal(), shape)
        bias = self.param('bias', nn.initializers.zeros_init(), (self.num_outputs,))
        factors = x.astype(self.dtype), kernel[0, 0].astype(self.dtype)
        return add_bias(_precise_product(*factors), bias)


@jax.custom_vjp
def _precise_product(x: Array, kernel: Array) -> Array:
    """`[N, h, w, in]` times `[in, out]`, float32."""
    return lax.dot_general(x, kernel, (((3,), (0,)), ((), ())), preferred_element_type=jnp.float32)


def _precise_product_backward(saved: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    # In the short type: x as float32 would be the largest array of the step.
    x, kernel = saved
    short = cotangent.astype(x.dtype)
    of_kernel = lax.dot_general(x, short, (((0, 1, 2), (0, 1, 2)), ((), ())))
    return lax.dot_general(short, kernel, (((3,), (1,)), ((), ()))), of_kernel


_precise_product.defvjp(
    lambda x, kernel: (_precise_product(x, kernel), (x, kernel)), _precise_product_backward
)
