"""Shows trained weights that come with eojax at work, in about a minute; nothing is downloaded.

    eojax demo --out=demo

Written to `--out`, by `jem-eurosat-64`, a joint energy-based model of Sentinel-2 images:

`samples/grid.png`: images that the model makes.
`repaired/grid.png`: real images with a hole, filled again.
`map/overview.png`: a mosaic of real images mapped as a scene, with confidence and log p(x).

The real images are those of EuroSAT that the weights keep, and were learnt from: this shows what
the commands do, not how good the model is. Its numbers on other images: `eojax weights NAME`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from eojax.apps import generate
from eojax.apps.map_scene import command as map_scene
from eojax.apps.restore import command as restore
from eojax.command_parser import CommandParser
from eojax.errors import one_line_errors
from eojax.evaluation import reference
from eojax.home import expand_paths
from eojax.program_name import program_name
from eojax.runs.command import open_folder_for_writing
from eojax.runs.opening import open_run

WEIGHTS = 'jem-eurosat-64'
_REPAIRED = 3


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = CommandParser(
        prog=program_name('eojax.apps.demo'),
        description='Shows trained weights that come with eojax at work.',
    )
    parser.add_argument('--out', type=Path, required=True, help='folder to write to')
    options = parser.parse_args(arguments)
    with one_line_errors():
        expand_paths(options)
        out: Path = options.out
        open_folder_for_writing(out)
        images = _kept_images()
        _write_images(images, out / 'images')
        _write_mosaic(images, out / 'mosaic.tif')
    run = f'--workdir={WEIGHTS}'
    generate.main([run, f'--out={out / "samples"}', '--num=16'])
    restore.main([run, f'--images={out / "images"}', f'--out={out / "repaired"}',
                  '--chains=4', '--damage=centre'])  # fmt: skip
    map_scene.main([run, f'--scene={out / "mosaic.tif"}', f'--out={out / "map"}'])
    print(f'Trained weights at work ({WEIGHTS}):')
    for name, text in (
        ('samples/grid.png', 'images that the model makes'),
        ('repaired/grid.png', 'real images with a hole, filled again'),
        (
            'map/overview.png',
            f'a mosaic of {len(images)} images of its own training, mapped',
        ),
    ):
        print(f'  {out / name}: {text}')


def _kept_images() -> np.ndarray:
    """The training images that the weights keep, `[num, H, W, bands]` as they are stored."""
    run, _ = open_run(WEIGHTS)
    return np.asarray(reference.examples(run).images)


def _write_images(images: np.ndarray, folder: Path) -> None:
    """Those of the images with the most contrast, as files: a hole in a lake shows nothing."""
    folder.mkdir(exist_ok=True)
    chosen = np.argsort(-images.std((1, 2, 3)))[:_REPAIRED]
    for index, image in enumerate(images[chosen]):
        Image.fromarray(image).save(folder / f'image_{index}.png')


def _write_mosaic(images: np.ndarray, path: Path) -> None:
    """The images side by side as a GeoTIFF with pixels of 10 m; the place is made up."""
    columns = math.isqrt(len(images))
    rows = len(images) // columns
    num, height, width = rows * columns, *images.shape[1:3]
    grid = images[:num].reshape(rows, columns, height, width, -1).transpose(4, 0, 2, 1, 3)
    scene = grid.reshape(-1, rows * height, columns * width)
    with rasterio.open(
        path, 'w', driver='GTiff', height=scene.shape[1], width=scene.shape[2], count=len(scene),
        dtype=scene.dtype, crs='EPSG:32632', transform=from_origin(600_000, 5_300_000, 10, 10),
    ) as file:  # fmt: skip
        file.write(scene)


if __name__ == '__main__':
    main()
