"""The meaning of a Sentinel-2 scene's values, and how they become those of EuroSAT.

EuroSAT was cut from level-1C scenes: reflectance at the top of the atmosphere, times 10,000. Its
RGB images show 0 to 2,750 of B04, B03 and B02 as 0 to 255 (a line fitted to a GeoTIFF and the JPEG
of the same patch gives slopes of 0.087 to 0.098, on average 255 / 2,750 = 0.0927, and offsets of a
few grey levels). Level 2A is reflectance at the surface: the light that the air scatters into the
sensor is missing, which is most of the blue that EuroSAT shows over water and forest. It is put
back here by a clear, pure atmosphere:

    rho_toa = rho_path + t_down * t_up * t_ozone * rho_surface

with single scattering by air molecules (Hansen and Travis, "Light Scattering in Planetary
Atmospheres", 1974, Eq. 2.30, for the optical depth), the sun 45 degrees from the zenith, and 300
Dobson units of ozone. Aerosols, other angles and other gases are left out: this brings the colours
near to those of level 1C, no more.

Processing baseline 04.00 (25 January 2022) and later adds 1,000 to all values of both levels.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence

import numpy as np

UNITS_PER_REFLECTANCE = 10_000.0
# Values of level 1C that the 8-bit images of EuroSAT show as 0 and 255.
DISPLAY_LIMITS = (0.0, 2750.0)
OFFSET_SINCE_2022 = 1000.0
GROUND_METRES = 10.0
RGB = ('B04', 'B03', 'B02')
# Centres of the bands of Sentinel-2A in micrometres (Sentinel-2 User Handbook, table 1).
WAVELENGTHS = {
    'B01': 0.443, 'B02': 0.490, 'B03': 0.560, 'B04': 0.665, 'B05': 0.705, 'B06': 0.740,
    'B07': 0.783, 'B08': 0.842, 'B8A': 0.865, 'B09': 0.945, 'B10': 1.375, 'B11': 1.610,
    'B12': 2.190,
}  # fmt: skip
# Optical depth of 300 Dobson units of ozone, its Chappuis band (Leckner, 1978); nothing elsewhere.
_OZONE = {'B02': 0.006, 'B03': 0.031, 'B04': 0.015, 'B05': 0.007}
_COS_SUN = float(np.cos(np.deg2rad(45.0)))
# Darkest per cent of a scene: blue above red by so much is scattered light. Level 1C has 400 to 500
# (EuroSAT: 701 against 259), level 2A nearly none.
_BLUE_EXCESS = 250.0


class Level(enum.Enum):
    """Reflectance at the top of the atmosphere, or at the surface."""

    L1C = 'l1c'
    L2A = 'l2a'


def rayleigh_depth(wavelength: float) -> float:
    """Optical depth of air molecules above sea level, at a wavelength in micrometres."""
    square = wavelength**-2
    return 0.008569 * square**2 * (1.0 + 0.0113 * square + 0.00013 * square**2)


def atmosphere(bands: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Path reflectance (times 10,000) and transmittance of each band, float64 `[bands]`."""
    depths = np.array([rayleigh_depth(WAVELENGTHS[band]) for band in bands])
    ozone = np.array([_OZONE.get(band, 0.0) for band in bands])
    # Sensor at the nadir: the angle of scattering is 180 - 45 degrees.
    phase = 0.75 * (1.0 + _COS_SUN**2)
    through_ozone = np.exp(-ozone * (1.0 + 1.0 / _COS_SUN))
    path = depths * phase / (4.0 * _COS_SUN) * through_ozone
    # Half of what molecules scatter goes on forward, to the ground or to the sensor.
    down, up = 1.0 / (1.0 + 0.5 * depths / _COS_SUN), 1.0 / (1.0 + 0.5 * depths)
    return path * UNITS_PER_REFLECTANCE, down * up * through_ozone


def to_level_1c(
    values: np.ndarray, bands: Sequence[str], level: Level, offset: float
) -> np.ndarray:
    """Values of a scene to float32 reflectance at the top of the atmosphere, times 10,000.

    Args:
      values: `[..., bands]` as stored.
      bands: names such as B04.
      level: of the scene.
      offset: what its processing added to all values: 0 or `OFFSET_SINCE_2022`.
    """
    reflectance = values.astype(np.float32) - np.float32(offset)
    if level is Level.L1C:
        return reflectance
    path, transmittance = (a.astype(np.float32) for a in atmosphere(bands))
    return path + transmittance * reflectance


def to_level(
    values: np.ndarray, bands: Sequence[str], level: Level, offset: float, wanted: Level
) -> np.ndarray:
    """Values of a scene to float32 reflectance of the level that is wanted, times 10,000.

    Args:
      values, bands, level, offset: as in `to_level_1c`.
      wanted: of the result; level 1C becomes 2A by taking the clear atmosphere off.
    """
    if wanted is Level.L1C:
        return to_level_1c(values, bands, level, offset)
    reflectance = values.astype(np.float32) - np.float32(offset)
    if level is Level.L2A:
        return reflectance
    path, transmittance = (a.astype(np.float32) for a in atmosphere(bands))
    return (reflectance - path) / transmittance


def level_by_name(text: str) -> Level | None:
    """The level that a product's name or tag tells (`S2A_MSIL2A_...`, `Level-2A`), if it does."""
    found = re.search(
        r'MSI_?L(1C|2A)|LEVEL[-_ ]?(1C|2A)|(?<![A-Z0-9])L(1C|2A)(?![A-Z0-9])', text.upper()
    )
    if found is None:
        return None
    return Level.L1C if '1C' in found.group() else Level.L2A


def offset_by_tags(tags: Mapping[str, str], name: str) -> float | None:
    """The offset that the tags or the product's name (`..._N0400_...`) tell, if they do."""
    baseline = tags.get('PROCESSING_BASELINE', '')
    found = re.search(r'_N(\d{4})_', name.upper())
    if found is not None and found.group(1) != '9999':
        baseline = f'{found.group(1)[:2]}.{found.group(1)[2:]}'
    try:
        number = float(baseline)
    except ValueError:
        return None
    # 99.99, as 9999 in names, is of a processor that is not ESA's, and says nothing.
    if not 0.0 <= number < 90.0:
        return None
    return OFFSET_SINCE_2022 if number >= 4.0 else 0.0


def guess_level(values: np.ndarray) -> tuple[Level, float]:
    """Level and offset of a scene from its darkest pixels.

    Args:
      values: valid pixels `[num, 3]` of B04, B03 and B02, spread over the scene.

    The darkest per cent of each band is shade, forest or clear water: in level 1C its blue is
    scattered light, well above its red; in level 2A both are small. Where even the darkest are
    above 1,000 in all three bands, the scene is taken for one of baseline 04.00 or later. A scene
    of nothing but bright ground can be mistaken: who knows better says so.
    """
    red, green, blue = np.percentile(values.astype(np.float64), 1.0, axis=0)
    offset = OFFSET_SINCE_2022 if min(red, green, blue) >= OFFSET_SINCE_2022 else 0.0
    return (Level.L1C if blue - red > _BLUE_EXCESS else Level.L2A), offset
