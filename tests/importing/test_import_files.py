"""Our own Wide-ResNets there and back, and files in which something could be executed."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from eojax.apps import export, import_weights
from eojax.config import base_config
from eojax.exporting.torch_weights import state_dict, wide_resnet_name
from eojax.importing import wide_resnet as wide
from eojax.importing.tensors import Tensors, read_tensors
from eojax.models import wide_resnet
from eojax.runs.opening import open_run
from tests.importing.test_import_resnet import refused
from tests.tiny_runs import tiny_run


def test_a_wide_resnet_comes_back_as_it_went(tmp_path: Path) -> None:
    tiny = tiny_run('jem', network='wide_resnet')
    there, back = tmp_path / 'torch.safetensors', tmp_path / 'back.safetensors'
    export.main([f'--workdir={tiny.folder}', f'--out={there}', '--format=torch'])
    import_weights.main([f'--weights={there}', f'--out={back}'])
    run, state = open_run(back)
    images = np.random.default_rng(0).uniform(-1, 1, (4, *tiny.run.task.image_shape))
    images = images.astype(np.float32)
    trained = tiny.state.trained
    network = wide_resnet.build(tiny.run.config.model, tiny.run.facts.num_classes)
    before = jax.nn.softmax(network.apply(trained.average, trained.statistics, images))
    after = jax.nn.softmax(run.method.abilities['logits'](state, images, jax.random.key(0)))
    np.testing.assert_allclose(after, before, atol=1e-5)
    assert np.ptp(before, axis=0).max() > 1e-4  # it depends on the image
    theirs = tiny.run.facts
    assert (run.facts.class_names, run.facts.size) == (theirs.class_names, theirs.size)
    assert run.facts.images == theirs.images
    assert (run.facts.title, run.facts.metres) == (theirs.title, theirs.metres)
    # Not `auto`, by which an accelerator would give other numbers than a CPU.
    assert run.config.model.dtype == 'float32'


@pytest.mark.parametrize('norm', ['none', 'batch', 'group', 'instance'])
def test_tensors_alone_say_all_but_the_activation(norm: str) -> None:
    options = base_config('supervised', 'wide_resnet', 'folder').model
    options.update({'depth': 16, 'width': 2, 'norm': norm, 'density_head': True})
    network = wide_resnet.build(options, 4)
    key, image = jax.random.key(0), np.zeros((1, 8, 8, 5), np.float32)
    parameters, statistics = network.init(key, image)
    arrays = state_dict(parameters, statistics, wide_resnet_name)
    network_back = wide.read(Tensors(arrays, {}), 'leaky_relu', 'it')
    assert network_back.model == options
    assert (network_back.bands, network_back.outputs) == (5, 4)
    kernel = parameters['group3_block2']['conv2']['kernel']
    np.testing.assert_array_equal(
        network_back.leaves['parameters.group3_block2.conv2.kernel'], kernel
    )


def test_npz_holds_the_same(tmp_path: Path, capsys) -> None:
    tiny = tiny_run('supervised', network='wide_resnet')
    there = tmp_path / 'torch.safetensors'
    export.main([f'--workdir={tiny.folder}', f'--out={there}', '--format=torch'])
    arrays = load_file(there)
    np.savez(tmp_path / 'torch.npz', **arrays)
    usual = (f'--weights={tmp_path / "torch.npz"}', f'--out={tmp_path / "run.safetensors"}')
    assert 'give --activation' in refused(capsys, *usual)
    usual = (*usual, '--activation=swish')
    assert '--class_names has 0 names' in refused(capsys, *usual)
    classes = ','.join(tiny.run.facts.class_names)
    import_weights.main([*usual, f'--class_names={classes}', '--image_size=16'])
    assert 'does not say what its shortcuts are of' in capsys.readouterr().err
    run, state = open_run(tmp_path / 'run.safetensors')
    np.testing.assert_array_equal(
        state.trained.average['head']['kernel'], tiny.state.trained.average['head']['kernel']
    )
    assert run.config.model.activation == 'swish'


def test_floats_of_16_bits_become_32(tmp_path: Path) -> None:
    import ml_dtypes

    for dtype in (np.float16, ml_dtypes.bfloat16):
        save_file({'a': np.array([1.5, -2.0], dtype)}, tmp_path / 'a.safetensors')
        array = read_tensors(tmp_path / 'a.safetensors').arrays['a']
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, [1.5, -2.0])


class _Harm:
    def __reduce__(self):
        return Path.touch, (Path(_Harm.file),)

    file = ''


def test_nothing_is_unpickled(tmp_path: Path, capsys) -> None:
    _Harm.file = str(tmp_path / 'harmed')
    data = pickle.dumps({'conv1.weight': _Harm()})
    (tmp_path / 'old.pth').write_bytes(data)
    (tmp_path / 'unnamed').write_bytes(data)
    with zipfile.ZipFile(tmp_path / 'new.npz', 'w') as archive:
        archive.writestr('archive/data.pkl', data)
    out = tmp_path / 'out.safetensors'
    for name in ('old.pth', 'unnamed', 'new.npz'):
        text = refused(capsys, f'--weights={tmp_path / name}', f'--out={out}')
        assert 'weights_only=True' in text
        assert f"torch.load('{name}'" in text
        assert 'safetensors.torch.save_file(' in text
        assert len(text.strip().splitlines()) == 1
    np.savez(tmp_path / 'objects.npz', a=np.array([_Harm()], object))
    assert 'Python objects' in refused(
        capsys, f'--weights={tmp_path / "objects.npz"}', f'--out={out}'
    )
    np.savez(tmp_path / 'complex.npz', a=np.array([1j]))
    assert 'complex128, and no real numbers' in refused(
        capsys, f'--weights={tmp_path / "complex.npz"}', f'--out={out}'
    )
    assert not (tmp_path / 'harmed').exists()
    assert not out.exists()


def test_files_of_other_kinds_are_one_line(tmp_path: Path, capsys) -> None:
    out = tmp_path / 'out.safetensors'

    def line(name: str, *more: str) -> str:
        return refused(capsys, f'--weights={tmp_path / name}', f'--out={out}', *more)

    (tmp_path / 'broken.safetensors').write_bytes(b'nonsense')
    (tmp_path / 'broken.npz').write_bytes(b'nonsense')
    (tmp_path / 'text.txt').write_text('no tensors')
    save_file({'transformer.weight': np.zeros((2, 2), np.float32)}, tmp_path / 'v.safetensors')
    assert 'no such file' in line('absent.safetensors')
    assert 'damaged' in line('broken.safetensors')
    assert 'damaged' in line('broken.npz')
    assert '.safetensors or .npz' in line('text.txt')
    assert 'neither a Wide-ResNet' in line('v.safetensors')
    tiny = tiny_run('supervised', network='wide_resnet')
    export.main([f'--workdir={tiny.folder}', f'--out={tmp_path / "run.safetensors"}'])
    assert 'is a run of eojax already' in line('run.safetensors')
    same = refused(capsys, f'--weights={out}', f'--out={out}')
    assert 'is --weights itself' in same
