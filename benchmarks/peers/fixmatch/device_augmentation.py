"""RandAugment and cutout for whole batches of uint8 images on their device, in PyTorch.

Every image has an operation of its own. A pass is a gather of pixels, a table of 256 levels for
each image and band, and a blend with grey or with a smoothed image, each doing nothing to images
that have drawn something else: nothing waits for the device, and the pass compiles into few
kernels. What it does to an image is what Pillow does, within a level.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.pillow_augmentation import GREY, RANGES

OPERATIONS = tuple(RANGES)
_NUMBER = {name: number for number, name in enumerate(OPERATIONS)}
_LUMINANCE = (19595, 38470, 7471)  # Pillow's, in parts of 65,536


class Drawn(NamedTuple):
    """The draws of one pass: int64 indices into `OPERATIONS` and float32 amounts, `[N]` each."""

    operation: Tensor
    amount: Tensor


class Square(NamedTuple):
    """The squares of cutout: int64 `[N]` upper and left borders, which may lie outside."""

    top: Tensor
    left: Tensor
    side: int


class Draws:
    """Draws operations; what does not change is on the device from the beginning.

    Args:
      operations: that are drawn from.
      generator: on the images' device.
    """

    def __init__(self, operations: tuple[str, ...], generator: torch.Generator) -> None:
        self._generator = generator
        device = generator.device
        self._choices = torch.tensor([_NUMBER[name] for name in operations], device=device)
        self._limits = torch.tensor([RANGES[name] for name in operations], device=device)

    def __call__(self, num: int) -> Drawn:
        """Operations and amounts for `num` images."""
        generator, device = self._generator, self._generator.device
        picked = torch.randint(len(self._choices), (num,), generator=generator, device=device)
        low, high = self._limits[picked].unbind(1)
        share = torch.rand(num, generator=generator, device=device)
        return Drawn(self._choices[picked], low + (high - low) * share)


def draw_square(
    num: int, height: int, width: int, share: float, generator: torch.Generator
) -> Square:
    """A square around a pixel of each of `num` images."""
    side = round(share * min(height, width))
    top, left = (
        torch.randint(size, (num,), generator=generator, device=generator.device) - side // 2
        for size in (height, width)
    )
    return Square(top, left, side)


def apply(images: Tensor, drawn: Drawn, interpolation: str) -> Tensor:
    """One pass over images uint8 `[N, H, W, 3]`."""
    warped = warp(images, matrices(drawn, images.shape[1:3]), interpolation)
    return _blend(_look_up(warped, drawn), drawn)


def cut_out(images: Tensor, square: Square, value: int = GREY) -> Tensor:
    """Images or maps `[N, H, W, bands]` with their squares grey, or of another value."""
    _, height, width, _ = images.shape
    rows = torch.arange(height, device=images.device)[:, None, None]
    columns = torch.arange(width, device=images.device)[:, None]
    top, left = (x[:, None, None, None] for x in square[:2])
    covered = (rows >= top) & (rows < top + square.side)
    covered = covered & (columns >= left) & (columns < left + square.side)
    return torch.where(covered, torch.full_like(images[:1, :1, :1, :1], value), images)


def matrices(drawn: Drawn, size: Sequence[int]) -> Tensor:
    """From places in the new image to places in the old one, float32 `[N, 2, 3]`.

    Args:
      size: height and width of the images.
    """
    height, width = size

    def of(name: str) -> Tensor:
        return torch.where(drawn.operation == _NUMBER[name], drawn.amount, 0.0)

    angle = -torch.deg2rad(of('rotate'))
    cos, sin = torch.cos(angle), torch.sin(angle)
    x, y = width / 2.0, height / 2.0
    right = x - cos * x - sin * y + width * of('translate_x')
    down = y + sin * x - cos * y + height * of('translate_y')
    rows = [cos, sin + of('shear_x'), right, of('shear_y') - sin, cos, down]
    return torch.stack(rows, 1).reshape(-1, 2, 3)


def warp(images: Tensor, matrices: Tensor, interpolation: str) -> Tensor:
    """Images uint8, or by the nearest pixel any whole numbers, `[N, H, W, bands]`; 0 outside."""
    num, height, width, bands = images.shape
    y = torch.arange(height, device=images.device)[:, None]
    x = torch.arange(width, device=images.device)
    by_x, by_y, constant = (matrices[:, :, i, None, None] for i in range(3))
    if interpolation == 'nearest':
        # In Pillow's fixed point, of 16 bits below the pixel.
        start, step_x, step_y = (
            torch.floor(v * 65536.0 + 0.5).int()
            for v in (constant + 0.5 * (by_x + by_y), by_x, by_y)
        )
        columns, rows = ((start + step_x * x + step_y * y) >> 16).unbind(1)
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        places = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
        flat = places.reshape(num, -1, 1).long().expand(-1, -1, bands)
        found = images.reshape(num, -1, bands).gather(1, flat).reshape(images.shape)
        return torch.where(inside[..., None], found, torch.zeros_like(found[:1, :1, :1, :1]))
    columns, rows = (by_x * (x + 0.5) + by_y * (y + 0.5) + constant).unbind(1)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    grid = torch.stack([2.0 * columns / width - 1.0, 2.0 * rows / height - 1.0], -1)
    found = F.grid_sample(
        images.permute(0, 3, 1, 2).float(), grid, 'bilinear', 'border', align_corners=False
    ).permute(0, 2, 3, 1)
    return torch.where(inside[..., None], torch.floor(found + 0.5), 0.0).to(torch.uint8)


def _look_up(images: Tensor, drawn: Drawn) -> Tensor:
    """Levels by their image's table."""
    num, _, _, bands = images.shape
    flat = images.reshape(num, -1, bands).mT.long()
    counts = torch.zeros(num, bands, 256, device=images.device)
    counts.scatter_add_(2, flat, torch.ones((), device=images.device).expand_as(flat))
    level = torch.arange(256, device=images.device)
    amount = drawn.amount[:, None]
    bits = 8 - drawn.amount.int().clamp(1, 8)[:, None]
    grey = torch.floor(_luminance(images).float().mean((1, 2, 3)) + 0.5)[:, None]
    of_image = {
        'brightness': torch.floor(amount * level),
        'contrast': torch.trunc(grey + amount * (level - grey)),
        'posterise': level & ~((1 << bits) - 1),
        'solarise': torch.where(level < amount, level, 255 - level),
    }
    table = level.float().expand(num, bands, 256)
    for name, entries in of_image.items():
        table = torch.where(_drew(drawn, name, 3), entries[:, None].float(), table)
    table = torch.where(_drew(drawn, 'autocontrast', 3), _autocontrast(counts), table)
    table = torch.where(_drew(drawn, 'equalise', 3), _equalise(counts), table)
    table = table.clamp(0.0, 255.0).to(torch.uint8)
    return table.gather(2, flat).mT.reshape(images.shape)


