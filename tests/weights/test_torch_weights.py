from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from eojax.apps import export
from eojax.config import base_config
from eojax.exporting import onnx_graph, torch_weights
from eojax.models import wide_resnet
from eojax.runs.run import Run
from tests.tiny_runs import tiny_run


def test_a_file_for_pytorch_holds_the_averaged_weights_in_its_layout(tmp_path: Path) -> None:
    tiny = tiny_run('jem', network='wide_resnet')
    torch_weights.export_torch(tiny.run, tiny.state, tmp_path / 'torch.safetensors')
    weights = load_file(tmp_path / 'torch.safetensors')
    average = tiny.state.trained.average
    block, kernel = (
        average['group2_block1'],
        np.asarray(average['group2_block1']['conv1']['kernel']),
    )
    assert weights['group2_block1.conv1.weight'].shape == (32, 16, 3, 3)
    assert weights['group2_block1.conv1.weight'][5, 3, 0, 2] == kernel[0, 2, 3, 5]
    np.testing.assert_array_equal(weights['group2_block1.conv1.bias'], block['conv1']['bias'])
    assert weights['head.weight'].shape == (*weights['head.bias'].shape, 64)


@pytest.mark.parametrize(
    ('norm', 'activation', 'shortcut'),
    [
        ('none', 'leaky_relu', 'input'),
        ('batch', 'leaky_relu_0.1', 'activated'),
        ('group', 'swish', 'input'),
        ('instance', 'relu', 'activated'),
    ],
)
def test_pytorch_computes_our_logits(norm: str, activation: str, shortcut: str) -> None:
    torch = pytest.importorskip('torch')
    from eojax.exporting.torch_wide_resnet import WideResNet

    options = base_config('supervised', 'wide_resnet', 'eurosat').model
    options.update({'depth': 10, 'width': 1, 'norm': norm, 'density_head': True})
    options.update({'activation': activation, 'shortcut': shortcut})
    network = wide_resnet.build(options, 7)
    images = np.random.default_rng(0).uniform(-1, 1, (3, 16, 20, 4)).astype(np.float32)
    noise = np.random.default_rng(1)

    def moved(leaf: jax.Array) -> np.ndarray:
        values = np.asarray(leaf) + 0.05 * noise.standard_normal(leaf.shape)
        return np.asarray(values, np.float32)

    parameters, statistics = jax.tree.map(moved, network.init(jax.random.key(0), images))
    weights = torch_weights.state_dict(parameters, statistics, torch_weights.wide_resnet_name)
    ours = network.apply(parameters, statistics, images)
    module = WideResNet(
        4, 7, 10, 1, norm, activation, options.density_head, options.density_alone, shortcut
    ).eval()
    module.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    with torch.no_grad():
        theirs = module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    np.testing.assert_allclose(theirs, ours, atol=1e-4)
    assert np.ptp(theirs, axis=0).min() > 1e-3  # it depends on the image


def test_pytorch_opens_an_exported_file(tmp_path: Path) -> None:
    torch = pytest.importorskip('torch')
    from eojax.exporting.torch_wide_resnet import load

    tiny = tiny_run('jem', network='wide_resnet')
    out = tmp_path / 'torch.safetensors'
    export.main([f'--workdir={tiny.folder}', f'--out={out}', '--format=torch'])
    module, about = load(str(out))
    images = np.random.default_rng(0).uniform(-1, 1, (3, *tiny.run.task.image_shape))
    images = images.astype(np.float32)
    state = tiny.state.trained
    network = wide_resnet.build(tiny.run.config.model, tiny.run.facts.num_classes)
    ours = network.apply(state.average, state.statistics, images)
    with torch.no_grad():
        theirs = module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    np.testing.assert_allclose(theirs, ours, atol=1e-4)
    assert about['classes'] == list(tiny.run.facts.class_names)
    assert about['input_noise'] == tiny.run.config.method.input_noise > 0
    assert about['limits'] == [[0.0, 255.0]] * 3


@pytest.mark.parametrize(
    ('norm', 'activation', 'shortcut'),
    [
        ('none', 'leaky_relu', 'input'),
        ('batch', 'leaky_relu_0.1', 'activated'),
        ('group', 'swish', 'input'),
        ('instance', 'relu', 'activated'),
    ],
)
def test_onnx_computes_our_logits(
    norm: str, activation: str, shortcut: str, tmp_path: Path
) -> None:
    onnx = pytest.importorskip('onnx')
    runtime = pytest.importorskip('onnxruntime')
    tiny = tiny_run('supervised', network='wide_resnet')
    config = tiny.run.config.copy_and_resolve_references()
    config.model.update({'norm': norm, 'density_head': True})
    config.model.update({'activation': activation, 'shortcut': shortcut})
    run, state = _moved(tiny.run._replace(config=config), norm)
    onnx_graph.export_onnx(run, state, tmp_path / 'network.onnx')
    session = runtime.InferenceSession(str(tmp_path / 'network.onnx'))
    graph = onnx.load(tmp_path / 'network.onnx').graph
    used = {name for node in graph.node for name in node.input}
    assert {constant.name for constant in graph.initializer} <= used
    height, width, _ = run.task.image_shape
    for shape in ((1, height, width), (5, height, width), (2, height + 8, width - 4)):
        images = np.random.default_rng(0).uniform(-1, 1, (*shape, 3)).astype(np.float32)
        ours = run.method.abilities['logits'](state, images, jax.random.key(0))
        (theirs,) = session.run(None, {'images': images.transpose(0, 3, 1, 2)})
        np.testing.assert_allclose(theirs, ours, atol=1e-4)


def test_a_file_for_onnx_needs_its_package(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, 'onnx', None)
    with pytest.raises(SystemExit) as stop:
        export.main(
            [
                f'--workdir={tiny_run("supervised", network="wide_resnet").folder}',
                f'--out={tmp_path / "n.onnx"}',
            ]
        )
    assert stop.value.code not in (0, None)
    assert 'pip install onnx' in capsys.readouterr().err + str(stop.value.code)
    assert not list(tmp_path.iterdir())


def _moved(run: Run, norm: str) -> tuple[Run, Any]:
    """The run with another normalisation, and random parameters that no part ignores."""
    network = wide_resnet.build(run.config.model, run.facts.num_classes)
    noise = np.random.default_rng(1)
    images = np.zeros((1, *run.task.image_shape), np.float32)

    def moved(leaf: jax.Array) -> np.ndarray:
        values = np.asarray(leaf) + 0.05 * noise.standard_normal(leaf.shape)
        return np.asarray(values, np.float32)

    parameters, statistics = jax.tree.map(moved, network.init(jax.random.key(0), images))
    state = tiny_run('supervised', network='wide_resnet').state
    trained = state.trained._replace(average=parameters, statistics=statistics)

    def logits(its: Any, images: Any, key: Any) -> Any:
        return network.apply(its.trained.average, its.trained.statistics, images)

    method = run.method._replace(abilities={**run.method.abilities, 'logits': logits})
    return run._replace(method=method), state._replace(trained=trained)
