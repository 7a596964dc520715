"""NWPU-RESISC45 and RSSCN7 in their true layouts: sizes, classes, and where to get them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eojax.config.base import base_config, check_config
from eojax.data.published import PublishedImages
from eojax.data.reading.published_images import load_published
from eojax.data.sets import DATASETS, resisc45, rsscn7
from eojax.errors import UserError
from tests.data.labelled_archives import encode, pixels, write_tree, write_zip

SETS = [(resisc45.RESISC45, 'NWPU-RESISC45', 45, 256), (rsscn7.RSSCN7, 'RSSCN7', 7, 400)]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('EOJAX_CACHE', str(tmp_path / 'cache'))


def content(images: PublishedImages, folder: str, side: int) -> dict[str, bytes]:
    """An image of each class, by its path in the published layout."""
    names = [
        name[0] + '001' if folder == 'RSSCN7' else f'{name}_001' for name in images.class_names
    ]
    return {
        f'{folder}/{name}/{file}.jpg': encode(pixels(label, side, side), 'JPEG')
        for label, (name, file) in enumerate(zip(images.class_names, names, strict=True))
    }


@pytest.mark.parametrize(('images', 'folder', 'num', 'side'), SETS)
@pytest.mark.parametrize('write', [write_zip, write_tree], ids=['archive', 'folder'])
def test_published_layout_is_read_at_the_papers_size(
    tmp_path: Path, images: PublishedImages, folder: str, num: int, side: int, write
) -> None:
    path = write(tmp_path / f'{folder}.zip', content(images, folder, side))
    dataset = load_published(images, path, progress=False)
    assert dataset.images.shape == (num, 64, 64, 3)
    assert dataset.images.dtype == np.uint8
    np.testing.assert_array_equal(dataset.labels, np.arange(num))
    assert dataset.facts.title == images.title
    # Pixels of no one size on the ground.
    assert dataset.facts.metres is None


@pytest.mark.parametrize(('images', 'folder', 'num', 'side'), SETS)
def test_facts_and_messages(
    tmp_path: Path, images: PublishedImages, folder: str, num: int, side: int
) -> None:
    assert len(set(images.class_names)) == num == len(DATASETS[images.name].class_names)
    check_config(base_config('supervised', 'wide_resnet', images.name))
    with pytest.raises(UserError, match=f'{images.title} cannot be downloaded from here: get it'):
        load_published(images, '')
    files = content(images, folder, side)
    first = next(iter(files))
    small = files | {first: encode(pixels(0, 64, 64), 'JPEG')}
    with pytest.raises(UserError, match=f'64x64 pixels; expected {side}x{side}'):
        load_published(images, write_zip(tmp_path / 'small.zip', small), progress=False)
    del files[first]
    with pytest.raises(UserError, match=images.class_names[0]):
        load_published(images, write_zip(tmp_path / 'less.zip', files), progress=False)
