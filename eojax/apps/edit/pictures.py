"""Pictures of edits: all of them in one strip, and rising water as an animated file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from eojax.atomic_file import write_atomically
from eojax.drawing.style import TEXT

ANIMATIONS = {'gif': 'GIF', 'webp': 'WEBP'}
"""Formats of animated files, by suffix."""
FRAME_PIXELS = 640  # of a frame's longer side
_SECONDS, _LAST_SECONDS = 0.9, 2.0
_CAPTION = 24  # pixels below a frame
_SMALLEST = 240  # smaller pictures are enlarged


def animation(
    frames: Sequence[np.ndarray], captions: Sequence[str], path: Path, seconds: float = _SECONDS
) -> None:
    """Writes pictures one after the other, each with its caption, for ever; the last one stays.

    Args:
      frames: uint8 `[h, w, 3]`, of one size.
      captions: a line below each.
      path: ends in a key of `ANIMATIONS`.
      seconds: that each is seen.
    """
    images = [_captioned(frame, text) for frame, text in zip(frames, captions, strict=True)]
    times = [round(1000 * seconds)] * len(images)
    times[-1] = max(times[-1], round(1000 * _LAST_SECONDS))
    kind = ANIMATIONS[path.suffix.lstrip('.').lower()]
    options = {'lossless': True} if kind == 'WEBP' else {}
    write_atomically(
        path,
        lambda file: images[0].save(
            file, kind, save_all=True, append_images=images[1:], duration=times, loop=0, **options
        ),
    )


def _captioned(frame: np.ndarray, text: str) -> Image.Image:
    """A picture with a line of text below it; small ones are enlarged by a whole factor."""
    factor = max(1, _SMALLEST // max(frame.shape[:2]))
    picture = frame.repeat(factor, 0).repeat(factor, 1)
    height, width = picture.shape[:2]
    canvas = Image.new('RGB', (width, height + _CAPTION), 'white')
    canvas.paste(Image.fromarray(picture), (0, 0))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    draw.text((4, height + _CAPTION // 2), text, fill=TEXT, font=font, anchor='lm')
    return canvas
