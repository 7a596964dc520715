"""Scores of the unusual that are measured beside our own: known densities, and a tiny run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from benchmarks import unusual
from tests.tiny_runs import tiny_run


def test_the_background_of_white_noise_is_a_normal_density() -> None:
    rng = np.random.default_rng(0)
    covariance = np.array([[0.4, 0.1], [0.1, 0.2]])
    images = rng.multivariate_normal([0.1, -0.2], covariance, (4000, 4, 6))
    background = unusual.fit_background(images)
    others = rng.normal(size=(20, 4, 6, 2)) * np.linspace(0.2, 1.0, 20)[:, None, None, None]
    expected = multivariate_normal([0.1, -0.2], covariance).logpdf(others).sum((1, 2))
    # From -23 to -130 or so.
    np.testing.assert_allclose(background.log_density(others), expected, rtol=0.05)
    assert np.ptp(expected) > 50.0


def test_a_ratio_has_nothing_left_of_its_background() -> None:
    rng = np.random.default_rng(1)
    simple, own = rng.normal(size=(2, 5000))
    training = {'log_density': 3.0 * simple + own, 'bytes': simple}
    score = unusual.ratio_to(training, lambda one: one['bytes'])(training)
    assert abs(np.corrcoef(score, simple)[0, 1]) < 1e-6
    assert np.corrcoef(score, own)[0, 1] > 0.999


def test_waic_by_hand() -> None:
    # Means 2 and 1, variances 1 and 0.
    np.testing.assert_allclose(unusual.waic(np.array([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])), [1, 1])


def test_a_mixture_finds_its_own_likelier() -> None:
    rng = np.random.default_rng(2)
    of = unusual.fit_mixture(rng.normal([5.0, 0.0], [0.1, 2.0], (500, 2)))
    here, there = of(np.array([[5.0, 0.0], [6.0, 0.0]]))
    assert here > there + 20.0  # ten deviations away


@pytest.mark.parametrize('bands', [1, 3, 4])
def test_flat_images_make_small_files(bands: int) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (16, 16, bands), np.uint8)
    assert unusual.png_bytes(noise) > 2 * unusual.png_bytes(np.full_like(noise, 7))


def test_from_a_run_to_a_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tiny_run('jem').folder
    out = tmp_path / 'record.json'
    unusual.main(
        [f'--workdir={folder}', f'--member={folder}', '--images=20', f'--out={out}',
         '--commit=' + 40 * '0']
    )  # fmt: skip
    numbers = json.loads(out.read_text())['numbers']
    for name in ('uniform_noise', 'constant'):
        for score in unusual.SCORES:
            assert 0.0 <= numbers[f'auroc_{name}_{score}'] <= 1.0
        # The same run twice has no variance: WAIC is log p(x).
        assert numbers[f'auroc_{name}_waic'] == numbers[f'auroc_{name}_log_density']
    assert 'background_ratio' in capsys.readouterr().out
    with pytest.raises(SystemExit):
        unusual.main([f'--workdir={folder}', '--images=2'])
    assert '--images must be at least 20' in capsys.readouterr().err
