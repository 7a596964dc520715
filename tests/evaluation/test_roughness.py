"""The detail of images in bits."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from eojax.evaluation.roughness import grain, roughness


def test_bits_of_images_written_out():
    levels = np.array([[0, 3, 3], [7, 3, 10]], np.float64)
    images = (levels / 127.5 - 1.0).astype(np.float32)[None, :, :, None]
    down = [7, 0, 7]
    across = [3, 0, 4, 7]
    mixed = [-4 - 3, 7 - 0]
    bits = [np.log2(1 + np.abs(d)).mean() for d in (down, across, mixed)]
    assert float(roughness(images)[0]) == pytest.approx(bits[0] + bits[1], rel=1e-4)
    assert float(grain(images)[0]) == pytest.approx(bits[2], rel=1e-4)


def test_slopes_have_no_grain_and_constants_nothing():
    slope = np.broadcast_to(np.linspace(-1, 1, 16, dtype=np.float32)[:, None, None], (1, 16, 16, 2))
    assert float(roughness(slope)[0]) > 1.0
    assert float(grain(slope)[0]) < 1e-3
    assert float(roughness(np.zeros((1, 8, 8, 3), np.float32))[0]) == 0.0


def test_bits_go_with_the_size_of_a_png():
    rng, bits, sizes = np.random.default_rng(0), [], []
    for width in (1, 2, 4, 8, 16):
        noise = rng.integers(0, 256, (64 // width, 64 // width), np.uint8)
        image = np.kron(noise, np.ones((width, width), np.uint8))
        out = io.BytesIO()
        Image.fromarray(image).save(out, 'PNG')
        sizes.append(len(out.getvalue()))
        scaled = (image / 127.5 - 1.0).astype(np.float32)[None, :, :, None]
        bits.append(float(grain(scaled)[0]))
    assert np.argsort(bits).tolist() == np.argsort(sizes).tolist()
