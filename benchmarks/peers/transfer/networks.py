"""The encoders and the classifier of `eojax.methods.transfer.embedding_classifier`, in PyTorch."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import torch
from ml_collections import ConfigDict
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.peers.convnet import ConvNet
from benchmarks.peers.flax_weights import load_flax_parameters

DOMAINS = ('source', 'target')


class Networks(nn.Module):
    """phi (`source`), psi (`target`) and h (`classifier`).

    Args:
      config: eojax's.
      bands: of the images of source and target.
      num_classes: outputs of h.
    """

    def __init__(self, config: ConfigDict, bands: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        method = config.method
        size, hidden = method.embedding_size, method.classifier_hidden
        self.normalises = method.normalise_embedding
        for name, count in zip(DOMAINS, bands, strict=True):
            self.add_module(name, ConvNet(config.model, size, count))
        self.classifier = nn.Module()
        sizes = (size, hidden, num_classes) if hidden else (size, num_classes)
        for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes), 1):
            self.classifier.add_module(f'dense{number}', nn.Linear(inputs, outputs))
        self.depth = len(sizes) - 1

    def embed(self, domain: str, images: Tensor) -> Tensor:
        """The embedding `[N, embedding_size]` of a domain's images `[N, bands, H, W]`."""
        embedding: Tensor = getattr(self, domain)(images)
        if not self.normalises:
            return embedding
        return embedding * torch.rsqrt(embedding.square().mean(1, keepdim=True) + 1e-12)

    def classify(self, embedding: Tensor) -> Tensor:
        """Logits `[N, num_classes]`."""
        outputs = embedding
        for number in range(1, self.depth + 1):
            outputs = F.relu(outputs) if number > 1 else outputs
            outputs = getattr(self.classifier, f'dense{number}')(outputs)
        return outputs


def from_flax(config: ConfigDict, parameters: Mapping[str, Any], num_classes: int) -> Networks:
    """The networks with the weights of eojax's parameters.

    Raises:
      ValueError: as `load_flax_parameters`.
    """
    source, target = (parameters[name]['block1_conv1']['kernel'].shape[2] for name in DOMAINS)
    networks = Networks(config, (source, target), num_classes)
    load_flax_parameters(networks, parameters)
    return networks
