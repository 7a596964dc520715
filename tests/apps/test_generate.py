from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image
from scipy.special import logsumexp, softmax

from eojax.apps import generate
from eojax.apps.generate import Request
from eojax.data.sets.landscapes import CLASS_NAMES
from eojax.errors import UserError
from eojax.evaluation import sampling
from eojax.evaluation.scoring import score
from eojax.feed.pipeline import to_uint8
from eojax.samplers import langevin
from tests.tiny_runs import TinyRun, tiny_run


@pytest.fixture(scope='module')
def jem() -> TinyRun:
    return tiny_run('jem')


@pytest.fixture(scope='module')
def rivers(jem, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('out') / 'rivers'
    generate.main([f'--workdir={jem.folder}', '--num=10', '--class=River', f'--out={out}'])
    return out


def _read(out: Path) -> dict[str, Any]:
    with np.load(out / 'samples.npz', allow_pickle=False) as file:
        return dict(file)


def _fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        generate.main(arguments)
    assert stopped.value.code == 1
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith('eojax:')]
    assert len(lines) == 1
    return lines[0]


def test_writes_what_it_says(rivers):
    names = {path.name for path in rivers.iterdir()}
    images = {f'image_{number:04d}.png' for number in range(10)}
    assert names == images | {'grid.png', 'filmstrip.png', 'samples.npz'}


def test_npz_holds_the_images_as_written_and_what_the_model_says_of_them(jem, rivers):
    made = _read(rivers)
    assert made['images'].shape == (10, 16, 16, 3)
    assert made['images'].dtype == np.uint8
    assert made['log_density'].dtype == np.float32
    for number, image in enumerate(made['images']):
        with Image.open(rivers / f'image_{number:04d}.png') as file:
            np.testing.assert_array_equal(np.asarray(file), image)
    logits = score(jem.run, 'logits', jem.state, made['images'])
    np.testing.assert_array_equal(made['predicted'], logits.argmax(1))
    np.testing.assert_allclose(made['log_density'], logsumexp(logits, axis=1), rtol=1e-4)
    assert made['predicted_names'].tolist() == [CLASS_NAMES[i] for i in made['predicted']]
    assert set(made['requested']) == {CLASS_NAMES.index('River')}


def test_chains_of_a_class_raise_its_logit(jem):
    """A chain without noise climbs log p(x, y), from the images most probable of the class."""
    label = 8
    # Within [-1, 1], where the images as written are those of the chain.
    starts = generate.choose_starts(jem.run, jem.state, Request(12, label))
    before, _ = _logits(jem, starts.images)
    chain = langevin.Langevin(steps=3, step_size=0.02, noise=0.0)
    ends = sampling.sample_batch(jem.run, jem.state, starts, 0, chain, number=0)[:12]
    after, _ = _logits(jem, np.asarray(ends))
    assert (after[:, label] > before[:, label]).all()


