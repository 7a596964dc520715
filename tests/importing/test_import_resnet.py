"""ResNets of torchvision's names: the same logits here, whatever stands before their names."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

import eojax
from eojax.apps import import_weights, weights
from eojax.errors import UserError
from eojax.importing.resnet import chosen_prefix
from eojax.runs.opening import open_run
from eojax.weights import encoder_file
from tests.importing.torch_resnets import Tensors, logits, random_tensors

CLASSES = 'field,forest,lake,road,town'
IMAGENET = ('--mean=123.675,116.28,103.53', '--std=58.395,57.12,57.375')


def imported(tensors: Tensors, folder: Path, *arguments: str) -> Path:
    save_file(tensors, folder / 'theirs.safetensors')
    out = folder / 'ours.safetensors'
    import_weights.main([f'--weights={folder / "theirs.safetensors"}', f'--out={out}', *arguments])
    return out


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as stop:
        import_weights.main([str(one) for one in arguments])
    assert stop.value.code not in (0, None)
    text = capsys.readouterr().err
    assert 'Traceback' not in text
    return text


@pytest.mark.parametrize(('depth', 'stem'), [(18, 3), (50, 7)])
def test_logits_are_those_of_the_state_dict(depth: int, stem: int, tmp_path: Path) -> None:
    tensors = random_tensors(depth, stem=stem)
    out = imported(tensors, tmp_path, f'--class_names={CLASSES}', '--image_size=32', *IMAGENET)
    values = np.random.default_rng(1).integers(0, 256, (3, 32, 40, 3))
    mean, std = (np.array([float(n) for n in text.split('=')[1].split(',')]) for text in IMAGENET)
    theirs = jax.jit(logits)(
        tensors, ((values - mean) / std).astype(np.float32).transpose(0, 3, 1, 2)
    )
    run, state = open_run(out)
    images = (values / 127.5 - 1.0).astype(np.float32)
    ours = run.method.abilities['logits'](state, images, jax.random.key(0))
    # Also at the border, where they have zeros after the normalisation.
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())
    assert np.ptp(theirs, axis=0).min() > 1e-2  # it depends on the image


def test_an_imported_classifier_is_a_run(tmp_path: Path, capsys) -> None:
    out = imported(
        random_tensors(18), tmp_path, f'--class_names={CLASSES}', '--image_size=32',
        '--title=Of a colleague', '--licence=MIT', '--limit=Summer alone.',
    )  # fmt: skip
    model = eojax.open(out)
    assert model.class_names == tuple(CLASSES.split(','))
    probabilities = model.probabilities(np.zeros((2, 32, 32, 3), np.uint8))
    np.testing.assert_allclose(np.asarray(probabilities).sum(-1), 1.0, atol=1e-5)
    capsys.readouterr()
    weights.main([str(out)])
    card = capsys.readouterr().out
    for text in ('Of a colleague', 'theirs.safetensors', 'ResNet-18', 'MIT', 'Summer alone.'):
        assert text in card


def test_bands_of_other_types_need_their_limits(tmp_path: Path, capsys) -> None:
    save_file(random_tensors(18, bands=4), tmp_path / 'theirs.safetensors')
    usual = (
        f'--weights={tmp_path / "theirs.safetensors"}',
        f'--out={tmp_path / "ours.safetensors"}',
        f'--class_names={CLASSES}',
    )
    assert 'give --image_size' in refused(capsys, *usual)
    assert 'give --limits=LOW:HIGH' in refused(capsys, *usual, '--image_size=32')
    assert 'give --dtype' in refused(capsys, *usual, '--image_size=32', '--limits=0:3000')
    mean = ('--mean=0.4,0.4,0.4,0.4', '--std=0.2')
    rest = ('--image_size=32', '--limits=0:3000', '--dtype=uint16')
    assert 'other units' in refused(capsys, *usual, *rest, *mean)
    import_weights.main([*usual, *rest, '--bands=B04,B03,B02,B08'])
    facts = open_run(tmp_path / 'ours.safetensors')[0].facts
    assert facts.images.bands == ('B04', 'B03', 'B02', 'B08')
    assert facts.images.limits == ((0.0, 3000.0),) * 4
    assert facts.files is not None
    assert facts.files.dtype == 'uint16'


@pytest.mark.parametrize(
    ('before', 'others', 'prefix'),
    [
        ('', (), ''),
        ('backbone.', ('decoder.conv.weight',), 'backbone.'),
        ('module.encoder_q.', ('module.queue',), 'module.encoder_q.'),
        ('state.encoder.', ('state.projector.0.weight',), 'state.encoder.'),
    ],
)
def test_names_may_stand_behind_a_prefix(
    before: str, others: tuple[str, ...], prefix: str, tmp_path: Path, capsys
) -> None:
    tensors = {f'{before}{name}': array for name, array in random_tensors(18).items()}
    tensors |= {name: np.zeros((2, 2), np.float32) for name in others}
    assert chosen_prefix(tensors, None, 'it') == prefix
    out = imported(tensors, tmp_path)
    content = encoder_file.read(out)
    kernel = tensors[f'{before}layer2.0.downsample.0.weight']
    ours = content.leaves['parameters.group2_block1.shortcut.kernel']
    np.testing.assert_array_equal(ours, kernel.transpose(2, 3, 1, 0))
    assert not [name for name in content.leaves if 'head' in name]
    told = capsys.readouterr()
    for name in (*others, f'{before}fc.weight'):
        assert name in told.err
    assert f'--config.model.weights={out}' in told.out


def test_of_two_networks_the_one_that_is_meant(tmp_path: Path) -> None:
    first, second = random_tensors(18), random_tensors(18, seed=1)

    def pair(one: str, two: str) -> Tensors:
        return {one + n: a for n, a in first.items()} | {two + n: a for n, a in second.items()}

    assert chosen_prefix(pair('encoder_q.', 'encoder_k.'), None, 'it') == 'encoder_q.'
    students = pair('student.', 'teacher.')
    with pytest.raises(UserError, match=r"'student\.', 'teacher\.': say --prefix"):
        chosen_prefix(students, None, 'it')
    content = encoder_file.read(imported(students, tmp_path, '--prefix=teacher'))
    np.testing.assert_array_equal(
        content.leaves['parameters.stem_norm.scale'], second['bn1.weight']
    )


def test_a_contrastive_head_is_left_out(tmp_path: Path) -> None:
    tensors = random_tensors(18)
    tensors = {name: a for name, a in tensors.items() if not name.startswith('fc.')}
    tensors |= {'fc.0.weight': np.zeros((32, 32), np.float32), 'fc.2.bias': np.zeros(8, np.float32)}
    assert encoder_file.read(imported(tensors, tmp_path)).about.model['depth'] == 18


@pytest.mark.parametrize(
    ('name', 'array', 'lines'),
    [
        ('layer3.1.bn2.running_var', None, ('lacks layer3.1.bn2.running_var', '(16,)')),
        ('layer1.0.conv2.weight', np.zeros((4, 4, 1, 1)), ('(4, 4, 1, 1)', '(4, 4, 3, 3)')),
        ('layer1.0.se.weight', np.zeros((3,)), ('has layer1.0.se.weight of shape (3,)',)),
        ('bn1.bias', np.array([0.0, np.nan, 0.0, 0.0]), ('bn1.bias', 'not finite')),
        ('conv1.weight', np.zeros((4, 3, 5, 5)), ('conv1.weight', '(4, 3, 5, 5)')),
        ('layer1.0.conv2.weight', np.ones((4, 4, 3, 3), np.int8), ('(int8), as quantised',)),
        ('layer4.2.conv1.weight', np.zeros((4, 3)), ('2, 2, 2, 3 basic blocks',)),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(
    name: str, array: np.ndarray | None, lines: tuple[str, ...], tmp_path: Path, capsys
) -> None:
    tensors = random_tensors(18)
    tensors.pop(name, None)
    if array is not None:
        tensors[name] = array if array.dtype == np.int8 else array.astype(np.float32)
    save_file(tensors, tmp_path / 'theirs.safetensors')
    text = refused(
        capsys,
        f'--weights={tmp_path / "theirs.safetensors"}',
        f'--out={tmp_path / "o.safetensors"}',
    )
    for line in lines:
        assert line in text
    assert not (tmp_path / 'o.safetensors').exists()


def test_class_names_are_as_many_as_outputs(tmp_path: Path, capsys) -> None:
    save_file(random_tensors(18), tmp_path / 'theirs.safetensors')
    text = refused(
        capsys, f'--weights={tmp_path / "theirs.safetensors"}',
        f'--out={tmp_path / "o.safetensors"}', '--class_names=one,two',
    )  # fmt: skip
    assert 'has 2 names (one, two), and the network 5 outputs' in text


def test_an_encoder_says_what_it_is_for(tmp_path: Path, capsys) -> None:
    out = imported(random_tensors(18), tmp_path, *IMAGENET, '--licence=CC0')
    capsys.readouterr()
    weights.main([str(out)])
    text = capsys.readouterr().out
    assert '123.675, 116.28, 103.53' in text
    assert 'CC0' in text
    with pytest.raises(UserError, match=r'is an encoder.*config\.model\.weights='):
        eojax.open(out)
