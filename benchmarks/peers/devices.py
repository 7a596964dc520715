"""Where the peers compute, and how fast they may."""

from __future__ import annotations

import sys

import torch

from eojax.errors import UserError, unknown_name

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


def dtype_for(name: str, device: torch.device) -> torch.dtype:
    """The type of a name; `auto` is bfloat16 on NVIDIA GPUs and float32, as eojax has it, on CPUs.

    Raises:
      UserError: an unknown name.
    """
    if name == 'auto':
        name = 'bfloat16' if device.type == 'cuda' else 'float32'
    if name not in DTYPES:
        raise unknown_name('dtype', name, ('auto', *DTYPES))
    return DTYPES[name]


def arithmetic_notes(dtype: torch.dtype, compiled: bool) -> str:
    """Precision, layout, whether compiled, threads: of a best-effort peer."""
    name = next(name for name, known in DTYPES.items() if known == dtype)
    how = 'compiled' if compiled else 'not compiled'
    return f'{name}, channels last, {how}, {torch.get_num_threads()} threads'


def say_not_compiled(error: Exception) -> None:
    """One line that `torch.compile` does not work here, and why."""
    reason = ' '.join(str(error).split())[:120]
    print(f'best effort peer: torch.compile does not work here: {reason}', file=sys.stderr)


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
