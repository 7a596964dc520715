"""What a scene's values and bands mean: read right, or refused in one line that says how.

Four quadrants of known colours come in the ways in which files come; what the network would see is
compared with the colours themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from eojax.data.reading.raster import Raster, Reading
from eojax.data.reading.sentinel2 import RGB, atmosphere
from eojax.errors import UserError
from tests.data.rasters import write_raster

COLOURS = ('red', 'green', 'blue')
SIDE = 48
_FOUR = np.array([(200, 40, 40), (40, 160, 40), (40, 60, 200), (200, 190, 60)])


def _eight_bit() -> np.ndarray:
    """Brick, forest, lake and sand, a quadrant each, uint8 `[48, 48, 3]`."""
    half = np.arange(SIDE) >= SIDE // 2
    classes = half[:, None] * 2 + half[None, :]
    noise = np.random.default_rng(1).normal(0.0, 18.0, (SIDE, SIDE, 3))
    return np.clip(_FOUR[classes] + noise, 1, 255).astype(np.uint8)


EIGHT = _eight_bit()
# Reflectance at the top of the atmosphere times 10,000.
DIGITAL = np.rint(EIGHT * (2750 / 255))


def _shaded(offset: float = 1000.0) -> np.ndarray:
    """With an offset, and shade of 3 % of the pixels below it."""
    values = DIGITAL + offset
    values[np.random.default_rng(2).random((SIDE, SIDE)) < 0.03] = offset - 50
    return values


def _write(
    folder: Path,
    name: str,
    values: np.ndarray,
    dtype: str = 'uint16',
    names: tuple[str, ...] = RGB,
    line: tuple[Any, Any] = (1.0, 0.0),
    units: str = '',
    **options: Any,
) -> Path:
    path = write_raster(folder / name, values.astype(dtype), names, **options)
    with rasterio.open(path, 'r+') as file:
        if line != (1.0, 0.0):
            file.scales, file.offsets = (
                v if isinstance(v, tuple) else (v,) * file.count for v in line
            )
        if units:
            file.units = (units,) * file.count
    return path


def _seen(path: Path, **reading: Any) -> tuple[np.ndarray, Raster]:
    with Raster(path, COLOURS, reading=Reading(**reading)) as raster:
        return raster.read(0, 0, SIDE, SIDE).pixels.astype(int), raster


def _refused(path: Path, **reading: Any) -> str:
    with pytest.raises(UserError) as error:
        Raster(path, COLOURS, reading=Reading(**reading))
    line = str(error.value)
    assert path.name in line
    assert '\n' not in line
    return line


def _cloudy(share: float) -> np.ndarray:
    """With white clouds in some of the pixels, three times as bright as 8 bits show."""
    values = DIGITAL.copy()
    values[np.random.default_rng(3).random((SIDE, SIDE)) < share] = 8000
    return values


def _half_empty(value: float, *more: np.ndarray) -> np.ndarray:
    """Reflectance times 10,000 whose upper half has one value, and further bands."""
    values = DIGITAL.copy()
    values[: SIDE // 2] = value
    return np.concatenate([values, *(one[..., None] for one in more)], -1)


def _land(factor: float) -> np.ndarray:
    """Forest and soil, whose reflectance is at most 0.3, times a factor and 10."""
    share = np.random.default_rng(4).random((SIDE, SIDE, 1))
    forest, soil = np.array([0.03, 0.05, 0.03]), np.array([0.25, 0.2, 0.15])
    return np.rint((forest + share * (soil - forest)) * factor * 10)


BASELINE = 'PROCESSING_BASELINE'
RIGHT: dict[str, tuple[str, np.ndarray, dict[str, Any]]] = {
    'scale and offset': ('S2_L1C.tif', _shaded(), {'line': (1e-4, -0.1)}),
    'a scale': ('S2_L1C.tif', DIGITAL * 5, {'line': (2e-5, 0.0)}),
    'an offset alone': ('S2_L1C.tif', DIGITAL + 1000, {'line': (1.0, -1000.0)}),
    'scales by band': (
        'S2_L1C.tif', DIGITAL * [1, 2, 4], {'line': ((1e-4, 5e-5, 2.5e-5), 0.0)}),
    'offset and baseline agree': (
        'S2_L1C.tif', _shaded(), {'line': (1e-4, -0.1), 'tags': {BASELINE: '04.00'}}),
    'a local processor': ('S2_L1C.tif', DIGITAL, {'tags': {BASELINE: '99.99'}}),
    'baseline 03.01': ('S2_L1C.tif', DIGITAL, {'tags': {BASELINE: '03.01'}}),
    'baseline 04.00': ('S2_L1C.tif', _shaded(), {'tags': {BASELINE: '04.00'}}),
    'baseline 05.00 by name': (
        'S2A_MSIL1C_20230601T103631_N0500_R008_T32UPU.tif', _shaded(), {}),
    'offset by tag': ('S2_L1C.tif', _shaded(), {'tags': {'RADIO_ADD_OFFSET': '-1000'}}),
    'offset by dark pixels': ('S2_L1C.tif', _shaded(), {}),
    'signed': ('S2_L1C.tif', _shaded(0.0), {'dtype': 'int16'}),
    'floats': ('S2_L1C.tif', DIGITAL / 1e4, {'dtype': 'float32'}),
    'two bytes of a byte': (
        'ortho16.tif', EIGHT * 257.0, {'names': (), 'photometric': 'rgb'}),
    'a byte of 0 to 1': ('a.tif', EIGHT, {'dtype': 'uint8', 'names': (), 'line': (1 / 255, 0.0)}),
    'a place called Northolt': ('Northolt_S2_L1C_ortho.tif', DIGITAL, {}),
    'a place called hotspot': ('hotspot5_S2_L1C.tif', DIGITAL, {}),
    'tags that name no sensor': (
        'S2_L1C.tif', DIGITAL,
        {'tags': {'PLATFORM': 'Google Earth Engine', 'MISSION': 'Copernicus',
                  'INSTRUMENT_TYPE': 'Multi-Spectral Instrument'}}),
    'a unit in words': (
        'S2_L1C.tif', DIGITAL / 1e4, {'dtype': 'float32', 'units': 'TOA reflectance [0-1]'}),
    'clouds': ('S2_L1C.tif', _cloudy(0.4), {}),
    'a band of quality': (
        'S2_L1C.tif', np.concatenate([DIGITAL, np.full((SIDE, SIDE, 1), 21824.0)], -1),
        {'names': (*RGB, 'QA_PIXEL'), 'nodata': 0}),
    'long names': (
        'S2_L1C.tif', DIGITAL,
        {'names': tuple(f'B{n}, central wavelength 6{n}5 nm' for n in (4, 3, 2))}),
    'other words': ('a.tif', EIGHT, {'dtype': 'uint8', 'names': ('Rouge', 'Vert', 'Bleu')}),
    'counted bands': ('a.tif', EIGHT, {'dtype': 'uint8', 'names': ('b1', 'b2', 'b3')}),
}  # fmt: skip


@pytest.mark.parametrize('case', RIGHT)
def test_values_are_those_of_the_colours(case, tmp_path):
    name, values, options = RIGHT[case]
    seen, _ = _seen(_write(tmp_path, name, values, **options))
    expected = np.where((values[..., :3] == 8000).all(-1, keepdims=True), 255, EIGHT)
    # Shade below the offset is black.
    lit = values.min(-1) != values.min() if 'S2' in name else np.ones((SIDE, SIDE), bool)
    assert lit.mean() > 0.9
    assert np.abs(seen - expected)[lit].max() <= 1


REFUSED: dict[str, tuple[str, np.ndarray, dict[str, Any], str]] = {
    'near infrared': ('a.tif', EIGHT, {'dtype': 'uint8', 'names': ('B8', 'B4', 'B3')}, '--bands'),
    'nir': ('a.tif', EIGHT, {'dtype': 'uint8', 'names': ('nir', 'red', 'green')}, '--bands'),
    'infrared by GDAL': (
        'a.tif', EIGHT,
        {'dtype': 'uint8', 'names': (), 'colours': (ColorInterp.nir, ColorInterp.red,
                                                    ColorInterp.green)}, '1 b08'),
    'Landsat': (
        'a.tif', EIGHT, {'dtype': 'uint8', 'names': ('SR_B5', 'SR_B4', 'SR_B3')}, '--bands'),
    'radar': ('a.tif', EIGHT, {'dtype': 'uint8', 'names': ('VV', 'VH', 'angle')}, '--bands'),
    'blue first': (
        'a.tif', EIGHT, {'dtype': 'uint8', 'names': ('blue', 'green', 'nir')}, '--bands'),
    'another sensor': (
        'a.tif', DIGITAL, {'tags': {'SENSOR_ID': 'OLI_TIRS'}}, 'OLI_TIRS'),
    '16 bits': ('ortho.tif', EIGHT * 250.0, {'names': (), 'photometric': 'rgb'}, '--scale=0:65535'),
    '12 bits': ('a.tif', EIGHT * (4095 / 255), {'names': COLOURS}, '--scale=0:4095'),
    '12 bits of 16': ('a.tif', EIGHT * 10.0, {'names': COLOURS, 'nbits': 12}, '--scale=0:4095'),
    '0 to 1 of 16 bits': (
        'a.tif', EIGHT * 257.0, {'names': COLOURS, 'line': (1 / 65535, 0.0)}, 'LOW'),
    'five times': ('S2_L1C.tif', DIGITAL * 5, {}, 'LOW:HIGH'),
    'percent': ('S2_L1C.tif', DIGITAL / 100, {'dtype': 'float32'}, '--scale=LOW:HIGH'),
    'grey levels': ('S2_L1C.tif', EIGHT * 1.0, {}, '--scale=LOW:HIGH'),
    'times 1,000': ('S2_L1C.tif', _land(100.0), {}, '--scale=LOW:HIGH'),
    'undeclared -9999': ('S2_L1C.tif', _half_empty(-9999), {'dtype': 'int16'}, '--nodata=-9999'),
    'undeclared 65535': ('S2_L1C.tif', _half_empty(65535), {}, '--nodata=65535'),
    'the least of floats': (
        'S2_L1C.tif', np.where(_half_empty(-1) < 0, np.finfo('f4').min, DIGITAL / 1e4),
        {'dtype': 'float32'}, '--nodata=-3.4028235e+38'),
    'Sentinel-1': (
        'S1A_IW_GRDH_x.tif', DIGITAL / 1e4, {'dtype': 'float32', 'names': ()}, 'S1A'),
    'Landsat as stored': (
        'LC08_L2SP.tif', DIGITAL / 0.275 + 7273, {'names': COLOURS}, '-scale 2.75e-05'),
    'radiance': ('S2_L1C.tif', DIGITAL, {'units': 'W/m2/sr/um'}, 'W/m2/sr/um'),
    'an offset of whole numbers': (
        'S2_L1C.tif', DIGITAL, {'line': (1e-4, -1000.0)}, 'no reflectance'),
    'baseline 04.00': ('S2_L1C.tif', DIGITAL, {'tags': {BASELINE: '04.00'}}, BASELINE),
    'baseline 03.01': ('S2_L1C.tif', DIGITAL + 1000, {'tags': {BASELINE: '03.01'}}, BASELINE),
    'tag and name': (
        'S2A_MSIL1C_20230601T103631_N0500_R008_T32UPU.tif', _shaded(),
        {'tags': {BASELINE: '03.01'}}, 'different things'),
    'tag and scale': (
        'S2_L1C.tif', _shaded(), {'line': (1e-4, -0.1), 'tags': {BASELINE: '03.01'}}, BASELINE),
    'scale and pixels': ('S2_L1C.tif', DIGITAL, {'line': (1e-4, -0.1)}, 'offset -0.1'),
    'bright ground': ('S2_L1C.tif', DIGITAL / 3 + 2000, {}, 'nothing says whether'),
    'two levels': ('S2_L1C.tif', DIGITAL, {'tags': {'PROCESSING_LEVEL': 'Level-2A'}}, 'levels'),
}  # fmt: skip


@pytest.mark.parametrize('case', REFUSED)
def test_what_contradicts_itself_or_says_nothing_is_refused(case, tmp_path):
    name, values, options, part = REFUSED[case]
    assert part in _refused(_write(tmp_path, name, values, **options))


def test_the_user_has_the_last_word(tmp_path):
    local = _write(tmp_path, 'S2_L1C.tif', DIGITAL, tags={BASELINE: '04.00'})
    assert np.abs(_seen(local, offset=0.0)[0] - EIGHT).max() <= 1
    shifted = _write(tmp_path, 'S2_L1C_b.tif', DIGITAL + 1000, line=(1e-4, -0.1))
    assert np.abs(_seen(shifted, offset=1000.0)[0] - EIGHT).max() <= 1
    twelve = _write(tmp_path, 'a.tif', np.rint(EIGHT * (4095 / 255)), names=COLOURS)
    assert np.abs(_seen(twelve, scale='0:4095')[0] - EIGHT).max() <= 1
    plain = _write(tmp_path, 'b.tif', DIGITAL, names=())
    assert np.abs(_seen(plain, scale='l1c', offset=0.0)[0] - EIGHT).max() <= 1
    infrared = _write(tmp_path, 'c.tif', EIGHT, 'uint8', ('B8', 'B4', 'B3'))
    np.testing.assert_array_equal(_seen(infrared, bands='2,3,1')[0], EIGHT[..., [1, 2, 0]])


def test_what_is_cut_or_judged_by_pixels_alone_is_said(tmp_path):
    def notes(name: str, values: np.ndarray, **reading: Any) -> str:
        return ' '.join(_seen(_write(tmp_path, name, values), **reading)[1].notes)

    assert notes('S2_L1C_a.tif', DIGITAL, offset=0.0) == ''
    assert 'beyond those that training shows' in notes('S2_L1C_b.tif', DIGITAL * 1.3)
    assert 'beyond those that training shows' in notes('c.tif', DIGITAL, scale='0:1000')
    assert '--offset=0' in notes('S2_L1C_d.tif', DIGITAL + 1000)
    assert '--scale=l1c' in notes('S2_e.tif', DIGITAL)
    eight = _write(tmp_path, 'f.tif', EIGHT, 'uint8')
    with Raster(eight, RGB, ((0.0, 2750.0),) * 3) as raster:
        assert 'those of training uint16' in ' '.join(raster.notes)


def test_values_go_back_through_scale_and_offset(tmp_path):
    path = _write(
        tmp_path, 'S2_L1C.tif', DIGITAL * [1, 2, 4] + 100, line=((1e-4, 5e-5, 2.5e-5), -0.01)
    )
    with Raster(path, COLOURS) as raster:
        pixels = raster.read(0, 0, SIDE, SIDE).pixels
        back = raster.to_stored(pixels.astype(np.float64))
    with rasterio.open(path) as file:
        stored = np.moveaxis(file.read(), 0, -1)
    shown = (pixels > 0) & (pixels < 255)
    # Half a grey level, in each band's own units.
    steps = np.array([2750 / 255, 2750 / 255 * 2, 2750 / 255 * 4])
    assert (np.abs(back - stored) <= 0.51 * steps)[shown].all()


def test_runs_on_own_files_read_scenes_as_their_files_were(tmp_path):
    """No atmosphere, offset or whole numbers for units that nobody else knows."""
    shares = EIGHT / 255.0
    for dtype, factor in (('float32', 1.0), ('int16', 3000.0), ('uint16', 3000.0)):
        values = shares * factor
        values = values if dtype == 'float32' else np.rint(values)
        path = _write(tmp_path, f'S2_L2A_{dtype}.tif', values, dtype)
        limits = ((0.0, factor),) * 3
        with Raster(path, COLOURS, limits, dtype=dtype, own_units=True) as raster:
            part = raster.read(0, 0, SIDE, SIDE)
            back = raster.to_stored(part.pixels)
        assert part.pixels.dtype == dtype
        np.testing.assert_array_equal(part.pixels, values.astype(dtype))
        np.testing.assert_array_equal(back, values.astype(dtype))
        said = Reading(scale=f'0:{factor}')
        with Raster(path, COLOURS, limits, said, dtype, own_units=True) as raster:
            np.testing.assert_allclose(raster.read(0, 0, SIDE, SIDE).pixels, values, rtol=1e-5)
    with pytest.raises(UserError, match='lie beyond those of training'):
        Raster(path, COLOURS, ((0.0, 1.0),) * 3, dtype='uint16', own_units=True)
    with pytest.raises(UserError, match='the run was trained on float32'):
        Raster(path, COLOURS, ((0.0, 1.0),) * 3, dtype='float32', own_units=True)


def _valid(path: Path, **reading: Any) -> np.ndarray:
    with Raster(path, COLOURS, reading=Reading(**reading)) as raster:
        return raster.read(0, 0, SIDE, SIDE).valid


def test_masks_alpha_and_values_for_no_data_count_together(tmp_path):
    held = np.zeros((SIDE, SIDE), bool)
    held[SIDE // 2 :] = True
    colours = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    # Bands of quality have values where nothing was measured; others may be all that was.
    quality, near_infrared = np.where(held, 21824.0, 1.0), np.full((SIDE, SIDE), 300.0)
    for name, expected in (('QA_PIXEL', held), ('B08', np.ones_like(held))):
        further = quality if name == 'QA_PIXEL' else near_infrared
        path = _write(
            tmp_path, f'S2_L1C_{name}.tif', _half_empty(0, further), names=(*RGB, name), nodata=0
        )
        np.testing.assert_array_equal(_valid(path), expected)
    floats = np.concatenate([DIGITAL / 1e4, held[..., None]], -1)
    alphas = {'float32': floats, 'uint16': _half_empty(1, np.where(held, 65535.0, 0.0))}
    for dtype, values in alphas.items():
        path = _write(tmp_path, f'S2_L1C_{dtype}.tif', values, dtype, names=(), colours=colours)
        # The user's value is no data too; it leaves the alpha band what it is.
        np.testing.assert_array_equal(_valid(path), held)
        np.testing.assert_array_equal(_valid(path, nodata=0.0), held)
    path = _write(tmp_path, 'S2_L1C_beside.tif', DIGITAL)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, 'r+') as file:
        file.write_mask(held)
    assert Path(f'{path}.msk').exists()
    np.testing.assert_array_equal(_valid(path, nodata=0.0), held)
    path = _write(tmp_path, 'S2_L1C_below.tif', _half_empty(-9999), 'int16', nodata=-9999)
    with Raster(path, COLOURS) as raster:
        assert raster.mask_text == '-9999 in any band'


def test_water_is_dark_and_not_in_other_units(tmp_path):
    noise = np.random.default_rng(5).normal(0.0, 8.0, (SIDE, SIDE, 3))
    water = np.rint(np.array([120.0, 220.0, 290.0]) + noise)
    seen, raster = _seen(_write(tmp_path, 'S2_L2A.tif', water))
    # Reflectance times 10,000 at the surface, and the light of the air above it.
    assert (np.abs(seen.mean((0, 1)) - _clear(water.mean((0, 1)))) < 1.0).all()
    assert raster.notes == ()
    # The user has the last word about darker things yet.
    dark = _write(tmp_path, 'S2_L2A_b.tif', np.rint(water / 2))
    assert '--scale=l2a' in _refused(dark)
    assert _seen(dark, scale='l2a')[0].mean() < seen.mean()


def _clear(surface: np.ndarray) -> np.ndarray:
    path, transmittance = atmosphere(RGB)
    return (path + transmittance * surface) * (255 / 2750)


def test_bands_called_as_landsats_are_of_no_known_sensor(tmp_path):
    path = _write(tmp_path, 'toa.tif', DIGITAL / 1e4, 'float32', ('B4', 'B3', 'B2'))
    _, raster = _seen(path)
    assert 'no known sensor' in ' '.join(raster.notes)
    whole = _write(tmp_path, 'export.tif', DIGITAL, names=('B4', 'B3', 'B2'))
    assert 'sensor' not in ' '.join(_seen(whole)[1].notes)


def test_another_sensors_reflectance_may_have_clouds(tmp_path):
    reflectance = _cloudy(0.08)
    stored = (reflectance / 1e4 + 0.2) / 2.75e-5
    path = _write(
        tmp_path, 'LC08_L2SP.tif', np.rint(stored), names=COLOURS, line=(2.75e-5, -0.2), nodata=0
    )
    seen, raster = _seen(path)
    assert np.abs(seen - _clear(reflectance).clip(0, 255)).max() <= 1.0
    assert 'reflectance of LC08' in ' '.join(raster.notes)
    assert 'beyond those that training shows' in ' '.join(raster.notes)
