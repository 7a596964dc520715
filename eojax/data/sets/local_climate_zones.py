"""The seventeen Local Climate Zones, in the order that So2Sat LCZ42 labels them.

Stewart and Oke, Local Climate Zones for Urban Temperature Studies, Bulletin of the American
Meteorological Society 93(12), 2012: ten built types, 1 to 10, and seven types of land cover, A to
G. Zhu et al., So2Sat LCZ42, IEEE Geoscience and Remote Sensing Magazine 8(3), 2020, number them 0
to 16 in the same order.
"""

from __future__ import annotations

CLASS_NAMES = (
    'compact high-rise',
    'compact mid-rise',
    'compact low-rise',
    'open high-rise',
    'open mid-rise',
    'open low-rise',
    'lightweight low-rise',
    'large low-rise',
    'sparsely built',
    'heavy industry',
    'dense trees',
    'scattered trees',
    'bush or scrub',
    'low plants',
    'bare rock or paved',
    'bare soil or sand',
    'water',
)
"""Zones 1 to 10 and A to G. No name holds a comma, so that lists of them are separated by commas
(zone C is 'bush, scrub' in the source)."""

URBAN = CLASS_NAMES[:10]
"""The ten built types."""

LOW_RISE = ('compact low-rise', 'open low-rise', 'lightweight low-rise', 'large low-rise')
"""The four types of low-rise buildings: zones 3, 6, 7 and 8."""

SO2SAT_COUNTS = (
    5068, 24431, 31693, 8651, 16493, 35290, 3269, 39326, 13584,
    11954, 42902, 9514, 9165, 41377, 2392, 7898, 49359,
)  # fmt: skip
"""Patches of each zone in the training set of So2Sat LCZ42 (Zhu et al., 2020): 352,366 in all."""
