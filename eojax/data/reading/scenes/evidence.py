"""Evidence for the meaning of a scene's values: which sensor's they are, and what was added.

Names, tags and pixels are asked, and they must agree. Where they do not, or say nothing, the user
is asked by one line: a guess would give a map that is wrong and looks right.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence

import numpy as np

from eojax.data.reading import sentinel2
from eojax.data.reading.sentinel2 import OFFSET_SINCE_2022, Level
from eojax.errors import UserError

_PRODUCT = re.compile(r'S2[A-D]_(MSI|OPER|USER)|SENTINEL-?2|S2MSI')
_HINT = re.compile(
    r'(?<![A-Z0-9])S2[A-D]?(?![A-Z0-9])|SENTINEL[-_ ]?2|MSI_?L(1C|2A)'
    r'|(?<![A-Z0-9])(L1C|L2A|T\d\d[C-X][A-Z]{2})(?![A-Z0-9])'
)
# Whole words: `ORTHO` is no part of Northolt, nor `SPOT5` of hotspot5.
_RADAR = (
    r'S1[A-D]|SENTINEL[-_ ]?1[A-D]?|RADARSAT[-_ ]?\d?|TERRASAR(?:-?X)?|TANDEM-?X|ALOS[-_ ]?\d?'
    r'|PALSAR[-_ ]?\d?|COSMO[-_ ]?SKYMED|ENVISAT|ASAR'
)
_OTHERS = re.compile(
    r'(?<![A-Z0-9])(' + _RADAR + r'|LANDSAT[-_ ]?\d?|L[COTEM]0[4-9]|PLANETSCOPE|PSSCENE|SKYSAT'
    r'|RAPIDEYE|WORLDVIEW[-_ ]?\d?|WV0[1-4]|GEOEYE(?:[-_ ]?1)?|QUICKBIRD(?:[-_ ]?2)?|IKONOS'
    r'|PLEIADES|PNEO|SPOT[-_ ]?[4-7]|KOMPSAT[-_ ]?\d?|CBERS[-_ ]?\d?A?|ENMAP|PRISMA|DESIS|MODIS'
    r'|VIIRS|SENTINEL[-_ ]?[356][A-D]?|PROBA-?V)(?![A-Z0-9])'
)
# Words that name a sensor in a tag and may be anything in a file's name.
_TAGGED = re.compile(
    r'(?<![A-Z0-9])(OLI(?:[- ]?TIRS)?|TIRS|ETM\+?|TM|MSS|(?:SUPER)?DOVE|PS[2B](?: SD)?|WV[1-4]|GE01'
    r'|QB02|PHR|GAOFEN[- ]?\d?|GF[-]?\d|TERRA|AQUA|S3[AB]|AVIRIS|ULTRACAM|UMBRA|CAPELLA|ICEYE)'
    r'(?![A-Z0-9])'
)
# What speaks for others only where nothing speaks for Sentinel-2: its scenes have such names too.
_LOOSE_RADAR = r'S1|SAR|GRD[FHM]?|SLC|SIGMA0|GAMMA0|SIGMA_?NAUGHT'
_LOOSE = re.compile(r'(?<![A-Z0-9])(' + _LOOSE_RADAR + r'|NAIP|ORTHO[A-Z]*\d*)(?![A-Z0-9])')
_IS_RADAR = re.compile(f'({_RADAR}|{_LOOSE_RADAR})')
LANDSAT_LINE = (
    'if they are of Landsat Collection 2, level 2, write these into the file (gdal_edit.py -scale'
    ' 2.75e-05 -offset -0.2)'
)
_SENSOR_TAG = re.compile(
    r'(^|_)(SENSOR|SATELLITE|SATELLITEID|SPACECRAFT|PLATFORM|MISSION|INSTRUMENT|CAMERA)'
    r'(_?(ID|NAME|TYPE|IDENTIFIER))?$'
)  # fmt: skip
_NUMBER = r'(S2_)?B(0?\d|8A|1[0-2])'
_ADDED_TAGS = ('ADD_OFFSET', 'RADIOMETRIC_OFFSET')
# Sentinel-2's reflectance times 10,000: below is hardly ever seen where 1,000 was added to all.
_BELOW = 200.0
_MOST_BELOW = 0.05  # of the pixels
# Darkest half per cent of a scene's darkest band. Without an offset, shade, water and forest are
# darker than the first; with one, brighter scenes than the last are rare.
_DARK, _SHIFTED, _BRIGHT = 800.0, 900.0, 1700.0
_NO_OFFSET = 5000.0  # the darkest of a scene of reflectance times 10,000 are darker
_SANDY = 300.0  # red above blue by so much in the darkest pixels: bare, bright ground


class Proof(enum.Enum):
    """How sure it is that values are reflectance as Sentinel-2's."""

    NONE = 0
    NAMES = 1  # of the file or its bands, in part
    PRODUCT = 2  # a whole product's name or tags
    SAID = 3  # by the user


