"""Shards of windows: they hold what was read, and are the same however they came about."""

from __future__ import annotations

import hashlib
import itertools
import json
import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from eojax.data import prepare
from eojax.data.dataset import Dataset, Window
from eojax.data.kept_splits import split_and_record
from eojax.data.shards import beam
from eojax.data.shards.grid import Grid, Windows
from eojax.data.shards.index import check_files, open_prepared
from eojax.data.shards.write import Job, make_plan, write_all
from eojax.data.splits import Rule, split_dataset
from eojax.errors import UserError
from tests.data.rasters import write_raster
from tests.data.shards.places import SIZES, Deadly, tiles

GRID = Grid(32, 24)


def job(folder: Path, dataset: Dataset | None = None, compression: str = 'zstd') -> Job:
    dataset = tiles() if dataset is None else dataset
    return Job(dataset, make_plan(dataset, GRID, 7, compression), folder)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('shards') / 'whole'
    write_all(job(folder), progress=False)
    return folder


def corners(height: int, width: int) -> list[tuple[int, int]]:
    """By hand: every 24 pixels, and one that ends where the place ends."""
    rows, columns = (
        sorted({*range(0, length - 31, 24), length - 32}) for length in (height, width)
    )
    return list(itertools.product(rows, columns))


def test_windows_of_a_grid() -> None:
    heights, widths = np.array([(20, 96), *SIZES]).T
    windows = Windows(heights, widths, GRID)
    expected = [
        (place, Window(row, column, 32, 32))
        for place, size in enumerate(SIZES, 1)
        for row, column in corners(*size)
    ]
    assert [windows[number] for number in range(len(windows))] == expected
    assert windows.num_without == 1
    whole = Windows(heights, widths, Grid())
    assert [whole[n] for n in (0, 2)] == [(0, Window(0, 0, 20, 96)), (2, Window(0, 0, 80, 64))]
    assert len(whole) == 5


@pytest.mark.parametrize('compression', ['zstd', 'png', 'none'])
def test_what_was_read_is_what_was_written(tmp_path: Path, compression: str) -> None:
    dataset = tiles()
    write_all(job(tmp_path / 'out', compression=compression), progress=False)
    found = open_prepared(tmp_path / 'out')
    assert found.facts == dataset.facts._replace(size=(32, 32))
    rasters = (*dataset.facts.rasters, 'labels')
    number = 0
    for place, size in enumerate(SIZES):
        for row, column in corners(*size):
            expected = dataset.source.read(place, Window(row, column, 32, 32), rasters)
            read = found.source.read(number, None, rasters)
            assert list(read) == list(rasters)
            for name, pixels in expected.items():
                np.testing.assert_array_equal(read[name], pixels)
                assert read[name].dtype == pixels.dtype
            name = f'{dataset.names[place]}/{row:06d}_{column:06d}'
            assert found.names[number] == name.encode()
            assert found.places.groups is not None
            assert dataset.places.groups is not None
            assert found.places.groups[number] == dataset.places.groups[place]
            number += 1
    assert number == found.places.num == len(found.labels)
    assert (found.places.heights == 32).all()
    part = found.source.read(3, Window(8, 4, 16, 20), ('elevation', 'labels'))
    every = found.source.read(3, None, ('elevation', 'labels'))
    np.testing.assert_array_equal(part['elevation'], every['elevation'][4:12, 2:12])
    np.testing.assert_array_equal(part['labels'], every['labels'][8:24, 4:24])
    with pytest.raises(UserError, match=r'window 3: rows 20 to 35, .* do not lie in its 32x32'):
        found.source.read(3, Window(20, 0, 16, 16), ('images',))


def test_places_are_kept_whole_with_their_classes_and_parts(tmp_path: Path) -> None:
    dataset = tiles('image').with_labels(np.array([1, 0, -1, 1], np.int32))
    parts = np.array([0, 0, 1, 2], np.int8)
    dataset = dataset._replace(places=dataset.places._replace(parts=parts, groups=None))
    plan = make_plan(dataset, Grid(), 3, 'png')
    write_all(Job(dataset, plan, tmp_path / 'out'), progress=False)
    found = open_prepared(tmp_path / 'out')
    assert [bytes(name).decode() for name in found.names] == list(dataset.names)
    np.testing.assert_array_equal(found.labels, dataset.labels)
    np.testing.assert_array_equal(found.parts, parts)
    assert found.places.groups is None
    for place in range(4):
        read = found.source.read(place, None, ('sar', 'images'))
        for name, pixels in dataset.source.read(place, None, ('sar', 'images')).items():
            np.testing.assert_array_equal(read[name], pixels)


