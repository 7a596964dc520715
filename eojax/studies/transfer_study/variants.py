"""The runs of a transfer study: what differs between them, and how one config becomes all of them.

"Land Use Prediction using Electro-Optical to SAR Few-Shot Transfer Learning" (Hussing et al.,
2022), section 3, compares three methods (Figure 1), two normalisations (Figure 2), and pre-training
with and without supervised contrastive loss (Figure 3), on three sets of classes. Beside these, a
source as it is and one weighed to the class shares of the target.

Notes:
  All methods take the same number of optimisation steps in all, the config's `steps`. SWD-transfer
  and fine-tuning spend `method.source_steps` of them on the source; SAR-only has no source and
  spends all on the target: the baseline is never the method with fewer updates. A step of the
  alignment sees more images than one of the others.
  `method.target_rate_factor` is not for SAR-only, which has no phase before the target's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from eojax.config.base import set_keys
from eojax.config.written import network_of
from eojax.data import class_groups
from eojax.data.parts.labelled import LABELS_KEY, TOTAL_KEY, parse_labels_per_class
from eojax.data.sets import DATASETS, local_climate_zones
from eojax.errors import UserError, unknown_name
from eojax.methods import METHODS
from eojax.methods.transfer import class_shares
from eojax.studies.grid.cells import Cell
from eojax.studies.grid.configs import with_method

ALIGNED = 'swd_transfer'
METHODS_COMPARED = (ALIGNED, 'fine_tune', 'sar_only')
# The paper's, which are the default, and ours.
EXPERIMENTS = ('methods', 'normalisation', 'contrastive')
SHARES = 'shares'
CLASS_SETS: dict[str, tuple[str, ...]] = {
    'lowrise': local_climate_zones.LOW_RISE,
    'urban': local_climate_zones.URBAN,
    'all': (),  # every zone, without groups
}
# The classes of a config that are none of these.
OWN_CLASSES = 'own'
WEIGHT_KEY, HEAD_KEY = 'method.contrastive_weight', 'method.contrastive_size'
SHARES_KEY = 'method.target_shares'
# In these the runs of a variant differ; `keep_checkpoints` changes nothing that is computed.
OF_A_RUN = ('seed', TOTAL_KEY, LABELS_KEY)
# Checkpoints of interrupted runs that may push out none of those that are wanted.
_SPARE_CHECKPOINTS = 8


class Variant(NamedTuple):
    """One of the variants that the paper's figures tell apart.

    Attributes:
      classes: one of `CLASS_SETS`, or `OWN_CLASSES`.
      method: one of `METHODS_COMPARED`.
      norm: of the encoders, `model.norm`.
      weight: of the contrastive loss; None for a method without a phase on the source.
      head: length of the projections that the contrastive loss is of; 0 where it is of the
        encoder's output, or where there is no such loss; None as for `weight`.
      shares: `method.target_shares`; None for a method without an alignment.
    """

    classes: str
    method: str
    norm: str
    weight: float | None
    head: int | None = None
    shares: str | None = None

    @property
    def name(self) -> str:
        """Of the folder with its runs."""
        prefix = '' if self.classes == OWN_CLASSES else f'{self.classes}_'
        suffix = f'_supcon_{self.weight:g}' if self.weight else ''
        suffix += f'_head_{self.head}' if self.head else ''
        if self.shares not in (None, class_shares.EQUAL):
            estimated = self.shares == class_shares.ESTIMATED
            suffix += '_shares_estimated' if estimated else '_shares_given'
        return f'{prefix}{self.method}_{self.norm}{suffix}'


class Wanted(NamedTuple):
    """The runs to be trained.

    Attributes:
      experiments: of `EXPERIMENTS`, or `SHARES`.
      classes: of `CLASS_SETS`; those of the config where empty.
      norms, weights, heads: of Figure 2 and of Figure 3.
      shares: of `method.target_shares`.
      labelled: numbers of labelled images of the target in all, or `all`.
      seeds: of the runs.
    """

    experiments: Sequence[str]
    classes: Sequence[str]
    norms: Sequence[str]
    weights: Sequence[float]
    labelled: Sequence[str]
    seeds: Sequence[int]
    heads: Sequence[int] = (0,)
    shares: Sequence[str] = (class_shares.EQUAL, class_shares.ESTIMATED)


def check_base(config: ConfigDict, classes: Sequence[str]) -> None:
    """Refuses configs that no study can be made of.

    Args:
      classes: as in `Wanted`.

    Raises:
      UserError: one line that says why.
    """
    if config.method.name != ALIGNED:
        raise UserError(
            f'--config names a config of {ALIGNED!r}, from which those of the other methods follow;'
            f' this one is of {config.method.name!r}'
        )
    if 'norm' not in config.model:
        raise UserError(f'model {config.model.name!r} has no model.norm to compare')
    for name in classes:
        if name not in CLASS_SETS:
            raise unknown_name('set of classes', name, CLASS_SETS)
    others = [config[group].name for group in ('data', 'source') if not _has_zones(config[group])]
    if classes and others:
        raise UserError(
            f'--classes are sets of Local Climate Zones, which {others[0]!r} does not have: leave'
            ' it away, and group its classes by data.classes and source.classes'
        )


def _has_zones(options: ConfigDict) -> bool:
    return tuple(_class_names(options)) == local_climate_zones.CLASS_NAMES


def _class_names(options: ConfigDict) -> Sequence[str]:
    """Of a data set's own classes; none where its files say them."""
    return DATASETS[options.name].class_names if options.name in DATASETS else ()


