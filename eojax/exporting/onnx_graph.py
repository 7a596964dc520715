"""The logits of a run's Wide-ResNet or ResNet as an ONNX model, for images of any number and size.

Its operators are of opset 17, so that runtimes of 2022 and later take it. Needs the package
`onnx`, which is not among eojax's own: `pip install 'eojax[onnx]'`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import eojax
from eojax.errors import UserError
from eojax.exporting.torch_weights import Described, described_network
from eojax.models.resnet import BLOCKS
from eojax.runs.run import Run

_OPSET = 17
_EPSILON = {'batch': 1e-5, 'group': 1e-6, 'instance': 1e-6}


def export_onnx(run: Run, state: Any, out: Path) -> None:
    """Writes a model with the input `images`, float32 `[N, bands, H, W]` in -1 to 1, and the output
    `logits`, float32 `[N, classes]`. Its metadata have what `export_torch` writes, as `network`.

    Raises:
      UserError: `onnx` is not installed, the run has another network, or the file cannot be
        written.
    """
    try:
        import onnx
    except ImportError as error:
        raise UserError(
            "--format=onnx needs the package onnx: pip install onnx (or 'eojax[onnx]')"
        ) from error
    network = described_network(run, state, 'onnx')
    graph = _Graph(onnx, network)
    model = onnx.helper.make_model(
        graph.build(),
        opset_imports=[onnx.helper.make_opsetid('', _OPSET)],
        ir_version=8,
        producer_name='eojax',
        producer_version=eojax.__version__,
    )
    onnx.helper.set_model_props(model, {'network': json.dumps(network.about)})
    onnx.checker.check_model(model, full_check=True)
    try:
        out.write_bytes(model.SerializeToString())
    except OSError as error:
        raise UserError(f'--out={out} cannot be written: {error.strerror or error}') from error


class _Graph:
    """Nodes of a network in the order of their arithmetic."""

    def __init__(self, onnx: Any, network: Described):
        self._onnx = onnx
        self._weights = network.weights
        self._about = network.about
        self._arguments = network.about['arguments']
        self._nodes: list[Any] = []
        self._constants: dict[str, np.ndarray] = {}

    def build(self) -> Any:
        """The graph for images of any number, height and width."""
        helper, floats = self._onnx.helper, self._onnx.TensorProto.FLOAT
        arguments, kind = self._arguments, self._about['model']
        logits = self._resnet('images') if kind == 'resnet' else self._wide_resnet('images')
        self._nodes.append(helper.make_node('Identity', [logits], ['logits']))
        shape = ['N', arguments['bands'], 'H', 'W']
        return helper.make_graph(
            self._nodes,
            kind,
            [helper.make_tensor_value_info('images', floats, shape)],
            [helper.make_tensor_value_info('logits', floats, ['N', arguments['num_outputs']])],
            [self._onnx.numpy_helper.from_array(a, n) for n, a in self._constants.items()],
        )

    def _wide_resnet(self, images: str) -> str:
        arguments = self._arguments
        x = self._convolve(images, 'stem', 1)
        density = ''
        for group in (1, 2, 3):
            for block in range(1, (arguments['depth'] - 4) // 6 + 1):
                stride = 2 if group > 1 and block == 1 else 1
                x = self._block(x, f'group{group}_block{block}', stride)
            if arguments['density_head']:
                term = self._dense(self._pool(self._act(x), 'ReduceSum'), f'density{group}')
                density = self._add('Add', density, term) if density else term
        pooled = self._pool(self._act(self._normalise(x, 'norm')), 'ReduceMean')
        logits = self._dense(pooled, 'head')
        if arguments['density_alone']:
            logits = self._add('LogSoftmax', logits, axis=1)
        return self._add('Add', logits, density) if density else logits

    def _resnet(self, images: str) -> str:
        counts, bottleneck = BLOCKS[self._arguments['depth']]
        mean, deviation = (
            self._constant(name, np.asarray(self._about[name], np.float32).reshape(1, -1, 1, 1))
            for name in ('mean', 'deviation')
        )
        x = self._add('Div', self._add('Sub', images, mean), deviation)
        large = self._arguments['stem'] == '7x7'
        x = self._convolve(x, 'conv1', 2 if large else 1)
        x = self._add('Relu', self._batch(x, 'bn1'))
        if large:
            x = self._add('MaxPool', x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
        for group, count in enumerate(counts, 1):
            for block in range(count):
                stride = 2 if group > 1 and block == 0 else 1
                x = self._resnet_block(x, f'layer{group}.{block}', stride, bottleneck)
        return self._dense(self._pool(x, 'ReduceMean'), 'fc')

    def _resnet_block(self, x: str, name: str, stride: int, bottleneck: bool) -> str:
        strides = (1, stride, 1) if bottleneck else (stride, 1)
        y = x
        for number, step in enumerate(strides, 1):
            y = self._batch(self._convolve(y, f'{name}.conv{number}', step), f'{name}.bn{number}')
            y = self._add('Relu', y) if number < len(strides) else y
        if f'{name}.downsample.0.weight' in self._weights:
            x = self._convolve(x, f'{name}.downsample.0', stride)
            x = self._batch(x, f'{name}.downsample.1')
        return self._add('Relu', self._add('Add', x, y))

    def _add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f'{operator}_{len(self._nodes)}'
        self._nodes.append(
            self._onnx.helper.make_node(operator, list(inputs), [output], **attributes)
        )
        return output

    def _constant(self, name: str, value: np.ndarray | None = None) -> str:
        self._constants[name] = self._weights[name] if value is None else value
        return name

    def _block(self, x: str, name: str, stride: int) -> str:
        y = self._act(self._normalise(x, f'{name}.norm1'))
        shortcut = x
        if f'{name}.shortcut.weight' in self._weights:
            of = y if self._arguments['shortcut'] == 'activated' else x
            shortcut = self._convolve(of, f'{name}.shortcut', stride)
        y = self._convolve(y, f'{name}.conv1', stride)
        y = self._act(self._normalise(y, f'{name}.norm2'))
        return self._add('Add', shortcut, self._convolve(y, f'{name}.conv2', 1))

    def _convolve(self, x: str, name: str, stride: int) -> str:
        size = self._weights[f'{name}.weight'].shape[2]
        inputs = [x, self._constant(f'{name}.weight')]
        if f'{name}.bias' in self._weights:
            inputs.append(self._constant(f'{name}.bias'))
        return self._add(
            'Conv', *inputs, kernel_shape=[size] * 2, strides=[stride] * 2, pads=[size // 2] * 4
        )

    def _dense(self, x: str, name: str) -> str:
        inputs = [x, self._constant(f'{name}.weight')]
        if f'{name}.bias' in self._weights:
            inputs.append(self._constant(f'{name}.bias'))
        return self._add('Gemm', *inputs, transB=1)

    def _pool(self, x: str, operator: str) -> str:
        if operator == 'ReduceMean':  # its axes are an attribute until opset 18
            return self._add(operator, x, axes=[2, 3], keepdims=0)
        axes = self._constant('axes', np.array([2, 3], np.int64))
        return self._add(operator, x, axes, keepdims=0)

    def _act(self, x: str) -> str:
        kind = self._arguments['activation']
        if kind == 'swish':
            return self._add('Mul', x, self._add('Sigmoid', x))
        if kind == 'relu':
            return self._add('Relu', x)
        return self._add('LeakyRelu', x, alpha={'leaky_relu': 0.2, 'leaky_relu_0.1': 0.1}[kind])

    def _normalise(self, x: str, name: str) -> str:
        kind = self._arguments['norm']
        if kind == 'none':
            return x
        if kind == 'batch':
            return self._batch(x, name)
        epsilon = _EPSILON[kind]
        if kind == 'group':
            return self._group(x, name, epsilon)
        scale, bias = self._constant(f'{name}.weight'), self._constant(f'{name}.bias')
        return self._add('InstanceNormalization', x, scale, bias, epsilon=epsilon)

    def _batch(self, x: str, name: str) -> str:
        leaves = ('weight', 'bias', 'running_mean', 'running_var')
        numbers = [self._constant(f'{name}.{leaf}') for leaf in leaves]
        return self._add('BatchNormalization', x, *numbers, epsilon=_EPSILON['batch'])

    def _group(self, x: str, name: str, epsilon: float) -> str:
        """Group normalisation, which opset 17 has no operator for: each group as one channel."""
        channels = len(self._weights[f'{name}.weight'])
        groups = max(g for g in (8, 4, 2, 1) if channels % g == 0)
        joined = self._constant(f'joined{groups}', np.array([0, groups, -1], np.int64))
        ones = self._constant(f'ones{groups}', np.ones(groups, np.float32))
        zeros = self._constant(f'zeros{groups}', np.zeros(groups, np.float32))
        parts = self._add('Reshape', x, joined)
        parts = self._add('InstanceNormalization', parts, ones, zeros, epsilon=epsilon)
        whole = self._add('Reshape', parts, self._add('Shape', x))
        each = (1, channels, 1, 1)
        scale, bias = (
            self._constant(f'{name}.{leaf}4', self._weights[f'{name}.{leaf}'].reshape(each))
            for leaf in ('weight', 'bias')
        )
        return self._add('Add', self._add('Mul', whole, scale), bias)
