"""BigEarthNet: half a million Sentinel-2 patches of Europe, 120 x 120 pixels of 10 m, 12 bands.

Sources: G. Sumbul, M. Charfuelan, B. Demir, V. Markl, "BigEarthNet: A Large-Scale Benchmark Archive
for Remote Sensing Image Understanding", IGARSS, 2019 (version 1, 590,326 patches); K. N. Clasen et
al., "reBEN: Refined BigEarthNet Dataset for Remote Sensing Image Analysis", IGARSS, 2025 (version
2, 549,488).

Files: `BigEarthNet-v1.0/<patch>/<patch>_B01.tif` ... and `<patch>_labels_metadata.json` (version
1); `BigEarthNet-S2/<tile>/<patch>/<patch>_B01.tif` ... with `metadata.parquet` beside (version 2);
or folders of patches, each with `B01.tif` ... or one file `s2.tif` of all bands, with a
`metadata.json` of the same columns. Bands of 20 and 60 m come to the grid of 10 m by bilinear
interpolation (`eojax.data.reading.bands.mosaic`); the authors' own models interpolate cubically.
Values are reflectance at the surface times 10,000 (level 2A), of before 2022: nothing was added.

Patches are resampled to `data.size`, by default 64 as the papers' images; 120 leaves them as they
are. They are listed by the metadata, or by the names of folders alone; none is opened before it is
read, and none is kept in memory. `eojax prepare` writes shards, which are read faster.

Notes:
  A patch has several labels, and a class of this library is one: by default images have none
  (`data.labels='none'`). `'single'` takes the patches that have exactly one of the 19 classes
  (Sumbul et al., "BigEarthNet-MM", IEEE GRSM, 2021), which are no fair sample of all: of 33 patches
  that were looked at 5 are so. Of version 1 this reads the labels of each patch, once.
  The published split is taken where the metadata say it, or `train.csv`, `val.csv` and `test.csv`
  (patches in the first column); it cuts tiles. `data.split='tile'` draws whole tiles instead: of
  version 1, whose patches do not name their tile, all patches of one acquisition.
"""

from __future__ import annotations

import ast
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from ml_collections import ConfigDict
from tqdm import tqdm

from eojax.data.dataset import TEST, TRAIN, VALIDATION, Dataset, Places
from eojax.data.facts import IMAGES, Facts, Files
from eojax.data.kinds import DatasetKind
from eojax.data.reading.bands.files import list_bands, path_in_archive
from eojax.data.sets.scenes_of_bands import OPTIONS as SHARED_OPTIONS
from eojax.data.sets.scenes_of_bands import check_root, images_of
from eojax.data.sources.scene_bands import SceneSource, Stacked
from eojax.errors import UserError
from eojax.home import expanded
from eojax.messages import counted, say
from eojax.option import Option, one_of

