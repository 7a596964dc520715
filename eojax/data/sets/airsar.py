"""AIRSAR: patches of one scene of polarimetric airborne radar, with land cover drawn by hand.

Source: NASA/JPL's AIRSAR, L band, over San Francisco, the classic scene of polarimetric
classification; the classes are those of X. Liu, L. Jiao, F. Liu, "PolSF: PolSAR Image Dataset on
San Francisco", arXiv:1912.07259, 2019.

Files: `<name>.tif`, three float32 bands of linear power, T11, T22 and T33, the diagonal of the
coherency matrix (half the power of HH + VV: single bounce; of HH - VV: double bounce; twice that of
HV: volume), and beside it `<name>_labels.png`, 8-bit, 0 unlabelled, then `CLASS_NAMES` from 1. No
coordinate system is needed.

Values here are dB, stored as uint16 in hundredths above -100 dB; weaker echoes and those above 555
dB are cut. The scene is cut into square blocks, and each block with all of its patches belongs to
one part: no training image shares a pixel with one of another part. Patches that cross the border
of two blocks are left out.

In the western half of the scene, water fills most of the labelled land, and bare soil is a beach
about 45 pixels wide with a few squares: of 3,605 patches of 32 pixels, the default purity of 0.8
leaves it 43 in 4 blocks; a purity of 0.9 leaves 14 in 2, too few for three parts.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from ml_collections import ConfigDict
from PIL import Image, UnidentifiedImageError
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from eojax.data import class_groups
from eojax.data.dataset import Dataset, image_dataset
from eojax.data.facts import Limits
from eojax.data.kinds import DatasetKind, check_read_from_files
from eojax.data.parts.group_splits import assign_blocks
from eojax.data.shared_options import SHARED
from eojax.errors import UserError
from eojax.home import expanded
from eojax.option import NOT_NEGATIVE, Option, Range, at_least

NAME = 'airsar'
BANDS = ('t11', 't22', 't33')
METRES = 10.0  # of slant range and azimuth, about
CLASS_NAMES = ('bare soil', 'mountain', 'water', 'urban', 'vegetation')
# In dB, what becomes -1 and +1: about the first and the last thousandth of the pixels of each band.
DB_LIMITS = ((-26.0, 3.0), (-32.0, 4.0), (-39.0, -5.0))
_OFFSET = 100.0
_UNITS = 100.0  # stored values in a decibel
LIMITS: Limits = tuple(
    (_UNITS * (low + _OFFSET), _UNITS * (high + _OFFSET)) for low, high in DB_LIMITS
)
_PURITY = Range(
    'above 0.5 to 1', 'must be above 0.5 and at most 1', lambda share: 0.5 < share <= 1.0
)
OPTIONS: dict[str, Option] = {
    'size': SHARED['size']._replace(default=32, meaning='side of a patch'),
    'stride': Option(8, 'pixels from a patch to the next one', at_least(1), 'pixels'),
    'purity': Option(0.8, 'least share of a patch that is of its class', _PURITY),
    'block': Option(128, 'side of the blocks that no split cuts', at_least(1), 'pixels'),
    'seed': Option(0, 'seed of the split of the blocks', NOT_NEGATIVE),
}
_LABELS_SUFFIX = '_labels.png'
_PARTS = ('train', 'validation', 'test')


class Grid(NamedTuple):
    """How patches are cut from the scene.

    Attributes:
      size: their side in pixels.
      stride: pixels from one to the next; smaller than `size`, those of a block overlap.
      purity: the least share of a patch's pixels that its class has.
      block: side of the blocks in pixels.
    """

    size: int = 32
    stride: int = 8
    purity: float = 0.8
    block: int = 128


DEFAULT_GRID = Grid()


class Patches(NamedTuple):
    """Where the patches lie; int arrays `[num]`.

    Attributes:
      row, column: of the upper left pixel.
      label: index into `CLASS_NAMES`.
      block: number of the block, row by row.
    """

    row: np.ndarray
    column: np.ndarray
    label: np.ndarray
    block: np.ndarray


def load(
    root: str | Path,
    grid: Grid = DEFAULT_GRID,
    seed: int = 0,
    classes: Sequence[str] = CLASS_NAMES,
    *,
    test_fraction: float = 0.2,
    validation_fraction: float = 0.1,
    progress: bool = True,
) -> Dataset:
    """Patches as uint16 `[num, size, size, 3]`, named `<class>/<row>_<column>`, with their `parts`.

    Args:
      root: the GeoTIFF, or a folder with one that has labels beside it.
      grid: how the patches are cut.
      seed: another seed is another choice of blocks.
      classes: those that are wanted; patches of others are left out.
      test_fraction, validation_fraction: see `assign_blocks`.
      progress: show the number of patches of each part on stderr.

    Raises:
      UserError: files that are absent or unlike the above, a scene without patches, or a class that
        is not in enough blocks for all parts.
    """
    raster, labels_file = _find_files(expanded(root))
    decibels, labels = _read(raster, labels_file)
    wanted = [i for i, name in enumerate(CLASS_NAMES) if name in classes]
    patches = find_patches(labels, grid)
    patches = _take(patches, np.isin(patches.label, wanted))
    if not len(patches.label):
        raise UserError(f'{raster}: no patch of {grid.size} pixels with data.purity {grid.purity}')
    present = [i for i in wanted if (patches.label == i).any()]
    names = [
        f'{CLASS_NAMES[k]}/{row:05d}_{column:05d}'
        for row, column, k in zip(patches.row, patches.column, patches.label, strict=True)
    ]
    order = np.argsort(names)
    patches = _take(patches, order)
    windows = np.lib.stride_tricks.sliding_window_view(decibels, (grid.size, grid.size), (0, 1))
    dataset = image_dataset(
        images=np.moveaxis(windows[patches.row, patches.column], 1, -1).copy(),
        labels=np.searchsorted(present, patches.label).astype(np.int32),
        names=tuple(names[i] for i in order),
        class_names=tuple(CLASS_NAMES[i] for i in present),
        bands=BANDS,
        limits=LIMITS,
        parts=assign_blocks(
            patches.block,
            patches.label,
            CLASS_NAMES,
            seed,
            test_fraction=test_fraction,
            validation_fraction=validation_fraction,
            title=f'{raster}, blocks of {grid.block} pixels',
        ),
    )
    dataset = dataset.with_facts(name=NAME, title='AIRSAR, San Francisco', metres=METRES)
    if progress:
        _report(raster, dataset, [CLASS_NAMES[i] for i in wanted if i not in present])
    return dataset


def find_patches(labels: np.ndarray, grid: Grid) -> Patches:
    """All patches of the grid within the blocks of a map of labels, row by row.

    Args:
      labels: `[height, width]`, 0 where not labelled, then `CLASS_NAMES` from 1.
    """
    height, width = labels.shape
    rows, columns = (_starts(length, grid) for length in (height, width))
    row, column = (a.ravel() for a in np.meshgrid(rows, columns, indexing='ij'))
    least = grid.purity * grid.size**2 - 1e-6
    label = np.full(len(row), -1)
    for number in range(1, 1 + len(CLASS_NAMES)):
        # Pixels of the class above and left of every corner.
        sums = np.pad((labels == number).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        below, right = row + grid.size, column + grid.size
        inside = sums[below, right] - sums[row, right] - sums[below, column] + sums[row, column]
        label[inside >= least] = number - 1
    across = -(-width // grid.block)
    block = row // grid.block * across + column // grid.block
    return _take(Patches(row, column, label, block), label >= 0)


def _starts(length: int, grid: Grid) -> np.ndarray:
    """Where patches begin along an axis so that none crosses the border of a block."""
    starts = [
        np.arange(begin, min(begin + grid.block, length) - grid.size + 1, grid.stride)
        for begin in range(0, length, grid.block)
    ]
    return np.concatenate(starts)


def _take(patches: Patches, rows: np.ndarray) -> Patches:
    return Patches(*(array[rows] for array in patches))


def _find_files(root: Path) -> tuple[Path, Path]:
    """The raster and its labels."""
    if root.is_dir():
        found = [file for file in sorted(root.glob('*.tif')) if _labels_of(file).is_file()]
        if len(found) != 1:
            there = ', '.join(file.name for file in found) or 'none'
            raise UserError(
                f'{root}: expected one NAME.tif with NAME{_LABELS_SUFFIX} beside it, found {there}'
            )
        return found[0], _labels_of(found[0])
    for file in (root, _labels_of(root)):
        if not file.is_file():
            raise UserError(f'no such file: {file}')
    return root, _labels_of(root)


def _labels_of(raster: Path) -> Path:
    return raster.with_name(raster.stem + _LABELS_SUFFIX)


def _read(raster: Path, labels_file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Stored dB, uint16 `[height, width, bands]`, and labels, 0 where a pixel holds no power."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', NotGeoreferencedWarning)
            with rasterio.open(raster, driver='GTiff') as file:
                power = file.read()
        with Image.open(labels_file) as image:
            labels = np.array(image)
    except (RasterioError, UnidentifiedImageError, OSError, SyntaxError) as error:
        raise UserError(f'{raster} or {labels_file.name} cannot be read ({error})') from None
    if len(power) != len(BANDS) or not np.issubdtype(power.dtype, np.floating):
        raise UserError(
            f'{raster}: {len(power)} band(s) of {power.dtype}; expected T11, T22 and T33 as'
            ' floating-point power'
        )
    if labels.shape != power.shape[1:] or labels.dtype != np.uint8:
        raise UserError(
            f'{labels_file}: {labels.dtype} of shape {labels.shape}; expected one uint8 for each of'
            f' {power.shape[1]} x {power.shape[2]} pixels'
        )
    if labels.max() > len(CLASS_NAMES):
        raise UserError(f'{labels_file}: label {labels.max()}; they go from 0 to 5')
    held = (np.isfinite(power) & (power > 0.0)).all(0)
    decibels = 10.0 * np.log10(np.where(held, power, 1e-10))
    stored = np.clip(np.rint(_UNITS * (decibels + _OFFSET)), 0, 65535).astype(np.uint16)
    return np.moveaxis(stored, 0, -1), np.where(held, labels, 0)


def _report(raster: Path, dataset: Dataset, absent: Sequence[str]) -> None:
    """One line about the patches of each part, and one about classes that have none."""
    assert dataset.parts is not None
    shown = []
    for part, title in enumerate(_PARTS):
        counts = np.bincount(dataset.labels[dataset.parts == part], minlength=dataset.num_classes)
        held = ', '.join(f'{c} {n}' for c, n in zip(dataset.class_names, counts, strict=True))
        shown.append(f'{title} {counts.sum()} ({held})')
    print(f'eojax: {raster}: {"; ".join(shown)}', file=sys.stderr)
    if absent:
        print(f'eojax: {raster}: no patches of {", ".join(absent)}: left out', file=sys.stderr)


def _check(options: ConfigDict) -> None:
    check_read_from_files(NAME, options)
    if not options.root:
        raise UserError(f'the data set {NAME!r} needs --config.data.root=FOLDER_OR_TIF')
    if options.block < options.size:
        raise UserError(f'data.block {options.block} must be at least data.size {options.size}')


def _from_config(options: ConfigDict, progress: bool) -> Dataset:
    groups = class_groups.parse(options.classes)
    members = [name for group in groups.values() for name in group]
    return load(
        options.root,
        Grid(options.size, options.stride, options.purity, options.block),
        options.seed,
        # An unknown name is refused, with the known ones, where classes are grouped.
        [name for name in members if name in CLASS_NAMES] or CLASS_NAMES,
        test_fraction=options.test_fraction,
        validation_fraction=options.validation_fraction,
        progress=progress,
    )


KIND = DatasetKind(
    NAME,
    _check,
    _from_config,
    OPTIONS,
    CLASS_NAMES,
)
