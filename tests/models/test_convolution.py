"""The convolution and all of its derivatives against XLA's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax, random
from jax.test_util import check_grads

from eojax.models.convolution import Convolution, add_bias, convolution

Convolve = Callable[[Array, Array, int], Array]


def reference(images: Array, kernel: Array, stride: int) -> Array:
    half = kernel.shape[0] // 2
    return lax.conv_general_dilated(
        images,
        kernel,
        (stride, stride),
        [(half, half)] * 2,
        dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )


def operands(size: int, height: int, width: int, dtype: Any = jnp.float32) -> tuple[Array, Array]:
    images = random.normal(random.key(0), (2, height, width, 3)).astype(dtype)
    kernel = 0.3 * random.normal(random.key(1), (size, size, 3, 5)).astype(dtype)
    return images, kernel


def derivatives(convolve: Convolve, images: Array, kernel: Array, stride: int) -> dict[str, Array]:
    """Outputs, first derivatives, and derivatives of a function of the input's gradient."""

    def value(x: Array, k: Array) -> Array:
        return (jnp.tanh(convolve(x, k, stride)) ** 2).sum()

    def steepness(x: Array, k: Array) -> Array:
        gradient = jax.grad(value)(x, k)
        return (jnp.sin(gradient) * jnp.arange(gradient.shape[1])[:, None, None]).sum()

    first, second = jax.grad(value, (0, 1)), jax.grad(steepness, (0, 1))
    return {
        'outputs': convolve(images, kernel, stride),
        'first, images': first(images, kernel)[0],
        'first, kernel': first(images, kernel)[1],
        'second, images': second(images, kernel)[0],
        'second, kernel': second(images, kernel)[1],
    }


def assert_agree(found: dict[str, Array], expected: dict[str, Array], tolerance: float) -> None:
    for name, value in expected.items():
        assert found[name].shape == value.shape, name
        assert found[name].dtype == value.dtype, name
        difference = np.asarray(found[name] - value, np.float64)
        scale = np.linalg.norm(np.asarray(value, np.float64))
        assert scale > 0.0, name
        assert np.linalg.norm(difference) <= tolerance * scale, name


