"""The optimisers of `eojax.methods.update` in PyTorch, and its running average of parameters.

Clipping and sharpness-aware steps are not here, and configs with them are refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from ml_collections import ConfigDict
from torch import Tensor, nn

UNDERSTOOD = frozenset(
    {
        'optimizer.name',
        'optimizer.learning_rate',
        'optimizer.b1',
        'optimizer.b2',
        'optimizer.momentum',
        'optimizer.nesterov',
        'optimizer.weight_decay',
        'optimizer.warmup_steps',
        'optimizer.schedule',
        'optimizer.milestones',
        'optimizer.milestone_factor',
        'optimizer.cosine_cycles',
    }
)


def build(
    options: ConfigDict, parameters: Sequence[nn.Parameter], fused: bool = False
) -> torch.optim.Optimizer:
    """SGD, with weight decay in the gradient, or Adam, with decoupled weight decay, on kernels.

    Args:
      options: the config group `optimizer`; the learning rate is set before each step.
      fused: one kernel for all parameters.
    """
    decay = options.weight_decay
    kernels = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    groups = [
        {'params': kernels, 'weight_decay': decay},
        {'params': others, 'weight_decay': 0.0},
    ]
    rate = options.learning_rate
    if options.name == 'sgd':
        # PyTorch has Nesterov's for a momentum above 0 alone, where it makes a difference.
        nesterov = options.nesterov and options.momentum > 0.0
        return torch.optim.SGD(groups, rate, options.momentum, nesterov=nesterov, fused=fused)
    betas = (options.b1, options.b2)
    return torch.optim.AdamW(groups, rate, betas, fused=fused)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step."""
    for group in optimizer.param_groups:
        group['lr'] = rate


def average_share(step: int, decay: float) -> float:
    """The share of the newest parameters in the average after `step` earlier steps."""
    return 1.0 - min(decay, (1.0 + step) / (10.0 + step))


@torch.no_grad()
def average_in(average: Sequence[Tensor], parameters: Sequence[Tensor], share: float) -> None:
    """Moves the average towards the parameters, all of them in one call."""
    torch._foreach_lerp_(list(average), list(parameters), share)