def _autocontrast(counts: Tensor) -> Tensor:
    """Tables `[N, bands, 256]` from the lowest to the highest level, in double as Pillow."""
    there = counts > 0
    level = torch.arange(256, device=counts.device)
    low = torch.where(there, level, 255).amin(-1, keepdim=True)
    high = torch.where(there, level, 0).amax(-1, keepdim=True)
    span = (high - low).clamp(min=1).double()
    scale = torch.full_like(span, 255.0) / span  # a number over a tensor is a product of it
    stretched = torch.trunc(level * scale - low * scale).clamp(0.0, 255.0)
    return torch.where(high > low, stretched, level.double()).float()


def _equalise(counts: Tensor) -> Tensor:
    """Tables `[N, bands, 256]` that make levels equally frequent."""
    there = counts > 0
    level = torch.arange(256, device=counts.device)
    whole = counts.long()
    last = torch.where(there, level, 0).amax(-1, keepdim=True)
    step = (whole.sum(-1, keepdim=True) - whole.gather(-1, last)) // 255
    below = whole.cumsum(-1) - whole
    found = (step // 2 + below) // step.clamp(min=1)
    useful = (there.sum(-1, keepdim=True) > 1) & (step > 0)
    return torch.where(useful, found.clamp(max=255), level).float()


def _blend(images: Tensor, drawn: Drawn) -> Tensor:
    """Colour and sharpness, between the image and its grey or its smoothed self."""
    colour, sharpness = _drew(drawn, 'colour', 4), _drew(drawn, 'sharpness', 4)
    levels, factor = images.float(), drawn.amount[:, None, None, None]
    other = torch.where(colour, _luminance(images).float(), _smoothed(levels))
    blended = torch.floor(other + factor * (levels - other)).clamp(0.0, 255.0)
    return torch.where(colour | sharpness, blended, levels).to(torch.uint8)


def _luminance(images: Tensor) -> Tensor:
    """Grey int32 `[N, H, W, 1]`, in Pillow's whole numbers."""
    red, green, blue = (images[..., i : i + 1].int() * w for i, w in enumerate(_LUMINANCE))
    return (red + green + blue + 32768) >> 16


def _smoothed(levels: Tensor) -> Tensor:
    """A 3 x 3 mean with weight 5 in the middle, rounded; the border stays as it is."""
    rows = levels[:, :-2] + levels[:, 1:-1] + levels[:, 2:]
    box = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    inner = torch.floor((box + 4.0 * levels[:, 1:-1, 1:-1]) / 13.0 + 0.5)
    smooth = levels.clone()
    smooth[:, 1:-1, 1:-1] = inner
    return smooth


def _drew(drawn: Drawn, name: str, dimensions: int) -> Tensor:
    """Which images have drawn an operation, bool `[N, 1, ...]`."""
    return (drawn.operation == _NUMBER[name]).reshape(-1, *(1,) * (dimensions - 1))
