"""Files that are no images although their names say so: which kind of file they are instead."""

from __future__ import annotations

# How a content starts, and what to say of it.
_STARTS = (
    (b'version https://git-lfs', 'a pointer of Git LFS and no image: run git lfs pull'),
    (b'%PDF', 'a PDF document, no image'),
    (b'PK\x03\x04', 'a zip archive, no image'),
    (b'\x1f\x8b', 'a gzip archive, no image'),
    (b'\x89HDF', 'an HDF5 or netCDF file, no image'),
    (b'CDF', 'a netCDF file, no image'),
    (b'\x93NUMPY', 'a NumPy array, no image'),
    (b'8BPS', 'a Photoshop file: save it as PNG or TIFF'),
    (b'<svg', 'an SVG drawing: save it as PNG'),
    (b'<!doctype html', 'a web page, no image: get the file again'),
    (b'<html', 'a web page, no image: get the file again'),
    (b'<?xml', 'an XML file, no image'),
)
# At byte 4 of the ISO family of files.
_FAMILIES = {
    b'ftypheic': 'a HEIC picture: save it as JPEG or PNG',
    b'ftypheix': 'a HEIC picture: save it as JPEG or PNG',
    b'ftypmif1': 'a HEIF picture: save it as JPEG or PNG',
}


def kind_of(data: bytes) -> str | None:
    """What a content is, in words, and what to do; None where it is not known.

    Args:
      data: the content of a file, or its first 512 bytes.
    """
    if not data:
        return 'an empty file (0 bytes); get it again'
    if data[4:12] in _FAMILIES:
        return _FAMILIES[data[4:12]]
    start = data[:512].lstrip(b'\xef\xbb\xbf \t\r\n')
    for magic, text in _STARTS:
        if start.startswith(magic) or start.lower().startswith(magic):
            return text
    return None if data[:512].strip(b'\0') else 'only zero bytes, no image; get the file again'
