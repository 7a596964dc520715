from __future__ import annotations

import numpy as np
import pytest

from eojax.apps import convert_inception
from eojax.errors import UserError
from eojax.models import inception
from tests.models import torch_files as files

_STEM = ['Conv2d_1a_3x3', 'Conv2d_2a_3x3', 'Conv2d_2b_3x3', 'Conv2d_3b_1x1', 'Conv2d_4a_3x3']
_BRANCHES = {
    '5b 5c 5d': (
        'branch1x1 branch5x5_1 branch5x5_2 branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3 branch_pool'
    ),
    '6a': 'branch3x3 branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3',
    '6b 6c 6d 6e': (
        'branch1x1 branch7x7_1 branch7x7_2 branch7x7_3 branch7x7dbl_1 branch7x7dbl_2 '
        'branch7x7dbl_3 branch7x7dbl_4 branch7x7dbl_5 branch_pool'
    ),
    '7a': 'branch3x3_1 branch3x3_2 branch7x7x3_1 branch7x7x3_2 branch7x7x3_3 branch7x7x3_4',
    '7b 7c': (
        'branch1x1 branch3x3_1 branch3x3_2a branch3x3_2b branch3x3dbl_1 branch3x3dbl_2 '
        'branch3x3dbl_3a branch3x3dbl_3b branch_pool'
    ),
}


def _torch_layers() -> list[str]:
    """The layers in the order in which PyTorch's network holds them, which is the graph's."""
    layers = list(_STEM)
    for blocks, branches in _BRANCHES.items():
        layers += [f'Mixed_{block}.{name}' for block in blocks.split() for name in branches.split()]
    return layers


def _state() -> dict[str, np.ndarray]:
    """A state dict of the right shapes, every tensor filled with a number of its own."""
    state: dict[str, np.ndarray] = {}
    for index, (layer, shape) in enumerate(
        zip(_torch_layers(), inception.LAYERS.values(), strict=True)
    ):
        size = (shape.outputs, shape.inputs, *shape.kernel)
        state[f'{layer}.conv.weight'] = np.full(size, index + 0.25, np.float16)
        state[f'{layer}.bn.weight'] = np.ones(shape.outputs, np.float32)
        state[f'{layer}.bn.bias'] = np.full(shape.outputs, index + 0.5, np.float32)
        state[f'{layer}.bn.running_mean'] = np.full(shape.outputs, index + 0.75, np.float32)
        state[f'{layer}.bn.running_var'] = np.full(shape.outputs, index + 1.0, np.float32)
        state[f'{layer}.bn.num_batches_tracked'] = np.array(0)
    state['fc.weight'] = np.zeros((8, 4), np.float32)
    return state


@pytest.fixture(scope='module')
def state() -> dict[str, np.ndarray]:
    return _state()


def test_command_line_converts_a_file_that_the_network_loads(tmp_path, state, capsys):
    weights, out = tmp_path / 'inception.pth', tmp_path / 'inception.npz'
    files.write_arrays(weights, state)
    convert_inception.main([f'--weights={weights}', f'--out={out}'])
    assert f'wrote {out}: 94 layers' in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ['inception.npz', 'inception.pth']
    with np.load(out, allow_pickle=False) as arrays:
        assert {name: arrays[name].shape for name in arrays} == inception.npz_shapes()
        for index, layer in enumerate(inception.LAYERS):
            assert arrays[f'{layer}/weight'].flat[0] == index + 0.25
            assert arrays[f'{layer}/beta'][0] == index + 0.5
            assert arrays[f'{layer}/mean'][0] == index + 0.75
            assert arrays[f'{layer}/var'][0] == index + 1
    params = inception.load_inception(out)
    np.testing.assert_allclose(params['conv'].bias, 0.5 - 0.75 / np.sqrt(1.001), rtol=1e-6)
    np.testing.assert_allclose(params['conv'].kernel, 0.25 / np.sqrt(1.001), rtol=1e-6)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'Mixed_6c.branch7x7dbl_4.bn.running_var': None}, 'no tensor'),
        ({'Conv2d_1a_3x3.conv.weight': np.zeros((32, 3, 5, 5), np.float32)}, '(32, 3, 5, 5)'),
        ({'Conv2d_1a_3x3.bn.bias': np.full(32, np.nan, np.float32)}, 'finite'),
        ({'Mixed_7a.branch3x3_1.bn.weight': np.full(192, 1.5, np.float32)}, 'not 1 everywhere'),
    ],
)
def test_another_network_is_refused(state, change, message):
    changed = {k: v for k, v in (state | change).items() if v is not None}
    with pytest.raises(UserError) as caught:
        convert_inception.to_graph_names(changed)
    assert message in str(caught.value)
    assert next(iter(change)) in str(caught.value)


def test_a_malicious_file_ends_in_one_line_and_writes_nothing(tmp_path, capsys):
    mark, weights, out = (tmp_path / name for name in ('executed', 'evil.pth', 'out.npz'))
    command = files.text(f'touch {mark}')
    files.write_zip(weights, b'\x80\x02cos\nsystem\n' + command + b'\x85R.')
    with pytest.raises(SystemExit) as caught:
        convert_inception.main([f'--weights={weights}', f'--out={out}'])
    assert caught.value.code == 1
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert "refers to 'os.system'" in error
    assert [path.name for path in tmp_path.iterdir()] == ['evil.pth']


def test_an_impossible_output_is_refused_before_anything_is_read(tmp_path, capsys):
    for out in (tmp_path / 'weights.pt', tmp_path / 'absent' / 'weights.npz'):
        with pytest.raises(SystemExit):
            convert_inception.main([f'--weights={tmp_path / "absent.pth"}', f'--out={out}'])
        assert f'--out={out}' in capsys.readouterr().err
