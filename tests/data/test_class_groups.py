"""Classes joined in groups: what the text says, and what becomes of images, labels and names."""

from __future__ import annotations

import numpy as np
import pytest

from eojax.data.class_groups import parse, regroup
from eojax.data.dataset import Dataset, image_dataset
from eojax.data.reading.image_folder import read_image_folder
from eojax.data.reading.lazy_images import LazyImages
from eojax.errors import UserError
from tests.data.labelled_archives import encode, pixels, write_tree

CLASSES = ('Crop', 'Forest', 'Lake', 'River', 'Town')


def numbered() -> Dataset:
    """Image i is filled with i; the classes take turns."""
    images = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    labels = (np.arange(10) % 5).astype(np.int32)
    names = tuple(f'{CLASSES[label]}/{i}.png' for i, label in enumerate(labels))
    parts = np.array([0, 1, 2, 0, 0, 0, 0, 0, 1, 2], np.int8)
    return image_dataset(images, labels, names, CLASSES, parts=parts)


def test_groups_in_their_order() -> None:
    assert parse('water=Lake+River,urban=Town,Forest') == {
        'water': ('Lake', 'River'), 'urban': ('Town',), 'Forest': ('Forest',),
    }  # fmt: skip
    assert parse(' low = open low-rise + large low-rise , water') == {
        'low': ('open low-rise', 'large low-rise'), 'water': ('water',),
    }  # fmt: skip
    assert list(parse('B,A')) == ['B', 'A']
    assert parse('') == parse(' ') == {}


@pytest.mark.parametrize(
    ('text', 'line'),
    [
        ('water=,Forest', r"data\.classes: 'water=' is no group; write name=Class\+Class"),
        ('=Lake', "'=Lake' is no group"),
        ('Forest,,Town', "'' is no group"),
        ('Forest,', "'' is no group"),
        ('water=Lake++River', 'is no group'),
        ('Lake+River', r"'Lake\+River' is no group"),
        ('a=b=Lake', 'is no group'),
        ('water=Lake,water=River', "the group 'water' is in it twice"),
        ('water=Lake+River,Lake', "the class 'Lake' is in it twice"),
        ('water=Lake+Lake', "the class 'Lake' is in it twice"),
    ],
)
def test_what_is_no_list_of_groups(text: str, line: str) -> None:
    with pytest.raises(UserError, match=line) as caught:
        parse(text)
    assert '\n' not in str(caught.value)


def test_images_of_the_groups_are_kept_with_their_names_and_parts() -> None:
    dataset = numbered()
    found = regroup(dataset, parse('urban=Town,water=River+Lake'))
    assert found.class_names == ('urban', 'water')
    kept = [2, 3, 4, 7, 8, 9]
    np.testing.assert_array_equal(found.images[:, 0, 0, 0], kept)
    np.testing.assert_array_equal(found.labels, [1, 1, 0, 1, 1, 0])
    assert found.labels.dtype == np.int32
    assert found.names == tuple(dataset.names[i] for i in kept)
    assert found.parts is not None
    np.testing.assert_array_equal(found.parts, [2, 0, 0, 0, 1, 2])
    assert regroup(dataset, {}) is dataset


def test_unknown_classes_name_the_nearest() -> None:
    with pytest.raises(
        UserError, match=r"unknown class in data\.classes 'Rivr'; did you .*'River'"
    ):
        regroup(numbered(), parse('water=Lake+Rivr'))


def test_images_on_disk_stay_there(tmp_path) -> None:
    files = {
        f'{name}/{name}_{i}.png': encode(pixels(10 * i + n), 'PNG')
        for n, name in enumerate(CLASSES) for i in range(2)
    }  # fmt: skip
    lazy = read_image_folder(write_tree(tmp_path / 'images', files), resident_bytes=0)
    found = regroup(lazy, parse('water=Lake+River'))
    assert isinstance(found.images, LazyImages)
    chosen = [lazy.names.index(name) for name in found.names]
    assert len(chosen) == 4
    np.testing.assert_array_equal(found.images[:], lazy.images[np.array(chosen)])


def test_images_of_no_known_class_stay_so() -> None:
    labels = np.array([-1, 1, -1, 3, 4, 0, 1, 2, 3, 4], np.int32)
    found = regroup(numbered().with_labels(labels), parse('water=River+Lake,Town'))
    np.testing.assert_array_equal(found.images[:, 0, 0, 0], [0, 2, 3, 4, 7, 8, 9])
    np.testing.assert_array_equal(found.labels, [-1, -1, 0, 1, 0, 0, 1])
    assert found.labels.dtype == np.int32
