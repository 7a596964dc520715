"""The hold-out: sizes, purity, nesting, stability, and the file that records it."""

from __future__ import annotations

import hashlib
import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest

from eojax.data import split_record, splits
from eojax.data.columns import MappedColumn, Names, open_column
from eojax.data.dataset import Dataset, image_dataset
from eojax.data.parts import labelled
from eojax.data.split_record import SplitRecord
from eojax.data.splits import Rule, Splits, make_splits
from eojax.errors import UserError

COUNTS = {'Field': 100, 'River': 63, 'Town': 40}


def names_and_labels(counts: dict[str, int] = COUNTS) -> tuple[list[str], np.ndarray]:
    names = [f'{name}/{name}_{i}.jpg' for name, num in counts.items() for i in range(num)]
    return names, np.repeat(np.arange(len(counts)), list(counts.values()))


def in_words(found: Splits, names: list[str]) -> dict[str, set[str]]:
    return {field: {names[i] for i in part} for field, part in found._asdict().items()}


def test_sizes_are_stratified_and_cover_everything_once() -> None:
    names, labels = names_and_labels()
    found = make_splits(names, labels, 3, seed=0)
    for part, expected in ((found.test, [20, 13, 8]), (found.validation, [8, 5, 3])):
        np.testing.assert_array_equal(np.bincount(labels[part]), expected)
    everything = np.concatenate([found.train, found.validation, found.test])
    np.testing.assert_array_equal(np.sort(everything), np.arange(len(names)))
    np.testing.assert_array_equal(found.labelled, found.train)
    assert found.unlabelled.shape == (0,)
    assert all(part.dtype == np.int32 for part in found)
    assert all((np.diff(part) > 0).all() for part in found)


@pytest.mark.parametrize('labels_per_class', [1, 5, '10', 20])
def test_labelled_subset(labels_per_class: str | int) -> None:
    names, labels = names_and_labels()
    found = make_splits(names, labels, 3, 7, labels_per_class)
    np.testing.assert_array_equal(np.bincount(labels[found.labelled]), int(labels_per_class))
    union = np.sort(np.concatenate([found.labelled, found.unlabelled]))
    np.testing.assert_array_equal(union, found.train)


def test_labelled_subsets_are_nested_and_the_hold_out_is_one() -> None:
    names, labels = names_and_labels()
    found = [make_splits(names, labels, 3, 3, num) for num in (1, 5, 10, 20, 'all')]
    for fewer, more in itertools.pairwise(found):
        assert set(fewer.labelled) < set(more.labelled)
        np.testing.assert_array_equal(fewer.test, more.test)
        np.testing.assert_array_equal(fewer.validation, more.validation)


def test_against_sha256_by_hand() -> None:
    """Ten images of one class: two are tested, one validates, by the order of their digests."""
    names = [f'River/River_{i}.jpg' for i in range(10)]
    order = sorted(names, key=lambda name: hashlib.sha256(f'5:{name}'.encode()).hexdigest())
    found = in_words(make_splits(names, [0] * 10, 1, 5, 2), names)
    assert found['test'] == set(order[:2])
    assert found['validation'] == {order[2]}
    assert found['labelled'] == set(order[3:5])
    # The first two digests, as `printf 5:River/River_N.jpg | sha256sum` gives them.
    assert found['test'] == {'River/River_2.jpg', 'River/River_0.jpg'}


def test_order_of_the_images_does_not_matter() -> None:
    names, labels = names_and_labels()
    order = np.random.default_rng(0).permutation(len(names))
    shuffled = [names[i] for i in order]
    one = in_words(make_splits(names, labels, 3, 1, 5), names)
    assert one == in_words(make_splits(shuffled, labels[order], 3, 1, 5), shuffled)


def test_seeds_differ() -> None:
    names, labels = names_and_labels()
    one, other = (in_words(make_splits(names, labels, 3, seed), names) for seed in (0, 1))
    # Two independent fifths share about a fifth of their members.
    assert len(one['test'] & other['test']) < 0.5 * len(one['test'])


def test_another_class_moves_nobody() -> None:
    names, labels = names_and_labels()
    more_names, more_labels = names_and_labels({'Beach': 50} | COUNTS)
    one = in_words(make_splits(names, labels, 3, 0, 5), names)
    other = in_words(make_splits(more_names, more_labels, 4, 0, 5), more_names)
    for field, part in one.items():
        assert part == {name for name in other[field] if not name.startswith('Beach')}


