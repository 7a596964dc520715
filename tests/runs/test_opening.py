"""A trained run is opened from its folder alone: no data, no step of training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from eojax.config.base import base_config, set_key, to_json
from eojax.data.facts import Facts, Raster
from eojax.data.sets import DATASETS
from eojax.errors import UserError
from eojax.evaluation import reference
from eojax.evaluation.scoring import score
from eojax.methods.method import Phase
from eojax.runs import run as runs
from eojax.runs.known import verify_facts
from eojax.runs.opening import load_state, open_run, state_evaluated
from eojax.runs.run import with_data
from eojax.training.loop import train
from tests.tiny_runs import TinyRun, tiny_run


@pytest.fixture(scope='module')
def jem() -> TinyRun:
    return tiny_run('jem')


@pytest.fixture
def copy(jem: TinyRun, tmp_path: Path) -> Path:
    """A folder that this test may damage."""
    return Path(shutil.copytree(jem.folder, tmp_path / 'run'))


def _without_data(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(options: Any, progress: bool) -> Any:
        raise UserError('no such file: landscapes')

    monkeypatch.setitem(DATASETS, 'landscapes', DATASETS['landscapes']._replace(from_config=gone))


def test_a_run_opens_and_scores_without_its_data(
    jem: TinyRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_data(monkeypatch)
    monkeypatch.setattr(Phase, 'step', None)  # a trace of a step would fail
    run, state = open_run(jem.folder)
    assert run.domains is None
    assert run.input is None
    assert run.step == 0
    assert run.facts == jem.run.facts
    images = np.asarray(jem.run.dataset.images[:5])
    for name in ('logits', 'log_density'):
        expected = score(jem.run, name, jem.state, images)
        np.testing.assert_array_equal(score(run, name, state, images), expected)
    for ours, theirs in zip(jax.tree.leaves(state), jax.tree.leaves(jem.state), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_what_is_kept_of_the_training_images_needs_no_data(
    copy: Path, jem: TinyRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference.keep(jem.run._replace(folder=copy), jem.state)
    _without_data(monkeypatch)
    run, state = open_run(copy)
    kept = reference.reference_scores(run, state, ('log_density', 'gradient'))
    train = jem.run.splits.train
    expected = score(jem.run, 'log_density', jem.state, jem.run.dataset.images, train)
    np.testing.assert_allclose(kept['log_density'], expected, rtol=1e-5)
    test = reference.reference_scores(run, state, ('max_probability',), reference.TEST)
    assert test['max_probability'].shape == (len(jem.run.splits.test),)
    lowest, highest = reference.test_ends(run, state)
    assert lowest.shape == highest.shape == (reference.ENDS, 16, 16, 3)
    examples = reference.examples(run)
    np.testing.assert_array_equal(examples.images, jem.run.dataset.images[train])
    assert reference.texture(run).filters.shape == (11, 20, 20, 3, 3)
    np.savez(copy / 'reference' / 'examples.npz', images=np.zeros((3, 8, 8, 3)), labels=np.zeros(3))
    with pytest.raises(UserError, match='no such file: landscapes'):  # not taken for the run's own
        reference.examples(run)


def test_where_the_data_are_wanted_the_message_says_which_option_tells_where_they_are(
    jem: TinyRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_data(monkeypatch)
    run, _ = open_run(jem.folder)
    with pytest.raises(UserError, match=r'no such file: landscapes.*--data_root=PATH'):
        with_data(run)


def test_the_option_of_training_is_not_named_where_another_one_is_meant(
    jem: TinyRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(options: Any, progress: bool) -> Any:
        raise UserError('no connection; name it by --config.data.root=PATH/EuroSAT.zip')

    monkeypatch.setitem(DATASETS, 'landscapes', DATASETS['landscapes']._replace(from_config=gone))
    run, _ = open_run(jem.folder)
    with pytest.raises(UserError, match=r'name it by --data_root=PATH/EuroSAT\.zip$'):
        with_data(run)


def test_other_data_than_those_of_training_are_refused(copy: Path, jem: TinyRun) -> None:
    config = jem.run.config.copy_and_resolve_references()
    set_key(config, 'data.num_images', 390)
    (copy / 'config.json').write_text(to_json(config))
    run, _ = open_run(copy)
    with pytest.raises(UserError, match=r'splits\.json'):
        with_data(run)


IMAGES = {'bands': ['red', 'green', 'blue'], 'dtype': 'uint8', 'limits': None, 'scale': 1}


def _changed(part: str, key: str, value: Any) -> Callable[[Path], Any]:
    def change(file: Path) -> None:
        plain = json.loads(file.read_text())
        plain['data'][part][key] = value
        file.write_text(json.dumps(plain))

    return change


def test_pixels_of_another_kind_than_those_of_training_are_refused(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = DATASETS['landscapes']

    def read(options: Any, progress: bool) -> Any:
        return real.from_config(options, progress).with_limits(((0.0, 200.0),) * 3)

    monkeypatch.setitem(DATASETS, 'landscapes', real._replace(from_config=read))
    run, _ = open_run(copy)
    with pytest.raises(UserError, match=r'trained on data with rasters images: .* limits None'):
        with_data(run)
    # Nor does training go on with them.
    with pytest.raises(UserError, match=r'trained on data with rasters images: .* limits None'):
        train(run.config, copy)


def test_files_that_came_to_lack_data_are_still_those_of_the_run() -> None:
    """A run that was trained before its files were asked which pixels hold data opens with them."""
    kept = Facts(class_names=('a', 'b'), rasters={'images': Raster()}, label='pixel', size=(8, 8))
    masked = kept._replace(rasters={'images': Raster(missing=True)})
    verify_facts('run', kept, masked)
    verify_facts('run', masked, kept)
    other = kept._replace(rasters={'images': Raster(scale=2, missing=True)})
    with pytest.raises(UserError, match='run: the run was trained on data with rasters'):
        verify_facts('run', kept, other)


def test_data_json_of_other_classes_than_the_config_is_refused(copy: Path, jem: TinyRun) -> None:
    config = jem.run.config.copy_and_resolve_references()
    set_key(config, 'data.classes', 'water=SeaLake+River,Forest')
    (copy / 'config.json').write_text(to_json(config))
    with pytest.raises(UserError, match=r'data\.classes of the config has water, Forest'):
        open_run(copy)


@pytest.mark.parametrize(
    ('damage', 'line'),
    [
        (lambda file: file.unlink(), r'data\.json is not there: train the run first'),
        (lambda file: file.write_text('{"data": {'), r'data\.json is damaged'),
        (lambda file: file.write_text('{"data": {"facts": 3}}'), r'data\.json is damaged'),
        (lambda file: file.write_text('[]'), r'data\.json is damaged'),
        (lambda file: file.write_text('{}'), r"data\.json is damaged.*nothing of 'data'"),
        (_changed('facts', 'class_names', 'abcdefghij'), r'damaged.*a list of different names'),
        (_changed('facts', 'metres', 'ten'), r'damaged.*metres'),
        (_changed('facts', 'rasters', {'images': {**IMAGES, 'dtype': 'uint7'}}), r'damaged.*uint7'),
        (_changed('facts', 'rasters', {'images': {**IMAGES, 'scale': 0}}), r'damaged.*scale 0'),
        (
            _changed('facts', 'rasters', {'images': {**IMAGES, 'limits': [[1, 1]] * 3}}),
            r'lower one',
        ),
        (_changed('counts', 'train', -1), r'damaged.*counts'),
    ],
)
def test_what_is_known_of_the_data_is_checked(
    copy: Path, damage: Callable[[Path], Any], line: str
) -> None:
    damage(copy / 'data.json')
    with pytest.raises(UserError, match=line):
        open_run(copy)


def test_data_json_says_what_people_look_for(jem: TinyRun) -> None:
    kept = json.loads((jem.folder / 'data.json').read_text())['data']
    assert kept['facts']['class_names'][0] == 'AnnualCrop'
    assert kept['facts']['metres'] == 10.0
    assert kept['counts'] == {
        'train': 290, 'validation': 30, 'test': 80, 'labelled': 290, 'unlabelled': 0
    }  # fmt: skip
    assert sum(kept['label_counts']) == 290


@pytest.mark.parametrize(
    ('method', 'model', 'data', 'line'),
    [
        ('supervised', 'wide_resnet', 'landscape_cover', "'landscape_cover' has a class for each"),
        ('segmentation', 'pixel_network', 'landscapes', "'landscapes' has a class for each image"),
    ],
)
def test_a_method_that_cannot_learn_from_the_labels_says_which_can(
    method: str, model: str, data: str, line: str, tmp_path: Path
) -> None:
    config = base_config(method, model, data)
    config.data.size, config.data.num_images = 32, 100
    with pytest.raises(UserError, match=f'{line}.*these methods fit: '):
        runs.prepare(config, tmp_path)


def test_a_run_killed_while_its_first_best_state_was_written_opens_in_the_last(
    jem: TinyRun, copy: Path
) -> None:
    best = copy / 'best'
    shutil.rmtree(best, ignore_errors=True)
    run = jem.run._replace(folder=copy)
    config = run.config.copy_and_resolve_references()
    config.evaluate.checkpoint = 'best'
    run = run._replace(config=config)
    assert state_evaluated(run) == 'last'
    (best / '7.orbax-checkpoint-tmp').mkdir(parents=True)
    assert state_evaluated(run) == 'last'
    load_state(run)
    (best / '7').mkdir()
    assert state_evaluated(run) == 'best'


def test_what_lies_in_a_folder_before_a_run_begins(tmp_path: Path, copy: Path) -> None:
    assert runs.others_in(tmp_path / 'nowhere') == []
    assert runs.others_in(copy) == []  # a run has begun there
    for name in ('photo.jpg', 'a.png', '.DS_Store', 'lock.json', 'output.txt'):
        (tmp_path / name).touch()
    shutil.rmtree(copy)
    assert runs.others_in(tmp_path) == ['a.png', 'photo.jpg']