def test_windows_of_a_place_without_a_group_stay_together(tmp_path: Path) -> None:
    dataset = tiles().with_facts(group_names=())
    dataset = dataset._replace(places=dataset.places._replace(groups=None))
    write_all(job(tmp_path / 'out', dataset), progress=False)
    found = open_prepared(tmp_path / 'out')
    split = split_dataset(found, Rule(0, test_fraction=0.3, validation_fraction=0.3))
    for one, other in itertools.combinations((split.train, split.validation, split.test), 2):
        stems = [{found.names[i].rsplit(b'/', 1)[0] for i in part} for part in (one, other)]
        assert all(stems)
        assert not stems[0] & stems[1]


def test_two_processes_write_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    write_all(job(tmp_path / 'out'), workers=2, progress=False)
    assert digests(tmp_path / 'out') == digests(whole)


def test_a_killed_run_goes_on_to_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / 'out'
    dataset = tiles()
    deadly = dataset._replace(source=Deadly(dataset.source, 2))  # type: ignore[arg-type]
    process = multiprocessing.get_context('spawn').Process(
        target=write_all, args=(job(folder)._replace(dataset=deadly), 1, False)
    )
    process.start()
    process.join()
    assert process.exitcode == 9
    complete = sorted((folder / 'shards').glob('[0-9]*'))
    before = [(path, path.stat().st_mtime_ns) for path in complete]
    assert 0 < len(before) < len(list((whole / 'shards').iterdir()))
    with pytest.raises(UserError, match=r'not a finished one: run python -m eojax.data.prepare'):
        open_prepared(folder)
    write_all(job(folder), progress=False)
    assert [(path, path.stat().st_mtime_ns) for path, _ in before] == before
    assert digests(folder) == digests(whole)
    # Once more, and nothing is done.
    state = [(p, p.stat().st_mtime_ns) for p in sorted(folder.rglob('*'))]
    write_all(job(folder), progress=False)
    assert [(p, p.stat().st_mtime_ns) for p in sorted(folder.rglob('*'))] == state


def test_a_folder_that_holds_something_else_is_refused(whole: Path, tmp_path: Path) -> None:
    (tmp_path / 'mine').touch()
    with pytest.raises(UserError, match='holds something else'):
        write_all(job(tmp_path), progress=False)
    with pytest.raises(UserError, match='holds another data set, or this one cut in another way'):
        write_all(job(whole, compression='png'), progress=False)
    other = tiles()
    names = ('Bonn/1', 'Bonn/2', 'Herne/1', 'Köln/9')
    other = other._replace(places=other.places._replace(names=names))
    with pytest.raises(UserError, match='holds another data set'):
        write_all(job(whole, other), progress=False)


def test_impossible_plans() -> None:
    dataset = tiles()
    for grid, line in (
        (Grid(32, 33), 'a stride is from 1 to the window'),
        (Grid(32, 0), 'a stride is from 1 to the window'),
        (Grid(33, 32), 'must be multiples of 2, as a pixel of elevation covers so many'),
        (Grid(200, 200), 'no place is as large as a window of 200 pixels'),
    ):
        with pytest.raises(UserError, match=line):
            make_plan(dataset, grid, 7, 'zstd')
    with pytest.raises(UserError, match="unknown compression 'jpeg'"):
        make_plan(dataset, GRID, 7, 'jpeg')
    with pytest.raises(UserError, match='per_shard=0'):
        make_plan(dataset, GRID, 0, 'zstd')


