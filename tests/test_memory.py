"""Data that cannot fit into memory are refused before any of it is allocated."""

from __future__ import annotations

import pytest

from eojax import memory
from eojax.config.base import check_config
from eojax.data.sets import landscape_cover, landscape_zones, landscapes
from eojax.errors import UserError
from eojax.runs import run as runs
from tests.training_runs import small_config


def test_numbers_of_bytes_in_words():
    texts = [memory.in_words(num) for num in (12, 2048, 3 * 2**30, 5 * 2**49)]
    assert texts == ['12 bytes', '2.0 KiB', '3.0 GiB', '2.5 PiB']


def test_this_machine_has_memory():
    assert 2**28 < memory.machine_bytes() < 2**50
    memory.check_fits(1, 'it', 'no')


def test_a_size_that_no_machine_has_is_refused_by_its_key():
    with pytest.raises(UserError, match=r'data\.size 1000000: the pixels .* 3\.6 TiB'):
        check_config(small_config('supervised', 'convnet', data__size=1_000_000))


@pytest.mark.parametrize(
    'draw',
    [
        lambda: landscapes.generate(1000, 256),
        lambda: landscape_cover.draw_dataset(1000, 256),
        lambda: landscape_zones.generate(1000, 256),
    ],
)
def test_drawn_images_that_do_not_fit_are_refused(draw, monkeypatch):
    monkeypatch.setattr(memory, 'machine_bytes', lambda: 2**20)
    with pytest.raises(UserError, match=r'landscapes of 256 x 256 .* \(data\.num_images\)'):
        draw()


def test_batches_that_do_not_fit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, 'machine_bytes', lambda: 200 * 16 * 16 * 3)
    with pytest.raises(UserError, match=r'labelled batch of 80 images of 16 x 16 pixels .*KiB'):
        runs.prepare(small_config('supervised', 'convnet', batch_size=80), tmp_path)
