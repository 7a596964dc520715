"""The options that every data set of a config has: which it is, what of it, and where it lies."""

from __future__ import annotations

from eojax.data.parts.labelled import is_labels_per_class
from eojax.data.splits import VALIDATION_BY
from eojax.option import (
    BELOW_ONE,
    INSIDE,
    NOT_NEGATIVE,
    OR_INFINITE,
    Option,
    Range,
    at_least,
    name_in,
    one_of,
    such,
)

_PART = Range('above 0 to 1', 'must lie above 0 and at most at 1', lambda share: 0.0 < share <= 1.0)
SHARED: dict[str, Option] = {
    'source': Option(
        'files', 'how it is stored; tfds: as data.prepare writes it', one_of('files', 'tfds')
    ),
    'root': Option('', 'where it lies; empty: what is published is downloaded to the cache'),
    'size': Option(64, 'side that images are resampled to', at_least(1), 'pixels'),
    'classes': Option('', 'classes joined in groups, a=b+c,d=e,f; empty: as they are'),
    'class_folders': Option('', 'classes of folders that have other names: folder=class,...'),
    'labels_per_class': Option(
        'all',
        'labelled training images of each class',
        such("'all' or a whole number from 1 on", is_labels_per_class),
        'images',
    ),
    'labelled_in_all': Option(
        0,
        'labelled training images of all classes together; 0: as labels_per_class says',
        NOT_NEGATIVE,
        'images',
    ),
    'labelled_groups': Option(
        '', 'groups, such as cities, that alone are labelled: names with a comma between'
    ),
    'labelled_share': Option(1.0, 'share of the training images of each group with labels', _PART),
    'test_groups': Option('', 'groups, or single images, of the test: names with a comma between'),
    'validation_groups': Option('', 'likewise of the validation'),
    'validation_by': Option(
        'group',
        'what validation images are drawn by: whole groups, single places, or those of the test',
        name_in(VALIDATION_BY),
    ),
    'resident_gigabytes': Option(
        4.0, 'training images that are larger together are streamed', OR_INFINITE, 'GB'
    ),
    'workers': Option(
        2, 'processes that read streamed images, for each of the run; 0: threads', NOT_NEGATIVE
    ),
    'test_fraction': Option(0.2, 'share of images for the test, where no split is given', INSIDE),
    'validation_fraction': Option(0.1, 'share of the rest for validation', INSIDE),
    'unseen_classes': Option(
        '', 'classes of pixels that training never sees: names with a comma between'
    ),
    'unseen_share': Option(
        0.01, 'share of a place that they may cover, else training leaves it out', BELOW_ONE
    ),
    'synthesised': Option(
        '', 'folder of synthesised images of training places, in place of their real ones'
    ),
    'synthesised_use': Option(
        'beside',
        'whether synthesised images are learnt from beside the real ones of others, or alone',
        one_of('beside', 'alone'),
    ),
}
