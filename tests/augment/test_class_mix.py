"""ClassMix: whose pixels are pasted, and where."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eojax.augment.class_mix import Pasted, draw_mixed_classes, draw_pasted
from eojax.errors import UserError


def test_half_of_the_classes_of_each_map_are_pasted_whole():
    labels = jax.random.randint(jax.random.key(0), (64, 8, 8), -1, 4)
    # A map of one class, and one of which nothing is known.
    labels = labels.at[0].set(2).at[1].set(-1)
    pasted = np.asarray(draw_mixed_classes(jax.random.key(1), labels, 4, 1.0))
    assert pasted[0].all()
    assert not pasted[1].any()
    assert not pasted[np.asarray(labels) == -1].any()
    counts = np.zeros(4)
    for shown, where in zip(np.asarray(labels)[2:], pasted[2:], strict=True):
        classes = set(np.unique(shown)) - {-1}
        whole = {c for c in classes if where[shown == c].all()}
        assert not any(where[shown == c].any() for c in classes - whole)
        assert len(whole) == (len(classes) + 1) // 2
        counts[list(whole)] += 1
    assert counts.min() > 15


def test_a_share_of_the_windows_have_anything_pasted():
    labels = jnp.zeros((400, 2, 2), jnp.int32)
    share = float(draw_mixed_classes(jax.random.key(2), labels, 3, 0.3).any((1, 2)).mean())
    assert share == pytest.approx(0.3, abs=0.08)
    assert not draw_mixed_classes(jax.random.key(2), labels, 3, 0.0).any()
    with pytest.raises(UserError, match='must lie in'):
        draw_mixed_classes(jax.random.key(2), labels, 3, 1.2)


def test_partners_are_of_the_same_device_and_each_is_used_as_often():
    number = jnp.arange(4)
    labelled = {
        'images': jnp.broadcast_to(number[:, None, None, None], (4, 2, 2, 3)).astype(jnp.float32),
        'labels': jnp.broadcast_to(number[:, None, None], (4, 2, 2)),
        'index': number,
    }
    pasted = draw_pasted(jax.random.key(0), labelled, 8, 4, 1.0, num_devices=2)
    assert pasted.sample['labels'][:, 0, 0].tolist() == [0, 1, 0, 1, 2, 3, 2, 3]
    assert pasted.sample['images'][:, 0, 0, 0].tolist() == [0, 1, 0, 1, 2, 3, 2, 3]
    assert 'index' not in pasted.sample
    valid = jnp.zeros((4, 2, 2), bool).at[:, 0].set(True)
    some = draw_pasted(jax.random.key(0), {**labelled, 'valid': valid}, 4, 4, 1.0).where
    assert some[:, 0].all()
    assert not some[:, 1].any()


def test_pasted_pixels_hold_data_and_all_else_stays():
    where = jnp.array([[[True, False], [False, False]]])
    images, labels = jnp.full((1, 2, 2, 1), 0.5), jnp.full((1, 2, 2), 2)
    sample = {
        'images': jnp.zeros((1, 2, 2, 1)),
        'labels': jnp.full((1, 2, 2), -1),
        'valid': jnp.zeros((1, 2, 2), bool),
        'weights': jnp.full((1, 2, 2, 1), 0.25),
        'truth': jnp.full((1, 2, 2), 1),
        'index': jnp.array([7]),
    }
    filled = Pasted(where, {'images': images, 'labels': labels}).apply(sample)
    assert filled['images'].ravel().tolist() == [0.5, 0.0, 0.0, 0.0]
    assert filled['labels'].ravel().tolist() == [2, -1, -1, -1]
    assert filled['valid'].ravel().tolist() == [True, False, False, False]
    assert filled['weights'].ravel().tolist() == [1.0, 0.25, 0.25, 0.25]
    assert filled['truth'].ravel().tolist() == [1, 1, 1, 1]
    assert filled['index'].tolist() == [7]
