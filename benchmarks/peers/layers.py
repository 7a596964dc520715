"""Layers that the peers' networks share: those of `eojax.models`, in PyTorch (NCHW)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    'relu': F.relu,
    'leaky_relu': lambda x: F.leaky_relu(x, 0.2),
    'leaky_relu_0.1': lambda x: F.leaky_relu(x, 0.1),
    'swish': F.silu,
}
_GROUP_EPSILON = 1e-6  # flax's; that of batch normalisation is PyTorch's own


def normalisation(kind: str, channels: int, momentum: float) -> nn.Module:
    """A normalisation of `eojax.models.wide_resnet.NORMS`.

    Its running variance is PyTorch's, n / (n - 1) of eojax's for n values a channel.

    Args:
      momentum: eojax's: the share of the running statistics that stays.
    """
    if kind == 'batch':
        return nn.BatchNorm2d(channels, momentum=1.0 - momentum)
    if kind == 'group':
        groups = max(g for g in (8, 4, 2, 1) if channels % g == 0)
        return nn.GroupNorm(groups, channels, _GROUP_EPSILON)
    if kind == 'instance':
        return nn.GroupNorm(channels, channels, _GROUP_EPSILON)
    return nn.Identity()


def has_bias(norm: str) -> bool:
    """Whether a convolution before such a normalisation has one."""
    return norm in ('none', 'group')
