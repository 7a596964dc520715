"""ResNets by torchvision's names, which timm, torchgeo, MoCo and others have too."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from eojax.config.base import base_config
from eojax.errors import UserError
from eojax.exporting.torch_weights import resnet_name
from eojax.importing.fitting import PARAMETERS, STATISTICS, fitted, shapes_of, torch_shape
from eojax.importing.network import Imported
from eojax.importing.tensors import Tensors, about_of
from eojax.models import resnet
from eojax.models.resnet import BLOCKS, INPUT_DEVIATION, INPUT_MEAN, STEMS

NAME = 'resnet'
_STEM, _FIRST = 'conv1.weight', 'layer1.0.conv1.weight'
_HEAD = ('fc.weight', 'fc.bias')
_HEADS = re.compile(r'(fc|head|classifier|projector|projection_head|predictor)\.')
# Of networks that are trained as pairs: the one that is used afterwards.
_USUAL = ('module.encoder_q.', 'encoder_q.', 'module.base_encoder.', 'base_encoder.')
_BLOCK = re.compile(r'layer(\d)\.(\d+)\.')
# The leaves that are no tensors of a file: the mean and deviation of the images that it knows.
OWN = (f'{STATISTICS}.{INPUT_MEAN}', f'{STATISTICS}.{INPUT_DEVIATION}')
HEAD = f'{PARAMETERS}.head.'


def prefixes(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """What stands before the names of each ResNet in a file: '' where nothing does."""
    return sorted(
        prefix
        for name in arrays
        if name.endswith(_STEM)
        and ((prefix := name.removesuffix(_STEM)) + _FIRST) in arrays
        and (not prefix or prefix.endswith('.'))
    )


def chosen_prefix(arrays: Mapping[str, np.ndarray], wanted: str | None, title: str) -> str:
    """The prefix of the network to take.

    Args:
      wanted: as the user says; None for the only one, or the usual one.

    Raises:
      UserError: there is none, or several and nobody says which.
    """
    there = prefixes(arrays)
    listed = ', '.join(map(repr, there))
    if wanted is not None:
        wanted = wanted if not wanted or wanted.endswith('.') else f'{wanted}.'
        if wanted not in there:
            raise UserError(f'{title} has no ResNet behind --prefix={wanted}; it has {listed}')
        return wanted
    usual = [prefix for prefix in _USUAL if prefix in there]
    if len(there) > 1 and not usual:
        raise UserError(f'{title} has {len(there)} ResNets, behind {listed}: say --prefix=NAME')
    return usual[0] if len(there) > 1 else there[0]


def read(tensors: Tensors, wanted: str | None, with_head: bool, title: str) -> Imported:
    """The network of a file; its depth, width, stem and bands follow from the shapes.

    Args:
      tensors: of the file; `prefixes` must have found a ResNet in them.
      wanted: the prefix, as in `chosen_prefix`.
      with_head: whether the head is taken, where there is one that gives classes; that of a file of
        `eojax export` always is.
      title: of the file, for messages.

    Raises:
      UserError: a tensor that does not fit, by its name, or damaged metadata.
    """
    arrays, about = tensors.arrays, about_of(tensors, title)
    with_head = with_head or bool(about)
    prefix = chosen_prefix(arrays, wanted, title)
    inside = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
    stem = inside[_STEM]
    options = base_config('supervised', NAME, 'folder').model
    if stem.ndim != 4 or f'{stem.shape[2]}x{stem.shape[3]}' not in STEMS:
        raise UserError(
            f'{title}: {prefix}{_STEM} has the shape {stem.shape}; ours is (features, bands, 7, 7)'
            ' or (features, bands, 3, 3)'
        )
    options.update({
        'depth': _depth(inside, title),
        'width': stem.shape[0],
        'stem': f'{stem.shape[2]}x{stem.shape[3]}',
    })  # fmt: skip
    bands = stem.shape[1]
    shapes = shapes_of(resnet.build(options, 1), bands)
    outputs = _outputs(inside, shapes[f'{HEAD}kernel'][0]) if with_head else 0
    shapes = shapes_of(resnet.build(options, outputs or 1), bands)
    if not outputs:
        shapes = {n: s for n, s in shapes.items() if not n.startswith(HEAD)}
    theirs = {name: shape for name, shape in shapes.items() if name not in OWN}
    body = {
        name: array
        for name, array in inside.items()
        if not _HEADS.match(name) or (outputs and name in _HEAD)
    }
    kind = f'ResNet-{options.depth} of width {options.width}'
    leaves = fitted(theirs, body, resnet_name, _behind(title, prefix), kind)
    for leaf, name, usual in zip(OWN, ('mean', 'deviation'), (0.0, 1.0), strict=True):
        values = np.asarray(about.get(name, [usual] * bands), np.float32)
        if values.shape != (bands,) or not np.isfinite(values).all():
            raise UserError(f'{title}: its metadata are damaged ({name}): export it anew')
        leaves[leaf] = values
    left = sorted(arrays.keys() - {prefix + name for name in body})
    return Imported(options, leaves, bands, outputs, tuple(left), about)


def _behind(title: str, prefix: str) -> str:
    return f'{title} (behind {prefix!r})' if prefix else title


def _depth(inside: Mapping[str, np.ndarray], title: str) -> int:
    blocks = {(int(m[1]), int(m[2])) for name in inside if (m := _BLOCK.match(name))}
    counts = tuple(sum(group == g for g, _ in blocks) for group in (1, 2, 3, 4))
    bottleneck = 'layer1.0.conv3.weight' in inside
    for depth, known in BLOCKS.items():
        if known == (counts, bottleneck):
            return depth
    kind = 'bottlenecks' if bottleneck else 'basic blocks'
    raise UserError(
        f'{title}: {", ".join(map(str, counts))} {kind} in its four groups are no ResNet of depth'
        f' {", ".join(map(str, BLOCKS))}'
    )


def _outputs(inside: Mapping[str, np.ndarray], features: int) -> int:
    """How many classes the head has; 0 where it is none, as those of contrastive learning."""
    arrays = [inside.get(name) for name in _HEAD]
    if any(array is None for array in arrays):
        return 0
    weight, bias = arrays
    assert weight is not None and bias is not None  # noqa: PT018
    fits = weight.shape == (len(bias) if bias.ndim == 1 else -1, *torch_shape((features, 1))[1:])
    return len(bias) if fits else 0
