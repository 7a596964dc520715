from __future__ import annotations

import numpy as np
import pytest

from eojax.apps.restore.damage import DAMAGES, damage_masks, damaged
from eojax.errors import UserError


@pytest.mark.parametrize(
    ('name', 'tolerance'),
    [('centre', 0.01), ('salt_pepper', 0.001), ('stripes', 0.01), ('random_boxes', 0.06)],
)
@pytest.mark.parametrize(('height', 'width'), [(32, 32), (64, 48)])
def test_each_kind_takes_its_share(name, tolerance, height, width):
    masks = damage_masks(name, 20, height, width)
    assert masks.shape == (20, height, width)
    assert masks.mean() == pytest.approx(DAMAGES[name].share, abs=tolerance)
    wanted = damage_masks(name, 20, height, width, share=0.3)
    assert wanted.mean() == pytest.approx(0.3, abs=2 * tolerance)


def test_the_papers_shares():
    assert DAMAGES['centre'].share == 0.125
    assert DAMAGES['salt_pepper'].share == 0.1


def test_the_centre_is_one_square_in_the_middle():
    mask = damage_masks('centre', 1, 64, 64)[0]
    rows, columns = np.nonzero(mask)
    before, after = rows.min(), 63 - rows.max()
    assert abs(before - after) <= 1
    assert (columns.min(), columns.max()) == (rows.min(), rows.max())
    assert mask.sum() == (rows.max() - rows.min() + 1) ** 2


def test_stripes_are_whole_lines_and_pixels_are_single():
    stripes = damage_masks('stripes', 5, 40, 30)
    np.testing.assert_array_equal(stripes.any(2), stripes.all(2))
    specks = damage_masks('salt_pepper', 5, 40, 30)
    assert (specks.sum((1, 2)) == 120).all()
    # As many beside each other as chance has it: a tenth.
    assert (specks[:, 1:] & specks[:, :-1]).sum() / specks.sum() == pytest.approx(0.1, abs=0.05)


def test_masks_are_a_function_of_seed_and_number():
    first = damage_masks('random_boxes', 3, 32, 32, seed=1)
    np.testing.assert_array_equal(first, damage_masks('random_boxes', 8, 32, 32, seed=1)[:3])
    assert (first != damage_masks('random_boxes', 3, 32, 32, seed=2)).any()
    assert (first[0] != first[1]).any()


def test_damaged_pixels_are_black_or_salt_and_pepper_and_others_untouched():
    images = np.random.default_rng(0).integers(1, 255, (4, 32, 32, 3)).astype(np.uint8)
    masks = damage_masks('salt_pepper', 4, 32, 32)
    noisy = damaged(images, masks, 'salt_pepper')
    np.testing.assert_array_equal(noisy[~masks], images[~masks])
    assert set(np.unique(noisy[masks])) == {0, 255}
    assert (noisy[masks] == 255).mean() == pytest.approx(0.5, abs=0.1)
    assert not damaged(images, masks, 'stripes')[masks].any()


@pytest.mark.parametrize('share', [0.0, 1.0, -0.1, float('nan')])
def test_an_impossible_share_is_refused(share):
    with pytest.raises(UserError, match='between 0 and 1'):
        damage_masks('centre', 1, 16, 16, share)


def test_a_share_that_takes_everything_of_a_small_image_is_refused():
    with pytest.raises(UserError, match='everything of an image of 8 x 8 pixels'):
        damage_masks('stripes', 1, 8, 8, 0.99)
