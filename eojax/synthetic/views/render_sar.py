"""A scene in radar backscatter: C band, VV, one complex value a pixel, as Sentinel-1 measures it.

Values are amplitudes in units of the square root of sigma0 (radar cross section per ground area,
linear): the real and imaginary parts of a pixel have zero mean and variance sigma0 / 2, as in the
calibrated, unfiltered channels of So2Sat LCZ42. What it shows:

- surfaces: soils by moisture and roughness, plants as a cloud above them (Attema and Ulaby, Radio
  Science 13, 1978), water by wind, local incidence on relief;
- buildings: echoes are displaced towards the radar by height (layover), walls that face it answer
  directly and with the street before them (double bounce, strongest where streets run across the
  look direction), and there is shadow behind;
- speckle: fully developed, single look, at a resolution of two pixels (Goodman, Journal of the
  Optical Society of America 66, 1976).

The radar looks to the right of an ascending or a descending pass. Relief displaces nothing: such
images are corrected for terrain, but not for buildings.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eojax.synthetic.scene import PIXEL_SIZE, Material, Scene
from eojax.synthetic.views import radar_geometry

REFERENCE_INCIDENCE = np.deg2rad(38.0)
NOISE_FLOOR = 10.0**-2.6
"""Noise-equivalent sigma0: Sentinel-1's interferometric wide mode is specified at -22 dB, and
measured between -24 and -29 dB."""

# Sigma0 of bare, dry ground in dB at 38 degrees, C band, VV. Round values from the ranges of Ulaby
# and Dobson, Handbook of Radar Scattering Statistics for Terrain (1989) at 35 to 40 degrees: soil
# and rock -18 to -8 by roughness, road surfaces -22 to -16, short vegetation and grass -16 to -10,
# shrubs -14 to -9, trees -13 to -7. Smooth dry sand falls to -25. Yards and roofs hold clutter
# (vehicles, ducts, gutters) and lie between asphalt and rock.
_GROUND_DB = {
    Material.WATER: -30.0,  # not used: see `water_db`
    Material.BARE_SOIL: -15.0,
    Material.CROP: -15.0,
    Material.GRASS: -15.0,
    Material.SHRUB: -14.0,
    Material.TREE: -14.0,
    Material.ROAD: -19.0,
    Material.TRACK: -16.0,
    Material.PAVED: -14.0,
    Material.ROOF_TILE: -8.5,
    Material.ROOF_METAL: -10.5,
    Material.ROOF_DARK: -10.5,
    Material.SAND: -21.0,
    Material.ROCK: -10.0,
}
# Of a closed cover of plants (dB) and its two-way extinction at full cover. Rain forest, the
# calibration target, has a constant gamma0 of -6.5 dB: -7.5 dB at 38 degrees.
_CANOPY = {
    Material.BARE_SOIL: (-12.0, 1.0),
    Material.CROP: (-10.5, 1.6),
    Material.GRASS: (-12.0, 1.2),
    Material.SHRUB: (-10.0, 2.2),
    Material.TREE: (-8.2, 4.0),
}
# By how many dB full moisture raises the ground: the permittivity of soil from 5 to 25 changes the
# backscatter by 5 to 6 dB (Oh, Sarabandi and Ulaby, IEEE TGRS 30, 1992, Eqs. 10 to 14).
_MOISTURE_DB = {
    Material.BARE_SOIL: 5.5,
    Material.CROP: 5.5,
    Material.GRASS: 4.5,
    Material.SHRUB: 4.0,
    Material.TRACK: 4.0,
    Material.SAND: 6.5,
}
# By how many dB one unit of the scene's roughness raises it: root mean square heights of 0.4 and
# 1.5 cm differ by about 7 dB in the same model.
_ROUGHNESS_DB = {
    Material.BARE_SOIL: 3.0,
    Material.CROP: 2.5,
    Material.SAND: 2.0,
    Material.TRACK: 1.5,
    Material.ROCK: 2.0,
    Material.PAVED: 1.5,
}


def _table(values: dict[Material, float]) -> np.ndarray:
    return np.array([values.get(material, 0.0) for material in Material], np.float32)


_GROUND, _MOISTURE, _ROUGHNESS = (_table(t) for t in (_GROUND_DB, _MOISTURE_DB, _ROUGHNESS_DB))
_CLOUD = _table({m: 10.0 ** (db / 10.0) for m, (db, _) in _CANOPY.items()})
_EXTINCTION = _table({m: extinction for m, (_, extinction) in _CANOPY.items()})
_ROOFS = np.array([m.name.startswith('ROOF') for m in Material])
_ROWS = np.array([m in (Material.BARE_SOIL, Material.CROP) for m in Material])

# Power returned per square metre of wall that faces the radar, against sigma0 = 1: directly, and
# by double bounce with the street for walls of all directions and for those square to it. Towns
# come out at -8 to +3 dB, as in C-band scenes, aligned quarters 5 to 8 dB above others.
_FACADE = 0.20
_DOUBLE_MIXED = 0.30
_DOUBLE_SQUARE = 2.2
_MIXED_DIRECTIONS = 0.2
_STREET_LIT = 15.0  # metres
_CORNER_DB = 5.0  # spread of the double bounce from wall to wall


class Acquisition(NamedTuple):
    """How and when the radar passes, one value an image.

    Attributes:
      descending: bool `[N]`; the radar looks to the west on descending passes, to the east on
        ascending ones, and slightly to the north on both.
      incidence: float32 `[N]`, radians from the vertical, on level ground.
      wind: float32 `[N]`, metres a second.
      roughness: float32 `[N]`, -1 (smooth ground) to 1.
    """

    descending: np.ndarray
    incidence: np.ndarray
    wind: np.ndarray
    roughness: np.ndarray


def draw_acquisition(scene: Scene) -> Acquisition:
    """A pass and a day for every image, drawn from `scene.seed`."""
    draws = np.stack([np.random.default_rng([int(s), 1]).random(4) for s in scene.seed])
    draws = draws.astype(np.float32)
    return Acquisition(
        descending=draws[:, 0] < 0.5,
        incidence=np.deg2rad(31.0 + 14.0 * draws[:, 1]),
        wind=1.0 + 7.0 * draws[:, 2] ** 2,
        roughness=2.0 * draws[:, 3] - 1.0,
    )


def water_db(wind: np.ndarray, incidence: np.ndarray) -> np.ndarray:
    """Mean sigma0 of open water in dB, for winds of 1 to 15 m/s and 30 to 46 degrees.

    A line through the model function CMOD5 (Hersbach et al., 2007), averaged over directions:
    about -26 dB at 2 m/s, -20 at 5 and -15.5 at 10 for 38 degrees, and 0.45 dB less each degree.
    """
    slope = -0.45 * np.rad2deg(incidence - REFERENCE_INCIDENCE)
    return -31.0 + 15.5 * np.log10(wind) + slope


def surface_backscatter(scene: Scene, acquisition: Acquisition) -> np.ndarray:
    """Sigma0 (linear) of what covers the ground, seen on level land, float32 `[N, H, W]`.

    Neither relief nor walls are in it.
    """
    incidence, rough = (a[:, None, None] for a in (acquisition.incidence, acquisition.roughness))
    water = water_db(acquisition.wind, acquisition.incidence)[:, None, None]
    # Rows across the look direction are slopes that face the radar.
    across = np.cos(2.0 * (scene.row_angle - _look_angle(acquisition.descending)))
    rows = np.where(scene.parcel >= 0, 1.5 * np.maximum(-across, 0.0), 0.0)
    total = np.zeros(scene.land_cover.shape, np.float32)
    for ids, share in (
        (scene.land_cover, scene.fraction),
        (scene.mixed_with, 1.0 - scene.fraction),
    ):
        ground = np.take(_GROUND, ids) + np.take(_MOISTURE, ids) * scene.wetness
        ground += np.take(_ROUGHNESS, ids) * rough + np.take(_ROWS, ids) * rows
        # Whatever varies a material's look varies its texture; slicks calm the water.
        ground = np.where(ids == Material.WATER, water + 1.5 * scene.tint, ground + scene.tint)
        clear = np.exp(-np.take(_EXTINCTION, ids) * scene.vegetation)
        total += share * (clear * 10.0 ** (0.1 * ground) + (1.0 - clear) * np.take(_CLOUD, ids))
    return total * (np.cos(incidence) / np.cos(REFERENCE_INCIDENCE)) ** 1.5


def _look_angle(descending: np.ndarray) -> np.ndarray:
    """The direction in which the radar looks, radians clockwise from east, `[N, 1, 1]`."""
    return np.where(descending, np.pi + radar_geometry.HEADING, -radar_geometry.HEADING).astype(
        np.float32
    )[:, None, None]


def wall_alignment(scene: Scene, descending: np.ndarray) -> np.ndarray:
    """1 where walls stand square to the radar, 0 where they are turned away, `[N, H, W]`.

    The double bounce falls off within about ten degrees. Where no streets are, directions mix.
    """
    quarter = np.pi / 2
    turned = scene.row_angle - _look_angle(descending)
    turned = np.mod(turned + quarter / 2, quarter) - quarter / 2
    square = np.exp(-((turned / np.deg2rad(11.0)) ** 2))
    return np.where(scene.parcel >= 0, square, _MIXED_DIRECTIONS)


def mean_backscatter(scene: Scene, acquisition: Acquisition) -> np.ndarray:
    """Sigma0 (linear, with the noise floor) before the radar's resolution, float32 `[N, H, W]`."""
    mirrored, width = acquisition.descending, scene.land_cover.shape[-1]
    incidence = acquisition.incidence[:, None, None]
    surface, elevation, height, roofs, alignment, strength = (
        radar_geometry.to_radar_frame(layer, mirrored)
        for layer in (
            surface_backscatter(scene, acquisition),
            scene.elevation,
            scene.height,
            _roof_share(scene),
            wall_alignment(scene, mirrored),
            _corners(scene),
        )
    )
    lit = radar_geometry.lit_share(elevation + height, incidence)
    ground = surface * lit * radar_geometry.slope_factor(elevation, incidence)
    total = radar_geometry.lay_over(ground, height, incidence)
    walls = radar_geometry.facing_walls(height * (roofs > 0.04), roofs) * lit
    # Square metres of wall to those of ground; a street is lit up to some height, whatever the
    # walls'.
    double = _STREET_LIT * (1.0 - np.exp(-walls / _STREET_LIT)) / PIXEL_SIZE
    total += strength * double * (_DOUBLE_MIXED + _DOUBLE_SQUARE * alignment)
    facade = _FACADE / 3.0 * walls / PIXEL_SIZE
    for part in (1 / 6, 1 / 2, 5 / 6):
        total += radar_geometry.lay_over(facade, part * walls, incidence)
    return radar_geometry.from_radar_frame(total, mirrored, width) + np.float32(NOISE_FLOOR)