def prove_sentinel_2(
    name: str, tags: Mapping[str, str], band_names: Sequence[str], dtype: str = 'uint16'
) -> Proof:
    """What the name, tags and band names say for Sentinel-2.

    Args:
      name: of the file.
      tags: of the file.
      band_names: of the bands that are read, as in the file.
      dtype: of the values.
    """
    upper = name.upper()
    if other_sensor(name, tags):
        return Proof.NONE
    if _PRODUCT.search(' '.join([*tags.values(), re.sub(r'SENTINEL-?2', '', upper)]).upper()):
        return Proof.PRODUCT
    # Landsat's bands are called B4 too, and come as floats; whole numbers of this name are
    # Sentinel-2's, since those of Landsat are far too large to pass for them.
    number = r'(S2_)?B(0\d|8A|1[0-2]|\d(?=,| ))' if dtype.startswith('float') else _NUMBER
    numbered = [re.match(number + '(?![A-Z0-9])', one.upper()) for one in band_names]
    tagged = 'PROCESSING_BASELINE' in tags or 'PROCESSING_LEVEL' in tags
    if _HINT.search(upper) or tagged or (numbered and all(numbered)):
        return Proof.NAMES
    return Proof.NONE


def other_sensor(name: str, tags: Mapping[str, str]) -> str:
    """The sensor that the name or the tags say, if it is not Sentinel-2; else empty.

    Tags count where they name a sensor that is known (`PLATFORM=Google Earth Engine` says nothing),
    or any camera.
    """
    values = {
        key.upper(): value.strip().upper()
        for key, value in tags.items()
        if _SENSOR_TAG.search(key.upper())
    }
    if any(re.search(r'SENTINEL[-_ ]?2|\bS2[A-D]?\b|MSI', value) for value in values.values()):
        return ''
    for key, value in values.items():
        words = value.replace('_', ' ')
        camera = 'CAMERA' in key and re.search('[A-Z]', value)
        if camera or _OTHERS.search(words) or _TAGGED.search(words):
            return value
    upper = name.upper()
    if _PRODUCT.search(upper):
        return ''
    match = _OTHERS.search(upper.replace('_', ' ')) or (
        None if _HINT.search(upper) else _LOOSE.search(upper.replace('_', ' '))
    )
    return match.group() if match else ''


def is_radar(name: str, tags: Mapping[str, str]) -> bool:
    """Whether the name or the tags say a radar."""
    return _IS_RADAR.match(other_sensor(name, tags)) is not None


def is_landsat(sensor: str) -> bool:
    """Whether a sensor, as from `other_sensor`, is Landsat's."""
    return re.match(r'LANDSAT|L[COTEM]0[4-9]|OLI|ETM|TIRS', sensor) is not None


def stated_level(title: str, tags: Mapping[str, str]) -> Level | None:
    """The level that the tags and the name say, if they do.

    Raises:
      UserError: they say different ones.
    """
    tag = tags.get('PROCESSING_LEVEL', '')
    name = title.rpartition('/')[2]
    by_tag, by_name = sentinel2.level_by_name(tag), sentinel2.level_by_name(name)
    if by_tag and by_name and by_tag is not by_name:
        raise UserError(
            f'{title}: its tag PROCESSING_LEVEL={tag} and its name say different levels:'
            ' say --scale=l1c or --scale=l2a'
        )
    return by_tag or by_name


