"""How many images a TIFF holds; its overviews and masks are none."""

from __future__ import annotations

import struct

_SUBFILE = 254  # the tag that says what a directory is
_REDUCED_OR_MASK = 1 | 4
_MOST = 10_000


def count_pages(data: bytes) -> int:
    """The directories of a TIFF or BigTIFF that are images of their own, at least 1.

    Args:
      data: the content of the file; where it is broken, what comes before counts.
    """
    order = '<' if data[:2] == b'II' else '>'
    big = data[2:4] in (b'+\0', b'\0+')
    # The number of entries, an entry, and the place of the next directory.
    number, entry, place = ('Q', 20, 'Q') if big else ('H', 12, 'I')
    pages = 0
    seen: set[int] = set()
    try:
        (offset,) = struct.unpack_from(order + place, data, 8 if big else 4)
        while offset and offset not in seen and len(seen) < _MOST:
            seen.add(offset)
            (entries,) = struct.unpack_from(order + number, data, offset)
            start = offset + struct.calcsize(order + number)
            pages += not _subfile(data, order, start, entries, entry) & _REDUCED_OR_MASK
            (offset,) = struct.unpack_from(order + place, data, start + entries * entry)
    except struct.error:  # the decoder says what is broken
        pass
    return max(pages, 1)


def _subfile(data: bytes, order: str, start: int, entries: int, size: int) -> int:
    """The value of the tag; it is the first one where there is one, as tags are sorted."""
    if not entries or struct.unpack_from(order + 'H', data, start) != (_SUBFILE,):
        return 0
    return struct.unpack_from(order + 'I', data, start + (12 if size == 20 else 8))[0]
