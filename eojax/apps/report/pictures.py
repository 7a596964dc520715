"""Pictures of a run folder as parts of a page."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import NamedTuple

from PIL import Image

# A picture with more pixels or bytes than this is made smaller, and its caption says so.
_LONGEST_SIDE, _LARGEST_FILE = 4096, 6_000_000
_REDUCED_SIDE = 2000
_LEGIBLE_WIDTH = 800  # up to which a chart can be read on a phone as it is


class Picture(NamedTuple):
    """A picture that stands in the page itself.

    Attributes:
      name: of its file.
      alt: what it shows, for those who do not see it.
      caption: below it.
      address: its content as a `data:` address; empty where the file is damaged.
      width, height: in pixels.
      chart: whether it has small text, so that it had better be moved than shrunk on a phone.
    """

    name: str
    alt: str
    caption: str = ''
    address: str = ''
    width: int = 0
    height: int = 0
    chart: bool = False

    @property
    def wide(self) -> bool:
        """Whether it takes the whole width of the page."""
        return self.width > 1.6 * self.height

    @property
    def pans(self) -> bool:
        """Whether it is moved on a small screen instead of shrunk."""
        return (self.chart or self.wide) and self.width > _LEGIBLE_WIDTH


def read_picture(path: Path, alt: str, caption: str = '', chart: bool = False) -> Picture:
    """A picture of a file; without an address where the file is damaged."""
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            (width, height), coding = image.size, image.format
            if max(width, height) > _LONGEST_SIDE or len(content) > _LARGEST_FILE:
                image.thumbnail((_REDUCED_SIDE, _REDUCED_SIDE))
                caption = f'{caption} (reduced from {width:,} x {height:,} pixels)'.strip()
                (width, height), coding = image.size, 'PNG'
                buffer = io.BytesIO()
                image.save(buffer, 'PNG', optimize=True)
                content = buffer.getvalue()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return Picture(path.name, alt)
    address = f'data:image/{str(coding).lower()};base64,{base64.b64encode(content).decode()}'
    return Picture(path.name, alt, caption, address, width, height, chart)
