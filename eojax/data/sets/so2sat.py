"""So2Sat LCZ42: Sentinel-1 and Sentinel-2 patches of 52 cities in 17 Local Climate Zones.

Source: X. X. Zhu et al., "So2Sat LCZ42: A Benchmark Data Set for the Classification of Global Local
Climate Zones", IEEE GRSM 8(3), 2020. Some 400,000 places, each seen by both sensors in 32 x 32
pixels of 10 m, in HDF5 files with `sen1` `[N, 32, 32, 8]` and `sen2` `[N, 32, 32, 10]`, float64,
and `label` `[N, 17]`, one-hot. Version 2 is `training.h5` (42 cities, 352,366 patches),
`validation.h5` and `testing.h5` (the west and the east of ten other cities); version 3 has three
splits in folders of their own, `{random,block,culture_10}/{training,testing}.h5`. "Energy-based
models in Earth observation" and the thesis train on training.h5, less 10% for validation.

Values and their limits: see `so2sat_patches`. A file of 50 GB is never read as a whole: a set that
fits into the memory is read once, by windows, and kept in the cache of decoded pixels; of a larger
one, each patch is read when it is drawn.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from eojax.data.dataset import Dataset
from eojax.data.kinds import DatasetKind
from eojax.data.published import PublishedImages
from eojax.data.reading.image_files import fingerprint
from eojax.data.reading.lazy_images import memory_limit
from eojax.data.reading.pixel_cache import cached_dataset
from eojax.data.reading.published_images import check_published, describe_counts, download_published
from eojax.data.sets.local_climate_zones import CLASS_NAMES
from eojax.data.sets.so2sat_patches import SENSORS, SIZE, Coding, read_patches
from eojax.data.shared_options import SHARED
from eojax.data.splits import TEST, TRAIN, VALIDATION
from eojax.errors import UserError
from eojax.home import cache_folder, expanded
from eojax.option import NOT_NEGATIVE, Option, name_in

NAME = 'so2sat'
# About three standard deviations.
VV_LIMIT = 1.5
# By version: the folder below the root, and the names of the files in it, sorted.
VERSIONS = {
    'v2': ('', ('testing', 'training', 'validation')),
    'v3_random': ('random', ('testing', 'training')),
    'v3_block': ('block', ('testing', 'training')),
    'v3_culture_10': ('culture_10', ('testing', 'training')),
}
OPTIONS: dict[str, Option] = {
    'size': SHARED['size'].but(SIZE),
    'sensor': Option(
        'rgb', 'the sensor: three or ten bands of Sentinel-2, or Sentinel-1', name_in(SENSORS)
    ),
    'version': Option('v2', 'version of the published files', name_in(VERSIONS)),
    'vv_limit': Option(
        VV_LIMIT,
        'amplitude of vv that becomes 1 and at which values are cut; 0: nothing is cut',
        NOT_NEGATIVE,
    ),
    'validation_file': Option(
        True,
        'whether validation.h5 is read; else validation images are drawn from those for training',
    ),
}
PARTS = {'training': TRAIN, 'validation': VALIDATION, 'testing': TEST}
SO2SAT = PublishedImages(
    name=NAME,
    title='So2Sat LCZ42',
    class_names=CLASS_NAMES,
    bands=SENSORS['rgb'].bands,
    size=SIZE,
    archive=None,  # several files, together 59 GB
    licence='CC BY 4.0',
    citation=(
        'X. X. Zhu, J. Hu, C. Qiu, Y. Shi, J. Kang, L. Mou, H. Bagheri, M. Haeberle, Y. Hua,'
        ' R. Huang, L. Hughes, H. Li, Y. Sun, G. Zhang, S. Han, M. Schmitt, Y. Wang. So2Sat LCZ42:'
        ' A Benchmark Data Set for the Classification of Global Local Climate Zones. IEEE'
        ' Geoscience and Remote Sensing Magazine, 2020.'
    ),
    homepage='https://github.com/zhu-xlab/So2Sat-LCZ42',
    extent_metres=320.0,
    files=None,
)


def load(
    root: str | Path | None = None,
    sensor: str = 'rgb',
    version: str = 'v2',
    *,
    size: int = SIZE,
    vv_limit: float = VV_LIMIT,
    validation_file: bool = True,
    progress: bool = True,
    cache: bool = True,
    resident_bytes: int | None = None,
) -> Dataset:
    """So2Sat as `[num, size, size, bands]`, with the published split as its `parts`.

    It is uint16, or float16 where `vv_limit` is 0.

    Images are called `<file>/<row>`, `training/0000123`. Version 3 has no validation images.

    Args:
      root: the folder that holds the files of version 2 or the folders of version 3.
      sensor: 'rgb' or 's2' (three or ten bands of Sentinel-2), or 'vv' (Sentinel-1, real and
        imaginary part).
      version: one of `VERSIONS`.
      size: height and width in pixels; other than 32 is resampled, see `patches.resample`.
      vv_limit: the greatest value of 'vv' that is told from greater ones; 0: none is cut.
      validation_file: whether validation.h5 of version 2 is read.
      progress: show a bar, and the number of images of each class, on stderr.
      cache: keep the decoded pixels in the cache folder.
      resident_bytes: a larger set stays on disk, `LazyImages`, its patches but the first being
        checked when they are read; None reads a set of any size.

    Raises:
      UserError: what is missing, damaged or unexpected, by name; without `root`, where to get it.
    """
    _check_options(sensor, version, vv_limit)
    if size < 1:
        raise UserError(f'{SO2SAT.title} cannot be resized to {size} pixels; give a positive size')
    path = expanded(root) if root else download_published(SO2SAT)
    files = _find_files(path, version, validation_file)
    coding = Coding(sensor, size, vv_limit)

    def build() -> Dataset:
        return read_patches(files, coding, progress, resident_bytes)

    if cache:
        key: dict[str, object] = {
            'so2sat': version,
            'path': str(path.resolve()),
            'sensor': sensor,
            'size': size,
            'vv_limit': vv_limit if sensor == 'vv' else None,
        }
        if version == 'v2' and not validation_file:
            key['validation_file'] = False
        state = ' '.join(map(fingerprint, files.values()))
        title = f'so2sat-{version}-{sensor}'
        dataset = cached_dataset(cache_folder(), title, key, state, build, resident_bytes)
    else:
        dataset = build()
    parts = np.asarray([PARTS[name.partition('/')[0]] for name in dataset.names], np.int8)
    dataset = SO2SAT.describe(dataset).with_limits(coding.limits)
    dataset = dataset._replace(places=dataset.places._replace(parts=parts))
    if progress:
        print(f'eojax: {SO2SAT.title}, {path}: {describe_counts(dataset)}', file=sys.stderr)
    return dataset


def _check(options: ConfigDict) -> None:
    check_published(SO2SAT, options)


def _from_config(options: ConfigDict, progress: bool) -> Dataset:
    return load(
        options.root,
        options.sensor,
        options.version,
        size=options.size,
        vv_limit=options.vv_limit,
        validation_file=options.validation_file,
        progress=progress,
        resident_bytes=memory_limit(options),
    )


def _check_options(sensor: str, version: str, vv_limit: float) -> None:
    for key, value in (('sensor', sensor), ('version', version), ('vv_limit', vv_limit)):
        OPTIONS[key].within.refuse(f'data.{key}', value)


def _files(root: Path, version: str, validation: bool = True) -> dict[str, Path]:
    folder, parts = VERSIONS[version]
    read = [part for part in parts if validation or part != 'validation']
    return {part: root / folder / f'{part}.h5' for part in read}


def _find_files(root: Path, version: str, validation: bool) -> dict[str, Path]:
    """The files of a version by name, sorted.

    Raises:
      UserError: one is missing; the message tells what to do, as far as what is there shows it.
    """
    files = _files(root, version, validation)
    missing = next((file for file in files.values() if not file.is_file()), None)
    if missing is None:
        return files
    packed = missing.with_name(f'{missing.name}.gz')
    others = [v for v in VERSIONS if all(f.is_file() for f in _files(root, v).values())]
    if packed.is_file():
        advice = f'unpack it: gunzip {packed}'
    elif others:
        advice = f'what is there is read with --config.data.version={others[0]}'
    else:
        advice = f'get all of them from {SO2SAT.homepage}'
    raise UserError(f'no such file: {missing}, of version {version} of {SO2SAT.title}; {advice}')


KIND = DatasetKind(
    NAME,
    _check,
    _from_config,
    OPTIONS,
    CLASS_NAMES,
    SO2SAT,
)
