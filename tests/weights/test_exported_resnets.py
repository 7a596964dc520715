"""ResNets on their way out: torchvision's names, ONNX and one file, all with the same logits."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from eojax.apps import export, import_weights
from eojax.runs.opening import open_run
from tests.importing.test_import_resnet import CLASSES, IMAGENET, imported, refused
from tests.importing.torch_resnets import logits, random_tensors

CASES = pytest.mark.parametrize('depth', [18, 50])
STEMS = {18: 3, 50: 7}
# Of the size of training, and for the quick one of another size.
SHAPES = {18: ((2, 32, 32, 3), (1, 40, 36, 3)), 50: ((2, 32, 32, 3),)}


class Exported(NamedTuple):
    """A run with ImageNet's normalisation, its state dict in a file, images and their logits."""

    theirs: Path
    run: Path
    torch: Path
    pairs: list[tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope='module')
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Exported]:
    @functools.cache
    def of_depth(depth: int) -> Exported:
        folder = tmp_path_factory.mktemp(f'resnet{depth}')
        tensors = random_tensors(depth, stem=STEMS[depth])
        for name in ('fc.weight', 'fc.bias'):  # logits near 1, where 1e-4 says something
            tensors[name] = 0.02 * tensors[name]
        run = imported(tensors, folder, f'--class_names={CLASSES}', '--image_size=32', *IMAGENET)
        out = folder / 'torch.safetensors'
        export.main([f'--workdir={run}', f'--out={out}', '--format=torch'])
        random = np.random.default_rng(1)
        images = [random.uniform(-1, 1, shape).astype(np.float32) for shape in SHAPES[depth]]
        pairs = [(each, logits_of(run, each)) for each in images]
        assert min(np.ptp(numbers) for _, numbers in pairs) > 0.1
        return Exported(folder / 'theirs.safetensors', run, out, pairs)

    return of_depth


def logits_of(run_file: Path, images: np.ndarray) -> np.ndarray:
    run, state = open_run(run_file)
    return np.asarray(jax.jit(run.method.abilities['logits'])(state, images, jax.random.key(0)))


@CASES
def test_the_state_dict_has_torchvisions_names_and_our_logits(
    depth: int, exported: Callable[[int], Exported]
) -> None:
    made = exported(depth)
    tensors, before = load_file(made.torch), load_file(made.theirs)
    assert tensors.keys() == before.keys()
    for name, array in before.items():
        if not name.endswith('num_batches_tracked'):
            np.testing.assert_array_equal(tensors[name], array)
    with safe_open(made.torch, framework='numpy') as file:
        about = json.loads(file.metadata()['network'])
    mean, deviation = (np.array(about[name])[:, None, None] for name in ('mean', 'deviation'))
    for images, ours in made.pairs:
        normalised = (images.transpose(0, 3, 1, 2) - mean) / deviation
        theirs = jax.jit(logits)(tensors, normalised.astype(np.float32))
        np.testing.assert_allclose(theirs, ours, atol=1e-4)


def test_an_exported_resnet_comes_back_with_its_normalisation(
    tmp_path: Path, exported: Callable[[int], Exported]
) -> None:
    made, back = exported(18), tmp_path / 'back.safetensors'
    import_weights.main([f'--weights={made.torch}', f'--out={back}'])
    ours, theirs = (jax.tree.leaves(open_run(file)[1].trained) for file in (made.run, back))
    for first, second in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(first, second)
    assert open_run(back)[0].facts.class_names == tuple(CLASSES.split(','))


def test_damaged_metadata_are_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    about = json.dumps({'arguments': {}, 'mean': [0.0]})
    file, out = tmp_path / 'file.safetensors', tmp_path / 'out.safetensors'
    save_file(random_tensors(18), file, {'network': about})
    assert 'its metadata are damaged (mean)' in refused(capsys, f'--weights={file}', f'--out={out}')


def test_a_resnet_is_exported_to_one_file(
    tmp_path: Path, exported: Callable[[int], Exported]
) -> None:
    out = tmp_path / 'run.safetensors'
    export.main([f'--workdir={exported(18).run}', f'--out={out}'])
    images, ours = exported(18).pairs[0]
    np.testing.assert_array_equal(logits_of(out, images), ours)


@CASES
def test_pytorch_opens_an_exported_resnet(depth: int, exported: Callable[[int], Exported]) -> None:
    torch = pytest.importorskip('torch')
    from eojax.exporting.torch_resnet import load

    module, about = load(str(exported(depth).torch))
    assert about['classes'] == CLASSES.split(',')
    for images, ours in exported(depth).pairs:
        with torch.no_grad():
            theirs = module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
        np.testing.assert_allclose(theirs, ours, atol=1e-4)


@CASES
def test_onnx_computes_the_logits_of_a_resnet(
    depth: int, tmp_path: Path, exported: Callable[[int], Exported]
) -> None:
    pytest.importorskip('onnx')
    runtime = pytest.importorskip('onnxruntime')
    out = tmp_path / 'network.onnx'
    export.main([f'--workdir={exported(depth).run}', f'--out={out}'])
    session = runtime.InferenceSession(str(out))
    for images, ours in exported(depth).pairs:
        (theirs,) = session.run(None, {'images': images.transpose(0, 3, 1, 2)})
        np.testing.assert_allclose(theirs, ours, atol=1e-4)
