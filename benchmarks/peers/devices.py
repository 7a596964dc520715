"""Where the peers compute, and how fast they may."""

from __future__ import annotations

import torch

from eojax.errors import UserError

DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16}


def torch_device(name: str) -> torch.device:
    """The device of PyTorch's name.

    Raises:
      UserError: this PyTorch has none of that name.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # a build without CUDA asserts
        raise UserError(f'PyTorch {torch.__version__} has no device {name!r} here') from error
    return device


def allow_tensor_cores(device: torch.device, products: bool = True) -> None:
    """TF32 and cuDNN's own choice of algorithms on NVIDIA GPUs, as everybody trains there.

    Args:
      products: whether float32 matrix products may be TF32 too, and not convolutions alone.
    """
    if device.type == 'cuda':
        torch.backends.cuda.matmul.allow_tf32 = products
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True


def synchronize(device: torch.device) -> None:
    """Waits until the device has done all that was asked of it."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
