"""Shows trained weights that come with eojax at work, in a minute or two: nothing is downloaded.

    python -m eojax.apps.demo --out=demo

Written to `--out`, by `jem-eurosat-64`, a joint energy-based model of Sentinel-2 images:

`samples/grid.png`: images that the model makes.
`repaired/grid.png`: some of them with a hole, filled again.
`map/overview.png`: a map of a drawn scene, with its confidence and log p(x). The scene is no real
  one: its colours are not those that the model learnt, and its map shows what that does.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from eojax.apps import generate
from eojax.apps.map_scene import command as map_scene
from eojax.apps.restore import command as restore
from eojax.data.sets import landscapes
from eojax.errors import one_line_errors
from eojax.program_name import program_name
from eojax.runs.command import open_folder_for_writing

WEIGHTS = 'jem-eurosat-64'
_TILES, _SIDE = 6, 64


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=program_name('eojax.apps.demo'),
        description='Shows trained weights that come with eojax at work.',
    )
    parser.add_argument('--out', type=Path, required=True, help='folder to write to')
    options = parser.parse_args(arguments)
    with one_line_errors():
        open_folder_for_writing(options.out)
        out = options.out
        run = f'--workdir={WEIGHTS}'
        generate.main([run, f'--out={out / "samples"}', '--num=16'])
        _write_images(out / 'samples' / 'samples.npz', out / 'images')
        restore.main([run, f'--images={out / "images"}', f'--out={out / "repaired"}', '--num=2',
                      '--chains=4', '--damage=centre'])  # fmt: skip
        _write_scene(out / 'scene.tif')
        map_scene.main([run, f'--scene={out / "scene.tif"}', f'--out={out / "map"}'])
        print(f'Trained weights at work ({WEIGHTS}), to look at:')
        for name in ('samples/grid.png', 'repaired/grid.png', 'map/overview.png'):
            print(f'  {out / name}')


def _write_images(samples: Path, folder: Path) -> None:
    """Two of the samples as files."""
    folder.mkdir(exist_ok=True)
    with np.load(samples, allow_pickle=False) as file:
        images = file['images'][[3, 5]]
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f'sample_{index}.png')


def _write_scene(path: Path) -> None:
    """A scene of drawn tiles with 10 m pixels, uint8, a row of tiles for each of some classes."""
    labels = np.repeat(np.arange(_TILES), _TILES) % 4
    tiles = landscapes.generate(_TILES**2, _SIDE, seed=0, labels=labels).images
    grid = np.asarray(tiles).reshape(_TILES, _TILES, _SIDE, _SIDE, -1)
    side = _TILES * _SIDE
    scene = grid.transpose(0, 2, 1, 3, 4).reshape(side, side, -1)
    with rasterio.open(
        path, 'w', driver='GTiff', width=side, height=side, count=3, dtype='uint8',
        crs='EPSG:32632', transform=from_origin(600_000, 5_300_000, 10, 10),
    ) as file:  # fmt: skip
        file.write(scene.transpose(2, 0, 1))


if __name__ == '__main__':
    main()