def test_another_image_moves_at_most_one_over_each_border() -> None:
    for num in range(20, 60):
        (names, labels), (more, more_labels) = (
            names_and_labels({'River': num + extra}) for extra in (0, 1)
        )
        one = in_words(make_splits(names, labels, 1, 0), names)
        other = in_words(make_splits(more, more_labels, 1, 0), more)
        added = set(more) - set(names)
        assert len((one['test'] ^ other['test']) - added) <= 1
        assert len((one['train'] ^ other['train']) - added) <= 1


def test_fractions() -> None:
    names, labels = names_and_labels()
    found = make_splits(names, labels, 3, 0, test_fraction=0.5, validation_fraction=0.0)
    np.testing.assert_array_equal(np.bincount(labels[found.test]), [50, 32, 20])
    assert len(found.validation) == 0
    tiny_names, tiny_labels = names_and_labels({'A': 3, 'B': 4})
    tiny = make_splits(tiny_names, tiny_labels, 2, 0)
    np.testing.assert_array_equal(np.bincount(tiny_labels[tiny.test]), [1, 1])
    np.testing.assert_array_equal(np.bincount(tiny_labels[tiny.validation]), [1, 1])
    with pytest.raises(UserError, match=r'test_fraction=1\.0'):
        make_splits(names, labels, 3, 0, test_fraction=1.0)
    with pytest.raises(UserError, match=r'validation_fraction=-0\.1'):
        make_splits(names, labels, 3, 0, validation_fraction=-0.1)


@pytest.mark.parametrize('value', [0, -1, '0', '-5', 'ten', '', 1.5, True, None, '²'])
def test_impossible_labels_per_class(value: object) -> None:
    with pytest.raises(UserError, match=r"data\.labels_per_class=.*or 'all'"):
        labelled.parse_labels_per_class(value)  # type: ignore[arg-type]


def test_too_few_images_name_the_class() -> None:
    names, labels = names_and_labels()
    # Town has 40: 8 are tested, 3 validate.
    make_splits(names, labels, 3, 0, 29)
    with pytest.raises(UserError, match=r"class 'Town' has only 29 training images"):
        make_splits(names, labels, 3, 0, 60)
    with pytest.raises(UserError, match=r"class 'B': 2 images are too few"):
        make_splits(*names_and_labels({'A': 9, 'B': 2}), 2, 0)
    with pytest.raises(UserError, match=r'class 3: 0 images are too few'):
        make_splits(names, labels, 4, 0)


def published(rng: int = 0) -> tuple[list[str], np.ndarray, np.ndarray]:
    names, labels = names_and_labels()
    return names, labels, np.random.default_rng(rng).integers(0, 3, len(names)).astype(np.int8)


def test_published_parts_are_taken_as_they_are() -> None:
    names, labels, parts = published()
    for seed, fraction in ((0, 0.2), (1, 0.5)):
        found = make_splits(
            names, labels, 3, seed, 5, parts=parts,
            test_fraction=fraction, validation_fraction=fraction,
        )  # fmt: skip
        for number, part in enumerate((found.train, found.validation, found.test)):
            np.testing.assert_array_equal(part, np.flatnonzero(parts == number))
        np.testing.assert_array_equal(np.bincount(labels[found.labelled]), 5)
        assert set(found.labelled) <= set(found.train)
    # Who is labelled is drawn: by the first digests of the training part.
    town = [n for n, part in zip(names, parts, strict=True) if part == 0 and n.startswith('Town')]
    order = sorted(town, key=lambda name: hashlib.sha256(f'1:{name}'.encode()).hexdigest())
    labelled = in_words(found, names)['labelled']
    assert {name for name in labelled if name.startswith('Town')} == set(order[:5])


def test_what_is_not_published_is_drawn_from_the_training_part() -> None:
    names, labels, parts = published()
    parts[parts == 1] = 0
    found = make_splits(names, labels, 3, 4, parts=parts, validation_fraction=0.25)
    np.testing.assert_array_equal(found.test, np.flatnonzero(parts == 2))
    left = np.bincount(labels[parts == 0])
    wanted = [int(num * 0.25 + 0.5) for num in left]
    np.testing.assert_array_equal(np.bincount(labels[found.validation]), wanted)
    together = np.sort(np.concatenate([found.train, found.validation]))
    np.testing.assert_array_equal(together, np.flatnonzero(parts == 0))
    # Nothing but training images says as much as no parts at all.
    nothing = make_splits(names, labels, 3, 4, parts=np.zeros(len(names), np.int8))
    for one, other in zip(nothing, make_splits(names, labels, 3, 4), strict=True):
        np.testing.assert_array_equal(one, other)