# Neither 7 nor 9 is divisible by 2 or 4: the outputs are then rounded up.
@pytest.mark.parametrize(
    ('size', 'stride', 'height', 'width'),
    [(1, 1, 7, 9), (3, 1, 7, 9), (5, 1, 7, 9), (1, 2, 8, 12), (3, 2, 8, 12), (3, 2, 7, 9),
     (5, 2, 7, 8), (1, 4, 7, 9), (3, 4, 8, 12), (3, 4, 9, 7), (5, 4, 8, 9)],
)  # fmt: skip
def test_derivatives_are_xlas(size: int, stride: int, height: int, width: int):
    images, kernel = operands(size, height, width)
    both = jax.jit(lambda x, k: [derivatives(c, x, k, stride) for c in (convolution, reference)])
    found, expected = both(images, kernel)
    assert found['outputs'].shape == (2, -(-height // stride), -(-width // stride), 5)
    assert_agree(found, expected, 2e-5)


# 4 and 2 are the discriminator's of image synthesis, whose outputs are larger than their inputs.
@pytest.mark.parametrize(
    ('size', 'stride', 'padding', 'height', 'width'),
    [(4, 1, 2, 7, 8), (4, 2, 2, 8, 12), (4, 2, 2, 7, 9), (3, 1, 0, 7, 9), (7, 1, 0, 9, 8),
     (2, 2, 0, 8, 7), (3, 2, 0, 8, 9), (4, 2, 1, 8, 9), (5, 3, 4, 7, 8)],
)  # fmt: skip
def test_derivatives_at_any_padding_are_xlas(
    size: int, stride: int, padding: int, height: int, width: int
):
    images, kernel = operands(size, height, width)

    def ours(x: Array, k: Array, stride: int) -> Array:
        return convolution(x, k, stride, padding)

    def theirs(x: Array, k: Array, stride: int) -> Array:
        return lax.conv_general_dilated(
            x, k, (stride, stride), [(padding, padding)] * 2,
            dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
        )  # fmt: skip

    found, expected = jax.jit(lambda x, k: [derivatives(c, x, k, stride) for c in (ours, theirs)])(
        images, kernel
    )
    assert found['outputs'].shape[1] == (height + 2 * padding - size) // stride + 1
    assert_agree(found, expected, 2e-5)


@pytest.mark.parametrize(('size', 'stride'), [(1, 2), (3, 1), (3, 2)])
def test_bfloat16_is_kept_through_all_derivatives(size: int, stride: int):
    images, kernel = operands(size, 8, 8, jnp.bfloat16)
    found = jax.jit(lambda x, k: derivatives(convolution, x, k, stride))(images, kernel)
    assert {value.dtype for value in found.values()} == {jnp.dtype(jnp.bfloat16)}
    images, kernel = images.astype(jnp.float32), kernel.astype(jnp.float32)
    exact = jax.jit(lambda x, k: derivatives(reference, x, k, stride))(images, kernel)
    rounded = {name: value.astype(jnp.bfloat16) for name, value in exact.items()}
    assert_agree(found, rounded, 0.05)


def test_bias_is_added_and_its_derivatives_are_those_of_a_sum():
    rng = np.random.default_rng(3)
    features = jnp.asarray(rng.normal(size=(2, 5, 4, 3)), jnp.float32)
    bias = jnp.asarray(rng.normal(size=3), jnp.float32)
    weights = jnp.asarray(rng.normal(size=features.shape), jnp.float32)
    np.testing.assert_array_equal(add_bias(features, bias), features + bias)

    def loss(add: Any) -> Any:
        return lambda x, b: (weights * jnp.sin(add(x, b))).sum()

    def both(add: Any) -> Any:
        first = jax.grad(loss(add), (0, 1))(features, bias)
        second = jax.grad(lambda b: jnp.square(jax.grad(loss(add))(features, b)).sum())(bias)
        return (*first, second)

    for ours, expected in zip(both(add_bias), both(lambda x, b: x + b), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def test_derivatives_by_finite_differences():
    with jax.enable_x64(True):
        images, kernel = operands(3, 5, 4, jnp.float64)
        check_grads(
            jax.jit(lambda x, k: jnp.tanh(convolution(x, k, 2))),
            (images, kernel),
            order=2,
            modes=['rev'],
        )


@pytest.mark.parametrize('stride', [1, 2])
def test_input_gradient_in_a_loop_equals_that_outside(stride: int):
    images, kernel = operands(3, 8, 8)

    def move(x: Array) -> Array:
        return x - 0.1 * jax.grad(lambda v: jnp.tanh(convolution(v, kernel, stride)).sum())(x)

    looped, _ = jax.jit(lambda x: lax.scan(lambda c, _: (move(c), None), x, length=3))(images)
    outside = images
    for _ in range(3):
        outside = jax.jit(move)(outside)
    np.testing.assert_allclose(looped, outside, atol=1e-5)


def test_every_backend_computes_the_same(monkeypatch: pytest.MonkeyPatch):
    images, kernel = operands(3, 8, 8)
    on_cpu = jax.jit(lambda x, k: derivatives(convolution, x, k, 2))(images, kernel)
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    elsewhere = jax.jit(lambda x, k: derivatives(convolution, x, k, 2))(images, kernel)
    assert_agree(on_cpu, elsewhere, 2e-5)


@pytest.mark.parametrize('shape', [(2, 2), (4, 4), (1, 3), (3, 1)])
def test_kernels_that_are_not_square_and_odd_are_refused(shape: tuple[int, int]):
    with pytest.raises(ValueError, match='square and odd'):
        convolution(jnp.zeros((1, 8, 8, 2)), jnp.zeros((*shape, 2, 2)))


@pytest.mark.parametrize('padding', [-1, 4])
def test_paddings_that_reach_past_the_kernel_are_refused(padding: int):
    with pytest.raises(ValueError, match='0 to 3'):
        convolution(jnp.zeros((1, 8, 8, 2)), jnp.zeros((4, 4, 2, 2)), 1, padding)


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_module_has_float32_parameters_and_computes_in_its_dtype(dtype: Any):
    module = Convolution(4, 3, 2, dtype=dtype)
    images, _ = operands(3, 8, 8)
    parameters = module.init(random.key(2), images)['params']
    shapes = {name: (value.shape, value.dtype.name) for name, value in parameters.items()}
    assert shapes == {'kernel': ((3, 3, 3, 4), 'float32'), 'bias': ((4,), 'float32')}
    shifted = {**parameters, 'bias': jnp.arange(4.0)}
    found: Any = module.apply({'params': shifted}, images)
    assert found.dtype == dtype
    expected = reference(images, parameters['kernel'], 2) + jnp.arange(4.0)
    tolerance = 1e-5 if dtype == jnp.float32 else 0.05
    np.testing.assert_allclose(np.asarray(found, np.float32), expected, atol=tolerance)
    bare = Convolution(4, 3, use_bias=False).init(random.key(2), images)['params']
    assert set(bare) == {'kernel'}