def study_cells(workdir: Path, config: ConfigDict, wanted: Wanted) -> list[Cell]:
    """All runs of a study, each once: the whole study with one seed, then with the next."""
    configs = {v: variant_config(config, v) for v in variants(config, wanted)}
    return [
        _cell(workdir, variant, own, labelled, seed, keep=seed == min(wanted.seeds))
        for seed in wanted.seeds
        for labelled in wanted.labelled
        for variant, own in configs.items()
    ]


def variants(config: ConfigDict, wanted: Wanted) -> list[Variant]:
    """The variants that the experiments need, each once; other settings are the config's."""
    own = variant_of(config)
    found: list[Variant] = []
    for classes in wanted.classes or [own.classes]:
        base = own._replace(classes=classes)
        if 'methods' in wanted.experiments:
            found += [base._replace(method=method) for method in METHODS_COMPARED]
        if 'normalisation' in wanted.experiments:
            found += [
                base._replace(method=method, norm=other)
                for method in METHODS_COMPARED[:2]
                for other in wanted.norms
            ]
        if 'contrastive' in wanted.experiments:
            found += [
                base._replace(weight=weight, head=head)
                for weight in wanted.weights
                for head in wanted.heads
            ]
        if SHARES in wanted.experiments:
            found += [base._replace(shares=shares) for shares in wanted.shares]
    return list(dict.fromkeys(_sensible(variant) for variant in found))


def _sensible(variant: Variant) -> Variant:
    """A variant without what its method does not have."""
    if not METHODS[variant.method].needs_source:
        return variant._replace(weight=None, head=None, shares=None)
    shares = variant.shares if variant.method == ALIGNED else None
    return variant._replace(head=(variant.head or 0) if variant.weight else 0, shares=shares)


def variant_config(config: ConfigDict, variant: Variant) -> ConfigDict:
    """The config of a variant: all keys that its method has too are those of the study's config."""
    source = config.source.name if variant.weight is not None else ''
    own = with_method(config, variant.method, source)
    values: dict[str, Any] = {'model.norm': variant.norm}
    if variant.weight is not None:
        values[WEIGHT_KEY] = variant.weight
        if variant.weight:
            values[HEAD_KEY] = variant.head
    if variant.shares is not None:
        values[SHARES_KEY] = variant.shares
    if variant.classes != OWN_CLASSES:
        classes = ','.join(CLASS_SETS[variant.classes])
        values |= {f'{group}.classes': classes for group in ('data', 'source') if group in own}
    set_keys(own, values)
    return own


def _cell(
    workdir: Path, variant: Variant, config: ConfigDict, labelled: str, seed: int, keep: bool
) -> Cell:
    own = config.copy_and_resolve_references()
    number = 0 if labelled == 'all' else int(labelled)
    set_keys(own, {LABELS_KEY: 'all', TOTAL_KEY: number, 'seed': seed})
    if keep and variant.method == ALIGNED:
        own.keep_checkpoints = max(own.keep_checkpoints, _checkpoints_from_alignment_on(own))
    folder = workdir / variant.name / labelled / f'seed_{seed}'
    return Cell(folder, own, labels_of(own), f'{variant.name}, {labelled} labelled, seed {seed}')


def _checkpoints_from_alignment_on(config: ConfigDict) -> int:
    """So many of the newest hold that of the state before the first step of the alignment."""
    steps = config.steps - config.method.source_steps
    return math.ceil(steps / config.checkpoint_every) + 1 + _SPARE_CHECKPOINTS


def classes_of(config: ConfigDict) -> str:
    """The set of classes that a config has: one of `CLASS_SETS`, or `OWN_CLASSES`."""
    if _has_zones(config.data):
        groups = class_groups.parse(config.data.classes)
        for name, members in CLASS_SETS.items():
            if groups == {member: (member,) for member in members}:
                return name
    return OWN_CLASSES


def variant_of(config: ConfigDict) -> Variant:
    """The variant that a run's config belongs to."""
    weight = config.method.get('contrastive_weight')
    return _sensible(
        Variant(
            classes_of(config),
            config.method.name,
            config.model.norm,
            None if weight is None else float(weight),
            config.method.get('contrastive_size'),
            config.method.get('target_shares'),
        )
    )


def labels_of(config: ConfigDict) -> dict[str, Any]:
    """The labels in the row of a run, beside its measured numbers."""
    variant, values = variant_of(config), config.to_dict()
    per_class = parse_labels_per_class(config.data.labels_per_class)
    names = [*class_groups.parse(config.data.classes)] or _class_names(config.data)
    return {
        'config': variant.name,
        'method': variant.method,
        'norm': variant.norm,
        'contrastive': variant.weight,
        'head': variant.head,
        'target_shares': variant.shares,
        'expected_shares': config.method.get('expected_shares'),
        'classes': variant.classes,
        'num_classes': len(names) or None,
        'labelled': config.data.labelled_in_all or per_class or 'all',
        'seed': config.seed,
        'data': config.data.name,
        'source': config.source.name if 'source' in config else None,
        'network': network_of(values),
        'image_size': config.data.size,
    }


def found_files(workdir: Path) -> Iterator[Path]:
    """`config.json` of each run that a study has begun in a folder."""
    return workdir.glob('*/*/seed_*/config.json')


def labels_of_found(file: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """As `labels_of`.

    Raises:
      UserError: the run is none of a study.
    """
    if config['method'].name not in METHODS_COMPARED:
        raise UserError(f'{file.parent} is no run of a transfer study: choose another --workdir')
    return labels_of(config)
