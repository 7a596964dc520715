"""Small files in the layouts of data sets with a class for each pixel."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rasterio.io import MemoryFile

RNG = np.random.default_rng(0)
ISPRS = np.array([[255, 255, 255], [0, 0, 255], [0, 255, 255], [0, 255, 0], [255, 255, 0],
                  [255, 0, 0], [0, 0, 0]], np.uint8)  # fmt: skip


def geotiff(pixels: np.ndarray, names: tuple[str, ...] = ()) -> bytes:
    """A GeoTIFF of `[height, width, bands]`."""
    height, width, count = pixels.shape
    with MemoryFile() as memory:
        with memory.open(
            driver='GTiff', height=height, width=width, count=count, dtype=pixels.dtype
        ) as file:
            file.write(np.moveaxis(pixels, -1, 0))
            for number, name in enumerate(names, 1):
                file.set_band_description(number, name)
        return bytes(memory.read())


def jpeg_2000(pixels: np.ndarray) -> bytes:
    """A lossless JPEG 2000 file of uint8 `[height, width, bands]`."""
    height, width, count = pixels.shape
    with MemoryFile(ext='.jp2') as memory:
        with memory.open(
            driver='JP2OpenJPEG',
            height=height,
            width=width,
            count=count,
            dtype=pixels.dtype,
            QUALITY='100',
            REVERSIBLE='YES',
            YCBCR420='NO',
        ) as file:
            file.write(np.moveaxis(pixels, -1, 0))
        return bytes(memory.read())


def picture(pixels: np.ndarray, kind: str = 'PNG', palette: bool = False) -> bytes:
    """An image of `[height, width]` or `[height, width, bands]`, with a palette where asked."""
    image = Image.fromarray(pixels)
    stream = io.BytesIO()
    (image.quantize(256) if palette else image).save(stream, kind)
    return stream.getvalue()


def write_files(root: Path, files: Mapping[str, bytes]) -> Path:
    """Writes files below a folder, or into a zip archive where the name ends so; the root."""
    if root.suffix == '.zip':
        with zipfile.ZipFile(root, 'w') as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return root
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def dubai_tiles(side: int = 24, images: int = 3) -> dict[str, bytes]:
    """Small files in the layout of the aerial tiles of Dubai, with classes in their colours."""
    rng = np.random.default_rng(0)
    texts = ('e2a929', '8429f6', '6ec1e4', '3c1098', 'fedd3a', '9b9b9b')
    colours = np.array([list(bytes.fromhex(text)) for text in texts], np.uint8)
    files = {}
    for tile in (1, 3, 4, 5, 6, 7):
        for number in range(1, images + 1):
            size = (side + tile, side)
            folder, name = f'dubai_land_cover/tile_{tile}', f'image_part_{number:03}'
            pixels = rng.integers(0, 256, (*size, 3), np.uint8)
            files[f'{folder}/images/{name}.jpg'] = picture(pixels, 'JPEG')
            mask = colours[rng.integers(0, len(texts), size)]
            files[f'{folder}/masks/{name}.png'] = picture(mask)
    return files


def shown(height: int = 8, width: int = 12, bands: int = 3) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, bands), np.uint8)


def france(tiles: int = 3, side: int = 40, elevation: bool = False) -> dict[str, bytes]:
    """Tiles of MiniFrance, or of DFC2022 where there is an elevation, of an odd width."""
    files = {}
    places = {'labeled_train': ('Nice', 'Nantes'), 'unlabeled_train': ('Brest', 'Caen'),
              'val' if elevation else 'test': ('Lille',)}  # fmt: skip
    for part, cities in places.items():
        for city in cities:
            for number in range(tiles):
                folder, name = f'{part}/{city}', f'{city}_{number}'
                height, width = side, side + elevation
                files[f'{folder}/BDORTHO/{name}.tif'] = geotiff(shown(height, width))
                if elevation:
                    ground = np.full((height // 2, width // 2, 1), 500.0, np.float32)
                    files[f'{folder}/RGEALTI/{name}_RGEALTI.tif'] = geotiff(ground)
                if not (elevation and part != 'labeled_train'):
                    stored = np.arange(height * width).reshape(height, width, 1) % 16
                    labels = geotiff(stored.astype(np.uint8))
                    files[f'{folder}/UrbanAtlas/{name}_UA2012.tif'] = labels
    return files


def vaihingen(height: int = 9, width: int = 14) -> dict[str, bytes]:
    """Tiles of Vaihingen with the complete ground truth: two of training, four of validation."""
    files = {}
    for area in (1, 3, 5, 15, 21, 30, 2, 38):
        files[f'top/top_mosaic_09cm_area{area}.tif'] = geotiff(shown(height, width))
        classes = ISPRS[RNG.integers(0, 6, (height, width))]
        files[f'top_mosaic_09cm_area{area}.tif'] = geotiff(classes)
    return files


def christchurch(height: int = 8, width: int = 12) -> dict[str, bytes]:
    """24 images, four of them with masks of the classes 0 to 3."""
    files = {f'images/{n:02}.tif': geotiff(shown(height, width)) for n in range(24)}
    for number in (3, 8, 15, 20):
        stored = RNG.integers(0, 4, (height, width)).astype(np.uint8)
        files[f'masks/{number:02}.png'] = picture(stored)
    return files


def geonrw(
    side: int = 40, tiles: int = 3, of: Sequence[str] = ('aachen', 'bonn', 'herne')
) -> dict[str, bytes]:
    """Tiles of cities of GeoNRW; radar has seen every second one."""
    rng, files = np.random.default_rng(0), {}
    for city in of:
        for number in range(tiles):
            name = f'{city}/{290 + number}_5627'
            files[f'{name}_rgb.jp2'] = jpeg_2000(rng.integers(0, 256, (side, side, 3), np.uint8))
            dem = rng.uniform(30.0, 90.0, (side, side, 1)).astype(np.float32)
            files[f'{name}_dem.tif'] = geotiff(dem)
            stored = np.arange(side * side).reshape(side, side, 1) % 11
            files[f'{name}_seg.tif'] = geotiff(stored.astype(np.uint8))
            if number % 2 == 0:
                amplitude = rng.integers(0, 2000, (side, side, 1)).astype(np.uint16)
                amplitude[0, 0] = 0
                files[f'{name}_sar.tif'] = geotiff(amplitude)
    return files


def dfc2020(patches: Mapping[str, int], side: int = 256) -> dict[str, bytes]:
    """Patches of DFC2020, so many of each of `validation` and `test`."""
    rng, files = np.random.default_rng(0), {}
    for part, num in patches.items():
        folder = {'validation': 'validation', 'test': '0'}[part]
        for number in range(num):
            stored = np.arange(side * side).reshape(side, side, 1) % 11
            stored[(stored == 3) | (stored == 8)] = 0
            contents = {
                's1': rng.uniform(-30.0, 10.0, (side, side, 2)).astype(np.float32),
                's2': rng.integers(0, 6000, (side, side, 13)).astype(np.uint16),
                'dfc': stored.astype(np.uint8),
            }
            for kind, pixels in contents.items():
                stem = f'{kind}_{folder}'
                name = f'ROIs0000_{part}/{stem}/ROIs0000_{part}_{stem}_p{number}.tif'
                files[name] = geotiff(pixels)
    return files


def flair(side: int = 256) -> dict[str, bytes]:
    """Patches of FLAIR of two squares each, with the first eight classes; those of Z8_NF too."""
    files = {}
    for number, place in enumerate(('D004_2021/Z6_NU', 'D004_2021/Z8_NF', 'D006_2020/Z2_NN')):
        images, classes = shown(side, 2 * side, 5), RNG.integers(1, 9, (side, 2 * side, 1))
        files[f'flair_aerial_train/{place}/img/IMG_{number}.tif'] = geotiff(images)
        masks = geotiff(classes.astype(np.uint8))
        files[f'flair_labels_train/{place}/msk/MSK_{number}.tif'] = masks
    return files
