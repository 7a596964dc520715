from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from benchmarks import guarantees
from eojax.evaluation.guarantees.sample import Sample
from tests.data.rasters import write_raster
from tests.tiny_runs import tiny_run


def _sample(blocks: int, each: int, seed: int) -> Sample:
    """Three classes in blocks that are hard or easy as a whole, and a bias that they share."""
    random = np.random.default_rng(seed)
    which = np.repeat(np.arange(blocks), each)
    labels = (random.random(len(which)) < random.beta(2, 2, blocks)[which]).astype(np.int32)
    logits = random.normal(0.0, 1.0, (len(which), 3))
    logits[np.arange(len(which)), labels] += 4.0 * random.random(blocks)[which]
    logits[:, 0] += 0.7
    return Sample(logits.astype(np.float32), labels, which.astype(np.int32), True, None)


def test_blocks_of_samples_stay_apart_and_are_cut_to_size(monkeypatch):
    monkeypatch.setattr(guarantees, '_PLACES', 30)
    held = guarantees.joined([_sample(4, 50, 0), _sample(3, 20, 1)])
    assert np.bincount(held.blocks).tolist() == [30, 30, 30, 30, 20, 20, 20]
    assert held.own('lac').shape == (180,)
    assert held.own('aps').max() <= 1.0


def test_blocks_hold_their_level_over_draws_and_places_do_not():
    held, learnt = guarantees.joined([_sample(60, 40, 2)]), guarantees.joined([_sample(9, 40, 3)])
    numbers = guarantees.drawn_numbers(held, learnt, 20, 0.8, 60)
    assert numbers['lac_by_blocks_coverage_of_20'] > 0.79
    assert numbers['lac_by_places_coverage_of_20'] < numbers['lac_by_blocks_coverage_of_20']
    assert numbers['lac_by_places_coverage_short_of_20'] > 0.2
    # The map's counts are biased, and the correction is not.
    mapped, error = (numbers[f'areas_same_ground_{x}_of_20'] for x in ('mapped_error', 'error'))
    assert error < 0.7 * mapped
    by_blocks, by_places = (
        numbers[f'areas_same_ground_by_{way}_inside_of_20'] for way in ('blocks', 'places')
    )
    assert by_blocks > 0.85
    assert by_places < by_blocks - 0.1


def test_a_record_of_a_run(tmp_path, capsys):
    case = tiny_run('jem')
    folder = tmp_path / 'jem'
    shutil.copytree(case.folder, folder)
    out = tmp_path / 'record.json'
    arguments = ['--calibration=8', '--draws=3', f'--out={out}', '--commit=0', '--level=0.5']
    pixels = np.random.default_rng(0).integers(1, 256, (96, 96, 3), dtype=np.uint8)
    scene = write_raster(tmp_path / 'scene.tif', pixels, ('red', 'green', 'blue'))
    guarantees.main([f'--workdir={folder}', f'--scene={scene}', *arguments])
    record = json.loads(out.read_text())
    numbers = record['numbers']
    assert numbers['held_out_blocks'] == numbers['held_out_places'] == 110
    assert 0.0 < numbers['aps_by_blocks_coverage_of_8'] <= 1.0
    assert 'not_known_share_of_constant_by_log_density' in numbers
    assert 0.0 <= numbers['scene_not_known_share_by_log_density'] <= 1.0
    assert 'draws that fall short' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('option', 'words'),
    [('--level=1', 'must lie between'), ('--calibration=500', 'at least 2 must be left')],
)
def test_bad_options_end_in_a_line(tmp_path, capsys, option, words):
    case = tiny_run('jem')
    folder = tmp_path / 'jem'
    shutil.copytree(case.folder, folder)
    with pytest.raises(SystemExit):
        guarantees.main([f'--workdir={folder}', option])
    assert words in capsys.readouterr().err
