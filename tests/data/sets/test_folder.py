"""Own labelled folders as a data set."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from eojax.config.base import base_config
from eojax.data.sets import DATASETS
from eojax.errors import UserError


def test_classes_are_the_folders_and_images_are_resampled(tmp_path, monkeypatch):
    monkeypatch.setenv('EOJAX_CACHE', str(tmp_path / 'cache'))
    for name, grey in (('wheat', 40), ('barley', 200)):
        (tmp_path / 'set' / name).mkdir(parents=True)
        for i in range(3):
            Image.new('RGB', (20 + i, 31), (grey, grey, grey)).save(
                tmp_path / 'set' / name / f'{i}.png'
            )
    options = base_config('supervised', 'wide_resnet', 'folder').data
    options.root, options.size = str(tmp_path / 'set'), 16
    DATASETS['folder'].check(options)
    dataset = DATASETS['folder'].from_config(options, False)
    assert dataset.class_names == ('barley', 'wheat')
    assert dataset.images.shape == (6, 16, 16, 3)
    np.testing.assert_array_equal(dataset.images[dataset.labels == 0], 200)
    np.testing.assert_array_equal(dataset.images[dataset.labels == 1], 40)


def test_a_folder_must_be_named():
    with pytest.raises(UserError, match=r'data\.root'):
        DATASETS['folder'].check(base_config('supervised', 'wide_resnet', 'folder').data)
