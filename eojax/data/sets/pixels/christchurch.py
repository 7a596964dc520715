"""Christchurch Aerial Semantic Dataset: 24 aerial images, 10 cm, four of them with masks.

Source: Christchurch Aerial Semantic Dataset, Zenodo, doi:10.5281/zenodo.3566005, as the thesis of
J. Castillo-Navarro, "Semi-supervised Learning for Large-scale Earth Observation Data
Understanding", 2022, section 3.2 describes it: dense masks by ONERA/DTIS of four images of
Christchurch, New Zealand, with the classes buildings, cars, vegetation and background; 20 images
have no masks.

How its files are named is documented nowhere, so the config says it, as for `pixel_folder`:
`data.images_pattern`, `data.masks_pattern` and, for the masks' values, `data.mask_values`.
`{group}` is an image: each stands for itself.

Notes:
  The thesis of J. Castillo-Navarro trains on two of the four images with masks and reports on the
  other two, without saying which: `data.test_groups` names them, else half of the four is drawn;
  they are its validation images too (`data.validation_by='test'`).
"""

from __future__ import annotations

from ml_collections import ConfigDict

from eojax.data.dataset import Dataset
from eojax.data.kinds import DatasetKind
from eojax.data.sets.pixels import pixel_folder
from eojax.data.shared_options import SHARED
from eojax.errors import UserError
from eojax.option import Option, with_defaults

NAME = 'christchurch'
HOMEPAGE = 'https://doi.org/10.5281/zenodo.3566005'
METRES = 0.1
OPTIONS: dict[str, Option] = {
    **with_defaults(
        pixel_folder.OPTIONS,
        images_pattern='images/{group}.*',
        masks_pattern='masks/{group}.*',
        masks_optional=True,
        metres=METRES,
    ),
    'test_fraction': SHARED['test_fraction'].but(0.5),
    'validation_by': SHARED['validation_by'].but('test'),
}


def _check(options: ConfigDict) -> None:
    if not options.root:
        raise UserError(
            f'the data set {NAME!r} needs --config.data.root=FOLDER_OR_ZIP; get it from {HOMEPAGE}'
        )
    pixel_folder.check(options)


def _from_config(options: ConfigDict, progress: bool) -> Dataset:
    dataset = pixel_folder.KIND.from_config(options, progress)
    return dataset.with_facts(
        name=NAME,
        title='Christchurch Aerial Semantic Dataset',
        licence='see Zenodo',
        citation='Christchurch Aerial Semantic Dataset. Zenodo, doi:10.5281/zenodo.3566005.',
        homepage=HOMEPAGE,
    )


KIND = DatasetKind(NAME, _check, _from_config, OPTIONS)
