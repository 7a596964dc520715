"""LoveDA: aerial images of 1,024 px of cities and country in China, 0.3 m, seven classes.

Source: J. Wang, Z. Zheng, A. Ma, X. Lu, Y. Zhong, "LoveDA: A Remote Sensing Land-Cover Dataset for
Domain Adaptive Semantic Segmentation", NeurIPS Datasets and Benchmarks, 2021.

Files: `{Train,Val}/{Rural,Urban}/{images_png,masks_png}/n.png`, masks with 1 to 7 and 0 for none.
Rural and Urban are the groups of places: `data.labelled_groups=Urban` labels one of the two.

Notes:
  The masks of `Test` are not published: it is left out, and `Val` is the test here. Validation
  images are drawn from those of `Train`, one by one (`data.validation_by`).
"""

from __future__ import annotations

from pathlib import Path

from ml_collections import ConfigDict

from eojax.data.dataset import TEST, TRAIN
from eojax.data.facts import IMAGES, PIXEL_LABELS, Facts, Files
from eojax.data.sets.pixels.published import Arranged, hex_colours, published_pixels
from eojax.data.shared_options import SHARED
from eojax.data.sources.layout import Layout, layer

CLASS_NAMES = ('background', 'building', 'road', 'water', 'barren', 'forest', 'agriculture')
FACTS = Facts(
    name='loveda',
    title='LoveDA',
    class_names=CLASS_NAMES,
    label='pixel',
    class_colours=hex_colours(CLASS_NAMES, 'ffffff ff0000 ffff00 0000ff 9f81b7 00ff00 ffc380'),
    metres=0.3,
    files=Files(size=1024),
    licence='CC BY-NC-SA 4.0',
    citation=(
        'J. Wang, Z. Zheng, A. Ma, X. Lu, Y. Zhong. LoveDA: A Remote Sensing Land-Cover Dataset for'
        ' Domain Adaptive Semantic Segmentation. NeurIPS Datasets and Benchmarks, 2021.'
    ),
    homepage='https://github.com/Junjue-Wang/LoveDA',
)
WHERE = f'get LoveDA from {FACTS.homepage}'


def arrange(options: ConfigDict, path: Path) -> Arranged:
    """Facts and layout."""
    values: dict[int | str, int | None] = {0: None}
    values |= {number: number - 1 for number in range(1, 1 + len(CLASS_NAMES))}
    layers = {
        IMAGES: layer('{part}/{group}/images_png/{name}.png'),
        PIXEL_LABELS: layer('{part}/{group}/masks_png/{name}.png', values=values),
    }
    return FACTS, Layout(layers, {'Train': TRAIN, 'Val': TEST, 'Test': None})


KIND = published_pixels(
    FACTS, WHERE, arrange, {'validation_by': SHARED['validation_by'].but('place')}
)