def _roof_share(scene: Scene) -> np.ndarray:
    main, second = np.take(_ROOFS, scene.land_cover), np.take(_ROOFS, scene.mixed_with)
    return main * scene.fraction + second * (1.0 - scene.fraction)


def _corners(scene: Scene) -> np.ndarray:
    """How much each wall's double bounce exceeds the mean: few corners give most of the echo."""
    shape, spread = scene.land_cover.shape[1:], _CORNER_DB * np.log(10.0) / 10.0
    draws = [
        np.random.default_rng([int(seed), 2]).standard_normal(shape, np.float32)
        for seed in scene.seed
    ]
    # The mean of a log-normal value is exp(variance / 2).
    return np.exp(spread * np.stack(draws) - 0.5 * spread**2).astype(np.float32)


def render_sar(scene: Scene, acquisition: Acquisition | None = None) -> np.ndarray:
    """The scene as single-look complex backscatter, complex64 `[N, H, W]`, units of sqrt(sigma0).

    The same scene always gives the same image: the pass, if not given, and the speckle are drawn
    from `scene.seed`.
    """
    acquisition = draw_acquisition(scene) if acquisition is None else acquisition
    return _speckled(mean_backscatter(scene, acquisition), scene.seed)


def _speckled(mean: np.ndarray, seeds: np.ndarray, look: int = 0) -> np.ndarray:
    """One look at a mean power, complex64 `[N, H, W]`; another look has other speckle."""
    amplitude = np.sqrt(0.5 * mean)
    size = np.array(amplitude.shape[1:])
    # Echoes of neighbouring cells overlap, so the reflectivity beyond the border is needed too.
    amplitude = np.pad(amplitude, ((0, 0), (1, 1), (1, 1)), mode='reflect')
    speckle = np.stack(
        [
            np.random.default_rng([int(seed), 3, *([look] if look else [])]).standard_normal(
                (2, *(size + 2)), np.float32
            )
            for seed in seeds
        ]
    )
    echo = amplitude * (speckle[:, 0] + 1j * speckle[:, 1])
    for axis in (1, 2):
        echo = _resolve(echo, axis)
    return echo.astype(np.complex64)