def test_pixels_unlike_the_facts_are_not_written(tmp_path: Path) -> None:
    dataset = tiles()
    wrong = dict(dataset.facts.rasters)
    wrong['sar'] = wrong['sar']._replace(dtype='float32')
    with pytest.raises(UserError, match=r'Bonn/1: sar is int16 of 2 band\(s\); the data set says'):
        write_all(job(tmp_path / 'out', dataset.with_facts(rasters=wrong)), progress=False)


def test_threads_and_pickled_copies_read_the_same(whole: Path) -> None:
    found = open_prepared(whole)
    sent = pickle.dumps(found)
    assert len(sent) < 4000  # columns travel as paths
    copy: Dataset = pickle.loads(sent)
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(found.places.num), 8))
    expected = {n: found.source.read(n, None, ('images',))['images'].sum() for n in set(order)}
    with ThreadPoolExecutor(8) as threads:
        sums = threads.map(lambda n: copy.source.read(n, None, ('images',))['images'].sum(), order)
        assert list(sums) == [expected[n] for n in order]
    some = found.subset(np.array([5, 2]))
    np.testing.assert_array_equal(
        some.source.read(1, None, ('sar',))['sar'], found.source.read(2, None, ('sar',))['sar']
    )


def test_all_images_as_an_array_that_is_read_where_it_is_indexed(whole: Path) -> None:
    found = open_prepared(whole)
    images = pickle.loads(pickle.dumps(found.images))
    assert images.shape == (found.places.num, 32, 32, 3)
    for key in (4, slice(2, 9, 3), np.array([7, -1, 7])):
        numbers = np.arange(found.places.num)[key]
        expected = [
            found.source.read(int(n), None, ('images',))['images'] for n in np.ravel(numbers)
        ]
        np.testing.assert_array_equal(images[key], expected if np.ndim(numbers) else expected[0])
    with pytest.raises(IndexError):
        images[np.array([0, found.places.num])]
    with pytest.raises(TypeError, match='differ in size'):
        tiles().images  # noqa: B018


