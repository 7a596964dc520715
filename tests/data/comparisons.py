"""Whether two data sets are the same."""

from __future__ import annotations

import numpy as np

from eojax.data.dataset import Dataset


def assert_same(one: Dataset, other: Dataset) -> None:
    """Facts, columns and pixels, types included."""
    assert one.facts == other.facts
    for field, ours in one.places._asdict().items():
        theirs = getattr(other.places, field)
        assert type(ours) is type(theirs), field
        np.testing.assert_array_equal(ours, theirs, err_msg=field)
    assert type(one.images) is type(other.images)
    assert one.images.dtype == other.images.dtype
    np.testing.assert_array_equal(one.images[:], other.images[:])
