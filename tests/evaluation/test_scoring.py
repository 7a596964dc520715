from __future__ import annotations

import jax
import numpy as np
import pytest
from jax import random
from scipy.special import logsumexp, softmax

from eojax.errors import UserError
from eojax.evaluation.scoring import alone, score, score_all, score_batches, scores_of
from eojax.runs.run import Run
from eojax.samplers.keys import keys_of_images
from tests.tiny_runs import TinyRun, tiny_run


@pytest.fixture(scope='module')
def jem() -> TinyRun:
    return tiny_run('jem')


@pytest.fixture(scope='module')
def supervised() -> TinyRun:
    return tiny_run('supervised')


def _images(num: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (num, 16, 16, 3), dtype=np.uint8)


def test_scores_follow_from_the_logits(jem):
    images = _images(40)
    scores = score_all(jem.run, ('logits', 'log_sum_exp', 'max_probability'), jem.state, images)
    logits = score(jem.run, 'logits', jem.state, images)
    np.testing.assert_allclose(scores['logits'], logits, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(scores['log_sum_exp'], logsumexp(logits, -1), rtol=1e-5)
    np.testing.assert_allclose(scores['max_probability'], softmax(logits, -1).max(-1), rtol=1e-5)


def test_gradient_is_that_of_log_density_by_finite_differences(jem):
    image = np.random.default_rng(1).uniform(-0.5, 0.5, (1, 16, 16, 3)).astype(np.float32)
    functions, key = scores_of(jem.run.method), random.key(3)
    found = -float(functions['gradient'](jem.state, image, key)[0])
    slope = jax.grad(lambda x: functions['log_density'](jem.state, x, key).sum())(image)
    direction = np.asarray(slope) / np.linalg.norm(slope)
    step = 1e-2
    ahead, behind = (
        float(functions['log_density'](jem.state, image + sign * step * direction, key)[0])
        for sign in (1, -1)
    )
    assert found == pytest.approx((ahead - behind) / (2 * step), rel=0.02)


def test_a_method_of_logits_alone_has_scores_of_them(supervised):
    run = _logits_alone(supervised.run)
    functions = scores_of(run.method)
    ranking = {'log_sum_exp', 'max_probability', 'gradient'}
    assert set(functions) == {'logits', *ranking, 'roughness', 'grain'}
    with pytest.raises(UserError, match="'supervised' cannot log density; these can: "):
        score(run, 'log_density', supervised.state, _images(3))
    # The gradient is then that of log-sum-exp.
    images = _images(3)
    own = score(supervised.run, 'gradient', supervised.state, images)
    np.testing.assert_allclose(score(run, 'gradient', supervised.state, images), own, rtol=1e-5)


def _logits_alone(run: Run) -> Run:
    abilities = {'logits': run.method.abilities['logits']}
    return run._replace(method=run.method._replace(abilities=abilities), programs={})


def test_batches_of_a_stream_keep_their_sizes_and_compile_once(jem, caplog):
    images = _images(70)
    sizes = [32, 32, 6]
    parts = np.split(images, np.cumsum(sizes)[:-1])
    names = ('log_density', 'max_probability')
    whole = score_all(jem.run, names, jem.state, images)
    with jax.log_compiles(), caplog.at_level('WARNING'):
        found = list(score_batches(jem.run, names, jem.state, iter(parts)))
        assert not [r for r in caplog.records if 'Finished XLA compilation' in r.message]
        jax.jit(lambda x: x + 1)(np.zeros(3))  # the log does say it when something is compiled
        assert [r for r in caplog.records if 'Finished XLA compilation' in r.message]
    assert [len(part['log_density']) for part in found] == sizes
    for name in names:
        np.testing.assert_array_equal(np.concatenate([p[name] for p in found]), whole[name])


def test_scores_do_not_depend_on_place_or_neighbours(jem):
    """The input noise is that of the image: in another order, alone, twice, among others."""
    assert jem.run.config.method.input_noise > 0
    images, names = _images(70), ('logits', 'log_density', 'gradient', 'features')
    whole = score_all(jem.run, names, jem.state, images)
    order = np.random.default_rng(1).permutation(70)
    turned = score_all(jem.run, names, jem.state, images, order)
    few = score_all(jem.run, names, jem.state, images[[41, 41, 3]])
    # But for the last bits: on some CPUs a product of matrices sums by the row's place.
    for name in names:
        for given, places in ((turned, order), (few, [41, 41, 3])):
            np.testing.assert_allclose(given[name], whole[name][places], rtol=1e-5, atol=1e-5)
    # Another image has other noise, and so have other seeds.
    keys = random.key_data(keys_of_images(random.key(0), images))
    assert len(np.unique(keys, axis=0)) == 70
    others = random.key_data(keys_of_images(random.key(1), images))
    assert not (keys == others).all(1).any()


@pytest.mark.parametrize('dtype', [np.uint8, np.int16, np.uint16, np.float32])
def test_every_value_of_an_image_enters_its_key(dtype):
    images = np.tile(_images(1), (4, 1, 1, 1)).astype(dtype)
    images[1, 3, 4, 2] += 1  # a value more
    images[2] = images[2, ::-1]  # the same values elsewhere
    further = np.zeros((4, 2), np.uint8)
    further[3, 1] = 1  # of another raster
    keys = random.key_data(keys_of_images(random.key(0), images, further))
    assert len(np.unique(keys, axis=0)) == 4


def test_a_stream_is_read_one_batch_ahead_and_no_more(jem):
    read = []

    def batches():
        for number in range(4):
            read.append(number)
            yield _images(32)

    stream = score_batches(jem.run, ('log_density',), jem.state, batches())
    next(stream)
    assert read == [0, 1]
    next(stream)
    assert read == [0, 1, 2]


def test_one_process_is_alone_already(jem):
    run, state = alone(jem.run, jem.state)
    assert run is jem.run
    assert state is jem.state
