"""Views timed on the device and by Pillow, from the command line to the record."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from jax import random

from benchmarks import augmentation, suites
from benchmarks.augmentation import Size
from eojax.methods import fixmatch

CONFIG = suites.suites()['tiny'].entries['fixmatch']()


def test_the_views_are_those_of_the_step():
    """Weak ones move pixels alone; strong ones also have a grey square and other levels."""
    images = np.random.default_rng(0).uniform(-1, 1, (12, 16, 16, 3)).astype(np.float32)
    weak, strong = (
        np.asarray(augmentation.device_view(view, CONFIG, images.shape)(images))
        for view in augmentation.VIEWS
    )
    shapes = jax.eval_shape(lambda key: fixmatch.views(images, key, CONFIG.method), random.key(0))
    for view, theirs in zip((weak, strong), shapes, strict=True):
        assert view.shape == theirs.shape
        assert view.dtype == theirs.dtype
    assert np.isin(weak, images).all()
    assert not np.isin(strong, images).all()
    assert (strong == 0.0).all(-1).any((1, 2)).all()


def test_rates_and_ratios_by_hand():
    size = Size(batch=10, pixels=16, seconds=0.0, cores=4)
    seconds = {
        'weak': [0.5, 0.5],
        'pillow_weak': [1.0, 2.0],
        'pillow_weak_all_cores': [0.3, 0.3],
        'strong': [1.0, 1.0],
        'pillow_strong': [4.0, 4.0],
        'pillow_strong_all_cores': [1.2, 1.2],
        'step': [2.0, 2.0],
        'strong views of the step': [0.5, 0.5],
    }
    numbers = augmentation.numbers_of(seconds, size)
    assert numbers['weak_images_per_second'] == 20.0
    # Four processes with three images each.
    assert numbers['pillow_weak_all_cores_images_per_second'] == pytest.approx(40.0)
    assert numbers['ratio_pillow_weak_all_cores'] == pytest.approx(0.5)
    assert numbers['ratio_pillow_weak_low'] == pytest.approx(2.0)
    assert numbers['ratio_pillow_strong'] == pytest.approx(4.0)
    assert numbers['ratio_pillow_strong_all_cores'] == pytest.approx(1.0)
    assert numbers['strong_share_of_step'] == pytest.approx(0.25)


def test_a_record_comes_of_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(augmentation.os, 'cpu_count', lambda: 1)
    out = tmp_path / 'augmentation.json'
    augmentation.main([
        '--suite=tiny', '--batch=6', '--size=16', '--repeats=2', '--seconds=0', f'--out={out}',
        f'--commit={"0" * 40}',
    ])  # fmt: skip
    record = json.loads(out.read_text())
    assert record['command'] == (
        'python -m benchmarks.augmentation --batch=6 --size=16 --suite=tiny --repeats=2'
    )
    assert record['augmentation']['step'] == 'WRN-10-1, 16 px, batch 8 + 2 x 8, float32'
    assert set(record['repeats']) == {
        *(f'{start}{view}{end}' for view in augmentation.VIEWS
          for start, end in (('', ''), ('pillow_', ''), ('pillow_', '_all_cores'))),
        'step', 'strong views of the step',
    }  # fmt: skip
    assert all(len(values) == 2 for values in record['repeats'].values())
    numbers = record['numbers']
    others = numbers.pop('other_cores')
    assert others is None or others >= 0.0
    assert all(value > 0.0 for value in numbers.values())
    printed = capsys.readouterr().out
    assert 'Pillow, 1 processes' in printed
    assert 'of a FixMatch step (WRN-10-1, 16 px, batch 8 + 2 x 8, float32)' in printed


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--batch=0'], '--batch must be positive'),
        (['--suite=x'], 'unknown suite'),
        (['--repeats=0'], '--repeats must be at least 1'),
        (['--out=nowhere/x.json'], 'there is no folder nowhere'),
    ],
)
def test_mistakes_are_one_line_before_anything_is_timed(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(augmentation, 'time_views', lambda *_: pytest.fail('it was timed'))
    with pytest.raises(SystemExit) as caught:
        augmentation.main(arguments)
    assert caught.value.code == 1
    told = capsys.readouterr().err
    assert message in told
    assert told.count('\n') == 1
