"""A scene in red, green and blue, as Sentinel-2 sees it from above the atmosphere.

Surface reflectance from materials (a linear mixture of two a pixel), light on the relief, path
radiance and transmission of the air, the instrument's blur and noise, and the scaling that common
8-bit Sentinel-2 patches use: 255 is a reflectance of 0.2755.
"""

from __future__ import annotations

import numpy as np

from eojax.synthetic.scene import PIXEL_SIZE, Conditions, Material, Scene

_SATURATION = 0.2755
_NOISE = 1.0  # standard deviation of the instrument's noise, in steps of 1/255

# Reflectance in red, green, blue: without green leaves, under full green cover, and by how much one
# unit of `Scene.tint` changes it. Soil and foliage are multiplied in from the scene's conditions.
_BARE = np.zeros((len(Material), 3), np.float32)
_GREEN = np.zeros((len(Material), 3), np.float32)
_TINT = np.zeros(len(Material), np.float32)
for _material, _bare, _green, _tint in (
    (Material.WATER, (0.008, 0.018, 0.026), (0.120, 0.125, 0.085), 0.10),
    (Material.BARE_SOIL, (0.170, 0.125, 0.095), (0.050, 0.070, 0.038), 0.22),
    (Material.CROP, (0.200, 0.142, 0.092), (0.023, 0.058, 0.026), 0.16),
    (Material.GRASS, (0.150, 0.108, 0.070), (0.026, 0.055, 0.023), 0.16),
    (Material.SHRUB, (0.080, 0.060, 0.045), (0.024, 0.037, 0.020), 0.22),
    (Material.TREE, (0.045, 0.038, 0.030), (0.016, 0.030, 0.016), 0.22),
    (Material.ROAD, (0.110, 0.100, 0.092), (0.110, 0.100, 0.092), 0.20),
    (Material.TRACK, (0.200, 0.155, 0.115), (0.200, 0.155, 0.115), 0.18),
    (Material.PAVED, (0.135, 0.115, 0.098), (0.135, 0.115, 0.098), 0.30),
    (Material.ROOF_TILE, (0.195, 0.112, 0.088), (0.195, 0.112, 0.088), 0.25),
    (Material.ROOF_METAL, (0.265, 0.248, 0.238), (0.265, 0.248, 0.238), 0.40),
    (Material.ROOF_DARK, (0.078, 0.074, 0.078), (0.078, 0.074, 0.078), 0.35),
    (Material.SAND, (0.290, 0.245, 0.190), (0.290, 0.245, 0.190), 0.20),
    (Material.ROCK, (0.185, 0.168, 0.150), (0.090, 0.095, 0.070), 0.30),
):
    _BARE[_material], _GREEN[_material], _TINT[_material] = _bare, _green, _tint

_SKYLIGHT = 0.28  # share of the light that reaches a shadow
_LONGEST_SHADOW = 12  # pixels
_PATH = np.array([0.021, 0.040, 0.063], np.float32)
_HAZE = np.array([0.045, 0.044, 0.075], np.float32)
_SOIL_MATERIALS = (Material.BARE_SOIL, Material.CROP)
_BUILT = (
    Material.ROAD,
    Material.PAVED,
    Material.ROOF_TILE,
    Material.ROOF_METAL,
    Material.ROOF_DARK,
)
_LEAVES = (Material.BARE_SOIL, Material.CROP, Material.GRASS, Material.SHRUB, Material.TREE)


def material_reflectance(conditions: Conditions) -> tuple[np.ndarray, np.ndarray]:
    """Reflectance of all materials without and with full green cover, each `[N, materials, 3]`."""
    count = len(conditions.haze)
    bare, green = (np.repeat(table[None], count, axis=0) for table in (_BARE, _GREEN))
    for material in _SOIL_MATERIALS:
        bare[:, material] = 0.35 * bare[:, material] + 0.65 * conditions.soil
    tracks = 0.5 * bare[:, Material.TRACK] + 0.75 * conditions.soil
    bare[:, Material.TRACK] = green[:, Material.TRACK] = tracks
    dryness = conditions.dryness[:, None]
    bare[:, Material.GRASS] = bare[:, Material.GRASS] * (0.75 + 0.45 * dryness)
    green[:, _LEAVES] *= conditions.foliage[:, None]
    for table in (bare, green):
        table[:, _BUILT] *= conditions.masonry[:, None]
    return bare, green


def surface_reflectance(scene: Scene) -> np.ndarray:
    """Reflectance of the ground under even light, float32 `[N, 3, H, W]`."""
    bare, green = material_reflectance(scene.conditions)
    count, materials = bare.shape[:2]
    first = (np.arange(count) * materials)[:, None, None]
    # Wet ground is darker; what is suspended in water plays the part that leaves play on land.
    dim = 1.0 - 0.45 * scene.wetness * (1.0 - scene.vegetation)
    out = np.zeros((count, 3, *scene.land_cover.shape[1:]), np.float32)
    for ids, share in (
        (scene.land_cover, scene.fraction),
        (scene.mixed_with, 1.0 - scene.fraction),
    ):
        index = ids + first
        state = np.where(ids == Material.WATER, scene.turbidity, scene.vegetation)
        share = share * dim * (1.0 + np.take(_TINT, ids) * scene.tint)
        for c in range(3):
            dry, leafy = np.take(bare[..., c], index), np.take(green[..., c], index)
            out[:, c] += share * (dry + state * (leafy - dry))
    return out


