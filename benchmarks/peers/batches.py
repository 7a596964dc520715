"""Order and weak augmentation of the peers' batches: those of eojax, in PyTorch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F


def shuffled(indices: Tensor, num: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Batches of `num` indices for ever, each epoch in an order of its own."""
    pending = indices[:0]
    while True:
        while len(pending) < num:
            order = torch.randperm(len(indices), generator=generator, device=indices.device)
            pending = torch.cat([pending, indices[order]])
        yield pending[:num]
        pending = pending[num:]


def augment_bands_first(images: Tensor, name: str, generator: torch.Generator) -> Tensor:
    """`eojax.augment` of images `[N, bands, H, W]` on the host: flip, transpose, pad and crop."""

    def chance() -> Tensor:
        return torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5

    if name != 'none':
        images = torch.where(chance(), images.flip(3), images)
        images = torch.where(chance(), images.flip(2), images)
    if name.startswith('dihedral'):
        images = torch.where(chance(), images.transpose(2, 3), images)
    if name.endswith('shift'):
        _, _, height, width = images.shape
        rows, columns = max(1, round(0.125 * height)), max(1, round(0.125 * width))
        padded = F.pad(images.float(), (columns, columns, rows, rows), mode='reflect')
        tops = torch.randint(2 * rows + 1, (len(images),), generator=generator).tolist()
        lefts = torch.randint(2 * columns + 1, (len(images),), generator=generator).tolist()
        crops = zip(padded, tops, lefts, strict=True)
        images = torch.stack([x[:, t : t + height, le : le + width] for x, t, le in crops])
    return images.contiguous()


def augment(images: Tensor, name: str, generator: torch.Generator) -> Tensor:
    """`eojax.augment` of images `[N, H, W, bands]` on their device, as one gather of pixels."""
    if name == 'none':
        return images
    num, height, width, _ = images.shape
    rows, columns = moved(num, height, width, name, generator)
    return images[torch.arange(num, device=images.device)[:, None, None], rows, columns]


def moved(
    num: int, height: int, width: int, name: str, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Which pixel each pixel of an augmented image shows.

    Returns:
      Rows and columns, int64 on the generator's device, which broadcast to `[num, height, width]`.
    """
    device = generator.device

    def chance() -> Tensor:
        return torch.rand(num, 1, generator=generator, device=device) < 0.5

    rows = torch.arange(height, device=device).expand(num, -1)
    columns = torch.arange(width, device=device).expand(num, -1)
    if name == 'none':
        return rows[:, :, None], columns[:, None, :]
    if name.endswith('shift'):
        rows, columns = (_shifted(x, generator) for x in (rows, columns))
    rows = torch.where(chance(), height - 1 - rows, rows)
    columns = torch.where(chance(), width - 1 - columns, columns)
    rows, columns = rows[:, :, None], columns[:, None, :]
    if name.startswith('dihedral'):
        swap = chance()[:, :, None]
        rows, columns = (torch.where(swap, x.mT, x) for x in (rows, columns))
    return rows, columns


def corners(size: tuple[int, int], side: int, num: int, generator: torch.Generator) -> Tensor:
    """Upper left corners of windows of a `side` anywhere in images of a size, int64 `[2, num]`."""
    device = generator.device
    return torch.stack(
        [torch.randint(x - side + 1, (num,), generator=generator, device=device) for x in size]
    )


def _shifted(places: Tensor, generator: torch.Generator) -> Tensor:
    """Indices `[N, side]` moved by up to an eighth of the side, reflected at the borders."""
    num, side = places.shape
    most = max(1, round(0.125 * side))
    shift = torch.randint(2 * most + 1, (num, 1), generator=generator, device=places.device) - most
    moved = (places + shift).abs()
    return side - 1 - (side - 1 - moved).abs()
