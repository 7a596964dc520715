from __future__ import annotations

import numpy as np
import pytest

from eojax.data.parts.group_splits import assign_blocks
from eojax.data.splits import TEST, TRAIN, VALIDATION
from eojax.errors import UserError

CLASSES = ('a', 'b', 'c')


def _patches(num_blocks: int = 40, each: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Block 0 to 3 hold some of the rare class c; all hold a and b."""
    blocks = np.repeat(np.arange(num_blocks), each)
    labels = np.tile(np.arange(each) % 2, num_blocks)
    labels[(blocks < 4) & (np.arange(len(blocks)) % each < 5)] = 2
    return blocks, labels


@pytest.mark.parametrize('seed', range(6))
def test_blocks_stay_whole_and_every_class_is_in_every_part(seed: int) -> None:
    blocks, labels = _patches()
    parts = assign_blocks(blocks, labels, CLASSES, seed)
    assert parts.dtype == np.int8
    for block in np.unique(blocks):
        assert len(set(parts[blocks == block])) == 1
    for part in (TRAIN, VALIDATION, TEST):
        assert set(labels[parts == part]) == {0, 1, 2}
    assert 0.2 <= (parts == TEST).mean() <= 0.25
    assert 0.08 <= (parts == VALIDATION).mean() <= 0.13
    # Of four blocks with the rare class, training keeps one at least, as the others do.
    assert (parts[labels == 2] == TRAIN).sum() >= 5


def test_the_choice_follows_from_the_seed_and_not_from_the_order() -> None:
    blocks, labels = _patches()
    first = assign_blocks(blocks, labels, CLASSES, 0)
    order = np.random.default_rng(0).permutation(len(blocks))
    shuffled = assign_blocks(blocks[order], labels[order], CLASSES, 0)
    np.testing.assert_array_equal(shuffled, first[order])
    assert (assign_blocks(blocks, labels, CLASSES, 1) != first).any()


def test_one_block_for_each_part_is_enough_and_two_blocks_are_not() -> None:
    blocks, labels = np.arange(3), np.zeros(3, int)
    assert sorted(assign_blocks(blocks, labels, ('only',), 0)) == [TRAIN, VALIDATION, TEST]
    with pytest.raises(UserError, match=r"here: class 'only' lies in 2 block\(s\)") as caught:
        assign_blocks(blocks[:2], labels[:2], ('only',), 0, title='here')
    assert '\n' not in str(caught.value)


def test_a_class_without_patches_is_asked_of_no_part() -> None:
    blocks, labels = np.arange(30), np.arange(30) % 2
    parts = assign_blocks(blocks, labels, CLASSES, 0)
    for part in (TRAIN, VALIDATION, TEST):
        assert set(labels[parts == part]) == {0, 1}