NAME = 'bigearthnet'
SIDE = 120
METRES = 10.0
BANDS = ('B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B09', 'B11', 'B12')
# As some copies have it; its place on Earth says pixels of 60 m, and they are of 10 m.
STACKED = Stacked('s2.tif', BANDS)
CLASS_NAMES = (
    'Urban fabric',
    'Industrial or commercial units',
    'Arable land',
    'Permanent crops',
    'Pastures',
    'Complex cultivation patterns',
    'Land principally occupied by agriculture with significant areas of natural vegetation',
    'Agro-forestry areas',
    'Broad-leaved forest',
    'Coniferous forest',
    'Mixed forest',
    'Natural grassland and sparsely vegetated areas',
    'Moors heathland and sclerophyllous vegetation',
    'Transitional woodland and shrub',
    'Beaches dunes sands',
    'Inland wetlands',
    'Coastal wetlands',
    'Inland waters',
    'Marine waters',
)
# By the words of the published names, which hold commas: lists of classes have these between them.
_PLAIN = {re.sub(r'[^a-z]|and', '', name.lower()): name for name in CLASS_NAMES}
# Version 1 has the 43 classes of CORINE, of which these are joined; eleven are of none.
_CORINE = {
    'Urban fabric': ('Continuous urban fabric', 'Discontinuous urban fabric'),
    'Arable land': ('Non-irrigated arable land', 'Permanently irrigated land', 'Rice fields'),
    'Permanent crops': (
        'Vineyards', 'Fruit trees and berry plantations', 'Olive groves',
        'Annual crops associated with permanent crops',
    ),
    'Natural grassland and sparsely vegetated areas': (
        'Natural grassland', 'Sparsely vegetated areas',
    ),
    'Moors heathland and sclerophyllous vegetation': (
        'Moors and heathland', 'Sclerophyllous vegetation',
    ),
    'Transitional woodland and shrub': ('Transitional woodland/shrub',),
    'Inland wetlands': ('Inland marshes', 'Peatbogs'),
    'Coastal wetlands': ('Salt marshes', 'Salines'),
    'Inland waters': ('Water courses', 'Water bodies'),
    'Marine waters': ('Coastal lagoons', 'Estuaries', 'Sea and ocean'),
}  # fmt: skip
_JOINED = {corine: name for name, several in _CORINE.items() for corine in several}
_LEFT_OUT = (
    'Road and rail networks and associated land', 'Port areas', 'Airports',
    'Mineral extraction sites', 'Dump sites', 'Construction sites', 'Green urban areas',
    'Sport and leisure facilities', 'Bare rock', 'Burnt areas', 'Intertidal flats',
)  # fmt: skip
FACTS = Facts(
    name=NAME,
    title='BigEarthNet',
    label='none',
    metres=METRES,
    size=(SIDE, SIDE),
    licence='CDLA-Permissive-1.0; modified Copernicus Sentinel data',
    citation=(
        'G. Sumbul, M. Charfuelan, B. Demir, V. Markl. BigEarthNet: A Large-Scale Benchmark Archive'
        ' for Remote Sensing Image Understanding. IGARSS, 2019. K. N. Clasen, L. Hackel, T.'
        ' Burgert, G. Sumbul, B. Demir, V. Markl. reBEN: Refined BigEarthNet Dataset for Remote'
        ' Sensing Image Analysis. IGARSS, 2025.'
    ),
    homepage='https://bigearth.net/',
)
WHERE = f'get BigEarthNet from {FACTS.homepage} and name the folder that holds it'
OPTIONS: dict[str, Option] = {
    **{key: SHARED_OPTIONS[key] for key in ('bands', 'limits')},
    'labels': Option(
        'none',
        'none: images without a class; single: the patches that have exactly one of 19 classes',
        one_of('none', 'single'),
    ),
    'split': Option(
        'published', 'published: as the metadata say; tile: drawn by whole tiles',
        one_of('published', 'tile'),
    ),
}  # fmt: skip
_FOLDERS = ('BigEarthNet-v1.0', 'BigEarthNet-S2', 'BigEarthNet')
_TILE = r'S2[A-D]_MSIL2A_\d{8}T\d{6}_N\d{4}_R\d{3}_T\d\d[C-X][A-Z]{2}'
# Of version 1, where one acquisition has lost the zero of its hour: S2B_MSIL2A_20180525T94031.
_PATCH = re.compile(rf'(?P<tile>{_TILE}|S2[A-D]_MSIL2A_\d{{8}}T\d{{5,6}})_\d{{1,2}}_\d{{1,2}}')
_PARTS = {'train': TRAIN, 'validation': VALIDATION, 'val': VALIDATION, 'test': TEST}
_TABLES = ('metadata.parquet', 'metadata.json')
_LISTS = {'train.csv': 'train', 'val.csv': 'val', 'test.csv': 'test'}
_THREADS = 16


class Patches(NamedTuple):
    """The patches of a copy of the data set; none is opened.

    Attributes:
      root: the folder or archive.
      names: of their folders below the root, sorted.
      table: of the metadata, by patch: `labels` and `split`, as far as it says them; None without.
    """

    root: Path
    names: tuple[str, ...]
    table: Mapping[str, Mapping[str, Any]] | None


