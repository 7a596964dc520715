"""The strong augmentation in batched PyTorch operations against Pillow and eojax."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip('torch', reason='the peers need benchmarks/requirements.txt')

from benchmarks.peers.fixmatch import device_augmentation  # noqa: E402
from benchmarks.peers.fixmatch.device_augmentation import Drawn, Draws, Square  # noqa: E402
from benchmarks.pillow_augmentation import GREY, RANGES, perform  # noqa: E402
from eojax.augment import randaugment  # noqa: E402
from eojax.augment.boxes import draw_squares  # noqa: E402
from tests.benchmarks.test_pillow_augmentation import BLENDS, amounts, scenes  # noqa: E402

OPERATIONS = tuple(RANGES)


def applied(images: np.ndarray, numbers: Any, chosen: Any, interpolation: str) -> np.ndarray:
    drawn = Drawn(torch.as_tensor(numbers), torch.as_tensor(chosen))
    return device_augmentation.apply(torch.from_numpy(images), drawn, interpolation).numpy()


@pytest.mark.parametrize('interpolation', ['nearest', 'bilinear'])
@pytest.mark.parametrize('name', OPERATIONS)
def test_an_operation_makes_what_pillow_makes(name, interpolation):
    images = scenes(9)
    chosen = amounts(name, len(images))
    numbers = np.full(len(images), OPERATIONS.index(name))
    found = applied(images, numbers, chosen, interpolation)
    expected = np.stack([
        np.asarray(perform(Image.fromarray(image), name, float(amount), interpolation))
        for image, amount in zip(images, chosen, strict=True)
    ])  # fmt: skip
    assert found.dtype == np.uint8
    limit = name in BLENDS or interpolation == 'bilinear'
    assert np.abs(found.astype(int) - expected).max() <= limit


def test_a_batch_of_different_operations_is_eojaxs():
    images = scenes(56)
    numbers = np.arange(56) % len(OPERATIONS)
    chosen = np.asarray([amounts(OPERATIONS[n], 5)[i % 5] for i, n in enumerate(numbers)])
    theirs = jax.jit(randaugment.apply)(images, randaugment.Drawn(numbers.astype(np.int32), chosen))
    found = applied(images, numbers, chosen, 'nearest')
    assert np.abs(found.astype(int) - np.asarray(theirs)).max() <= 1


def test_draws_are_uniform_over_operations_and_within_their_ranges():
    draws = Draws(('rotate', 'posterise', 'identity'), torch.Generator().manual_seed(0))
    drawn = draws(6000)
    for name in ('rotate', 'posterise', 'identity'):
        mine = drawn.amount[drawn.operation == OPERATIONS.index(name)].numpy()
        assert len(mine) == pytest.approx(2000, rel=0.1)
        low, high = RANGES[name]
        assert low <= mine.min() <= mine.max() <= high
        assert mine.mean() == pytest.approx((low + high) / 2, abs=0.05 * (high - low))


def test_squares_are_grey_and_anywhere():
    white = torch.full((4000, 16, 16, 3), 255, dtype=torch.uint8)
    square = device_augmentation.draw_square(4000, 16, 16, 0.5, torch.Generator().manual_seed(1))
    covered = (device_augmentation.cut_out(white, square) == GREY).all(-1)
    theirs = np.asarray(draw_squares(jax.random.key(0), 4000, 16, 16, 0.5).mask(16, 16))
    difference = covered.float().mean(0).numpy() - theirs.mean(0)
    assert np.abs(difference).max() < 0.05
    # 3 rows from the second on, the last 2 columns.
    one = Square(torch.tensor([1]), torch.tensor([14]), 3)
    assert (device_augmentation.cut_out(white[:1], one) == GREY).all(-1).sum() == 6
