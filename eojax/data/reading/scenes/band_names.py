"""Names of bands: which band of a file stands for which of a run's, and names that contradict it.

Sentinel-2's numbers and the plain names of colours are the same bands (red is B04), however they
are written: `B4`, `b04`, `B04_10m`, `B4, central wavelength 665 nm`, `Red`, `rouge`, `R`. A file
whose bands have names that say something else than what the run was trained on is refused, also
where their number fits: near infrared, red and green are not red, green and blue.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rasterio.enums import ColorInterp

from eojax.errors import UserError

# A data set's names of what Sentinel-2 calls otherwise.
ALIASES = {'red': 'B04', 'green': 'B03', 'blue': 'B02'}
_COLOURS = {'red': ColorInterp.red, 'green': ColorInterp.green, 'blue': ColorInterp.blue}
# One kind of band a line, by the names that files give it.
_KINDS = {
    'red': 'red r rouge rot rojo rosso vermelho',
    'green': 'green g vert grün gruen verde',
    'blue': 'blue b bleu blau azul blu',
    'nir': 'nir n ir infrared near_infrared nearinfrared near_ir nir1 pir infrarot',
    'red_edge': 'rededge red_edge re vegetation_red_edge',
    'coastal': 'coastal coastal_aerosol coastal_blue aerosol ultra_blue',
    'yellow': 'yellow',
    'swir': 'swir swir1 swir2 swir_1 swir_2 swir16 swir22 short_wave_infrared shortwave_infrared',
    'pan': 'pan panchromatic',
    'thermal': 'thermal tir lwir tirs',
    'cirrus': 'cirrus',
    'water_vapour': 'water_vapour water_vapor wvp',
    'sar': 'vv vh hh hv t11 t22 t33 sigma0 gamma0 sigma0_vv sigma0_vh gamma0_vv gamma0_vh',
    'index': 'ndvi ndwi evi savi ndbi ndsi mndwi',
    'height': 'elevation dem dsm dtm ndsm height altitude slope aspect hillshade',
    'quality': 'scl qa qa_pixel pixel_qa qa_radsat radsat_qa sr_qa_aerosol sr_aerosol st_qa bqa'
    ' qa10 qa20 qa60 msk_cldprb msk_snwprb datamask data_mask quality cloud cloud_mask cloudmask'
    ' clouds mask udm udm2 fmask',
    'hue': 'hue saturation lightness cyan magenta black',
}  # fmt: skip
# What GDAL itself says of bands, beside the colours of pictures.
_INTERPRETED = {
    ColorInterp.nir: 'b08', ColorInterp.rededge: 'red_edge', ColorInterp.swir: 'swir',
    ColorInterp.coastal: 'coastal', ColorInterp.pan: 'pan', ColorInterp.tir: 'thermal',
    ColorInterp.mwir: 'thermal', ColorInterp.lwir: 'thermal', ColorInterp.other_ir: 'infrared',
}  # fmt: skip
_KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names.split()}
# The bands of Sentinel-2 that colours name too.
_NUMBERS = {'red': 'b04', 'green': 'b03', 'blue': 'b02', 'nir': 'b08'}
# Numbers and units beside the word of a band's name.
_BESIDE = re.compile(r'^(band_?)?\d+[_:]+|_?\(.*\)$|[_,]+\d+(\.\d+)?_?(nm|um|µm)?$')


def plain(name: str) -> str:
    """A band's name without what varies: B4, b04 and B04_10m are the same."""
    name = re.sub(r'[\s-]+', '_', name.strip().lower())
    number = re.match(r'(?:s2_)?b0?(\d{1,2})(a?)(?![a-z0-9])', name)
    return f'b{int(number.group(1)):02d}{number.group(2)}' if number else name


def kind(name: str) -> str | None:
    """What a band's name says that it is: Sentinel-2's number, or a kind; None where nothing."""
    key = plain(name)
    if re.fullmatch(r'b\d{2}a?', key):
        return key
    if re.match(r'(sr|st|toa)_b\d', key):  # Landsat's numbers differ from mission to mission
        return key
    # `red (b4)`, `4_red`, `red_665_nm`: the words that say something.
    for text in (key, _BESIDE.sub('', key)):
        if text in _KIND_OF:
            said = _KIND_OF[text]
            return _NUMBERS.get(said, said)
    return None


