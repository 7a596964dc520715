from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.special import log_softmax, softmax

from eojax.apps import calibration
from eojax.apps.calibration import run_names
from eojax.drawing.pictures import save_picture
from eojax.errors import UserError
from eojax.evaluation.calibration import Measured, calibration_numbers
from eojax.evaluation.scoring import score
from eojax.metrics.classification import sums_of
from tests.tiny_runs import TinyRun, tiny_run


@pytest.fixture(scope='module')
def cases() -> dict[str, TinyRun]:
    return {method: tiny_run(method) for method in ('jem', 'supervised')}


@pytest.fixture(scope='module')
def both(cases, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('out') / 'both'
    folders = [f'--workdir={case.folder}' for case in cases.values()]
    calibration.main([*folders, '--name=ours', '--name=plain', f'--out={out}'])
    return out


def _read(out: Path) -> dict[str, Any]:
    return json.loads((out / 'calibration.json').read_text())


def _fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        calibration.main(arguments)
    assert stopped.value.code == 1
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith('eojax:')]
    assert len(lines) == 1
    return lines[0]


def _ece(probabilities: np.ndarray, labels: np.ndarray, num_bins: int) -> float:
    """As defined, bin by bin."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    total = 0.0
    for number in range(num_bins):
        inside = (confidence > number / num_bins) & (confidence <= (number + 1) / num_bins)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


def test_numbers_are_those_of_the_logits(cases, both):
    told = _read(both)
    assert list(told) == ['ours', 'plain']
    for row, (method, case) in zip(told.values(), cases.items(), strict=True):
        run = case.run
        images, labels = run.dataset.images[run.splits.test], run.dataset.labels[run.splits.test]
        p = softmax(np.float64(score(run, 'logits', case.state, images)), axis=1)
        assert row['method'] == method
        assert row['step'] == 0
        assert row['test_images'] == len(labels)
        assert row['ece'] == pytest.approx(_ece(p, labels, 15), abs=1e-6)
        assert row['accuracy'] == pytest.approx((p.argmax(1) == labels).mean())
        assert row['mean_confidence'] == pytest.approx(p.max(1).mean(), abs=1e-6)
        of_label = p[np.arange(len(labels)), labels]
        assert row['nll'] == pytest.approx(-np.log(of_label).mean(), abs=1e-5)
        assert row['brier'] == pytest.approx(
            ((p - np.eye(10)[labels]) ** 2).sum(1).mean(), abs=1e-5
        )
        assert sum(row['bins']['counts']) == len(labels)
        assert row['workdir'] == str(case.folder)


def test_bins_give_the_ece_again_and_empty_ones_are_null():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 3, (500, 4)).astype(np.float32)
    sums = sums_of(log_softmax(logits.astype(np.float64), 1), rng.integers(0, 4, 500), 20)
    told = calibration_numbers(Measured('x', 7, sums))
    bins = told['bins']
    assert len(bins['edges']) == 21
    assert len(bins['confidence']) == len(bins['accuracy']) == len(bins['counts']) == 20
    # Of four classes the surest has at least a quarter.
    assert bins['counts'][:5] == [0] * 5
    assert bins['confidence'][:5] == bins['accuracy'][:5] == [None] * 5
    filled = [i for i, count in enumerate(bins['counts']) if count]
    for i in filled:
        assert bins['edges'][i] < bins['confidence'][i] <= bins['edges'][i + 1]
    error = sum(
        bins['counts'][i] / 500 * abs(bins['accuracy'][i] - bins['confidence'][i]) for i in filled
    )
    assert told['ece'] == pytest.approx(error)


def test_figure_shows_every_run(cases, both, tmp_path):
    with Image.open(both / 'calibration.png') as image:
        pixels = {tuple(p) for p in np.asarray(image.convert('RGB')).reshape(-1, 3).tolist()}
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= pixels
    calibration.main([f'--workdir={cases["jem"].folder}', f'--out={tmp_path}'])
    with Image.open(tmp_path / 'calibration.png') as image:
        pixels = {tuple(p) for p in np.asarray(image.convert('RGB')).reshape(-1, 3).tolist()}
    assert (0xD5, 0x5E, 0x00) not in pixels
    assert list(_read(tmp_path)) == [cases['jem'].folder.name]


def test_other_labelled_images_of_some_classes(cases, tmp_path):
    case = cases['jem']
    labels = case.run.dataset.labels
    for name, label in (('Forest', 1), ('River', 8)):
        for number, index in enumerate(np.flatnonzero(labels == label)[: 3 + label]):
            image = case.run.dataset.images[index]
            save_picture(image, tmp_path / 'data' / name / f'{name}_{number}.png')
    out = tmp_path / 'out'
    arguments = [f'--workdir={case.folder}', f'--data={tmp_path / "data"}', f'--out={out}']
    calibration.main([*arguments, '--with_learnt'])
    (row,) = _read(out).values()
    assert row['test_images'] == 4 + 11
    chosen = np.concatenate([np.flatnonzero(labels == 1)[:4], np.flatnonzero(labels == 8)[:11]])
    logits = score(case.run, 'logits', case.state, case.run.dataset.images[chosen])
    assert row['accuracy'] == pytest.approx((logits.argmax(1) == labels[chosen]).mean())
    calibration.main(arguments)  # what training has not seen alone
    (row,) = _read(out).values()
    tested = np.isin(chosen, case.run.splits.test)
    assert row['test_images'] == tested.sum() > 0
    right = logits[tested].argmax(1) == labels[chosen[tested]]
    assert row['accuracy'] == pytest.approx(right.mean())


def test_names_are_the_folders_and_distinct(tmp_path):
    folders = [tmp_path / x for x in ('a/run', 'b/run', 'other', 'c/b/run')]
    top = tmp_path.name
    assert run_names(folders) == ['a/run', f'{top}/b/run', 'other', 'c/b/run']
    assert run_names(folders[:2], ['x', 'y']) == ['x', 'y']
    for given, text in ((['x'], '1 --name for 2'), (['x', 'x'], 'needs a name of its own')):
        with pytest.raises(UserError, match=text):
            run_names(folders[:2], given)


def test_the_last_run_is_opened_before_the_first_is_measured(cases, tmp_path, capsys, monkeypatch):
    """A checkpoint that is not there, and data that are not the run's."""
    monkeypatch.setattr(calibration, 'measure', None)
    other = Path(shutil.copytree(cases['supervised'].folder, tmp_path / 'other'))
    arguments = [f'--workdir={cases["jem"].folder}', f'--workdir={other}', f'--out={tmp_path}/out']
    # Without what it knows of the pixels; with it, renamed files would be found by these.
    (other / 'contents.npz').unlink()
    splits = (other / 'splits.json').read_text()
    (other / 'splits.json').write_text(splits.replace('"sha256": "', '"sha256": "0'))
    assert 'is not that of this data' in _fails(arguments, capsys)
    shutil.rmtree(other / 'checkpoints')
    assert 'train the run first' in _fails(arguments, capsys)


def test_mistakes_are_one_line(cases, tmp_path, capsys):
    folder = cases['jem'].folder
    run, out = f'--workdir={folder}', f'--out={tmp_path / "out"}'
    assert 'is given twice' in _fails([run, f'--workdir={folder}/../{folder.name}', out], capsys)
    assert 'is no run folder' in _fails([run, f'--workdir={tmp_path}', out], capsys)
    assert '--bins must be at least 1' in _fails([run, out, '--bins=0'], capsys)
    assert '--data: no such file' in _fails([run, out, f'--data={tmp_path}/none'], capsys)
    assert not (tmp_path / 'out').exists()