def test_parts_that_cannot_be() -> None:
    names, labels, parts = published()
    parts[labels == 1] = 2
    with pytest.raises(UserError, match=r"class 'River': 63 images but none to train on"):
        make_splits(names, labels, 3, 0, parts=parts)
    with pytest.raises(UserError, match="class 'water'"):
        make_splits(names, labels, 3, 0, parts=parts, class_names=('crop', 'water', 'urban'))
    for wrong in (parts[1:], np.where(parts == 2, 3, parts)):
        with pytest.raises(ValueError, match='0, 1 or 2 for each name'):
            make_splits(names, labels, 3, 0, parts=wrong)


def test_labelled_in_all_is_balanced_and_nested() -> None:
    names, labels = names_and_labels()
    every = make_splits(names, labels, 3, 2)
    held: list[set[int]] = []
    for num in (1, 2, 3, 7, 32, 100, len(every.train)):
        found = make_splits(names, labels, 3, 2, labelled_in_all=num)
        assert len(found.labelled) == num
        np.testing.assert_array_equal(
            np.sort(np.concatenate([found.labelled, found.unlabelled])), every.train
        )
        counts, most = (
            np.bincount(labels[found.labelled], minlength=3),
            np.bincount(labels[every.train], minlength=3),
        )
        # As equal as they can be: who has less than the others has no more to give.
        for count, limit in zip(counts, most, strict=True):
            assert count >= counts.max() - 1 or count == limit
        held.append(set(found.labelled.tolist()))
    assert all(fewer < more for fewer, more in itertools.pairwise(held))
    # With as many for each class, it is the subset of that many per class.
    six = make_splits(names, labels, 3, 2, labelled_in_all=6)
    np.testing.assert_array_equal(six.labelled, make_splits(names, labels, 3, 2, 2).labelled)


def test_who_comes_first_depends_on_the_seed() -> None:
    names, labels = names_and_labels()
    first = [
        labels[make_splits(names, labels, 3, seed, labelled_in_all=1).labelled[0]]
        for seed in range(12)
    ]
    assert set(first) == {0, 1, 2}
    turns = sorted(range(3), key=lambda c: hashlib.sha256(f'7:class {c}'.encode()).hexdigest())
    assert first[7] == turns[0]
    found = make_splits(names, labels, 3, 7, labelled_in_all=5).labelled
    np.testing.assert_array_equal(np.bincount(labels[found])[turns], [2, 2, 1])


def test_impossible_labelled_in_all() -> None:
    names, labels = names_and_labels()
    # 203 images: 41 are tested and 16 validate.
    with pytest.raises(UserError, match=r'labelled_in_all=147, but there are only 146 training'):
        make_splits(names, labels, 3, 0, labelled_in_all=147)
    with pytest.raises(UserError, match=r"labelled_in_all=9 stands .* must be 'all' then, not 3"):
        make_splits(names, labels, 3, 0, 3, labelled_in_all=9)
    with pytest.raises(UserError, match=r'data\.labelled_in_all must not be negative, not -1'):
        make_splits(names, labels, 3, 0, labelled_in_all=-1)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match='unique'):
        make_splits(['a', 'a'], [0, 0], 1, 0)
    with pytest.raises(ValueError, match='labels must lie'):
        make_splits(['a', 'b'], [0, 2], 2, 0)


def test_places_without_a_class_are_for_training_and_not_labelled() -> None:
    names, labels = names_and_labels()
    more = [*names, *(f'unknown/{i}.jpg' for i in range(30))]
    found = make_splits(more, np.concatenate([labels, np.full(30, -1)]), 3, 0)
    expected = make_splits(names, labels, 3, 0)
    np.testing.assert_array_equal(found.unlabelled, np.arange(len(names), len(more)))
    for part in ('validation', 'test', 'labelled'):
        np.testing.assert_array_equal(getattr(found, part), getattr(expected, part))