def _resolve(echo: np.ndarray, axis: int) -> np.ndarray:
    """The impulse response along an axis: about two pixels wide at half power, unit energy."""
    side = 0.5
    parts = [np.moveaxis(echo, axis, -1)[..., k : k + echo.shape[axis] - 2] for k in range(3)]
    response = (parts[1] + side * (parts[0] + parts[2])) / np.sqrt(1.0 + 2.0 * side**2)
    return np.moveaxis(response, -1, axis)


def render_looks(scene: Scene, looks: int, acquisition: Acquisition | None = None) -> np.ndarray:
    """The mean power of independent looks at a scene, float32 `[N, H, W]`, sigma0.

    Each look has speckle of its own at the full resolution, so that on level, uniform ground the
    mean squared over the variance is `looks`: the equivalent number of looks. The first look is
    that of `render_sar`.
    """
    acquisition = draw_acquisition(scene) if acquisition is None else acquisition
    mean = mean_backscatter(scene, acquisition)
    total = np.zeros_like(mean)
    for look in range(looks):
        total += np.abs(_speckled(mean, scene.seed, look)) ** 2
    return total / np.float32(looks)


def multilook_db(image: np.ndarray, looks: int = 3) -> np.ndarray:
    """Intensity in dB, averaged over squares of `looks` x `looks` pixels, for looking at it.

    Args:
      image: complex `[N, H, W]` in units of sqrt(sigma0).
      looks: side of the square, odd; at the borders the image is mirrored.

    Returns:
      Float32 `[N, H, W]`, at least -60.
    """
    power = np.abs(image) ** 2
    reach = looks // 2
    padded = np.pad(power, ((0, 0), (reach, reach), (reach, reach)), mode='reflect')
    windows = np.lib.stride_tricks.sliding_window_view(padded, (looks, looks), axis=(1, 2))
    return 10.0 * np.log10(np.maximum(windows.mean((-2, -1)), 1e-6)).astype(np.float32)