def find_patches(root: Path) -> Patches | None:
    """The patches below a folder or in an archive; None where it holds none.

    Of a folder, names alone are listed: of the patches, or of the tiles and their patches.

    Raises:
      UserError: metadata that cannot be read, or that name no patch that is there.
    """
    if not root.is_dir():
        files = list_bands(root).files
        # Radar and maps of labels lie in folders of the same names.
        seen = ('B02.tif', STACKED.file)
        folders = {name.rpartition('/')[0] for name in files if name.endswith(seen)}
        names = sorted(one for one in folders if _PATCH.fullmatch(one.rpartition('/')[2]))
        tables = {name.rpartition('/')[2]: name for name in files}
        read = {
            name: list_bands(root).read(tables[name])
            for name in (*_TABLES, *_LISTS)
            if names and name in tables
        }
    else:
        base = next((root / one for one in _FOLDERS if (root / one).is_dir()), root)
        if base.name == 'BigEarthNet' and (base / 'BigEarthNet-S2').is_dir():
            base = base / 'BigEarthNet-S2'
        below = base.relative_to(root).as_posix()
        prefix = '' if below == '.' else f'{below}/'
        names = [f'{prefix}{name}' for name in _patch_folders(base)]
        places = dict.fromkeys((root, base, base.parent))
        read = {
            name: (place / name).read_bytes()
            for name in (*_TABLES, *_LISTS)
            for place in places
            if names and (place / name).is_file()
        }
    if not names:
        return None
    table = _table(root, read)
    if table is not None and 'metadata.parquet' in read:
        listed = tuple(name for name in names if name.rpartition('/')[2] in table)
        if not listed:
            raise UserError(f'{root}: metadata.parquet names none of its {len(names):,} patches')
        # Patches with snow, clouds or shadow are in a table of their own.
        names = list(listed)
    return Patches(root, tuple(names), table)


def _patch_folders(base: Path) -> list[str]:
    """The folders of patches in a folder, or in those of the tiles in it, sorted."""
    found: list[str] = []
    try:
        with os.scandir(base) as entries:
            folders = sorted(one.name for one in entries if one.is_dir())
        for name in folders:
            if _PATCH.fullmatch(name):
                found.append(name)
            elif re.fullmatch(_TILE, name):
                with os.scandir(base / name) as entries:
                    inside = sorted(one.name for one in entries if _PATCH.fullmatch(one.name))
                found += [f'{name}/{patch}' for patch in inside]
    except OSError as error:
        raise UserError(f'cannot read {error.filename}: {error.strerror}') from None
    return sorted(found)


def _table(root: Path, read: Mapping[str, bytes]) -> dict[str, dict[str, Any]] | None:
    """What the metadata say of each patch."""
    try:
        if 'metadata.parquet' in read:
            frame = pd.read_parquet(io.BytesIO(read['metadata.parquet']))
        elif 'metadata.json' in read:
            frame = pd.DataFrame(json.loads(read['metadata.json']))
        elif set(_LISTS) <= set(read):
            rows = [
                {'patch_id': line.split(',')[0].strip(), 'split': _LISTS[name]}
                for name in _LISTS
                for line in read[name].decode('utf-8', 'replace').splitlines()
            ]
            frame = pd.DataFrame(rows)
        else:
            return None
        kept = [column for column in ('labels', 'split') if column in frame]
        columns = {column: frame[column].tolist() for column in kept}
        patches = frame['patch_id'].tolist()
    except (ValueError, KeyError, OSError, ImportError) as error:
        raise UserError(f'{root}: its metadata cannot be read ({error})') from None
    return {
        patch: {column: columns[column][number] for column in kept}
        for number, patch in enumerate(patches)
    }


def classes_of(labels: Any) -> tuple[str, ...]:
    """The classes among the 19 of a patch's labels, each once.

    Args:
      labels: names of 19 or of 43 classes: a list, or its text.

    Raises:
      ValueError: a name that is of neither.
    """
    if isinstance(labels, str):
        labels = ast.literal_eval(labels)
    classes = []
    for label in labels:
        plain = re.sub(r'[^a-z]|and', '', str(label).lower())
        name = _JOINED.get(label) or _PLAIN.get(plain)
        if name is None and label not in _LEFT_OUT:
            raise ValueError(f'unknown label {label!r}')
        if name is not None:
            classes.append(name)
    return tuple(dict.fromkeys(classes))