def test_damage_is_named(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / 'out'
    write_all(job(folder), progress=False)
    assert check_files(folder) == len(digests(folder)) - 2  # without plan.json and index.json
    shard = sorted((folder / 'shards').iterdir())[1]
    content = bytearray(shard.read_bytes())
    content[len(content) // 3] ^= 0xFF
    shard.write_bytes(content)
    with pytest.raises(UserError, match=r'00001-of-\d+\.array_record is damaged'):
        check_files(folder)
    with pytest.raises(UserError, match=r'(shard 1 cannot be read|00001-of.* is damaged) .*anew'):
        [open_prepared(folder).source.read(number, None, ('images',)) for number in range(7, 14)]
    shard.unlink()
    with pytest.raises(UserError, match=r'no such file: .*00001-of'):
        open_prepared(folder).source.read(9, None, ('images',))
    np.save(folder / 'columns/labels.npy', np.zeros(3, np.int32))
    with pytest.raises(UserError, match=r'labels\.npy: damaged: not \d+ entries'):
        open_prepared(folder)
    (folder / 'index.json').write_text('{"version": 1}')
    with pytest.raises(UserError, match=r'index\.json is damaged'):
        open_prepared(folder)


def test_splits_are_kept_beside_the_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('EOJAX_CACHE', str(tmp_path / 'cache'))
    write_all(job(tmp_path / 'out'), progress=False)
    found = open_prepared(tmp_path / 'out')
    expected = split_dataset(found, Rule(3, labelled_in_all=5))
    splits, record = split_and_record(found, Rule(3, labelled_in_all=5))
    for one, other in zip(splits, expected, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == np.int32
    assert len(pickle.dumps(splits)) < 1500

    def refuse(*arguments: object) -> None:
        raise AssertionError('split anew')

    monkeypatch.setattr('eojax.data.kept_splits.split_dataset', refuse)
    again, same = split_and_record(open_prepared(tmp_path / 'out'), Rule(3, labelled_in_all=5))
    assert same == record
    np.testing.assert_array_equal(again.test, expected.test)
    # Another rule, or other labels, are another split.
    for data, rule in ((found, Rule(4)), (found.with_labels(found.labels + 1), Rule(3))):
        with pytest.raises(AssertionError, match='split anew'):
            split_and_record(data, rule)
    assert not (tmp_path / 'cache').exists()


def test_beam_writes_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    pytest.importorskip('apache_beam')
    beam.write_all_with_beam(job(tmp_path / 'out'), ['--runner=DirectRunner'])
    assert digests(tmp_path / 'out') == digests(whole)


def test_beam_that_is_not_installed_is_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__('sys').modules, 'apache_beam', None)
    with pytest.raises(UserError, match='pip install apache-beam'):
        beam.write_all_with_beam(job(tmp_path / 'out'), [])


def test_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv('EOJAX_CACHE', str(tmp_path / 'cache'))
    out = tmp_path / 'cover'
    command = ['--dataset=landscape_cover', '--data.num_images=8', '--data.size=64', f'--out={out}']
    prepare.main([*command, '--window=48', '--stride=16', '--workers=1', '--per_shard=9'])
    assert '32 windows of 48 pixels in 4 shards are ready' in capsys.readouterr().out
    prepare.main([f'--out={out}', '--check'])
    assert capsys.readouterr().out.endswith('files are as the index says\n')
    assert json.loads((out / 'index.json').read_text())['facts']['size'] == [48, 48]
    for arguments, line in (
        (['--data.regions=two'], 'expected a value like 8'),
        (['--data.colour=1'], "unknown option --data. 'colour'"),
        (['--data.regions=100'], 'data.num_images must be at least one a region'),
    ):
        with pytest.raises(SystemExit):
            prepare.main([*command, *arguments])
        assert line in capsys.readouterr().err


def test_another_data_set_of_the_same_names_is_refused(tmp_path: Path) -> None:
    dataset, out = tiles(), tmp_path / 'out'
    write_all(job(out), progress=False)
    brighter = [{**tile, 'images': tile['images'] // 2} for tile in dataset.source.tiles]  # type: ignore[attr-defined]
    others = [
        dataset._replace(source=type(dataset.source)(tuple(brighter))),  # type: ignore[call-arg]
        dataset._replace(places=dataset.places._replace(groups=np.array([0, 1, 2, 2], np.int32))),
    ]
    for other in others:
        with pytest.raises(UserError, match='holds another data set'):
            write_all(job(out, other), progress=False)


def test_a_finished_data_set_that_lost_a_shard_is_not_ready(tmp_path: Path) -> None:
    write_all(job(tmp_path / 'out'), progress=False)
    next((tmp_path / 'out' / 'shards').iterdir()).unlink()
    with pytest.raises(UserError, match=r'no such file: .*array_record; delete --out='):
        write_all(job(tmp_path / 'out'), progress=False)


@pytest.mark.parametrize('change', ['classes=water', 'unseen_classes=water', 'synthesised=x'])
def test_options_of_runs_are_refused_in_preparing(change: str) -> None:
    with pytest.raises(UserError, match=f'--data.{change}: whole data sets are prepared'):
        prepare.open_dataset('', 'landscape_cover', '', [f'--data.{change}'])


def test_own_images_keep_the_limits_that_are_said(tmp_path: Path) -> None:
    pixels = np.arange(1, 1025, dtype=np.uint16).reshape(16, 16, 4)
    pixels[0] = 60_000
    for name in ('field', 'water'):
        (tmp_path / 'set' / name).mkdir(parents=True)
        write_raster(tmp_path / 'set' / name / '1.tif', pixels, nodata=60_000)
    root, changes = str(tmp_path / 'set'), ['--data.size=16']
    with pytest.raises(UserError, match=r'images of uint16: say --data\.limits=LOW:HIGH'):
        prepare.open_dataset('', 'folder', root, changes)
    dataset = prepare.open_dataset('', 'folder', root, [*changes, '--data.limits=5:900'])
    plan = make_plan(dataset, Grid(0, 0), 8, 'zstd')
    write_all(Job(dataset, plan, tmp_path / 'out'), progress=False)
    prepared = open_prepared(tmp_path / 'out')
    assert prepared.limits == ((5.0, 900.0),) * 4
    read = prepared.source.read(1, None, ('images',))['images']
    assert (read[0] == 5).all()
    np.testing.assert_array_equal(read[1:], pixels[1:])
