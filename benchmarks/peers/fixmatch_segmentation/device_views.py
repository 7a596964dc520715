"""Both views of whole batches of windows on their device, and the map between them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.peers.batches import moved
from benchmarks.peers.fixmatch import device_augmentation
from benchmarks.peers.fixmatch.device_augmentation import Drawn, Draws, Square
from benchmarks.peers.fixmatch_segmentation import Options


class Boxes(NamedTuple):
    """The rectangles of CutMix, int64 `[N]` each; they may reach beyond the window."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor


class ViewDraws(NamedTuple):
    """All that is random in the views of a batch.

    Attributes:
      weak, again: numbers of the window's pixels, int64 `[N, side, side]`, as the weak view shows
        them, and as the strong one does before its operations.
      passes: the operations.
      square: of cutout.
      boxes: of CutMix.
    """

    weak: Tensor
    again: Tensor
    passes: list[Drawn]
    square: Square
    boxes: Boxes


class Views(NamedTuple):
    """The views of a batch.

    Attributes:
      weak, strong: uint8 `[N, side, side, 3]`.
      places: int64 `[N, side, side]`: which pixel of all weak views together each pixel of the
        strong views shows; -1 where none.
    """

    weak: Tensor
    strong: Tensor
    places: Tensor


def draw(num: int, options: Options, draws: Draws, generator: torch.Generator) -> ViewDraws:
    """The draws of `num` windows."""
    strong, side = options.strong, options.side
    numbers = []
    for _ in range(2):
        rows, columns = moved(num, side, side, strong.weak, generator)
        numbers.append(rows * side + columns)
    square = device_augmentation.draw_square(num, side, side, strong.cutout_share, generator)
    passes = [draws(num) for _ in range(strong.passes)]
    boxes = draw_boxes(num, side, options.cutmix_share, generator)
    return ViewDraws(numbers[0], numbers[1], passes, square, boxes)


def draw_boxes(num: int, side: int, share: float, generator: torch.Generator) -> Boxes:
    """A box of any area around any pixel, in a share of the windows; empty in the others."""
    device = generator.device
    chosen = torch.rand(num, generator=generator, device=device) < share
    length = torch.rand(num, generator=generator, device=device).sqrt() * chosen
    size = torch.round(length * side).long()
    top, left = (
        torch.randint(side, (num,), generator=generator, device=device) - size // 2
        for _ in range(2)
    )
    return Boxes(top, left, size, size)


def make(windows: Tensor, drawn: ViewDraws, interpolation: str) -> Views:
    """The views of windows uint8 `[N, side, side, 3]`."""
    num, side, _, bands = windows.shape
    flat = windows.reshape(num, -1, bands)

    def showing(numbers: Tensor) -> Tensor:
        chosen = numbers.reshape(num, -1, 1).expand(-1, -1, bands)
        return flat.gather(1, chosen).reshape(windows.shape)

    first, second = drawn.weak.reshape(num, -1), drawn.again.reshape(num, -1)
    order = torch.arange(side * side, device=windows.device).expand(num, -1)
    back = torch.zeros_like(first).scatter(1, first, order)
    # From 1 on, as a warp leaves 0 where there is nothing.
    numbers = back.gather(1, second).reshape(num, side, side, 1) + 1
    strong = showing(drawn.again)
    for each in drawn.passes:
        matrices = device_augmentation.matrices(each, (side, side))
        numbers = device_augmentation.warp(numbers, matrices, 'nearest')
        strong = device_augmentation.apply(strong, each, interpolation)
    strong = device_augmentation.cut_out(strong, drawn.square)
    numbers = device_augmentation.cut_out(numbers, drawn.square, 0)[..., 0]
    before = torch.arange(num, device=windows.device)[:, None, None] * side * side
    places = torch.where(numbers > 0, numbers - 1 + before, -1)
    inside = _inside(drawn.boxes, side)
    strong = torch.where(inside[..., None], strong.roll(-1, 0), strong)
    places = torch.where(inside, places.roll(-1, 0), places)
    return Views(showing(drawn.weak), strong, places)


def _inside(boxes: Boxes, side: int) -> Tensor:
    """Which pixels lie in the boxes, bool `[N, side, side]`."""
    line = torch.arange(side, device=boxes.top.device)
    rows, columns = (
        (line >= start[:, None]) & (line < (start + length)[:, None])
        for start, length in ((boxes.top, boxes.height), (boxes.left, boxes.width))
    )
    return rows[:, :, None] & columns[:, None, :]
