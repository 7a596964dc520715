"""Learning from two data sets through the loop: fed, resumed, rolled back, and used afterwards."""

from __future__ import annotations

import hashlib
import json
import signal
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from eojax.data import split_record
from eojax.data.sets import DATASETS
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.evaluation import evaluate, reference
from eojax.evaluation.scoring import score
from eojax.feed.pipeline import draw_batch
from eojax.feed.streams import Stream
from eojax.methods import METHODS
from eojax.runs import run as runs
from eojax.runs.opening import load_state, open_run
from eojax.runs.run import with_data
from eojax.training import loop as train
from eojax.training.stopping import Stopped
from tests import two_domains
from tests.process_groups import start_processes, wait_for
from tests.training_runs import assert_same_bits, rows, saved_state, stop_at
from tests.two_domains import SOURCE_LIMITS, add_two_domains, two_domain_config


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    add_two_domains(monkeypatch)
    monkeypatch.setattr(evaluate, 'evaluate_run', lambda run, state, out: out)
    monkeypatch.setattr(reference, 'keep', lambda run, state: None)


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run from end to end, both domains on the devices."""
    folder = tmp_path_factory.mktemp('whole')
    with pytest.MonkeyPatch.context() as patch:
        add_two_domains(patch)
        patch.setattr(evaluate, 'evaluate_run', lambda run, state, out: out)
        patch.setattr(reference, 'keep', lambda run, state: None)
        train.train(two_domain_config(), folder)
    return folder


def test_each_phase_learns_from_its_domains(whole: Path) -> None:
    first = saved_state(whole, 0)
    after_source = saved_state(whole, 4)
    end = saved_state(whole, 12)
    (source,) = (name for name in end if name.endswith('source'))
    (target,) = (name for name in end if name.endswith('target'))
    assert end[source].shape == (20 * 20 * 2, 10)
    assert end[target].shape == (16 * 16 * 3, 10)
    assert (after_source[source] != first[source]).any()
    np.testing.assert_array_equal(after_source[target], first[target])
    assert (end[target] != first[target]).any()
    found = rows(whole)
    assert {row['phase'] for row in found if 'phase' in row} == {'source', 'both'}
    assert all(np.isfinite(row['loss']) for row in found if 'loss' in row)
    assert 'validation_accuracy' in found[-1]


def test_streams_of_both_domains_are_scaled_by_their_own_limits(tmp_path: Path) -> None:
    config = two_domain_config(data__resident_gigabytes=0.0)
    run = runs.prepare(config, tmp_path)
    assert run.feed.streamed
    limits = {group: facts.images.limits for group, facts in run.facts_by_group.items()}
    assert limits == {'data': None, 'source': SOURCE_LIMITS}
    assert run.domains is not None
    assert run.task.source == run.facts_by_group['source']
    assert run.task.source_shape == (20, 20, 2)
    source = run.domains['source'].training
    assert run.task.image_shape == (16, 16, 3)
    streams = {'a': Stream('unlabelled', 4), 'b': Stream('train', 4, data='source')}
    key = random.key(0)
    feed = run.feed.feed(streams, sharding.place_key(key, run.mesh), 0)
    batch = draw_batch(feed, streams, key, jnp.int32(0), run.facts_by_group)
    run.feed.close()
    assert (np.asarray(batch['a']['labels']) == -1).all()  # two labels a class; the source has all
    np.testing.assert_array_equal(batch['b']['labels'], source.labels[batch['b']['index']])
    stored = source.images[np.asarray(batch['b']['index'])].astype(np.float64)
    low, high = np.array(SOURCE_LIMITS).T
    expected = (2 * (stored - low) / (high - low) - 1).clip(-1, 1)
    np.testing.assert_allclose(batch['b']['images'], expected, atol=1e-5)


def test_the_targets_split_does_not_depend_on_the_source(whole: Path, tmp_path: Path) -> None:
    alone = two_domain_config().copy_and_resolve_references()
    with alone.unlocked():
        del alone['source']
    domain = runs.load_domains(alone)['data']
    kept = split_record.read(whole / 'splits.json')
    assert kept == domain.record
    names = [domain.dataset.names[i] for i in domain.splits.labelled]
    text = ''.join(f'{name}\0' for name in names)
    assert kept.parts['labelled'].sha256 == hashlib.sha256(text.encode()).hexdigest()
    source = split_record.read(whole / 'source_splits.json').parts
    assert source['labelled'].places == source['train'].places == 110  # 15 a class: 3 + 1 held out
    assert source['unlabelled'].places == 0


@pytest.mark.parametrize('group', ['data', 'source'])
def test_either_domain_may_be_streamed(group: str, whole: Path, tmp_path: Path) -> None:
    train.train(two_domain_config(**{f'{group}__resident_gigabytes': 0.0}), tmp_path)
    expected = saved_state(whole)
    # Another program around the same batches: the same up to the order of sums.
    for name, value in saved_state(tmp_path).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-6, err_msg=name)
    assert [row['step'] for row in rows(tmp_path)] == [row['step'] for row in rows(whole)]


def test_stopped_and_resumed_equals_uninterrupted(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (3, 7):  # in each phase
        stop_at(monkeypatch, step, signal.SIGTERM)
        with pytest.raises(Stopped):
            train.train(two_domain_config(), tmp_path)
    train.train(two_domain_config(), tmp_path)
    assert_same_bits(saved_state(whole), saved_state(tmp_path))
    assert rows(whole) == rows(tmp_path)


def test_a_run_does_not_go_on_with_another_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, 2, signal.SIGTERM)
    with pytest.raises(Stopped):
        train.train(two_domain_config(), tmp_path)
    with pytest.raises(UserError, match=r'source\.num_images: 150 -> 160'):
        train.train(two_domain_config(source__num_images=160), tmp_path)
    file = tmp_path / 'source_splits.json'
    kept = json.loads(file.read_text())
    kept['parts']['train']['sha256'] = '0' * 64
    file.write_text(json.dumps(kept))
    with pytest.raises(UserError, match=r'source_splits\.json: train is not that of this data'):
        train.train(two_domain_config(), tmp_path)


def test_a_rollback_builds_the_method_with_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[tuple[bool, float]] = []
    original = two_domains.TWO_DOMAINS.build

    def build(config: Any, task: Any) -> Any:
        built.append((task.source is not None, config.optimizer.learning_rate))
        return original(config, task)

    monkeypatch.setitem(METHODS, 'two_domains', two_domains.TWO_DOMAINS._replace(build=build))
    # The rate is beyond reason until it has been cut to a thousandth, twice.
    config = two_domain_config(
        optimizer__learning_rate=1e4, recovery__rate_factor=1e-3, recovery__max_loss=50.0
    )
    train.train(config, tmp_path)
    assert built[0] == (True, 1e4)
    assert len(built) > 2
    assert all(has_source for has_source, _ in built)
    assert built[-1][1] < 1e-1
    assert any(row.get('event') == 'diverged' for row in rows(tmp_path))


def test_what_was_learnt_is_used_without_the_source(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.prepare(two_domain_config(), whole)
    _, state = load_state(run, 'last')
    expected = score(run, 'logits', state, run.dataset.images, run.splits.test)

    def gone(options: Any, progress: bool) -> Any:
        raise UserError('the source is not there')

    monkeypatch.setitem(DATASETS, 'two_bands', DATASETS['two_bands']._replace(from_config=gone))
    opened, state = open_run(whole)
    assert opened.domains is None
    images = run.dataset.images
    np.testing.assert_array_equal(score(opened, 'logits', state, images, run.splits.test), expected)
    # What is known of the source is what training knew.
    assert opened.known == run.known
    assert opened.known['source'].facts.images.limits == SOURCE_LIMITS
    with pytest.raises(UserError, match='the source is not there'):
        with_data(opened, 'source')
    with pytest.raises(UserError, match='the source is not there'):
        train.train(two_domain_config(), whole)


_PROGRAM = """
import sys
from pathlib import Path

import jax
import pytest

from eojax.evaluation import evaluate, reference
from eojax.training import loop as train
from tests.two_domains import add_two_domains, two_domain_config

assert jax.device_count() == 2
add_two_domains(pytest.MonkeyPatch())
evaluate.evaluate_run = lambda run, state, out: out
reference.keep = lambda run, state: None
train.train(two_domain_config(source__resident_gigabytes=0.0), Path(sys.argv[1]))
"""


def test_two_devices_train_the_same(whole: Path, tmp_path: Path) -> None:
    logs = tmp_path / 'logs'
    group = start_processes(1, 2, ['-c', _PROGRAM, str(tmp_path / 'run')], logs)
    assert wait_for(group) == [0], (logs / '0.log').read_text()
    expected = saved_state(whole)
    for name, value in saved_state(tmp_path / 'run').items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5, err_msg=name)