def _logits(case: TinyRun, images: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    key = jax.random.key(0)
    logits = np.asarray(case.run.method.abilities['logits'](case.state, images, key))
    return logits, softmax(logits, axis=1)


def test_starts_of_a_class_are_those_most_probable_of_it(jem):
    starts = generate.choose_starts(jem.run, jem.state, Request(6, 3))
    buffer = np.asarray(jem.state.replay_buffer.images).reshape(-1, 16, 16, 3)
    _, chosen = _logits(jem, starts.images)
    _, everything = _logits(jem, buffer)
    assert np.median(chosen[:, 3]) > np.quantile(everything[:, 3], 0.85)
    assert starts.conditional
    assert set(starts.labels) == {3}


def test_starts_from_the_buffer_are_different_images_of_it(jem):
    starts = generate.choose_starts(jem.run, jem.state, Request(40, seed=3))
    buffer = np.asarray(jem.state.replay_buffer.images).reshape(-1, 16 * 16 * 3)
    kept = {image.tobytes() for image in buffer}
    assert starts.images is not None
    drawn = {image.tobytes() for image in starts.images}
    assert len(drawn) == 40
    assert drawn <= kept
    assert not starts.conditional


def test_noise_starts_are_uniform_and_fresh_ones_the_samplers_own(jem):
    noise = generate.choose_starts(jem.run, jem.state, Request(20, start='noise'))
    assert noise.images is not None
    assert np.std(noise.images) == pytest.approx(3**-0.5, abs=0.01)
    fresh = generate.choose_starts(jem.run, jem.state, Request(20, start='fresh'))
    assert fresh.images is None
    assert np.bincount(fresh.labels).tolist() == [2] * 10


def test_film_begins_at_the_starts_and_ends_at_the_images(jem):
    request = Request(5, start='noise', steps=9, seed=1)
    made = generate.generate(jem.run, jem.state, request)
    assert made.film_steps == [0, 2, 4, 6, 8, 9]
    assert made.film.shape == (6, 5, 16, 16, 3)
    starts = generate.choose_starts(jem.run, jem.state, request)
    assert starts.images is not None
    first = np.round((np.clip(starts.images, -1, 1) + 1) * 127.5)
    np.testing.assert_array_equal(made.film[0], first)
    np.testing.assert_array_equal(made.film[-1], made.images)
    assert (made.requested == -1).all()
    # One step is small: the course is one chain, not several.
    near = np.abs(made.film[-2].astype(int) - made.film[-1]).mean()
    far = np.abs(made.film[0].astype(int) - made.film[-1]).mean()
    assert 0 < near < far / 2


def test_a_last_frame_that_is_the_end_is_there_once(jem):
    made = generate.generate(jem.run, jem.state, Request(3, start='noise', steps=3))
    assert made.film_steps == [0, 1, 2, 3]
    np.testing.assert_allclose(made.film[-1].astype(int), made.images.astype(int), atol=1)


def test_the_film_of_the_buffers_chains_shows_how_chains_get_there(jem):
    made = generate.generate(jem.run, jem.state, Request(3, label=2))
    fresh = generate.generate(jem.run, jem.state, Request(3, label=2, start='fresh'))
    assert made.film.shape[1:] == (3, 16, 16, 3)
    alone = sampling.sample_batch(
        jem.run, jem.state, sampling.Starts(np.full(3, 2, np.int32), None, True), 0,
        langevin.Langevin(steps=1), 0, every=1, size=3,
    )  # fmt: skip
    np.testing.assert_array_equal(made.film[0], to_uint8(alone)[0])
    assert made.film_steps[-1] >= fresh.film_steps[-1]
    assert not np.array_equal(made.images, fresh.images)


def test_the_number_asked_for_does_not_change_the_first_ones(jem):
    """Fresh starts need no buffer: batches are filled up, and each has a key of its own."""
    few = sampling.draw_samples(jem.run, jem.state, _fresh(5), seed=2)
    many = sampling.draw_samples(jem.run, jem.state, _fresh(20), seed=2)
    assert (len(few), len(many)) == (5, 20)
    # Starts are textures of the classes in turn, of which the filling repeats the first five.
    np.testing.assert_array_equal(few, many[:5])
    assert len({image.tobytes() for image in many}) == 20
    other = sampling.draw_samples(jem.run, jem.state, _fresh(5), seed=3)
    assert (other != few).any()


def _fresh(num: int) -> sampling.Starts:
    return sampling.Starts(np.arange(num, dtype=np.int32) % 5)


def test_mistakes_are_one_line(jem, tmp_path, capsys):
    run, out = f'--workdir={jem.folder}', f'--out={tmp_path}/out'
    assert "did you mean 'River'" in _fails([run, out, '--class=Rivr'], capsys)
    assert '--num must be at least 1' in _fails([run, out, '--num=0'], capsys)
    assert '--steps must be at least 1' in _fails([run, out, '--steps=-2'], capsys)
    assert '--step_size must be positive' in _fails([run, out, '--step_size=nan'], capsys)
    assert '--seed must lie between 0 and' in _fails([run, out, f'--seed={2**32}'], capsys)
    assert '2 of 2 chains have diverged' in _fails([run, out, '--num=2', '--noise=1e39'], capsys)
    assert 'holds 120 images' in _fails([run, out, '--num=121'], capsys)
    (tmp_path / 'file').write_text('')
    error = _fails([run, f'--out={tmp_path}/file'], capsys)
    assert f'{tmp_path}/file cannot be written to' in error


def test_a_method_that_cannot_sample_says_who_can(tmp_path, capsys):
    case = tiny_run('supervised')
    error = _fails([f'--workdir={case.folder}', f'--out={tmp_path}'], capsys)
    assert "'supervised' cannot sample" in error
    assert 'jem' in error


def test_chains_from_elsewhere_are_as_long_as_the_buffers_get(jem):
    for request, steps in (
        (Request(1), 3),
        (Request(1, start='noise'), 60),
        (Request(1, start='noise', steps=7), 7),
    ):
        chain = generate.choose_chain(jem.run, request)
        assert chain is not None
        assert chain.steps == steps
    with pytest.raises(UserError, match='has no chains: leave out --noise'):
        generate.choose_chain(tiny_run('supervised').run, Request(1, noise=0.1))