def stated_offset(title: str, tags: Mapping[str, str]) -> tuple[float | None, str]:
    """What the tags and the name say was added to all values, if they do, and which says so.

    Raises:
      UserError: they say different things.
    """
    name = title.rpartition('/')[2]
    said: list[tuple[str, float]] = []
    baseline = tags.get('PROCESSING_BASELINE', '')
    if (by_tag := sentinel2.offset_by_tags(tags, '')) is not None:
        said.append((f'its tag PROCESSING_BASELINE={baseline}', by_tag))
    if (by_name := sentinel2.offset_by_tags({}, name)) is not None:
        said.append(('its name', by_name))
    for key, value in tags.items():
        if any(part in key.upper() for part in _ADDED_TAGS):
            try:
                numbers = {abs(float(text)) for text in re.split(r'[,;\s]+', value.strip('{}[] '))}
            except ValueError:
                continue
            if len(numbers) == 1:
                said.append((f'its tag {key}={value}', numbers.pop()))
    if len({offset for _, offset in said}) > 1:
        listed = ' and '.join(f'{text} ({offset:g})' for text, offset in said)
        raise UserError(
            f'{title}: {listed} say different things of what was added to all values:'
            f' {_ask_offset()}'
        )
    return (said[0][1], said[0][0]) if said else (None, '')


def settle_offset(
    title: str, stated: float | None, said_by: str, sample: np.ndarray, rgb: Sequence[int] | None
) -> tuple[float, str]:
    """What was added to all values, by what is stated and by the pixels.

    Args:
      title: of the file, for messages.
      stated, said_by: as from `stated_offset`.
      sample: valid pixels `[num, bands]`, reflectance times 10,000 and what was added to it.
      rgb: where B04, B03 and B02 are among the bands; None where they are not.

    Returns:
      The offset, and a note for the user where it was judged by the pixels alone.

    Raises:
      UserError: the pixels contradict what is stated, or leave it open.
    """
    lowest = np.percentile(sample.astype(np.float64), 0.5, axis=0)
    dark = float(lowest.min())
    sandy = rgb is not None and lowest[rgb[0]] - lowest[rgb[2]] > _SANDY
    if stated:
        check_offset(title, said_by, sample - stated)
        return stated, ''
    if rgb is None:
        return 0.0, ''
    shifted = _SHIFTED <= dark < _BRIGHT and not sandy
    if stated == 0.0:
        if shifted:
            raise UserError(
                f'{title}: {said_by} says that nothing was added to its values, but the darkest are'
                f' {dark:.0f} as if {OFFSET_SINCE_2022:.0f} had been: {_ask_offset()}'
            )
        return 0.0, ''
    if dark < _DARK:
        return 0.0, ''
    if dark > _NO_OFFSET:
        raise UserError(
            f'{title}: its darkest values are {dark:.0f}, too bright for reflectance times 10,000:'
            f' {LANDSAT_LINE}, else say --scale=LOW:HIGH, or --offset=0 if they are'
        )
    if not shifted or dark < OFFSET_SINCE_2022 - 50.0:
        raise UserError(
            f'{title}: its darkest values are {dark:.0f}, and nothing says whether'
            f' {OFFSET_SINCE_2022:.0f} was added to all of them: {_ask_offset()}'
        )
    return OFFSET_SINCE_2022, (
        f'{title}: its darkest values are {dark:.0f}, so that {OFFSET_SINCE_2022:.0f} is taken off'
        ' all of them; say --offset=0 if that is wrong'
    )


def check_offset(title: str, said_by: str, reflectance: np.ndarray) -> None:
    """Refuses an offset that makes many values negative.

    Args:
      reflectance: `[num, bands]`, times 10,000, the offset taken off.

    Raises:
      UserError: more than a few per cent of the pixels contradict it.
    """
    below = float((reflectance < -_BELOW).any(-1).mean())
    if below > _MOST_BELOW:
        raise UserError(
            f'{title}: {said_by} says what was added to its values, but {below:.0%} of the pixels'
            f' would be well below 0 without it: {_ask_offset()}'
        )


def _ask_offset() -> str:
    return f'say --offset=0 or --offset={OFFSET_SINCE_2022:.0f}'
