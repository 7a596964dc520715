from __future__ import annotations

import jax
import numpy as np
import pytest
from scipy.special import logsumexp

from eojax.evaluation import reference as references
from eojax.evaluation.outliers import spread
from eojax.evaluation.reference import density_name, reference_scores
from eojax.evaluation.scoring import score
from tests.tiny_runs import TinyRun, tiny_run
from tests.trained_states import with_trained


@pytest.fixture
def jem(tmp_path) -> TinyRun:
    """A tiny run whose folder is this test's own."""
    made = tiny_run('jem')
    return made._replace(run=made.run._replace(folder=tmp_path), folder=tmp_path)


def _counted(monkeypatch) -> list[tuple[str, ...]]:
    """The names of the scores of each call that computes some."""
    calls = []
    original = references.score_all

    def counting(run, names, *rest):
        calls.append(tuple(names))
        return original(run, names, *rest)

    monkeypatch.setattr(references, 'score_all', counting)
    return calls


def test_scores_are_those_of_training_images(jem, monkeypatch):
    monkeypatch.setitem(references.IMAGES, 'train', 50)
    found = reference_scores(jem.run, jem.state, ('log_density',))['log_density']
    chosen = jem.run.splits.train[spread(len(jem.run.splits.train), 50)]
    images = jem.run.dataset.images[chosen]
    np.testing.assert_array_equal(found, score(jem.run, 'log_density', jem.state, images))
    assert found.shape == (50,)


def test_what_is_kept_is_not_computed_again(jem, monkeypatch):
    calls = _counted(monkeypatch)
    first = reference_scores(jem.run, jem.state, ('log_density',))
    again = reference_scores(jem.run, jem.state, ('log_density', 'max_probability'))
    third = reference_scores(jem.run, jem.state, ('max_probability', 'log_density'))
    assert calls == [('log_density',), ('max_probability',)]
    np.testing.assert_array_equal(first['log_density'], again['log_density'])
    np.testing.assert_array_equal(third['log_density'], again['log_density'])
    np.testing.assert_array_equal(third['max_probability'], again['max_probability'])


def test_another_training_of_as_many_steps_is_not_mistaken(jem, monkeypatch):
    calls = _counted(monkeypatch)
    reference_scores(jem.run, jem.state, ('log_density',))
    other = with_trained(
        jem.state, average=jax.tree.map(lambda x: 1.01 * x, jem.state.trained.average)
    )
    reference_scores(jem.run, other, ('log_density',))
    assert len(calls) == 2


def test_a_damaged_file_is_computed_anew(jem, monkeypatch):
    calls = _counted(monkeypatch)
    first = reference_scores(jem.run, jem.state, ('log_density',))
    (file,) = (jem.folder / 'reference').iterdir()
    file.write_bytes(file.read_bytes()[:100])
    again = reference_scores(jem.run, jem.state, ('log_density',))
    assert len(calls) == 2
    np.testing.assert_array_equal(first['log_density'], again['log_density'])
    with open(file, 'wb') as other:
        np.save(other, np.zeros(3))  # an array, and no archive of them
    reference_scores(jem.run, jem.state, ('log_density',))
    assert len(calls) == 3


def test_a_folder_that_cannot_be_written_to_is_said(jem, capsys):
    (jem.folder / 'reference').write_text('in the way')
    found = reference_scores(jem.run, jem.state, ('log_density',))
    assert np.isfinite(found['log_density']).all()
    assert 'could not be written' in capsys.readouterr().err


def test_log_sum_exp_stands_in_where_there_is_no_density(jem):
    assert density_name(jem.run.method) == 'log_density'
    abilities = {'logits': jem.run.method.abilities['logits']}
    run = jem.run._replace(method=jem.run.method._replace(abilities=abilities), programs={})
    assert density_name(run.method) == 'log_sum_exp'
    found = reference_scores(run, jem.state, ('log_sum_exp',))['log_sum_exp']
    logits = score(run, 'logits', jem.state, run.dataset.images, run.splits.train)
    np.testing.assert_allclose(found, logsumexp(logits, -1), rtol=1e-5)