def load(root: Path, options: ConfigDict, progress: bool) -> Dataset:
    """The data set of a folder or archive.

    Raises:
      UserError: no patches, or metadata that lack what the options ask for.
    """
    patches = find_patches(root)
    if patches is None:
        raise UserError(
            f'{root}: no patches of BigEarthNet in it, <patch>/<patch>_B02.tif or'
            f' <tile>/<patch>/<patch>_B02.tif; {WHERE}'
        )
    images = images_of(options, BANDS, surface=True)
    names = np.array(patches.names)
    labels = np.full(len(names), -1, np.int32)
    if options.labels == 'single':
        labels = _single_labels(patches, progress)
        names, labels = names[labels >= 0], labels[labels >= 0]
        if not len(names):
            raise UserError(f'{root}: none of its patches has exactly one class')
        if progress:
            say(
                f'{root}: {counted(len(names), "patch")} of {len(patches.names):,} with'
                ' exactly one class are taken'
            )
    parts, groups = None, None
    if options.split == 'published':
        parts = _parts(patches, names)
    if parts is None:
        groups = [tile_of(name) for name in names.tolist()]
    group_names = sorted(set(groups or ()))
    numbers = {group: number for number, group in enumerate(group_names)}
    side = np.full(len(names), SIDE, np.int32)
    shown = np.full(len(names), options.size, np.int32)
    source = SceneSource(
        root, names, (side, side), images,
        side=None if options.size == SIDE else options.size, stacked=STACKED,
    )  # fmt: skip
    places = Places(
        names,
        shown,
        shown,
        labels,
        None if groups is None else np.array([numbers[group] for group in groups], np.int32),
        parts,
    )
    single = options.labels == 'single'
    facts = FACTS._replace(
        rasters={IMAGES: images},
        class_names=CLASS_NAMES if single else (),
        label='image' if single else 'none',
        group_names=tuple(group_names),
        metres=METRES * SIDE / options.size,
        size=(options.size, options.size),
        files=Files('geotiff', images.bands),
    )
    return Dataset(facts, places, source)


def tile_of(name: str) -> str:
    """The tile of a patch (`T33UUP`), or where its name does not say it, its acquisition."""
    match = _PATCH.fullmatch(name.rpartition('/')[2])
    assert match is not None
    last = match['tile'].rpartition('_')[2]
    return last if last.startswith('T') else match['tile']


def _parts(patches: Patches, names: np.ndarray) -> np.ndarray | None:
    """The published part of each patch; None where nothing says it."""
    table = patches.table
    if table is None or not all('split' in row for row in table.values()):
        return None
    parts = np.empty(len(names), np.int8)
    for number, name in enumerate(names.tolist()):
        patch = name.rpartition('/')[2]
        said = table[patch]['split'] if patch in table else None
        if said not in _PARTS:
            raise UserError(
                f'{patches.root}: the metadata say no part of {patch}: data.split=tile draws one'
            )
        parts[number] = _PARTS[said]
    return parts


def _single_labels(patches: Patches, progress: bool) -> np.ndarray:
    """The class of each patch that has exactly one, else -1."""
    table = patches.table
    known = table is not None and all('labels' in row for row in table.values())

    def classes(name: str) -> tuple[str, ...]:
        patch = name.rpartition('/')[2]
        try:
            if known and table is not None:
                return classes_of(table[patch]['labels'])
            return classes_of(_labels_beside(patches.root, name))
        except (ValueError, SyntaxError, KeyError, TypeError) as error:
            raise UserError(
                f'{patches.root}: the labels of {patch} cannot be read ({error})'
            ) from None

    def number(name: str) -> int:
        found = classes(name)
        return CLASS_NAMES.index(found[0]) if len(found) == 1 else -1

    with ThreadPoolExecutor(1 if known else _THREADS) as executor:
        bar = tqdm(
            executor.map(number, patches.names, chunksize=1), total=len(patches.names),
            desc='reading labels', unit='patch', leave=False, disable=known or not progress,
        )  # fmt: skip
        return np.fromiter(bar, np.int32, len(patches.names))


def _labels_beside(root: Path, name: str) -> Sequence[str]:
    """The labels in the file that version 1 has beside the bands of each patch."""
    file = f'{name.rpartition("/")[2]}_labels_metadata.json'
    if root.is_dir():
        try:
            return json.loads((root / name / file).read_bytes())['labels']
        except OSError as error:
            raise UserError(
                f'{root / name / file}: cannot be read ({error.strerror}); without metadata.parquet'
                ' the labels of patches lie there'
            ) from None
    return json.loads(list_bands(root / name).read(file))['labels']


def _check(options: ConfigDict) -> None:
    check_root(NAME, options, WHERE)
    images_of(options, BANDS)


def _from_config(options: ConfigDict, progress: bool) -> Dataset:
    path = expanded(options.root)
    path_in_archive(path)
    return load(path, options, progress)


KIND = DatasetKind(NAME, _check, _from_config, OPTIONS)
