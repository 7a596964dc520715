"""What training never saw: left out of it, marked in the test, and ranked pixel by pixel."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image
from scipy.special import logsumexp
from sklearn.metrics import roc_auc_score

from eojax.config.base import base_config, check_config, set_key
from eojax.data import unseen_classes
from eojax.data.dataset import ArraySource, Dataset, Places
from eojax.data.facts import PIXEL_LABELS, UNSEEN, Facts, Raster
from eojax.data.splits import Splits
from eojax.data.value_range import scale_to_unit
from eojax.errors import UserError
from eojax.evaluation.evaluation_set import UNSEEN_LABEL, EvaluationBatch, EvaluationSet
from eojax.evaluation.pixels.clouds import paint_clouds
from eojax.evaluation.pixels.unseen import unseen_pixels
from eojax.runs.opening import open_run
from eojax.runs.run import with_data
from eojax.training.loop import train
from tests.training_runs import rows

NAMES = ('water', 'land', 'road')


def _dataset() -> Dataset:
    """Five places of 8 x 8 pixels: the first without water, the others with more and more."""
    labels = np.ones((5, 8, 8), np.uint8)
    labels[:, 0, 0], labels[:, 0, 1] = 2, 255
    for place in range(5):
        labels[place, 4:, :place] = 0  # 4 pixels of 64 for each
    images = np.zeros((5, 8, 8, 3), np.uint8)
    sides = np.full(5, 8, np.int32)
    places = Places(tuple('abcde'), sides, sides, np.full(5, -1, np.int32))
    facts = Facts(class_names=NAMES, label='pixel', size=(8, 8))
    return Dataset(facts, places, ArraySource({'images': images, PIXEL_LABELS: labels}))


def _numbers(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def test_classes_are_marked_and_the_others_counted_anew() -> None:
    marked = unseen_classes.mark_unseen(_dataset(), ('water',))
    assert marked.class_names == ('land', 'road')
    read = marked.source.read(3, None, (PIXEL_LABELS,))[PIXEL_LABELS]
    assert read[0].tolist() == [1, 255, 0, 0, 0, 0, 0, 0]
    assert read[5].tolist() == [UNSEEN] * 3 + [0] * 5
    (batch,) = EvaluationSet(marked, ('images',), None, 5).batches(np.ones(5, bool))
    assert (batch.labels == UNSEEN_LABEL).sum() == 4 * (0 + 1 + 2 + 3 + 4)
    assert (batch.labels == -1).sum() == 5


def test_places_that_show_an_unseen_class_leave_training_and_no_other_part() -> None:
    marked = unseen_classes.mark_unseen(_dataset(), ('water',))
    splits = Splits(_numbers(0, 1, 2, 3), _numbers(), _numbers(4), _numbers(0, 3), _numbers(1, 2))
    kept = unseen_classes.leave_out(marked, splits, 0.07)  # 4 of 64 pixels are 0.0625
    assert [part.tolist() for part in kept] == [[0, 1], [], [4], [0], [1]]
    with pytest.raises(UserError, match=r'each of the 2 labelled places'):
        unseen_classes.leave_out(marked, splits._replace(labelled=_numbers(2, 3)), 0.07)


def test_names_that_are_no_classes_are_refused() -> None:
    for text, message in (('wood', 'wood'), ('water,land,road', 'all classes')):
        with pytest.raises(UserError, match=message):
            unseen_classes.mark_unseen(_dataset(), unseen_classes.parse(text))
    config = base_config('segmentation', 'pixel_network', 'landscape_cover')
    for key, value in (('data.unseen_classes', 'a,,b'), ('data.unseen_share', 1.0)):
        changed = config.copy_and_resolve_references()
        set_key(changed, key, value)
        with pytest.raises(UserError, match=key):
            check_config(changed)


@pytest.mark.parametrize('dtype', ['uint8', 'int16'])
def test_clouds_hide_what_they_cover_and_leave_the_rest(dtype: str) -> None:
    images = np.random.default_rng(0).integers(20, 60, (3, 48, 48, 2)).astype(dtype)
    raster = Raster(('a', 'b'), dtype, None if dtype == 'uint8' else ((0.0, 100.0), (0.0, 200.0)))
    clouded = paint_clouds(images, raster, cover=0.4)
    assert clouded.images.dtype == images.dtype
    assert (clouded.opacity > 0).mean() == pytest.approx(0.4, abs=0.01)
    clear, hidden = clouded.opacity == 0, clouded.opacity == 1
    np.testing.assert_array_equal(clouded.images[clear], images[clear])
    assert hidden.mean() > 0.05
    top = np.array([255, 255] if dtype == 'uint8' else [100, 200])
    assert (clouded.images[hidden] > 0.5 * top).all()
    np.testing.assert_array_equal(paint_clouds(images, raster, 0.4).images, clouded.images)


def test_probabilities_near_1_are_ranked_too() -> None:
    generator = np.random.default_rng(0)
    away = np.exp(-generator.normal((12.0, 10.0), 1.0, (500, 2))).T  # of max p from 1
    confidence = (1.0 - away).astype(np.float32)[..., None]
    labels = np.array([[[0]] * 500, [[UNSEEN_LABEL]] * 500], np.int32)
    one = np.zeros(2, np.int64)
    batch = EvaluationBatch({}, labels, one, one, one)
    run: Any = SimpleNamespace(
        method=SimpleNamespace(abilities={}, rasters=('images',)),
        config=SimpleNamespace(evaluate=SimpleNamespace(outliers='')),
    )
    tested = EvaluationSet(_dataset(), ('images',), None, 5)
    evaluator = unseen_pixels(run, None, tested)
    outputs = {'confidence': confidence, 'pixel_log_sum_exp': confidence}
    numbers = evaluator.finish(evaluator.update(evaluator.start(), outputs, batch)).numbers
    expected = roc_auc_score(np.repeat([1, 0], 500), confidence.reshape(-1))
    assert expected > 0.9
    assert numbers['auroc_unseen_max_probability'] == pytest.approx(expected, abs=1e-3)


def test_a_run_ranks_pixels_as_scikit_learn_does(tmp_path: Path) -> None:
    other = tmp_path / 'other'
    other.mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (40, 20, 3), np.uint8)
    Image.fromarray(pixels).save(other / 'one.png')
    config = base_config('seg_jem', 'pixel_network', 'landscape_cover')
    values: dict[str, Any] = {
        'steps': 2, 'batch_size': 4, 'log_every': 1, 'evaluate_every': 2, 'checkpoint_every': 2,
        'tensorboard': False, 'data.size': 32, 'data.num_images': 48, 'data.regions': 16,
        'data.unseen_classes': 'water', 'data.unseen_share': 0.0, 'model.width': 4,
        'model.kernel': 3, 'method.window': 16, 'method.chain_window': 8,
        'method.supervised_steps': 1, 'method.score_matching_weight': 0.1,
        'sampler.steps': 1, 'sampler.buffer_size': 20, 'sampler.start': 'gaussian',
        'optimizer.warmup_steps': 0, 'evaluate.batch_size': 5, 'evaluate.outlier_images': 3,
        'evaluate.outliers': f'other={other}', 'evaluate.keep_reference': False,
    }  # fmt: skip
    for key, value in values.items():
        set_key(config, key, value)
    folder = tmp_path / 'run'
    train(config, folder)
    logged = rows(folder)
    assert [row['step'] for row in logged] == [1, 2]
    assert all(np.isfinite(row['loss']) for row in logged)
    assert 'sampler_gradient' in logged[-1]
    assert 'score_matching' in logged[0]
    assert (folder / 'evaluation' / 'unseen_pixels.png').stat().st_size > 0
    numbers = json.loads((folder / 'evaluation' / 'evaluation.json').read_text())

    run, state = open_run(folder, 'last')
    run = with_data(run)
    assert 'water' not in run.facts.class_names
    source = run.dataset.source
    for place in run.splits.train.tolist():
        assert (source.read(place, None, (PIXEL_LABELS,))[PIXEL_LABELS] != UNSEEN).all()
    read = [source.read(p, None, ('images', PIXEL_LABELS)) for p in run.splits.test.tolist()]
    labels = np.stack([one[PIXEL_LABELS] for one in read])

    def outputs(images: np.ndarray) -> dict[str, np.ndarray]:
        shown = scale_to_unit(images)
        logits = run.method.abilities['pixel_logits'](state, shown, jax.random.key(0))
        density = logsumexp(np.asarray(logits, np.float64), -1)
        return {
            'log_density': density,
            'max_probability': np.exp(np.asarray(logits).max(-1) - density),
        }

    tested = outputs(np.stack([one['images'] for one in read]))
    others = outputs(
        np.asarray(Image.open(other / 'one.png').resize((32, 32), Image.BICUBIC))[None]
    )
    for score, values_of in tested.items():
        known, unseen = values_of[labels < UNSEEN], values_of[labels == UNSEEN]
        assert len(unseen) > 50
        for name, outside in (('unseen', unseen), ('other', others[score].reshape(-1))):
            truth = np.repeat([1, 0], [len(known), len(outside)])
            expected = roc_auc_score(truth, np.concatenate([known, outside]))
            assert numbers[f'auroc_{name}_{score}'] == pytest.approx(expected, abs=2e-3)
        for name in ('uniform_noise', 'constant', 'clouds'):
            assert 0.0 <= numbers[f'auroc_{name}_{score}'] <= 1.0
