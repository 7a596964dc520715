"""A run is what it was trained on, whatever its files and folders are called by now."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from eojax.config.base import base_config, to_json
from eojax.data import contents
from eojax.data.dataset import image_dataset
from eojax.data.reading.listing import names
from eojax.data.split_record import record_of
from eojax.data.splits import Rule, Splits
from eojax.errors import UserError
from eojax.evaluation.command import read_labelled
from eojax.runs import contents as run_contents
from eojax.runs import domains
from eojax.runs import run as runs
from eojax.runs.beginning import check_data, write_beginning
from eojax.runs.contents import FILE
from eojax.runs.domains import Domain
from eojax.runs.opening import open_untrained
from eojax.runs.run import Run, with_data

COLOURS = {'brick': (200, 40, 40), 'forest': (40, 160, 40), 'lake': (40, 60, 200)}
NUM = 20


@pytest.fixture(scope='module')
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of images of 8 pixels."""
    root, rng = tmp_path_factory.mktemp('colours'), np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (root / name).mkdir()
        for number in range(NUM):
            image = np.clip(rng.normal(colour, 20, (8, 8, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(image).save(root / name / f'{number:02d}.png')
    return root


@pytest.fixture(scope='module')
def begun(colours: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on them that has begun."""
    folder = tmp_path_factory.mktemp('run')
    write_beginning(runs.prepare(_config(colours), folder))
    return folder


def _config(root: Path, **options: str) -> ConfigDict:
    config = base_config('supervised', 'convnet', 'folder')
    config.batch_size = 8
    config.model.widths, config.model.strides = (4,), (2,)
    config.data.update({'root': str(root), 'size': 8, **options})
    return config


def _opened(folder: Path, root: Path, **options: str) -> Run:
    return open_untrained(_config(root, **options), folder)


def _numbered_anew(root: Path, folder: Path, by: int) -> Path:
    """The same names in each class folder, each of the image `by` places further."""
    copy = Path(shutil.copytree(root, folder))
    for place in copy.iterdir():
        files = sorted(place.iterdir())
        read = [file.read_bytes() for file in files]
        for number, file in enumerate(files):
            file.write_bytes(read[(number + by) % len(files)])
    return copy


def _images(run: Run, part: str) -> set[bytes]:
    chosen = getattr(run.splits, part)
    return {np.asarray(image).tobytes() for image in run.dataset.images[chosen]}


def test_the_same_data_elsewhere_have_the_same_parts(begun: Path, colours: Path, tmp_path) -> None:
    first = with_data(_opened(begun, colours))
    again = with_data(_opened(begun, Path(shutil.copytree(colours, tmp_path / 'elsewhere'))))
    assert _images(again, 'test') == _images(first, 'test')
    archive = shutil.make_archive(str(tmp_path / 'colours'), 'zip', colours)
    assert _images(with_data(_opened(begun, Path(archive))), 'test') == _images(first, 'test')


def test_files_that_were_numbered_anew_are_refused(begun: Path, colours: Path, tmp_path) -> None:
    """The names are those of the test, and so is their digest; the images were trained on."""
    learnt = _images(with_data(_opened(begun, colours)), 'train')
    learnt |= _images(with_data(_opened(begun, colours)), 'validation')
    other = _numbered_anew(colours, tmp_path / 'other', 7)
    run = runs.prepare(_config(other), begun)
    num = sum(image in learnt for image in _images(run, 'test'))
    assert num > 3
    pattern = f'12 of 12 test images had other names, and the run has learnt from {num} of them'
    with pytest.raises(UserError, match=pattern):
        with_data(_opened(begun, other))
    before = {file.name: file.read_bytes() for file in begun.iterdir()}
    with pytest.raises(UserError, match=pattern):
        check_data(run)
    assert {file.name: file.read_bytes() for file in begun.iterdir()} == before


def _renamed(root: Path, folder: Path) -> Path:
    """Each file by another name, so that their order is another one too."""
    copy = Path(shutil.copytree(root, folder))
    for file in sorted(copy.rglob('*.png')):
        file.rename(file.with_name(f'new_{int(file.stem) * 7 % NUM:02d}_.png'))
    return copy


def test_renamed_files_are_found_by_their_pixels(
    begun: Path, colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each part has the images that it had, in their order; others are in none."""
    copy = _renamed(colours, tmp_path / 'renamed')
    rng = np.random.default_rng(5)
    for number in range(3):
        image = rng.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(image).save(copy / 'lake' / f'added_{number}.png')
    first, again = (with_data(_opened(begun, root)) for root in (colours, copy))
    assert 'found by their pixels' in capsys.readouterr().err
    for part, places in again.splits._asdict().items():
        before = first.dataset.subset(getattr(first.splits, part))
        now = again.dataset.subset(places)
        np.testing.assert_array_equal(now.images, before.images)
        np.testing.assert_array_equal(now.labels, before.labels)
    with pytest.raises(UserError, match='train is not that of this data'):  # the order is another
        check_data(runs.prepare(_config(copy), begun))


def test_renamed_files_of_which_one_is_gone_or_in_another_class_are_refused(
    begun: Path, colours: Path, tmp_path: Path
) -> None:
    test = next(iter(_images(with_data(_opened(begun, colours)), 'test')))
    for name in ('gone', 'moved'):
        copy = _renamed(colours, tmp_path / name)
        (file,) = (
            file for file in copy.rglob('*.png')
            if np.asarray(Image.open(file)).tobytes() == test
        )  # fmt: skip
        other = 'lake' if file.parent.name == 'brick' else 'brick'
        file.rename(copy / other / 'moved.png') if name == 'moved' else file.unlink()
        run = runs.prepare(_config(copy), tmp_path)
        learnt = _images(with_data(_opened(begun, colours)), 'train')
        learnt |= _images(with_data(_opened(begun, colours)), 'validation')
        num = sum(image in learnt for image in _images(run, 'test'))
        pattern = f'not that of this data.*would be the test the run has learnt from {num}$'
        with pytest.raises(UserError, match=pattern):
            with_data(_opened(begun, copy))


def test_edited_images_are_told_of_and_no_more(
    begun: Path, colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(colours, tmp_path / 'edited'))
    for file in copy.rglob('*.png'):
        pixels = np.asarray(Image.open(file)) ^ np.uint8(1)
        Image.fromarray(pixels).save(file)
    with_data(_opened(begun, copy))
    assert '12 of 12 test images have the same names' in capsys.readouterr().err


def test_a_run_without_contents_goes_by_names(begun: Path, colours: Path, tmp_path) -> None:
    folder = Path(shutil.copytree(begun, tmp_path / 'old'))
    (folder / FILE).unlink()
    with_data(_opened(folder, _numbered_anew(colours, tmp_path / 'other', 7)))
    (folder / FILE).write_bytes(b'PK\x03\x04')
    with pytest.raises(UserError, match=rf'{FILE} is damaged.*: delete it'):
        with_data(_opened(folder, colours))


def test_other_folders_leave_out_what_was_learnt_from(
    begun: Path, colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By any name, in any folder; the run's own validation images chose its best state."""
    run = _opened(begun, colours)
    mixed = tmp_path / 'mixed'
    for number, file in enumerate(sorted(colours.rglob('*.png'))):
        (mixed / file.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, mixed / file.parent.name / f'new_{97 * number % 101}.png')
    labelled = read_labelled(mixed, run)
    kept = {np.asarray(image).tobytes() for image in labelled.images[:]}
    assert kept == _images(with_data(run), 'test')
    assert 'has learnt from 48 of 60 images: they are left out' in capsys.readouterr().err
    assert read_labelled(mixed, run, with_learnt=True).places.num == 60
    for file in mixed.rglob('*.png'):
        if np.asarray(Image.open(file)).tobytes() in kept:
            file.unlink()
    with pytest.raises(UserError, match=r'learnt from 48 of 48 images: none is left.*with_learnt'):
        read_labelled(mixed, run)


def test_renamed_classes_are_refused_or_mapped(begun: Path, colours: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(colours, tmp_path / 'copy'))
    (copy / 'forest').rename(copy / 'wood')
    with pytest.raises(UserError, match=r'brick, forest, lake.*say --class_folders=wood=forest'):
        with_data(_opened(begun, copy))
    first = with_data(_opened(begun, colours))
    mapped = with_data(_opened(begun, copy, class_folders='wood=forest'))
    assert mapped.dataset.class_names == tuple(COLOURS)
    assert mapped.dataset.names == first.dataset.names
    np.testing.assert_array_equal(mapped.dataset.labels, first.dataset.labels)
    np.testing.assert_array_equal(mapped.dataset.images, first.dataset.images)
    with pytest.raises(UserError, match=r"unknown class folder 'wood'.*--class_folders"):
        read_labelled(copy, _opened(begun, colours))
    run = _opened(begun, colours, class_folders='wood=forest')
    labelled = read_labelled(copy, run, with_learnt=True)
    np.testing.assert_array_equal(labelled.labels, first.dataset.labels)
    with pytest.raises(UserError, match=r'class_folders=wood=forest'):
        check_data(runs.prepare(_config(copy), begun))
    check_data(runs.prepare(_config(copy, class_folders='wood=forest'), begun))
    # Two folders that have exchanged their names: the classes are the same, the images are not.
    (copy / 'wood').rename(copy / 'away')
    (copy / 'lake').rename(copy / 'forest')
    (copy / 'away').rename(copy / 'lake')
    with pytest.raises(UserError, match='8 of 12 test images had other names'):
        with_data(_opened(begun, copy))


@pytest.mark.parametrize('text', ['wood', 'wood=', 'wood=forest,wood=lake', 'a=lake,b=lake'])
def test_a_table_of_folders_that_is_none(colours: Path, text: str) -> None:
    with pytest.raises(UserError, match=r'data\.class_folders'):
        runs.prepare(_config(colours, class_folders=text), Path('unused'))


def test_two_folders_of_one_class_are_refused(colours: Path) -> None:
    with pytest.raises(UserError, match="brick and forest are both of 'forest'"):
        runs.prepare(_config(colours, class_folders='brick=forest'), Path('unused'))


def test_images_on_disk_are_known_all_that_are_learnt_from_and_some_of_the_test(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, 'MOST_READ', 9)
    config = _config(colours)
    config.data.resident_gigabytes = 0.0
    run = runs.prepare(config, tmp_path)
    write_beginning(run)
    with np.load(tmp_path / FILE) as kept:
        assert {name: len(values) for name, values in kept.items()} == {
            'data_train': 42, 'data_validation': 6, 'data_test': 9, 'data_train_labels': 42,
            'data_validation_labels': 6, 'data_test_labels': 9, 'data_labelled': 42,
        }  # fmt: skip
    (tmp_path / 'config.json').write_text(to_json(config))
    labelled = read_labelled(colours, open_untrained(config, tmp_path))
    assert {image.tobytes() for image in labelled.images[:]} == _images(run, 'test')
    other = _numbered_anew(colours, tmp_path / 'other', 7)
    config.data.root = str(other)
    with pytest.raises(UserError, match=r'of 9 test images had other names'):
        with_data(open_untrained(config, tmp_path))
    assert json.loads((tmp_path / 'splits.json').read_text())['parts']['test']['places'] == 12


def test_images_that_are_not_known_by_their_pixels_are_told_of(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(contents, '_PIXELS_LEARNT', 20 * 64)
    config = _config(colours)
    config.data.resident_gigabytes = 0.0
    write_beginning(runs.prepare(config, tmp_path))
    run = open_untrained(config, tmp_path)
    assert read_labelled(colours, run).places.num == 60 - 26
    said = capsys.readouterr().err
    assert 'knows only 26 of the 48 images that it has learnt from by their pixels' in said
    assert 'has learnt from 26 of 60 images: they are left out' in said
    (tmp_path / FILE).unlink()
    assert read_labelled(colours, run).places.num == 60
    assert 'knows only 0 of the 48 images' in capsys.readouterr().err


def test_a_run_kept_in_memory_opens_on_disk_with_few_images_read(
    begun: Path, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, 'MOST_READ', 5)
    config, read = _config(colours), []
    config.data.resident_gigabytes = 0.0
    hashed = contents.hashes
    monkeypatch.setattr(
        contents, 'hashes', lambda data, places: read.append(len(places)) or hashed(data, places)
    )
    with_data(open_untrained(config, begun))
    assert read == [5, 5, 5]


def test_contents_of_an_earlier_version_without_labels(
    begun: Path, colours: Path, tmp_path
) -> None:
    folder = Path(shutil.copytree(begun, tmp_path / 'old'))
    with np.load(folder / FILE) as kept:
        fewer = {name: values for name, values in kept.items() if 'label' not in name}
    np.savez(folder / FILE, **fewer)  # type: ignore[arg-type]
    with_data(_opened(folder, colours))
    check_data(runs.prepare(_config(colours), folder))
    with pytest.raises(UserError, match='12 of 12 test images had other names'):
        with_data(_opened(folder, _numbered_anew(colours, tmp_path / 'other', 7)))
    with pytest.raises(UserError, match='is not that of this data'):
        with_data(_opened(folder, _renamed(colours, tmp_path / 'renamed')))


def test_one_more_blank_image_is_an_edit(
    colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two training images are blank from the start, and a test image is now."""
    root, folder = Path(shutil.copytree(colours, tmp_path / 'data')), tmp_path / 'run'
    folder.mkdir()
    run = runs.prepare(_config(root), folder)
    blank = np.zeros((8, 8, 3), np.uint8)
    for place in run.splits.train[:2]:
        Image.fromarray(blank).save(root / run.dataset.names[place])
    write_beginning(runs.prepare(_config(root), folder))
    Image.fromarray(blank).save(root / run.dataset.names[run.splits.test[0]])
    with_data(_opened(folder, root))
    said = capsys.readouterr().err
    assert '1 of 12 test images have the same names' in said
    assert '1 of them are now like images that it has learnt from' in said


def test_another_seed_is_no_renaming(begun: Path, colours: Path, tmp_path: Path) -> None:
    config = _config(colours)
    config.seed = 5
    with pytest.raises(UserError, match=r'seed was 0 and is 5'):
        with_data(open_untrained(config, begun))
    folder = Path(shutil.copytree(begun, tmp_path / 'damaged'))
    (folder / 'splits.json').write_text('{')
    with pytest.raises(UserError, match='not a record of splits'):
        with_data(_opened(folder, colours))


def test_equal_images_with_labels_of_pixels_are_not_found_by_their_pixels(tmp_path: Path) -> None:
    """Which of two blank tiles has which label map, nobody knows once their names are gone."""
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (4, 8, 8, 3), np.uint8)

    def domain(images: np.ndarray, letter: str) -> Domain:
        titles = [f'{letter}{i}' for i in range(4)]
        dataset = image_dataset(images, np.full(4, -1, np.int32), titles, ('a', 'b'))
        dataset = dataset.with_facts(label='pixel')
        parts = Splits(*(np.array(part, np.int32) for part in ([0, 1], [2], [3], [0, 1], [])))
        return Domain(dataset, parts, ('a', 'b'), record_of(parts, dataset, Rule(0)))

    for name, same in (('unlike', False), ('equal', True)):
        folder = tmp_path / name
        folder.mkdir()
        if same:
            images[3] = images[0]
        domains.keep({'data': domain(images, 'a')}, folder)
        run_contents.keep({'data': domain(images, 'a')}, folder)
        again = run_contents.by_contents(folder, 'data', domain(images[::-1], 'b'))
        assert (again is None) == same
        if again is not None:
            np.testing.assert_array_equal(again.dataset.images, images)


def test_a_table_of_folders_for_data_without_them_is_refused(tmp_path: Path) -> None:
    config = base_config('supervised', 'convnet', 'landscapes')
    config.data.class_folders = 'wood=forest'
    with pytest.raises(UserError, match=r"data\.class_folders .*'landscapes'.*leave it empty"):
        runs.prepare(config, tmp_path)


def test_a_run_that_began_with_other_spellings_or_fewer_suffixes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its names are as macOS stores them; its data have a preview that was not read then."""
    root, folder, rng = tmp_path / 'data', tmp_path / 'run', np.random.default_rng(3)
    for name in ('forêt', 'lac'):
        (root / name).mkdir(parents=True)
        for number in range(12):
            image = rng.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(image).save(root / name / f'é{number:02d}.png')
    with monkeypatch.context() as before:
        before.setattr(names, 'readable', lambda name: normalize('NFD', name))
        write_beginning(runs.prepare(_config(root), folder))
    (folder / FILE).unlink()
    kept = json.loads((folder / 'splits.json').read_text())['parts']['test']['sha256']
    (tmp_path / 'fresh').mkdir()
    digests = []
    for run in (runs.prepare(_config(root), tmp_path / 'fresh'), with_data(_opened(folder, root))):
        assert run.domains is not None
        digests.append(run.domains['data'].record.parts['test'].sha256)
    assert digests[0] != kept
    assert digests[1] == kept
    check_data(runs.prepare(_config(root), folder))
    Image.fromarray(image).save(root / 'lac' / 'preview.gif')
    with pytest.raises(UserError, match=r'that end in \.gif, and 1 are .* lac/preview\.gif: move'):
        with_data(_opened(folder, root))
