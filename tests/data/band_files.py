"""Small scenes whose bands lie in files of their own, in the layouts that are published."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

from tests.data.rasters import TRANSFORM, UTM

# How many pixels of 10 m one of a band covers along each axis.
FACTORS = {
    'B01': 6, 'B02': 1, 'B03': 1, 'B04': 1, 'B05': 2, 'B06': 2, 'B07': 2, 'B08': 1, 'B8A': 2,
    'B09': 6, 'B10': 6, 'B11': 2, 'B12': 2,
}  # fmt: skip
BANDS = tuple(FACTORS)
PRODUCT = 'S2B_MSIL2A_20200223T033741_N0214_R061_T48QUE_20200223T081136'
_IDS = {band: number for number, band in enumerate(BANDS)}


def write_band(
    path: Path, values: np.ndarray, metres: float = 10.0, place: bool = True, **options: object
) -> Path:
    """Writes `[height, width]` as a GeoTIFF, or without loss as JPEG 2000, by the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    transform = TRANSFORM @ Affine.scale(metres / 10.0) if place else None
    profile = {'driver': 'GTiff'}
    if path.suffix == '.jp2':
        profile = {'driver': 'JP2OpenJPEG', 'QUALITY': '100', 'REVERSIBLE': 'YES'}
    given = {'crs': UTM if place else None, 'transform': transform, **options}
    with rasterio.open(
        path, 'w', height=values.shape[0], width=values.shape[1], count=1, dtype=values.dtype,
        **profile, **given,
    ) as file:  # fmt: skip
        file.write(values, 1)
    return path


def drawn_bands(
    side: int = 120, seed: int = 0, bands: tuple[str, ...] = BANDS
) -> dict[str, np.ndarray]:
    """Values of each band at its own resolution, of a ground of `side` x `side` pixels of 10 m."""
    rng = np.random.default_rng(seed)
    ground = rng.uniform(300.0, 2500.0, (side // 6 + 1, side // 6 + 1)).repeat(6, 0).repeat(6, 1)
    ground = ground[:side, :side]
    made = {}
    for number, band in enumerate(bands):
        step = FACTORS[band]
        rough = ground[: side // step * step : step, : side // step * step : step]
        noise = rng.normal(0.0, 60.0, rough.shape)
        made[band] = (rough * (0.6 + 0.05 * number) + noise).clip(1.0, 6000.0).astype(np.uint16)
    return made


def write_bands(
    folder: Path, bands: Mapping[str, np.ndarray], name: str = '{band}.tif', place: bool = True
) -> Path:
    """A file of each band in a folder; `{band}` in the name stands for B02 and the like."""
    for band, values in bands.items():
        write_band(folder / name.format(band=band), values, 10.0 * FACTORS[band], place)
    return folder


def write_safe(
    folder: Path,
    bands: Mapping[str, np.ndarray],
    name: str = PRODUCT,
    added: float = 0.0,
    baseline: str = '',
    quantification: int = 10_000,
    archive: bool = False,
    metadata: bool = True,
) -> Path:
    """A `.SAFE` product as ESA lays it out, of the level that its name says.

    Args:
      added: what is added to all values, as its metadata then say.
      baseline: that its metadata say; that of the name where empty.
      archive: whether it is a zip archive.
      metadata: whether it has any.
    """
    product = folder / f'{name}.SAFE'
    level_2a = 'MSIL2A' in name
    tile, date = name.split('_')[5], name.split('_')[2]
    images = product / 'GRANULE' / f'L2A_{tile}_A015491_{date}' / 'IMG_DATA'
    for band, values in bands.items():
        stored = np.where(values > 0, values + np.uint16(added), 0).astype(np.uint16)
        metres = 10 * FACTORS[band]
        below = images / f'R{metres}m' if level_2a else images
        end = f'_{metres}m' if level_2a else ''
        write_band(below / f'{tile}_{date}_{band}{end}.jp2', stored, metres)
        if level_2a and metres == 10:
            coarse = stored[::2, ::2]
            write_band(images / 'R20m' / f'{tile}_{date}_{band}_20m.jp2', coarse, 20.0)
    write_band(images.parent / 'QI_DATA' / 'MSK_DETFOO_B02.jp2', np.ones((8, 8), np.uint8), 10.0)
    if metadata:
        number = name.split('_')[3]
        text = metadata_xml(
            baseline or f'{number[1:3]}.{number[3:]}', level_2a, added, quantification
        )
        (product / f'MTD_MSI{"L2A" if level_2a else "L1C"}.xml').write_text(text)
    if not archive:
        return product
    packed = shutil.make_archive(str(product), 'zip', folder, product.name)
    shutil.rmtree(product)
    return Path(packed)


def metadata_xml(
    baseline: str, level_2a: bool, added: float = 0.0, quantification: int = 10_000
) -> str:
    """The parts of `MTD_MSIL2A.xml` or `MTD_MSIL1C.xml` that say what values mean."""
    kind = 'BOA' if level_2a else 'RADIO'
    factor = 'BOA_QUANTIFICATION_VALUE' if level_2a else 'QUANTIFICATION_VALUE'
    level = 'Level-2A' if level_2a else 'Level-1C'
    offsets = ''.join(
        f'<{kind}_ADD_OFFSET band_id="{number}">{-added:g}</{kind}_ADD_OFFSET>'
        for number in _IDS.values()
    )
    names = ''.join(
        f'<Spectral_Information bandId="{number}" physicalBand="{band.replace("B0", "B")}"/>'
        for band, number in _IDS.items()
    )
    listed = f'<{kind}_Offset_List>{offsets}</{kind}_Offset_List>' if added else ''
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><n1:{level}_User_Product'
        ' xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product.xsd"><n1:General_Info>'
        f'<Product_Info><PROCESSING_LEVEL>{level}</PROCESSING_LEVEL>'
        f'<PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE></Product_Info>'
        f'<Product_Image_Characteristics><{factor} unit="none">{quantification}</{factor}>'
        f'{listed}<Spectral_Information_List>{names}</Spectral_Information_List>'
        f'</Product_Image_Characteristics></n1:General_Info></n1:{level}_User_Product>'
    )
