"""OSCD, Onera Satellite Change Detection: 24 cities, each seen twice by Sentinel-2, 13 bands.

Source: R. Caye Daudt, B. Le Saux, A. Boulch, Y. Gousseau, "Urban Change Detection for Multispectral
Earth Observation Using Convolutional Neural Networks", IGARSS, 2018.

Files, at any depth below the root: `<city>/imgs_1_rect/B01.tif` ... `B12.tif` and `imgs_2_rect`,
all bands of the second date resampled by the publishers to the first and to 10 m; `<city>/imgs_1`
and `imgs_2` hold the bands as they were cut, at 10, 20 and 60 m (`..._B01.tif`), and are taken with
`data.images='native'`. Values are reflectance at the top of the atmosphere times 10,000 (level 1C).
`train.txt` and `test.txt` name the cities of each part; without them the published ones are taken.

Notes:
  Both dates of a city are places of one group, which no split cuts. The published labels mark what
  changed between the two: they are of neither date alone, and are not read.
  The papers cut the scenes into patches of 64 x 64 pixels: `data.cut=64`, the default, makes a
  place of each, and `--domain=oscd=FOLDER` does so too.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from ml_collections import ConfigDict

from eojax.data.dataset import TEST, TRAIN, Dataset
from eojax.data.facts import Facts
from eojax.data.kinds import DatasetKind
from eojax.data.reading.bands.files import find_scenes, list_bands
from eojax.data.sets.scenes_of_bands import OPTIONS as SHARED
from eojax.data.sets.scenes_of_bands import Scenes, check_root, images_of, read_scenes
from eojax.errors import UserError
from eojax.home import expanded
from eojax.option import Option, one_of

NAME = 'oscd'
CITIES = {
    TRAIN: ('aguasclaras', 'bercy', 'bordeaux', 'nantes', 'paris', 'rennes', 'saclay_e', 'abudhabi',
            'cupertino', 'pisa', 'beihai', 'hongkong', 'beirut', 'mumbai'),
    TEST: ('brasilia', 'montpellier', 'norcia', 'rio', 'saclay_w', 'valencia', 'dubai', 'lasvegas',
           'milano', 'chongqing'),
}  # fmt: skip
FACTS = Facts(
    name=NAME,
    title='OSCD',
    label='none',
    metres=10.0,
    licence='CC BY-NC-SA 4.0; modified Copernicus Sentinel data',
    citation=(
        'R. Caye Daudt, B. Le Saux, A. Boulch, Y. Gousseau. Urban Change Detection for'
        ' Multispectral Earth Observation Using Convolutional Neural Networks. IGARSS, 2018.'
    ),
    homepage='https://rcdaudt.github.io/oscd/',
)
WHERE = f'get OSCD from {FACTS.homepage}'
# By `data.images`, the folders of both dates.
FOLDERS = {'rect': ('imgs_1_rect', 'imgs_2_rect'), 'native': ('imgs_1', 'imgs_2')}
OPTIONS: dict[str, Option] = {
    **SHARED,
    'images': Option(
        'rect',
        'rect: both dates brought to one grid by the publishers; native: the bands as they were',
        one_of(*FOLDERS),
    ),
}
_LISTS = {'train.txt': TRAIN, 'test.txt': TEST}


def city_of(scene: Path) -> str:
    """The city of a scene's folder."""
    return scene.parent.name


def scenes_of(scenes: list[Path], images: str = 'rect') -> list[Path]:
    """Those of some folders of bands that are scenes of OSCD."""
    return [scene for scene in scenes if scene.name in FOLDERS[images]]


def load(root: Path, options: ConfigDict) -> Dataset:
    """The data set below a folder or in an archive.

    Raises:
      UserError: no scene of the layout, a city of no part, or a scene that cannot be read.
    """
    scenes = scenes_of(find_scenes(root), options.images)
    if not scenes:
        one = FOLDERS[options.images][0]
        raise UserError(f'{root}: no scene of OSCD in it, <city>/{one}/..B02.tif; {WHERE}')
    cities = _cities(root)
    unknown = sorted({city_of(scene) for scene in scenes} - set(cities))
    if unknown:
        raise UserError(f'{root}: {unknown[0]} is a city of neither train.txt nor test.txt')
    names = [scene.relative_to(root).as_posix() for scene in scenes]
    found = Scenes(
        names,
        groups=[city_of(scene) for scene in scenes],
        parts=[cities[city_of(scene)] for scene in scenes],
    )
    return read_scenes(root, FACTS, images_of(options), found, options.cut)


def _cities(root: Path) -> dict[str, int]:
    """The part of each city: as the lists in the folder say, else as published."""
    listing = list_bands(root)
    lists = {
        PurePosixPath(name).name: listing.read(name)
        for name in listing.files
        if PurePosixPath(name).name in _LISTS
    }
    if set(lists) != set(_LISTS):
        return {city: part for part, cities in CITIES.items() for city in cities}
    return {
        city.strip(): _LISTS[name]
        for name, data in lists.items()
        for city in data.decode('utf-8', 'replace').replace('\n', ',').split(',')
        if city.strip()
    }


def _check(options: ConfigDict) -> None:
    check_root(NAME, options, WHERE)
    images_of(options)


def _from_config(options: ConfigDict, progress: bool) -> Dataset:
    return load(expanded(options.root), options)


KIND = DatasetKind(NAME, _check, _from_config, OPTIONS)
