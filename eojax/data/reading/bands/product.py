"""The metadata of a Sentinel-2 product: what its stored numbers mean.

A product's `MTD_MSIL1C.xml` or `MTD_MSIL2A.xml` says with which number reflectance was multiplied
(`QUANTIFICATION_VALUE`), and since processing baseline 04.00 (25 January 2022) what was added to
each band (`RADIO_ADD_OFFSET`, `BOA_ADD_OFFSET`; -1000 there means that 1,000 was added):

    reflectance = (stored + ADD_OFFSET) / QUANTIFICATION_VALUE

Source: Sentinel-2 Products Specification Document, S2-PDGS-TAS-DI-PSD, issue 14.9, 2021.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple
from xml.etree import ElementTree

from eojax.data.reading.bands.names import BANDS
from eojax.data.reading.sentinel2 import UNITS_PER_REFLECTANCE, Level, level_by_name
from eojax.errors import UserError

# The names of the files, of today's products and of those before December 2016.
_NAMES = re.compile(r'MTD_MSIL(1C|2A)\.xml|S2[A-D]_(OPER|USER)_MTD_SAF(L1C|L2A)_.*\.xml')
_OFFSETS = ('RADIO_ADD_OFFSET', 'BOA_ADD_OFFSET')
_QUANTIFICATIONS = (
    'QUANTIFICATION_VALUE',
    'BOA_QUANTIFICATION_VALUE',
    'L2A_BOA_QUANTIFICATION_VALUE',
    'L1C_L2A_QUANTIFICATION_VALUE',
)
_SINCE = 4.0  # the processing baseline that began to add something


class Metadata(NamedTuple):
    """What a product says of its values.

    Attributes:
      level: at the top of the atmosphere or at the surface.
      baseline: of its processing, such as `05.09`; empty where it is not said.
      quantification: stored values of a reflectance of 1.
      added: what was added to each band's stored values, 1,000 or 0, by band.
    """

    level: Level | None = None
    baseline: str = ''
    quantification: float = UNITS_PER_REFLECTANCE
    added: Mapping[str, float] = MappingProxyType({})


def is_metadata(name: str) -> bool:
    """Whether a file of this name holds the metadata of a product."""
    return _NAMES.fullmatch(name) is not None


def parse_metadata(data: bytes, title: str, product: str) -> Metadata:
    """The metadata of a product.

    Args:
      data: the content of the file.
      title: of the file, for messages.
      product: the product's name, which says the baseline too (`..._N0509_...`).

    Raises:
      UserError: no XML, or one that is incomplete or contradicts itself or the product's name.
    """
    root = _root(data, title)
    texts: dict[str, str] = {}
    offsets: dict[int, float] = {}
    names = dict(enumerate(BANDS))
    for element in root.iter():
        tag, text = element.tag.rpartition('}')[2], (element.text or '').strip()
        if tag in _OFFSETS:
            offsets[int(_number(element.get('band_id', ''), tag, title))] = _number(
                text, tag, title
            )
        elif tag == 'Spectral_Information' and element.get('physicalBand'):
            number = int(_number(element.get('bandId', ''), tag, title))
            names[number] = _band(element.get('physicalBand', ''))
        elif tag in ('PROCESSING_BASELINE', 'PROCESSING_LEVEL', *_QUANTIFICATIONS):
            texts.setdefault(tag, text)
    baseline = texts.get('PROCESSING_BASELINE', '')
    said = [texts[name] for name in _QUANTIFICATIONS if name in texts]
    quantification = _number(said[0], 'QUANTIFICATION_VALUE', title) if said else 0.0
    if quantification <= 0.0:
        raise UserError(f'{title}: says no QUANTIFICATION_VALUE, by which reflectance is told')
    added = {names[number]: -offset for number, offset in offsets.items() if number in names}
    metadata = Metadata(
        level_by_name(texts.get('PROCESSING_LEVEL', '')), baseline, quantification, added
    )
    _check(metadata, title, product)
    return metadata


def _root(data: bytes, title: str) -> ElementTree.Element:
    # Entities can be made to fill the memory; these files have none.
    if b'<!DOCTYPE' in data or b'<!ENTITY' in data:
        raise UserError(f'{title}: declares entities, which no metadata of a product does')
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise UserError(f'{title}: no XML that can be read ({error})') from None


def _number(text: str, tag: str, title: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f'{title}: {tag} is {text!r}, no number') from None


def _band(text: str) -> str:
    """`B1` as in `BANDS`."""
    number = text.removeprefix('B')
    return f'B{int(number):02d}' if number.isdigit() else text


def _check(metadata: Metadata, title: str, product: str) -> None:
    """Refuses what mixes two processings: nobody knows then what was added to which band."""
    baseline = metadata.baseline
    named = re.search(r'_N(\d\d)(\d\d)_', product)
    by_name = f'{named[1]}.{named[2]}' if named else ''
    if baseline and by_name and by_name != '99.99' and by_name != baseline:
        raise UserError(
            f'{title}: is of processing baseline {baseline}, and the product is named after'
            f' {by_name}: its files are of two products; get it again'
        )
    level = level_by_name(product)
    if level and metadata.level and level is not metadata.level:
        raise UserError(
            f'{title}: is of level {metadata.level.value[1:].upper()}, and the product is named'
            f' after {level.value[1:].upper()}: its files are of two products; get it again'
        )
    values = set(metadata.added.values())
    try:
        since = float(baseline)
    except ValueError:
        return
    if _SINCE <= since < 90.0 and not values:
        raise UserError(
            f'{title}: is of processing baseline {baseline}, which adds to its values, and does not'
            ' say how much (RADIO_ADD_OFFSET or BOA_ADD_OFFSET): get it again'
        )
    if since < _SINCE and values - {0.0}:
        raise UserError(
            f'{title}: is of processing baseline {baseline}, which adds nothing to its values, but'
            f' says {-max(values):g} of them: its files are of two products; get it again'
        )
