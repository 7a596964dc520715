"""All figures and tables that can be made: one entry each.

What shows no result of a run is not here: 001's Figure 2 and Table I, the thesis' 4.1 to 4.6. The
paper on synthesis has a study of its own (`eojax.studies.synthesis`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from eojax.errors import UserError, unknown_name
from eojax.studies.papers import completion, histograms, maps, samples, tables, transfer
from eojax.studies.papers.item import FIGURE, TABLE, Item, PlaceOf
from eojax.studies.papers.runs import ALL, Trained, grid_of
from eojax.studies.papers.sources import INCEPTION

_BEIRUT = PlaceOf('oscd', 'beirut', 'Beirut', 'eurosat')
_RIO = PlaceOf('oscd', 'rio', 'Rio de Janeiro', 'eurosat')
_ROME = PlaceOf('dfc2017', 'rome', 'Rome', 'so2sat')
_JEM = Trained('jem', 'eurosat')
_WIDE_RESNET = Trained('supervised', 'eurosat')
_VAE = Trained('vae', 'eurosat')
_FEW_EUROSAT = ('100', '20', '10', '5', '1')
_FEW_SO2SAT = ('1000', '200', '100')
_BY_CLASS_TITLE = 'Class-conditional samples by JEM'


def _others(*methods: str) -> tuple[Trained, ...]:
    return (
        *grid_of(methods, 'so2sat', (ALL, *_FEW_SO2SAT)),
        *grid_of(methods, 'aid', (ALL, '20', '13', '3', '1')),
        *grid_of(methods, 'ucmerced', (ALL, '10', '4', '1')),
    )


_FIRST = (
    Item('000', FIGURE, '1', _BY_CLASS_TITLE, (_JEM,),
         functools.partial(samples.by_class, real=2, each=5)),
    Item('000', FIGURE, '2', 'log p(x) of training, test and other images', (_JEM,),
         functools.partial(histograms.domains, with_test=True), domains=('oscd', 'potsdam')),
    Item('000', FIGURE, '3', 'Classes and confidence of an unseen scene', (_JEM,),
         maps.with_confidence, places=(_BEIRUT,)),
    Item('000', FIGURE, '4', 'Image completion', (_JEM,), completion.completion),
    Item('000', TABLE, '1', 'Classification of EuroSAT', (_WIDE_RESNET, _JEM),
         functools.partial(tables.of_models, keys=('accuracy',), others=True), over_seeds=True),
    Item('001', FIGURE, '1', 'Class-conditional samples by JEM, all labels and 100 per class',
         samples.jem(ALL, '100'), functools.partial(samples.by_class, real=2, each=2)),
    Item('001', FIGURE, '3', 'Calibration curves on EuroSAT, 100 and 10 labels per class',
         grid_of(('supervised', 'fixmatch', 'jem'), 'eurosat', ('100', '10')), tables.calibration,
         over_seeds=True),
    Item('001', FIGURE, '4', 'log p(x) by number of labels', samples.jem(ALL, '100', '10'),
         histograms.several_runs),
    Item('001', FIGURE, '5', 'log p(x) of other data sets', (_JEM,),
         functools.partial(histograms.domains, with_test=False),
         domains=('oscd', 'potsdam', 'bigearthnet')),
    Item('001', FIGURE, '6', 'Maps of unseen cities by runs on EuroSAT',
         (_WIDE_RESNET, *samples.jem(ALL, '100', '10')), maps.class_maps, places=(_BEIRUT, _RIO)),
    Item('001', FIGURE, '7', 'Map of an unseen city by runs on So2Sat',
         (Trained('supervised', 'so2sat'), *(Trained('jem', 'so2sat', n)
                                             for n in (ALL, '1000', '200'))),
         maps.class_maps, places=(_ROME,)),
    Item('001', FIGURE, '8', 'Confidence maps of unseen cities',
         (_JEM, Trained('jem', 'so2sat')), maps.confidence_maps, places=(_BEIRUT, _RIO, _ROME)),
    Item('001', TABLE, 'II', 'Classification and generation on EuroSAT',
         (_WIDE_RESNET, _JEM, _VAE),
         functools.partial(tables.of_models, keys=('accuracy', 'fid', 'kid')),
         optional=(INCEPTION,), over_seeds=True),
    Item('001', TABLE, 'III', 'Classification of EuroSAT with few labels',
         grid_of(('supervised', 'berundanet', 'fixmatch', 'jem'), 'eurosat', (ALL, *_FEW_EUROSAT)),
         tables.by_labels, over_seeds=True),
    Item('001', TABLE, 'IV', 'Classification of So2Sat, AID and UC Merced with few labels',
         _others('supervised', 'jem'), tables.by_labels, over_seeds=True,
         more=_others('berundanet')),
    Item('002', TABLE, '3.6', 'FixMatch on EuroSAT and So2Sat',
         (*grid_of(('supervised', 'fixmatch'), 'eurosat', (ALL, *_FEW_EUROSAT)),
          *grid_of(('supervised', 'fixmatch'), 'so2sat', (ALL, *_FEW_SO2SAT))),
         tables.by_labels, over_seeds=True),
    Item('002', FIGURE, '4.7', 'The chains that make samples', (_JEM,), samples.chains),
    Item('002', TABLE, '4.5', 'FixMatch and JEM combined',
         grid_of(('jem', 'fixmatch_then_jem'), 'eurosat', _FEW_EUROSAT), tables.by_labels,
         over_seeds=True),
    Item('004', FIGURE, '1', 'Transfer against its baselines', (), transfer.comparison,
         over_seeds=True, experiment='methods'),
    Item('004', FIGURE, '2', 'Batch against instance normalisation', (), transfer.comparison,
         over_seeds=True, experiment='normalisation'),
    Item('004', FIGURE, '3', 'With and without contrastive loss', (), transfer.comparison,
         over_seeds=True, experiment='contrastive'),
)  # fmt: skip
# What the thesis repeats of its article: kind, its number, the article's.
_REPEATED = (
    (TABLE, '4.2', 'II'), (TABLE, '4.3', 'III'), (TABLE, '4.4', 'IV'), (FIGURE, '4.8', '1'),
    (FIGURE, '4.9', '3'), (FIGURE, '4.10', '4'), (FIGURE, '4.11', '5'), (FIGURE, '4.12', '6'),
    (FIGURE, '4.13', '7'), (FIGURE, '4.14', '8'),
)  # fmt: skip


def _repeated() -> Iterable[Item]:
    by_key = {(item.kind, item.key): item for item in _FIRST}
    for kind, number, earlier in _REPEATED:
        item = by_key[kind, f'001/{earlier}']
        yield item._replace(paper='002', number=number, repeats=item.key)


ITEMS = (*_FIRST, *_repeated())


def find(kind: str, key: str) -> Item:
    """The item of `--figure=KEY` or `--table=KEY`.

    Raises:
      UserError: there is none; the nearest is in the message.
    """
    known = {item.key: item for item in ITEMS if item.kind == kind}
    if key in known:
        return known[key]
    other = TABLE if kind == FIGURE else FIGURE
    if any(item.kind == other and item.key == key for item in ITEMS):
        raise UserError(f'--{kind}={key}: it is a {other}: --{other}={key}')
    raise unknown_name(kind, key, known)
