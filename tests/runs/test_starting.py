"""Trainings that start from weights: of a run, of a file, of an encoder."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict
from safetensors.numpy import save_file

from eojax import models
from eojax.apps import export, import_weights
from eojax.config.base import base_config, check_config, set_keys
from eojax.data.facts import Facts, Raster
from eojax.data.splits import Splits
from eojax.errors import UserError
from eojax.methods import METHODS
from eojax.runs import run as runs
from eojax.runs.carry import abstract_carry, initial_carry
from eojax.runs.domains import TARGET
from eojax.runs.known import Known
from eojax.runs.opening import open_run
from eojax.runs.run import Run
from eojax.runs.starting import FILE, Start, read_start
from eojax.training.loop import train
from eojax.weights.unpacked import sha256_of
from tests.importing.torch_resnets import random_tensors
from tests.tiny_runs import tiny_config, tiny_run
from tests.training_runs import rows, small_config


def changed(config: ConfigDict, **changes: Any) -> ConfigDict:
    set_keys(config, {key.replace('__', '.'): value for key, value in changes.items()})
    return config


def start_of(config: ConfigDict, folder: Path) -> Start:
    """The weights that a config starts from."""
    check_config(config)
    start = read_start(runs.prepare(config, folder))
    assert start is not None
    return start


def with_images(run: Run, raster: Raster) -> Run:
    """The run as if its images were another raster."""
    known = run.known[TARGET]
    facts = known.facts._replace(rasters={'images': raster})
    return run._replace(known={**run.known, TARGET: known._replace(facts=facts)})


def state_of(config: ConfigDict, start: Start, folder: Path) -> Any:
    """The state that a config begins with."""
    run = runs.prepare(config, folder)
    return initial_carry(run, jax.random.key(1), start.into).state


def test_a_run_starts_from_the_averaged_weights_of_another(tmp_path: Path, capsys) -> None:
    theirs = tiny_run('jem', network='wide_resnet')
    # One class fewer: the head is another one, and a supervised network has no density.
    names = tuple(theirs.run.facts.class_names)
    classes = f'one={"+".join(names[:2])},' + ','.join(f'{n}={n}' for n in names[2:])
    config = changed(tiny_config('supervised'), model__weights=str(theirs.folder))
    config.data.classes = classes
    start = start_of(config, tmp_path / 'run')
    state = state_of(config, start, tmp_path / 'run')
    average, ours = theirs.state.trained.average, state.trained.parameters
    for block in ('stem', 'group1_block1', 'group3_block1'):
        jax.tree.map(np.testing.assert_array_equal, ours[block], average[block])
        jax.tree.map(np.testing.assert_array_equal, state.trained.average[block], average[block])
    assert ours['head']['bias'].shape == (len(names) - 1,)
    assert sorted(text.partition(' ')[0] for text in start.left) == [
        'density1.kernel', 'density2.kernel', 'density3.kernel', 'head.bias', 'head.kernel',
    ]  # fmt: skip
    start.write(tmp_path)
    said = capsys.readouterr().err
    assert f'{len(start.leaves)} of {len(start.leaves) + 5} tensors taken; not ' in said
    assert 'limits' not in said


def test_the_head_is_taken_where_the_classes_are_the_same(tmp_path: Path) -> None:
    theirs = tiny_run('supervised', network='wide_resnet')
    config = changed(tiny_config('supervised'), model__weights=str(theirs.folder), seed=5)
    start = start_of(config, tmp_path / 'run')
    state = state_of(config, start, tmp_path / 'run')
    assert start.left == ()
    jax.tree.map(
        np.testing.assert_array_equal, state.trained.parameters, theirs.state.trained.average
    )
    # As many classes, of other names, are others.
    names = theirs.run.facts.class_names
    config.data.classes = ','.join(f'new_{name}={name}' for name in names)
    start = start_of(config, tmp_path / 'other')
    state = state_of(config, start, tmp_path / 'other')
    assert start.left == ('head.bias (of other classes)', 'head.kernel (of other classes)')
    old = theirs.state.trained.average['head']['kernel']
    assert not np.array_equal(state.trained.parameters['head']['kernel'], old)


def test_weights_are_read_once_and_recorded(tmp_path: Path, capsys) -> None:
    file, folder = tmp_path / 'given.safetensors', tmp_path / 'run'
    export.main(
        [f'--workdir={tiny_run("supervised", network="wide_resnet").folder}', f'--out={file}']
    )
    digest = sha256_of(file)
    config = small_config('supervised', model__weights=str(file), steps=5, evaluate_every=5)
    train(config, folder)
    record = json.loads((folder / FILE).read_text())
    assert (record['weights'], record['sha256'], record['left']) == ('given', digest, [])
    assert 'starting from given: ' in capsys.readouterr().err
    # Neither a run that goes on nor one that is used needs the file.
    file.unlink()
    last = max((folder / 'checkpoints').iterdir(), key=lambda p: int(p.name) if p.name.isdecimal()
               else -1)  # fmt: skip
    assert last.name == '5'
    shutil.rmtree(folder / 'best')
    shutil.rmtree(last)
    train(config, folder)
    assert rows(folder)[-1]['step'] == 5
    assert 'starting from' not in capsys.readouterr().err
    open_run(folder)
    # The card says it, and the path of this machine stays here.
    out = tmp_path / 'out.safetensors'
    export.main([f'--workdir={folder}', f'--out={out}'])
    assert f'Started from the weights given, SHA-256 {digest}' in ' '.join(
        capsys.readouterr().out.split()
    )
    assert str(tmp_path).encode() not in out.read_bytes()
    new = tmp_path / 'new'
    with pytest.raises(UserError, match='no such file'):
        train(config, new)
    assert not new.exists()


@functools.cache
def _resnet_config() -> ConfigDict:
    config = base_config('supervised', 'resnet', 'landscapes')
    values = {
        'data.size': 16, 'data.num_images': 200, 'model.width': 4, 'batch_size': 8,
        'tensorboard': False,
    }  # fmt: skip
    set_keys(config, values)
    return config


def encoder(folder: Path, bands: int, *arguments: str) -> Path:
    save_file(random_tensors(18, bands=bands), folder / 'theirs.safetensors')
    out = folder / 'encoder.safetensors'
    import_weights.main([f'--weights={folder / "theirs.safetensors"}', f'--out={out}', *arguments])
    return out


def resnet_config(**changes: Any) -> ConfigDict:
    return changed(_resnet_config().copy_and_resolve_references(), **changes)


def test_an_encoder_starts_a_resnet(tmp_path: Path) -> None:
    out = encoder(tmp_path, 3, '--mean=127.5,51,204', '--std=25.5,51,127.5')
    config = resnet_config(model__weights=str(out))
    start = start_of(config, tmp_path / 'run')
    state = state_of(config, start, tmp_path / 'run')
    tensors, trained = random_tensors(18), state.trained
    np.testing.assert_array_equal(
        trained.parameters['group4_block1']['conv2']['kernel'],
        tensors['layer4.0.conv2.weight'].transpose(2, 3, 1, 0),
    )
    np.testing.assert_array_equal(
        trained.statistics['group1_block2']['norm2']['var'], tensors['layer1.1.bn2.running_var']
    )
    # (v - mean) / std of v from 0 to 255 is that of v / 127.5 - 1.
    np.testing.assert_allclose(trained.statistics['input_mean'], [0.0, -0.6, 0.6], atol=1e-6)
    np.testing.assert_allclose(trained.statistics['input_deviation'], [0.2, 0.4, 1.0], atol=1e-6)
    assert [text.partition(' ')[0] for text in start.left] == ['head.bias', 'head.kernel']
    assert all('starts at random' in text for text in start.left)


def test_bands_of_an_encoder_are_picked(tmp_path: Path) -> None:
    names = 'B01,B02,B03,B04,B08'
    out = encoder(tmp_path, 5, f'--bands={names}', '--mean=10,20,30,40,50', '--std=20')
    config = resnet_config(model__weights=str(out))
    with pytest.raises(UserError, match=r'has the bands 1 B01, 2 B02, .*weights_bands=') as caught:
        start_of(config, tmp_path / 'run')
    assert len(str(caught.value).splitlines()) == 1
    for text in ('B04,B03,B02', '4,3,2', 'b4, 3, B02'):
        config.model.weights_bands = text
        start = start_of(config, tmp_path / 'run')
        kernel = random_tensors(18, bands=5)['conv1.weight'].transpose(2, 3, 1, 0)
        np.testing.assert_array_equal(
            start.leaves['parameters.stem.kernel'], kernel[:, :, [3, 2, 1]]
        )
        means = (start.leaves['statistics.input_mean'] + 1.0) * 127.5
        np.testing.assert_allclose(means, [40.0, 30.0, 20.0], atol=1e-4)
    for text, line in (('4,3', 'are 2, and the images have 3'), ('9,3,2', "no band '9'")):
        config.model.weights_bands = text
        with pytest.raises(UserError, match=line):
            start_of(config, tmp_path / 'run')


@pytest.mark.parametrize('names', ['blue,green,red', 'B02,B03,B04', 'Blue,B3,b04_10m'])
def test_the_same_bands_in_another_order_are_said(tmp_path: Path, names: str) -> None:
    out = encoder(tmp_path, 3, f'--bands={names}')
    listed = ', '.join(f'{number} {name}' for number, name in enumerate(names.split(','), 1))
    config = resnet_config(model__weights=str(out))
    with pytest.raises(UserError, match=f'{listed}.*weights_bands=3,2,1'):
        start_of(config, tmp_path / 'run')
    config.model.weights_bands = 'red,green,blue'
    kernel = random_tensors(18, bands=3)['conv1.weight'].transpose(2, 3, 1, 0)
    start = start_of(config, tmp_path / 'run')
    np.testing.assert_array_equal(start.leaves['parameters.stem.kernel'], kernel[:, :, ::-1])


@pytest.mark.parametrize('names', ['blue,green,red,nir', 'red,swir1,green,nir'])
def test_bands_of_which_some_stand_elsewhere_are_said(tmp_path: Path, names: str) -> None:
    """Also where others are in one alone, so that they are no order of the same."""
    out = encoder(tmp_path, 4, f'--bands={names}')
    run = runs.prepare(resnet_config(model__weights=str(out)), tmp_path / 'run')
    raster = run.images._replace(bands=('red', 'green', 'blue', 'swir2'))
    with pytest.raises(UserError, match='say which of its bands these are'):
        read_start(with_images(run, raster))


def test_bands_without_names_are_said_to_be_taken_in_order(tmp_path: Path) -> None:
    out = encoder(tmp_path, 4)
    config = resnet_config(model__weights=str(out))
    run = runs.prepare(config, tmp_path / 'run')
    raster = run.images._replace(bands=('B02', 'B03', 'B04', 'B8A'))
    start = read_start(with_images(run, raster))
    assert start is not None
    assert 'taken in order, B02 as band 1, B03 as band 2' in start.notes[0]
    config.model.weights_bands = '1,2,3,4'
    start = read_start(with_images(run._replace(config=config), raster))
    assert start is not None
    assert not start.notes


def test_the_same_values_at_other_limits_are_said(tmp_path: Path, capsys) -> None:
    theirs = tiny_run('supervised', network='wide_resnet')
    config = changed(tiny_config('supervised'), model__weights=str(theirs.folder))
    check_config(config)
    run = runs.prepare(config, tmp_path / 'run')
    raster = run.images._replace(dtype='uint16', limits=((0.0, 3000.0),) * 3)
    start = read_start(with_images(run, raster))
    assert start is not None
    start.write(tmp_path)
    line = 'saw 0 to 255 (uint8) as -1 to 1, and here red is 0 to 3000 (uint16)'
    assert line in capsys.readouterr().err


def test_the_same_bands_by_other_names_are_taken_as_they_are(tmp_path: Path) -> None:
    out = encoder(tmp_path, 3, '--bands=B04,B03,B02')
    start = start_of(resnet_config(model__weights=str(out)), tmp_path / 'run')
    kernel = random_tensors(18, bands=3)['conv1.weight'].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(start.leaves['parameters.stem.kernel'], kernel)


def test_units_other_than_the_data_are_refused(tmp_path: Path) -> None:
    out = encoder(tmp_path, 3, '--mean=0.485,0.456,0.406', '--std=0.229,0.224,0.225')
    with pytest.raises(UserError, match=r'are in other units than its values.*0 to 255'):
        start_of(resnet_config(model__weights=str(out)), tmp_path / 'run')


@pytest.mark.parametrize(
    ('changes', 'line'),
    [
        ({'model__depth': 34}, r'another resnet: say --config\.model\.depth=18'),
        ({'model__stem': '3x3'}, r'another resnet: say --config\.model\.stem=7x7'),
        ({'model__weights': 'jem-eurosat-64'}, r'is a wide_resnet.*say --model=wide_resnet'),
        ({'model__weights': 'jem-eurosat-46'}, r"did you mean 'jem-eurosat-64'"),
    ],
)
def test_weights_of_another_network_are_refused(
    changes: dict[str, Any], line: str, tmp_path: Path
) -> None:
    out = encoder(tmp_path, 3)
    with pytest.raises(UserError, match=line):
        start_of(resnet_config(**{'model__weights': str(out), **changes}), tmp_path / 'run')


def test_shapes_are_told_where_the_options_agree(tmp_path: Path) -> None:
    from eojax.weights import encoder_file

    out = encoder(tmp_path, 3)
    content = encoder_file.read(out)
    name = 'parameters.group2_block1.shortcut.kernel'
    leaves = {**content.leaves, name: np.zeros((1, 1, 4, 9), np.float32)}
    encoder_file.write(out, content._replace(leaves=leaves))
    with pytest.raises(UserError, match=r'group2_block1\.shortcut\.kernel.*4, 9.*4, 8'):
        start_of(resnet_config(model__weights=str(out)), tmp_path / 'run')


def test_methods_of_several_networks_are_refused() -> None:
    config = base_config('vae', 'convolutional_autoencoder', 'landscapes')
    assert 'weights' not in config.model
    config = base_config('berundanet', 'wide_resnet', 'landscapes')
    config.model.weights = 'jem-eurosat-64'
    with pytest.raises(UserError, match=r"'berundanet' does not start from model\.weights.*jem"):
        check_config(config)
    config = resnet_config(model__weights_bands='3,2,1')
    with pytest.raises(UserError, match=r'weights_bands is set, but model\.weights is not'):
        check_config(config)


ABLE = sorted(name for name, recipe in METHODS.items() if recipe.starts_from_weights)


@pytest.mark.parametrize('method', ABLE)
def test_the_state_of_a_method_that_starts_from_weights_is_its_network(
    method: str, tmp_path: Path
) -> None:
    pixels = bool(METHODS[method].models)
    model, data = ('pixel_network', 'landscape_cover') if pixels else ('wide_resnet', 'landscapes')
    config = base_config(method, model, data)
    facts = Facts(
        name=data, class_names=('a', 'b', 'c'), size=(32, 32), label='pixel' if pixels else 'image'
    )
    counts = dict.fromkeys(Splits._fields, 8)
    known = Known(facts, facts.class_names, counts, (3, 3, 2))
    trained = abstract_carry(runs.build(config, tmp_path, {TARGET: known}), 0, ()).state.trained
    network = models.build(config.model, 3)
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    wanted = jax.eval_shape(network.init, key, image)
    ours, theirs = (
        jax.tree.map(lambda leaf: leaf.shape, pair)
        for pair in ((trained.parameters, trained.statistics), wanted)
    )
    assert ours == theirs
