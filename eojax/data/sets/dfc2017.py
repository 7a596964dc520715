"""DFC2017: nine cities seen by Sentinel-2, with a map of 17 Local Climate Zones.

Source: N. Yokoya et al., "Open Data for Global Multimodal Land Use Classification: Outcome of the
2017 IEEE GRSS Data Fusion Contest", IEEE JSTARS 11(5), 2018.

Files, at any depth below the root: `<city>/sentinel_2/..B02.tif` or
`<city>/sentinel_2/<date>/..B02.tif`, and `<city>/lcz/<city>_lcz_GT.tif`, at 100 m, with 0 for
unlabelled pixels and 1 to 17 for the zones. Sentinel-2 is at the top of the atmosphere, times
10,000 (level 1C). Landsat's scenes and the rasters of OpenStreetMap beside it are left.

Notes:
  The map of zones lies on the images' pixels by its place on Earth; each of its pixels of 100 m is
  that of all images' pixels in it, and no zone is made of two. Where there is no map, as of the
  test cities before 2018, pixels are unlabelled.
  Five cities are published for training and four for the test. All dates of a city are places of
  one group, which no split cuts.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from ml_collections import ConfigDict

from eojax.data.dataset import TEST, TRAIN, Dataset
from eojax.data.facts import Facts
from eojax.data.kinds import DatasetKind, StoredLabels
from eojax.data.reading.bands.files import find_scenes, list_bands
from eojax.data.sets.local_climate_zones import CLASS_NAMES
from eojax.data.sets.scenes_of_bands import OPTIONS as SHARED
from eojax.data.sets.scenes_of_bands import Scenes, check_root, images_of, read_scenes
from eojax.data.sources.label_values import label_values
from eojax.errors import UserError
from eojax.home import expanded
from eojax.option import Option

NAME = 'dfc2017'
FOLDER = 'sentinel_2'
TEST_CITIES = ('amsterdam', 'chicago', 'madrid', 'xi_an')
FACTS = Facts(
    name=NAME,
    title='DFC2017',
    class_names=CLASS_NAMES,
    label='pixel',
    licence='see IEEE GRSS; modified Copernicus Sentinel data',
    citation=(
        'N. Yokoya, P. Ghamisi, J. Xia, S. Sukhanov, R. Heremans, I. Tankoyeu, B. Bechtel, B. Le'
        ' Saux, G. Moser, D. Tuia. Open Data for Global Multimodal Land Use Classification: Outcome'
        ' of the 2017 IEEE GRSS Data Fusion Contest. IEEE JSTARS, 2018.'
    ),
    homepage='https://www.grss-ieee.org/community/technical-committees/2017-ieee-grss-data-fusion-contest/',
)
OPTIONS: dict[str, Option] = {**SHARED, 'cut': SHARED['cut'].but(0)}
WHERE = f'ask for DFC2017 at {FACTS.homepage}'
VALUES = label_values({0: None, **{number: number - 1 for number in range(1, 18)}})


def city_of(scene: Path) -> str:
    """The city of a scene's folder; empty where it is not laid out as this data set is."""
    parts = scene.parts
    at = len(parts) - 1 - parts[::-1].index(FOLDER) if FOLDER in parts else 0
    return parts[at - 1] if at else ''


def scenes_of(scenes: list[Path]) -> list[Path]:
    """Those of some folders of bands that are scenes of DFC2017."""
    return [scene for scene in scenes if city_of(scene)]


def load(root: Path, options: ConfigDict) -> Dataset:
    """The data set below a folder or in an archive.

    Raises:
      UserError: no scene of the layout, or one that cannot be read.
    """
    scenes = scenes_of(find_scenes(root))
    if not scenes:
        raise UserError(f'{root}: no <city>/{FOLDER}/..B02.tif in it; {WHERE}')
    maps = {
        PurePosixPath(name).name.lower().removesuffix('_lcz_gt.tif'): name
        for name in list_bands(root).files
        if name.lower().endswith('_lcz_gt.tif')
    }
    cities = [city_of(scene) for scene in scenes]
    found = Scenes(
        [scene.relative_to(root).as_posix() for scene in scenes],
        groups=cities,
        parts=[TEST if city.lower() in TEST_CITIES else TRAIN for city in cities],
        labels=[maps.get(city.lower(), '') for city in cities],
    )
    return read_scenes(root, FACTS, images_of(options), found, options.cut, VALUES)


def _check(options: ConfigDict) -> None:
    check_root(NAME, options, WHERE)
    images_of(options)


def _from_config(options: ConfigDict, progress: bool) -> Dataset:
    return load(expanded(options.root), options)


KIND = DatasetKind(
    NAME,
    _check,
    _from_config,
    OPTIONS,
    CLASS_NAMES,
    stored_labels=lambda options: StoredLabels(CLASS_NAMES, VALUES),
)
