"""MiniFrance: aerial tiles of sixteen French conurbations, two of them labelled for training.

Source: J. Castillo-Navarro, B. Le Saux, A. Boulch, N. Audebert, S. Lefevre, "Semi-Supervised
Semantic Segmentation in Earth Observation: The MiniFrance Suite, Dataset Analysis and Multi-task
Network Study", Machine Learning 111, 2022. 2,121 tiles of 10,000 px, 50 cm, split by city:

- labelled: Nice, Nantes and Saint-Nazaire;
- unlabelled: Le Mans, Brest, Lorient, Caen, Dunkerque with Calais, Saint-Brieuc;
- test: Marseille, Rennes, Angers, Quimper, Vannes, Clermont-Ferrand, Lille, Cherbourg.

Files: `{labeled_train,unlabeled_train,test}/<Region>/BDORTHO/X.tif`, and
`<Region>/UrbanAtlas/X_UA2012.tif` beside them where there are labels. The regions' folders name the
cities. With `data.labels='all'` the labels of `unlabeled_train` are known where they lie there, as
in the study of chapter 2.2.2 of the first author's thesis, and `data.labelled_share=0.1` or
`data.labelled_groups` choose of them.

Notes:
  No validation tiles are published: by default a tenth of the labelled cities' tiles is drawn
  (`data.validation_by='place'`).
"""

from __future__ import annotations

from pathlib import Path

from ml_collections import ConfigDict

from eojax.data.facts import IMAGES, PIXEL_LABELS, Facts, Files
from eojax.data.sets.pixels import urban_atlas
from eojax.data.sets.pixels.published import Arranged, published_pixels
from eojax.data.shared_options import SHARED
from eojax.data.sources.layout import Layout
from eojax.option import Option, one_of

FACTS = Facts(
    name='minifrance',
    title='MiniFrance',
    class_names=urban_atlas.CLASS_NAMES,
    label='pixel',
    class_colours=urban_atlas.CLASS_COLOURS,
    metres=urban_atlas.METRES,
    files=Files(),
    licence=urban_atlas.LICENCE,
    citation=(
        'J. Castillo-Navarro, B. Le Saux, A. Boulch, N. Audebert, S. Lefevre. Semi-Supervised'
        ' Semantic Segmentation in Earth Observation: The MiniFrance Suite, Dataset Analysis and'
        ' Multi-task Network Study. Machine Learning 111, 2022.'
    ),
    homepage='https://ieee-dataport.org/open-access/minifrance',
)
WHERE = f'get MiniFrance from {FACTS.homepage} (a free account is needed)'
OPTIONS: dict[str, Option] = {
    'labels': Option(
        'published',
        'labels that are known: the published ones, or all that lie there',
        one_of('published', 'all'),
    ),
    'validation_by': SHARED['validation_by'].but('place'),
}


def arrange(options: ConfigDict, path: Path) -> Arranged:
    """Facts and layout; see the options in the module's docstring."""
    layers = {IMAGES: urban_atlas.images(), PIXEL_LABELS: urban_atlas.labels(optional=True)}
    hidden = (urban_atlas.UNLABELLED,) if options.labels == 'published' else ()
    return FACTS, Layout(layers, urban_atlas.PARTS, unlabelled_parts=hidden)


KIND = published_pixels(FACTS, WHERE, arrange, OPTIONS)
