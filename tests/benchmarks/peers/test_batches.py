"""Order and weak augmentation of the peers' batches."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

torch = pytest.importorskip('torch', reason='the peers need benchmarks/requirements.txt')

from benchmarks.peers import AUGMENTATIONS, batches  # noqa: E402
from eojax import augment  # noqa: E402


@pytest.mark.parametrize('name', AUGMENTATIONS)
def test_augmentations_draw_from_eojaxs_set_of_images(name):
    """One image many times: the distinct results are the same set as eojax's."""
    image = np.arange(8 * 8, dtype=np.uint8).reshape(1, 8, 8, 1)
    images = np.broadcast_to(image, (600, 8, 8, 1))
    drawn, _ = augment.AUGMENTATIONS[name]({'images': jnp.asarray(images)}, random.key(1))
    theirs = {x.tobytes() for x in np.asarray(drawn['images'])}
    generator = torch.Generator().manual_seed(2)
    last = torch.from_numpy(images.copy())
    found = batches.augment(last, name, generator).numpy()
    assert {x.tobytes() for x in found} == theirs
    first = batches.augment_bands_first(last.permute(0, 3, 1, 2), name, generator)
    found = first.to(torch.uint8).permute(0, 2, 3, 1).numpy()
    assert {x.tobytes() for x in found} == theirs


@pytest.mark.parametrize('num', [3, 5, 12])
def test_an_epoch_holds_every_index_once(num):
    order = batches.shuffled(torch.arange(5) + 10, num, torch.Generator().manual_seed(0))
    drawn = torch.cat([next(order) for _ in range(5)])[: 5 * (num * 5 // 5)]
    epochs = drawn[: len(drawn) // 5 * 5].reshape(-1, 5)
    assert (epochs.sort(1).values == torch.arange(5) + 10).all()
    assert len({tuple(epoch) for epoch in epochs.tolist()}) > 1
