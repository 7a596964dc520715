"""DFC2022: MiniFrance's tiles cut to about 2,000 px, with elevation at half the resolution.

Source: R. Hansch, C. Persello, G. Vivone, J. Castillo-Navarro, A. Boulch, S. Lefevre, B. Le Saux,
"The 2022 IEEE GRSS Data Fusion Contest: Semisupervised Learning", IEEE Geoscience and Remote
Sensing Magazine 10(1), 2022. Imagery of 50 cm; elevation of the ground in metres, 1 m a pixel.

Files: `{labeled_train,unlabeled_train,val}/<Region>/BDORTHO/X.tif`, `RGEALTI/X_RGEALTI.tif`, and
`UrbanAtlas/X_UA2012.tif` in `labeled_train`. The labels of `val` are not published.

Notes:
  So the parts to validate and test on are drawn from the labelled tiles, single ones
  (`data.validation_by`), unless `data.test_groups` names cities. `data.val='leave'` leaves the
  images of `val` out; 'unlabelled' trains on them without labels.
  Where the tiles have an odd number of pixels, the last ones are cut, so that elevation fits.
  Elevation from 0 to 1,000 m becomes -1 to +1 (`data.limits`): higher ground is clipped.
"""

from __future__ import annotations

from pathlib import Path

from ml_collections import ConfigDict

from eojax.data.dataset import TRAIN
from eojax.data.facts import IMAGES, PIXEL_LABELS, Facts, Files, Raster
from eojax.data.sets.pixels import urban_atlas
from eojax.data.sets.pixels.patterned import parse_limits
from eojax.data.sets.pixels.published import Arranged, published_pixels
from eojax.data.shared_options import SHARED
from eojax.data.sources.layout import Layout, layer
from eojax.option import Option, one_of

ELEVATION = 'elevation'
FACTS = Facts(
    name='dfc2022',
    title='DFC2022',
    class_names=urban_atlas.CLASS_NAMES,
    rasters={
        IMAGES: Raster(),
        ELEVATION: Raster(('ground',), 'float32', ((0.0, 1000.0),), scale=2, unit_metres=1.0),
    },
    label='pixel',
    class_colours=urban_atlas.CLASS_COLOURS,
    metres=urban_atlas.METRES,
    files=Files(),
    licence=urban_atlas.LICENCE,
    citation=(
        'R. Hansch, C. Persello, G. Vivone, J. Castillo-Navarro, A. Boulch, S. Lefevre, B. Le Saux.'
        ' The 2022 IEEE GRSS Data Fusion Contest: Semisupervised Learning. IEEE Geoscience and'
        ' Remote Sensing Magazine 10(1), 2022.'
    ),
    homepage='https://ieee-dataport.org/competitions/data-fusion-contest-2022-dfc2022',
)
WHERE = f'get DFC2022 from {FACTS.homepage} (a free account is needed)'
OPTIONS: dict[str, Option] = {
    'val': Option(
        'leave', 'images of the folder val: left out, or unlabelled', one_of('leave', 'unlabelled')
    ),
    'limits': Option('elevation=0:1000', 'metres that become -1 and +1: elevation=low:high'),
    'validation_by': SHARED['validation_by'].but('place'),
}


def arrange(options: ConfigDict, path: Path) -> Arranged:
    """Facts and layout; see the options in the module's docstring."""
    limits = parse_limits(options.limits, (ELEVATION,))
    raster = FACTS.rasters[ELEVATION]
    raster = raster._replace(limits=limits.get(ELEVATION, raster.limits))
    layers = {
        IMAGES: urban_atlas.images(),
        ELEVATION: layer('{part}/{group}/RGEALTI/{name}_RGEALTI.*'),
        PIXEL_LABELS: urban_atlas.labels(optional=False),
    }
    parts: dict[str, int | None] = {urban_atlas.LABELLED: TRAIN, urban_atlas.UNLABELLED: TRAIN}
    parts |= dict.fromkeys(('val', 'test'), TRAIN if options.val == 'unlabelled' else None)
    return (
        FACTS._replace(rasters={**FACTS.rasters, ELEVATION: raster}),
        Layout(layers, parts, unlabelled_parts=(urban_atlas.UNLABELLED, 'val', 'test'), crop=True),
    )


KIND = published_pixels(FACTS, WHERE, arrange, OPTIONS)