def tiles(num: int = 60) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Places of six cities of unequal size; none has a class."""
    groups = np.sort(np.random.default_rng(0).choice(6, num, p=[0.3, 0.2, 0.2, 0.1, 0.1, 0.1]))
    return [f'city_{g}/{i}' for i, g in enumerate(groups)], np.full(num, -1, np.int32), groups


@pytest.mark.parametrize('seed', range(5))
def test_places_with_labels_of_pixels_are_split_by_group(seed: int) -> None:
    names, labels, groups = tiles()
    found = make_splits(names, labels, 4, seed, groups=groups, label='pixel')
    held = [set(groups[part].tolist()) for part in (found.train, found.validation, found.test)]
    assert all(held)
    assert sum(map(len, held)) == len(set(groups.tolist()))
    everything = np.concatenate([found.train, found.validation, found.test])
    np.testing.assert_array_equal(np.sort(everything), np.arange(len(names)))
    np.testing.assert_array_equal(found.labelled, found.train)


def test_groups_are_known_by_their_names() -> None:
    names, labels, groups = tiles()
    cities = tuple('ABCDEF')
    found = make_splits(names, labels, 1, 3, groups=groups, group_names=cities, label='none')
    # The same cities, of which each has another number.
    turned = make_splits(
        names, labels, 1, 3, groups=5 - groups, group_names=cities[::-1], label='none'
    )
    for one, other in zip(found, turned, strict=True):
        np.testing.assert_array_equal(one, other)
    order = sorted(cities, key=lambda city: hashlib.sha256(f'3:{city}'.encode()).hexdigest())
    assert cities[groups[found.test[0]]] == order[0]
    assert len(found.labelled) == 0
    np.testing.assert_array_equal(found.unlabelled, found.train)


def test_a_validation_part_that_nobody_published_is_drawn_by_group() -> None:
    names, labels, groups = tiles()
    parts = np.where(groups == 2, 2, 0)
    found = make_splits(names, labels, 4, 0, groups=groups, parts=parts, label='pixel')
    np.testing.assert_array_equal(found.test, np.flatnonzero(groups == 2))
    validated = set(groups[found.validation].tolist())
    assert validated
    assert not validated & (set(groups[found.train].tolist()) | {2})


def test_labelled_places_are_nested_and_may_be_of_some_groups() -> None:
    names, labels, groups = tiles()

    def split(**options: object) -> Splits:
        return make_splits(names, labels, 4, 1, groups=groups, label='pixel', **options)  # type: ignore[arg-type]

    few, more = (split(labelled_in_all=num) for num in (3, 9))
    assert len(few.labelled) == 3
    assert set(few.labelled) < set(more.labelled) < set(few.train)
    city = int(groups[few.train[0]])
    some = split(labelled_groups=[city])
    np.testing.assert_array_equal(some.labelled, few.train[groups[few.train] == city])
    assert set(groups[split(labelled_groups=[city], labelled_in_all=2).labelled]) == {city}
    with pytest.raises(UserError, match=r'labelled_groups: \d+ has no training place'):
        split(labelled_groups=[int(groups[few.test[0]])])
    held_out = int(groups[few.test[0]])
    with pytest.raises(UserError, match=f'labelled_groups: {held_out} has no training place'):
        split(labelled_groups=[city, held_out])
    with pytest.raises(UserError, match=r'labels_per_class=5: labels are of pixels here'):
        split(labels_per_class=5)


def test_few_groups_and_labels_that_there_are_not_are_refused() -> None:
    names, labels, groups = tiles()
    with pytest.raises(UserError, match=r'all of it lies in 2 group\(s\), too few for train and'):
        make_splits(names, labels, 4, 0, groups=groups % 2, label='pixel')
    with pytest.raises(UserError, match='this data set has no labels'):
        make_splits(names, labels, 1, 0, labelled_in_all=3, label='none')
    with pytest.raises(UserError, match=r'2 places are too few for the three splits'):
        make_splits(['a', 'b'], [-1, -1], 1, 0, label='none')


def city_dataset() -> Dataset:
    names, labels, groups = tiles()
    images = np.zeros((len(names), 2, 2, 3), np.uint8)
    data = image_dataset(images, labels, names, ('a', 'b'))
    data = data.with_facts(label='pixel', group_names=tuple('ABCDEF'))
    return data._replace(places=data.places._replace(groups=groups.astype(np.int32)))


def test_a_data_set_and_a_rule_make_a_split() -> None:
    data = city_dataset()
    assert data.places.groups is not None
    every = splits.split_dataset(data, Rule(2))
    city = int(data.places.groups[every.train[0]])
    found = splits.split_dataset(data, Rule(2, labelled_groups=f' {"ABCDEF"[city]}'))
    assert set(data.places.groups[found.labelled]) == {city}
    with pytest.raises(UserError, match=r"unknown group in data\.labelled_groups 'G'"):
        splits.split_dataset(data, Rule(2, labelled_groups='A,G'))
    alone = data._replace(places=data.places._replace(groups=None))
    with pytest.raises(UserError, match='belong to no groups'):
        splits.split_dataset(alone, Rule(2, labelled_groups='A'))


def test_names_may_be_an_array_of_text_or_bytes(tmp_path: Path) -> None:
    names, labels = names_and_labels()
    names = [name.replace('Town', 'Straße') for name in names]
    expected = make_splits(names, labels, 3, 4, 5)

    def record_of(names: Names) -> SplitRecord:
        data = image_dataset(np.zeros((len(labels), 1, 1, 3), np.uint8), labels, names, 'abc')
        return split_record.record_of(expected, data, Rule(4))

    encoded = np.array([name.encode() for name in names])
    np.save(tmp_path / 'names.npy', encoded)
    for column in (np.array(names), encoded, open_column(tmp_path / 'names.npy')):
        for one, other in zip(expected, make_splits(column, labels, 3, 4, 5), strict=True):
            np.testing.assert_array_equal(one, other)
        assert record_of(column) == record_of(names)


def test_a_mapped_column_pickles_as_its_path(tmp_path: Path) -> None:
    np.save(tmp_path / 'labels.npy', np.arange(100_000, dtype=np.int32))
    column = open_column(tmp_path / 'labels.npy')
    sent = pickle.dumps(column)
    assert len(sent) < 1000
    back = pickle.loads(sent)
    assert isinstance(back, MappedColumn)
    np.testing.assert_array_equal(back, column)
    # What is taken out of it is as large as it is.
    assert type(column[3:7]) is np.ndarray
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(column[[5, 9]])), [5, 9])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(column + 1)), np.arange(1, 100_001))
    (tmp_path / 'labels.npy').write_bytes(b'no column')
    with pytest.raises(UserError, match=r'labels\.npy: damaged or no column'):
        open_column(tmp_path / 'labels.npy')


def test_record_round_trip_and_comparison(tmp_path: Path) -> None:
    names, labels = names_and_labels()
    path = tmp_path / 'splits.json'

    def record(seed: int, labels_per_class: int, names: list[str] = names) -> SplitRecord:
        found = make_splits(names, labels[: len(names)], 3, seed, labels_per_class)
        images = np.zeros((len(names), 1, 1, 3), np.uint8)
        data = image_dataset(images, labels[: len(names)], names, tuple('abc'))
        return split_record.record_of(found, data, Rule(seed, labels_per_class))

    split_record.write(path, record(0, 5))
    assert [file.name for file in tmp_path.iterdir()] == ['splits.json']
    kept = split_record.read(path)
    assert kept == record(0, 5)
    assert {name: part.places for name, part in kept.parts.items()} == {
        'train': 146, 'validation': 16, 'test': 41, 'labelled': 15, 'unlabelled': 131,
    }  # fmt: skip
    assert kept.class_counts == (5, 5, 5)
    assert len(path.read_text()) < 1200
    split_record.verify(path, record(0, 5))
    with pytest.raises(
        UserError, match=r'train is not .*: 146 places then and now, but .*; seed was 0 and is 1;'
    ):
        split_record.verify(path, record(1, 5))
    with pytest.raises(UserError, match=r'labelled is not .*: 15 places then, 30 now; labels_per'):
        split_record.verify(path, record(0, 10))
    with pytest.raises(UserError, match=r'train is not that of this data.*146 places then, 144 n'):
        split_record.verify(path, record(0, 5, names[:-2]))
    other = record(0, 5)._replace(class_counts=(4, 6, 5))
    with pytest.raises(UserError, match=r'of each class were 5, 5, 5 and are 4, 6, 5'):
        split_record.verify(path, other)


def test_broken_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / 'splits.json'
    with pytest.raises(UserError, match='is not there: give the command'):
        split_record.read(path)
    for text in ('{"train": [', '[]', '{"train": []}', '{"rule": {}, "parts": {"train": 1}}'):
        path.write_text(text)
        with pytest.raises(UserError, match=r'splits\.json: not a record of splits'):
            split_record.read(path)
