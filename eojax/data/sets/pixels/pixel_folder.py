"""Your own images and masks: any folder or zip archive in which a pattern says where they lie.

    --config.data.root=Dubai.zip
    --config.data.images_pattern={group}/images/{name}.jpg
    --config.data.masks_pattern={group}/masks/{name}.png
    --config.data.mask_values=#e2a929=water,#8429f6=land,#9b9b9b=none

In a pattern `{group}` is the city, which no split cuts, and `{part}` a part that is published, such
as `train` or `val`; any other field in braces is a piece of a name
(`eojax.data.sources.patterns`). A pattern may end in `.*` where all its files have one suffix.

Images are JPEG, PNG, GeoTIFF or JPEG 2000 of any size, number of bands and type; where they are not
uint8, `data.limits` says which values become -1 and +1. Masks have the size of their image, and
hold numbers or colours, in one band, a palette, or red, green and blue; `data.mask_values` says
what these mean (`eojax.data.sets.pixels.mask_values`). Places keep their sizes: `data.size` counts
for nothing here. `data.cut` makes squares of large images, so that one scene gives places to train
on and others to test on; what is left at the right and the lower border is left out.

Further rasters of the same ground, such as radar or an elevation at half the resolution, have
patterns in `data.raster_patterns`. Land cover, elevation, radar and colour of one folder each:

    --config.data.images_pattern=S2RGB/{name}.tif
    --config.data.masks_pattern=LULC/{name}.tif --config.data.mask_values=land_cover.csv
    --config.data.raster_patterns=elevation=DEM/{name}.tif,sar=S1/{name}.tif
    --config.data.limits='elevation=-10:490;sar=-25:5'

`data.bands` and `data.limits` say something of each raster, with semicolons between. Where files
hold linear backscatter, `data.decibels=sar=power`, or `=amplitude`, makes decibels of it, and the
limits are in decibels.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from eojax.data.dataset import TEST, TRAIN, VALIDATION, Dataset
from eojax.data.facts import IMAGES, Facts, Files
from eojax.data.kinds import DatasetKind, StoredLabels, check_read_from_files
from eojax.data.sets.pixels.mask_values import MaskValues, mask_values
from eojax.data.sets.pixels.patterned import (
    Wanted,
    check_patterns,
    parse_bands,
    parse_decibels,
    parse_limits,
    read_patterns,
)
from eojax.data.sources.cut_windows import cut_into_squares
from eojax.data.sources.label_values import label_values
from eojax.data.sources.patterns import Pattern
from eojax.errors import UserError
from eojax.home import expanded
from eojax.option import NOT_NEGATIVE, Option

NAME = 'pixel_folder'

OPTIONS: dict[str, Option] = {
    'images_pattern': Option('images/{name}.*', 'where the images lie, with {group}, {name}, ...'),
    'masks_pattern': Option('masks/{name}.*', 'where their masks lie; empty: there are none'),
    'masks_optional': Option(False, 'whether an image may lack its mask'),
    'mask_values': Option('', 'classes of the values of masks: value=class,..., or a file of them'),
    'raster_patterns': Option('', 'where further rasters lie: name=PATTERN,...'),
    'bands': Option(
        '',
        'bands by number or name: 4,3,2 of the images, or images=4,3,2;raster=1,2; empty: all',
    ),
    'limits': Option(
        '',
        'values that become -1 and +1: low:high, once or for each band, or raster=low:high;...',
    ),
    'decibels': Option(
        '', 'rasters whose files hold linear backscatter: raster=power;raster=amplitude'
    ),
    'cut': Option(
        0,
        'side of the squares that images are cut into, each a place; 0: whole images',
        NOT_NEGATIVE,
        'pixels',
    ),
    'metres': Option(0.0, 'side of a pixel on the ground; 0: not known', NOT_NEGATIVE, 'metres'),
}

# Of what a batch holds beside further rasters (`eojax.feed.streams.Batch`).
_TAKEN = ('images', 'labels', 'labelled', 'truth', 'valid', 'index', 'row', 'column')

PARTS = {
    **dict.fromkeys(('train', 'training', 'labelled', 'labeled', 'unlabelled', 'unlabeled'), TRAIN),
    **dict.fromkeys(('val', 'valid', 'validation'), VALIDATION),
    **dict.fromkeys(('test', 'testing'), TEST),
}
"""The published part that a `{part}` is, in small letters or with a capital."""


def wanted(options: ConfigDict) -> Wanted:
    """The files and bands that the config group `data` asks for.

    Raises:
      UserError: a pattern or another value that is none.
    """
    rasters: dict[str, Pattern] = {}
    for part in options.raster_patterns.split(',') if options.raster_patterns.strip() else []:
        name, equals, text = (piece.strip() for piece in part.partition('='))
        if not (name.isidentifier() and equals and text) or name in (*rasters, *_TAKEN):
            raise UserError(
                f'data.raster_patterns: {part.strip()!r}: write name=PATTERN, each name once, and'
                f' none of {", ".join(_TAKEN)}'
            )
        rasters[name] = Pattern(text)
    names = (IMAGES, *rasters)
    return Wanted(
        Pattern(options.images_pattern),
        Pattern(options.masks_pattern) if options.masks_pattern else None,
        options.masks_optional,
        rasters,
        parse_bands(options.bands, names),
        parse_limits(options.limits, names),
        parse_decibels(options.decibels, names),
        {name: part for word, part in PARTS.items() for name in (word, word.capitalize())},
    )


def check(options: ConfigDict) -> None:
    """Refuses options of the config group `data` that make no data set.

    Raises:
      UserError: one line that names the key.
    """
    check_read_from_files(options.name, options)
    if not options.root:
        raise UserError(f'the data set {options.name!r} needs --config.data.root=FOLDER_OR_ZIP')
    check_patterns(wanted(options))
    if options.masks_pattern:
        mask_values(options.mask_values)
    elif options.mask_values:
        raise UserError('data.mask_values without data.masks_pattern: there are no masks')


def _from_config(options: ConfigDict, progress: bool) -> Dataset:
    meaning = MaskValues((), {}, {})
    if options.masks_pattern:
        meaning = mask_values(options.mask_values)
    path = expanded(options.root)
    facts = Facts(
        name=NAME,
        title=path.stem,
        class_names=meaning.class_names,
        label='pixel' if options.masks_pattern else 'none',
        class_colours=meaning.colours,
        metres=options.metres or None,
        files=Files(),
    )
    dataset = read_patterns(path, facts, wanted(options), meaning.values)
    return cut_into_squares(dataset, options.cut, 'data.cut') if options.cut else dataset


def _stored_labels(options: ConfigDict) -> StoredLabels | None:
    if not options.masks_pattern:
        return None
    meaning = mask_values(options.mask_values)
    return StoredLabels(meaning.class_names, label_values(meaning.values))


KIND = DatasetKind(NAME, check, _from_config, OPTIONS, stored_labels=_stored_labels)
