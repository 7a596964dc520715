from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np
import pytest
import rasterio
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import eojax
from eojax.apps import demo, export, generate
from eojax.apps.report import command as report
from eojax.evaluation import command as evaluate
from eojax.evaluation import reference
from eojax.evaluation.guarantees import sample
from eojax.evaluation.scoring import score_all
from eojax.exporting.card_of_run import Words
from eojax.exporting.export_run import Wishes, export_run
from eojax.runs.opening import open_run
from eojax.weights import run_file, spectra
from eojax.weights.unpacked import unpacked
from tests.tiny_runs import tiny_run

WISHES = Wishes('last', buffer=20, examples=8, words=Words(title='a tiny run', licence='MIT'))


@pytest.fixture(scope='module', autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('EOJAX_CACHE', str(tmp_path_factory.mktemp('cache')))
        yield


@pytest.fixture(scope='module')
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a tiny joint model."""
    tiny = tiny_run('jem')
    out = tmp_path_factory.mktemp('exported') / 'tiny.safetensors'
    reference.texture(tiny.run)  # what training would have left
    reference.examples(tiny.run)
    export_run(tiny.run, tiny.state, WISHES, out)
    return out


def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)


@pytest.mark.parametrize('method', ['jem', 'supervised'])
def test_an_exported_run_computes_what_the_run_does(method: str, tmp_path: Path) -> None:
    tiny = tiny_run(method)
    file = tmp_path / 'run.safetensors'
    export_run(tiny.run, tiny.state, WISHES, file)
    run, state = open_run(file)
    names = tuple({'logits', 'log_density', 'features'} & set(run.method.abilities))
    before = score_all(tiny.run, names, tiny.state, images())
    after = score_all(run, names, state, images())
    for name in names:
        np.testing.assert_array_equal(before[name], after[name])


def test_chains_go_on_from_the_images_of_the_buffer_that_were_kept(
    exported: Path, tmp_path: Path
) -> None:
    run, state = open_run(exported)
    assert state.replay_buffer.images.shape == (1, 20, 16, 16, 3)
    whole = np.asarray(tiny_run('jem').state.replay_buffer.images).reshape(-1, 16, 16, 3)
    kept = np.asarray(state.replay_buffer.images)[0]
    nearest = np.abs(kept[:, None] - whole[None]).max((2, 3, 4)).min(1)
    assert nearest.max() <= 0.5 / 127.5 + 1e-6  # rounded to 8 bits
    made = generate.generate(run, state, generate.Request(4))
    assert made.images.shape == (4, 16, 16, 3)


def test_the_file_tells_nothing_of_the_machine_and_is_the_same_each_time(
    exported: Path, tmp_path: Path
) -> None:
    content = run_file.read(exported)
    assert json.loads(content.texts['config.json'])['data']['root'] == ''
    assert str(tiny_run('jem').folder).encode() not in exported.read_bytes()
    assert len(content.arrays['reference/examples']['labels']) == 8
    tiny = tiny_run('jem')
    export_run(tiny.run, tiny.state, WISHES, tmp_path / 'again.safetensors')
    assert (tmp_path / 'again.safetensors').read_bytes() == exported.read_bytes()


def test_textures_need_no_data(exported: Path) -> None:
    run, _ = open_run(exported)
    kept, whole = reference.texture(run), reference.texture(tiny_run('jem').run)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9), kept, whole)


def test_guarantees_need_no_data(exported: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    tiny = tiny_run('jem')
    own = sample.arrays_of(sample.validation_sample(tiny.run, tiny.state))
    run, state = open_run(exported)

    def no_data(run: object) -> None:
        raise eojax.UserError('the data are elsewhere')

    monkeypatch.setattr(sample, 'with_data', no_data)
    kept = sample.arrays_of(sample.validation_sample(run, state))
    assert kept.keys() == own.keys() >= {'logits', 'labels', 'blocks', 'log_density'}
    for name, values in own.items():
        np.testing.assert_array_equal(kept[name], values)
    # Where nothing was kept and the data are elsewhere, a line says what the file cannot do.
    for file in tiny.run.folder.glob('reference/validation_*'):
        file.rename(tmp_path / file.name)
    out = tmp_path / 'without.safetensors'
    export_run(tiny.run, tiny.state, WISHES, out)
    assert 'give no guarantees' in capsys.readouterr().err
    versions = []
    for path in (exported, out):
        with safe_open(path, framework='numpy') as file:
            versions.append(file.metadata()['format_version'])
    assert versions == ['2', '1']  # an older eojax still reads the second


def test_of_many_places_some_go_along() -> None:
    num = 1000
    whole = sample.Sample(
        np.arange(2 * num, dtype=np.float32).reshape(num, 2), np.arange(num, dtype=np.int32),
        np.arange(num, dtype=np.int32) // 10, True, np.arange(num, dtype=np.float32),
    )  # fmt: skip
    some = sample.thinned(whole, 300)
    assert len(np.unique(some.labels)) == 300
    np.testing.assert_array_equal(some.logits, whole.logits[some.labels])
    np.testing.assert_array_equal(some.blocks, some.labels // 10)
    np.testing.assert_array_equal(some.log_density, some.labels)
    assert some.labels.mean() == pytest.approx(num / 2, abs=50)  # three deviations
    np.testing.assert_array_equal(sample.thinned(whole, 300).labels, some.labels)
    assert sample.thinned(whole, num) is whole


def test_a_damaged_file_is_known_as_such(exported: Path, tmp_path: Path) -> None:
    data = bytearray(exported.read_bytes())
    data[-100] ^= 1
    (tmp_path / 'bad.safetensors').write_bytes(data)
    with pytest.raises(eojax.UserError, match='is damaged: its contents are not those'):
        open_run(tmp_path / 'bad.safetensors')
    (tmp_path / 'cut.safetensors').write_bytes(data[:1000])
    with pytest.raises(eojax.UserError, match='is no trained run in a file, or a damaged one'):
        open_run(tmp_path / 'cut.safetensors')


def test_files_of_others_and_newer_ones_are_refused(exported: Path, tmp_path: Path) -> None:
    save_file({'x': np.zeros(2, np.float32)}, tmp_path / 'other.safetensors')
    with pytest.raises(eojax.UserError, match='no trained run of eojax'):
        open_run(tmp_path / 'other.safetensors')
    newer = {'format': run_file.FORMAT, 'format_version': '99'}
    save_file(load_file(exported), tmp_path / 'new.safetensors', newer)
    with pytest.raises(eojax.UserError, match='install a newer eojax'):
        open_run(tmp_path / 'new.safetensors')


def test_a_file_cannot_name_files_outside_its_folder(exported: Path, tmp_path: Path) -> None:
    content = run_file.read(exported)
    for changed in (
        content._replace(texts={**content.texts, '../evil': 'x'}),
        content._replace(arrays={'../evil': {'x': np.zeros(1)}}),
    ):
        run_file.write(tmp_path / 'evil.safetensors', changed)
        with pytest.raises(eojax.UserError, match='which no run has'):
            unpacked(tmp_path / 'evil.safetensors')


def test_the_other_checkpoint_is_not_there(exported: Path) -> None:
    with pytest.raises(eojax.UserError, match='holds the last checkpoint, of step 0, alone'):
        open_run(exported, 'best')


@pytest.mark.parametrize('command', [evaluate.main, report.main])
def test_nothing_is_written_beside_a_file(command, exported: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        command([f'--workdir={exported}'])
    assert 'say where to write, --out=' in capsys.readouterr().err


def test_the_command_writes_what_it_was_asked_for(tmp_path: Path, capsys) -> None:
    out = tmp_path / 'run.safetensors'
    export.main([f'--workdir={tiny_run("supervised").folder}', f'--out={out}', '--title=mine'])
    assert 'run.safetensors: mine' in capsys.readouterr().out
    with pytest.raises(SystemExit):
        export.main([f'--workdir={tiny_run("supervised").folder}', f'--out={tmp_path / "a.zip"}'])
    assert 'end in .safetensors, such as a.safetensors' in capsys.readouterr().err


def test_an_unknown_name_has_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(eojax.UserError, match="did you mean 'jem-eurosat-64'"):
        open_run('jem-eurosat-46')


@pytest.mark.parametrize('width', [6, 7])
def test_packed_spectra_are_the_filters_again(width: int) -> None:
    fields = np.random.default_rng(0).standard_normal((2, 5, width, 3))
    spectrum = np.fft.fft2(fields, axes=(1, 2))
    filters = np.einsum('chwi,chwj->chwij', spectrum, spectrum.conj()).astype(np.complex64)
    small = spectra.packed(filters)
    assert small is not None
    assert small.nbytes < filters.nbytes / 2
    np.testing.assert_allclose(spectra.unpacked(small, width), filters, rtol=1e-5, atol=1e-4)
    assert spectra.packed(filters * 1j) is None


def test_the_demo_shows_a_run_at_work(exported: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(demo, 'WEIGHTS', str(exported))
    demo.main([f'--out={tmp_path}'])
    text = capsys.readouterr().out
    for name in ('samples/grid.png', 'repaired/grid.png', 'map/overview.png'):
        assert (tmp_path / name).exists()
        assert str(tmp_path / name) in text
    with rasterio.open(tmp_path / 'mosaic.tif') as file:
        assert (file.height, file.width, file.count) == (4 * 16, 2 * 16, 3)
        kept = reference.examples(open_run(exported)[0]).images
        np.testing.assert_array_equal(file.read()[:, 16:32, :16], kept[2].transpose(2, 0, 1))
