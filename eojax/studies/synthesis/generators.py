"""The study of generators: Table III for any data, all five judged by one segmenter.

"Synthesizing Optical and SAR Imagery From Land Cover Maps and Auxiliary Raster Data" (Baier and
others, 2022), section IV. For each seed a segmenter is trained on real images, and then the
generators, on the same places and with the same test; the segmenter judges them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from eojax.config.base import base_config, flatten, set_keys
from eojax.config.written import get, name_of
from eojax.errors import UserError, unknown_name
from eojax.evaluation.published_synthesis import GENERATORS
from eojax.evaluation.synthesis.segmenter import KEY as SEGMENTER_KEY
from eojax.methods import METHODS
from eojax.methods.method import having_ability
from eojax.studies.grid import series as grid_series
from eojax.studies.grid.cells import Cell
from eojax.studies.grid.configs import parse_list

GENERATOR_KEY = 'method.generator'
SEGMENTER = 'segmenter'
MEASURES = (
    'agreement_mean_iou', 'agreement_pixel_accuracy', 'truth_mean_iou', 'truth_pixel_accuracy',
    'mae', 'ssim',
)  # fmt: skip
_SEGMENTER_MEASURES = ('pixel_accuracy', 'mean_iou', 'mean_iou_all')


def parse_generators(text: str) -> list[str]:
    """The generators of `--generators=raster,label`, in the order of the table.

    Raises:
      UserError: one that there is not.
    """
    names = parse_list('generators', text)
    for name in names:
        if name not in GENERATORS:
            raise unknown_name('generator', name, GENERATORS)
    return [name for name in GENERATORS if name in names]


def check_configs(config: ConfigDict, segmenter: ConfigDict | None) -> None:
    """Refuses configs of methods that do not synthesise, or do not segment.

    Raises:
      UserError: names the methods that do.
    """
    for option, one, able in (
        ('config', config, 'synthesise'), ('segmenter_config', segmenter, 'pixel_logits')
    ):  # fmt: skip
        method = None if one is None else METHODS.get(one.method.name)
        if one is not None and method is not None and able not in method.abilities:
            having = ', '.join(having_ability(METHODS, able)) or 'none'
            raise UserError(
                f'--{option}: method {one.method.name!r} cannot {able.replace("_", " ")}; these'
                f' can: {having}'
            )


def with_data(segmenter: ConfigDict, config: ConfigDict) -> ConfigDict:
    """A segmenter's config with the data of another, target included: what it is to see.

    Raises:
      UserError: a segmenter without `method.rasters` that is to see another raster than images.
    """
    other = base_config(segmenter.method.name, segmenter.model.name, config.data.name)
    values = {key: v for key, v in flatten(segmenter) if not key.startswith('data.')}
    values |= {f'data.{key}': value for key, value in flatten(config.data)}
    target = config.method.target
    if 'rasters' in segmenter.method:
        values['method.rasters'] = target
    elif target != 'images':
        raise UserError(
            f'--segmenter_config: method {segmenter.method.name!r} sees images alone, and'
            f' {target} is synthesised'
        )
    set_keys(other, values)
    return other


def cells_of(
    workdir: Path,
    config: ConfigDict,
    segmenter: ConfigDict | None,
    trained: str,
    generators: Sequence[str],
    seeds: Sequence[int],
) -> list[Cell]:
    """The runs to train: of each seed the segmenter, then all generators.

    Args:
      segmenter: to train; None where `trained` is there already.
      trained: a run that segments, for all seeds.
    """
    cells = []
    for seed in seeds:
        judge = trained
        if segmenter is not None:
            own = with_data(segmenter, config)
            own.seed = seed
            folder = workdir / SEGMENTER / f'seed_{seed}'
            judge = str(folder)
            labels = labels_of(own.to_dict(), SEGMENTER)
            title = f'segmenter, seed {seed}'
            cells.append(Cell(folder, own, labels, title, _SEGMENTER_MEASURES))
        for name in generators:
            own = config.copy_and_resolve_references()
            set_keys(own, {GENERATOR_KEY: name, 'seed': seed, SEGMENTER_KEY: judge})
            folder = workdir / name / f'seed_{seed}'
            title = f'{name}, seed {seed}'
            cells.append(Cell(folder, own, labels_of(own.to_dict(), name), title, MEASURES))
    return cells


def labels_of(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The labels in the row of a run, beside its measured numbers."""
    return {
        'config': name,
        'method': name_of(config, 'method'),
        'generator': get(config, GENERATOR_KEY),
        'rasters': get(config, 'method.rasters'),
        'target': get(config, 'method.target'),
        'data': name_of(config, 'data'),
        'seed': get(config, 'seed'),
        'network': name_of(config, 'model'),
        'width': get(config, 'model.width'),
        'window': get(config, 'method.window'),
        'segmenter': get(config, SEGMENTER_KEY),
    }


def found_cells(workdir: Path) -> list[Cell]:
    """The runs that the study has begun in a folder: `GENERATOR/seed_SEED`."""
    return grid_series.found_cells(
        (
            file
            for file in workdir.glob('*/seed_*/config.json')
            if file.parents[1].name in (SEGMENTER, *GENERATORS)
        ),
        lambda file, config: labels_of(config.to_dict(), file.parents[1].name),
        MEASURES,
    )


def rank(row: Mapping[str, Any]) -> tuple[int, int]:
    """For sorting: the segmenter first, then generators as in the table, by seed."""
    return (SEGMENTER, *GENERATORS).index(row['config']), row['seed']