def find_bands(
    title: str,
    descriptions: Sequence[str | None],
    interpreted: Sequence[ColorInterp],
    bands: Sequence[str],
    wanted: str = '',
    other_sensor: str = '',
) -> tuple[list[int], str]:
    """Which bands of a file are those of a run.

    Args:
      title: of the file, for messages.
      descriptions: names of the file's bands.
      interpreted: what its format says of their colours.
      bands: of the run.
      wanted: what the user says: numbers from 1 or names, comma separated; empty to find out.
      other_sensor: that the file is of, where it is known not to be Sentinel-2.

    Returns:
      Numbers from 1 in the order of the run's bands, and a note for the user where they are taken
      for nothing but their number.

    Raises:
      UserError: they cannot be found, or their names contradict the run.
    """
    names = _names(descriptions)
    listed = ', '.join(f'{i} {text or ""}'.strip() for i, text in enumerate(descriptions, 1))
    if wanted:
        plain_names = [plain(text or '') for text in descriptions]
        indexes = [_index(title, part, plain_names, listed) for part in wanted.split(',')]
        if len(indexes) != len(bands):
            raise UserError(
                f'--bands={wanted} names {len(indexes)} band(s); the run was trained on'
                f' {len(bands)}: {", ".join(bands)}'
            )
        return indexes, ''
    ask = (
        f'the run was trained on {", ".join(bands)}: say which they are, in that order, with'
        ' --bands=...'
    )
    kinds = [
        kind(text) if text else _INTERPRETED.get(colour)
        for text, colour in zip(names, interpreted, strict=True)
    ]
    numbered = [name for name in names if re.fullmatch(r'b\d{2}a?', name)]
    if other_sensor and numbered:
        raise UserError(f'{title}: is of {other_sensor}, whose bands have other numbers; {ask}')
    by_name = [plain(band) for band in bands]
    by_kind = [kind(band) or plain(band) for band in bands]
    if set(by_name) <= set(names):
        return [names.index(name) + 1 for name in by_name], ''
    # Of two bands of one kind (swir1, swir2) neither is meant for sure.
    if all(kinds.count(one) == 1 == by_kind.count(one) for one in by_kind):
        return [kinds.index(one) + 1 for one in by_kind], ''
    colours = list(interpreted)
    of_bands = [_COLOURS.get(band) for band in bands]
    if all(colour in colours for colour in of_bands):
        indexes, note = [colours.index(colour) + 1 for colour in of_bands], ''
    elif len(colours) - colours.count(ColorInterp.alpha) == len(bands):
        indexes = [i for i, colour in enumerate(colours, 1) if colour is not ColorInterp.alpha]
        note = (
            f'{title}: its bands have no names that are known; they are taken for'
            f' {", ".join(bands)} in this order'
        )
    else:
        raise UserError(f'{title}: has bands {listed}; {ask}')
    for index, band in zip(indexes, bands, strict=True):
        # Where the run's band is of no known kind, any name of a known kind is another one.
        if kinds[index - 1] is not None and kinds[index - 1] != kind(band):
            said = ', '.join(f'{i} {one or ""}'.strip() for i, one in enumerate(kinds, 1))
            raise UserError(f'{title}: its bands are named {listed if any(names) else said}; {ask}')
    return indexes, note


def _names(descriptions: Sequence[str | None]) -> list[str]:
    """The names of a file's bands, all empty where they do no more than count: b1, b2, b3."""
    texts = [(text or '').strip().lower() for text in descriptions]
    counted = texts == [f'b{number}' for number in range(1, len(texts) + 1)]
    # Twelve and more are Sentinel-2's.
    return [''] * len(texts) if counted and len(texts) < 12 else [plain(text) for text in texts]


def _index(title: str, text: str, names: list[str], listed: str) -> int:
    """The number of a band that the user named or numbered."""
    text = text.strip()
    if plain(text) in names:
        return names.index(plain(text)) + 1
    if text.isdigit() and 1 <= int(text) <= len(names):
        return int(text)
    raise UserError(f'{title}: no band {text!r}; it has {listed}')