def sunlight(scene: Scene, cast_shadows: bool = False) -> np.ndarray:
    """Light on every pixel relative to open, level ground, float32 `[N, H, W]`.

    Lambert's cosine for slopes that face or turn away from the sun; where the surface rises towards
    the sun more steeply than the sun stands, only skylight is left (shadows of trees and houses).
    Shadows fall on the neighbouring pixel; with `cast_shadows` also beyond, as those of towers do.
    """
    surface = np.pad(scene.elevation + scene.height, ((0, 0), (1, 1), (1, 1)), mode='edge')
    here = surface[:, 1:-1, 1:-1]
    azimuth = scene.conditions.sun_azimuth[:, None, None]
    east, north = np.sin(azimuth), np.cos(azimuth)
    reach = PIXEL_SIZE * np.tan(scene.conditions.sun_elevation[:, None, None])
    rise = (
        np.maximum(east, 0.0) * (surface[:, 1:-1, 2:] - here)
        + np.maximum(-east, 0.0) * (surface[:, 1:-1, :-2] - here)
        + np.maximum(north, 0.0) * (surface[:, :-2, 1:-1] - here)
        + np.maximum(-north, 0.0) * (surface[:, 2:, 1:-1] - here)
    )
    direct = np.clip(1.0 - rise / reach, 0.0, 1.35)
    if cast_shadows:
        direct = np.minimum(direct, _beyond_shadows(here, east, north, reach))
    return _SKYLIGHT + (1.0 - _SKYLIGHT) * direct


def _beyond_shadows(
    surface: np.ndarray, east: np.ndarray, north: np.ndarray, reach: np.ndarray
) -> np.ndarray:
    """Light that passes over what stands two and more pixels towards the sun, 0 to 1 and above.

    `reach` is by how many metres the sun's ray rises over a pixel; `[N, 1, 1]` but for the surface.
    """
    light = np.full_like(surface, 2.0)
    count, height, width = surface.shape
    image = np.arange(count)[:, None, None]
    longest = int(np.ptp(surface, axis=(1, 2)).max(initial=0.0) / reach.min())
    for steps in range(2, 1 + min(longest + 1, _LONGEST_SHADOW)):
        row = np.clip(np.arange(height)[:, None] - np.rint(steps * north), 0, height - 1)
        column = np.clip(np.arange(width) + np.rint(steps * east), 0, width - 1)
        above = surface[image, row.astype(np.intp), column.astype(np.intp)] - surface
        np.minimum(light, steps - above / reach, out=light)
    return np.maximum(light, 0.0)


def _bottom(scene: Scene, reflectance: np.ndarray) -> None:
    """Adds the light that a shallow, sandy bed sends back through clear water, in place."""
    wet = (scene.land_cover == Material.WATER) & (scene.water_depth < 12.0)
    if not wet.any():
        return
    depth, clear = scene.water_depth[wet], 1.0 - scene.turbidity[wet]
    for c, (bed, attenuation) in enumerate(((0.06, 1.30), (0.06, 0.35), (0.04, 0.30))):
        reflectance[:, c][wet] += bed * clear * np.exp(-attenuation * depth)


def _blur(image: np.ndarray, side: float = 0.21) -> np.ndarray:
    """The instrument's point spread: a three-pixel kernel along each axis of `[..., H, W]`."""
    for swap in (False, True):
        image = image.swapaxes(-1, -2) if swap else image
        blurred = (1.0 - 2.0 * side) * image
        blurred[..., 1:] += side * image[..., :-1]
        blurred[..., :-1] += side * image[..., 1:]
        blurred[..., 0] += side * image[..., 0]
        blurred[..., -1] += side * image[..., -1]
        image = blurred.swapaxes(-1, -2) if swap else blurred
    return image


def top_of_atmosphere(scene: Scene, cast_shadows: bool = False) -> np.ndarray:
    """Reflectance above the atmosphere before the instrument, float32 `[N, 3, H, W]`."""
    reflectance = surface_reflectance(scene)
    _bottom(scene, reflectance)
    reflectance *= sunlight(scene, cast_shadows)[:, None]
    haze = scene.conditions.haze[:, None]
    path = (_PATH + haze * _HAZE)[..., None, None]
    transmission = (0.93 - 0.25 * haze)[..., None, None]
    return path + transmission * reflectance


def render_rgb(scene: Scene, cast_shadows: bool = False) -> np.ndarray:
    """The scene as a Sentinel-2 true-colour patch, uint8 `[N, H, W, 3]`.

    The same scene always gives the same image; noise is drawn from `scene.seed`. `cast_shadows` is
    for scenes with buildings above some 10 m, see `sunlight`.
    """
    image = _blur(top_of_atmosphere(scene, cast_shadows)) * (255.0 / _SATURATION)
    shape = image.shape[1:]
    for patch, seed in zip(image, scene.seed, strict=True):
        patch += _NOISE * np.random.default_rng(int(seed)).standard_normal(shape, np.float32)
    np.clip(image, 0.0, 255.0, out=image)
    return np.ascontiguousarray((image + 0.5).astype(np.uint8).transpose(0, 2, 3, 1))
