"""EuroSAT and UC Merced in their true layouts, and the download with its checksum."""

from __future__ import annotations

import functools
import hashlib
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from eojax.data.reading.download import Archive
from eojax.data.reading.published_images import describe_counts, load_published
from eojax.data.sets import eurosat, ucmerced
from eojax.errors import UserError
from tests.data.labelled_archives import encode, eurosat_members, pixels, write_tree, write_zip
from tests.real_data import real_data


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('EOJAX_CACHE', str(tmp_path / 'cache'))


@pytest.mark.parametrize('top', ['2750', 'EuroSAT_RGB', 'x/y'])
@pytest.mark.parametrize('write', [write_zip, write_tree])
def test_layouts_give_the_same_data_set(tmp_path: Path, top: str, write) -> None:
    dataset = load_published(
        eurosat.EUROSAT, write(tmp_path / 'root.zip', eurosat_members(top=top)), progress=False
    )
    assert dataset.images.shape == (20, 64, 64, 3)
    assert dataset.class_names == eurosat.CLASS_NAMES
    assert dataset.bands == ('red', 'green', 'blue')
    assert dataset.names[:2] == ('AnnualCrop/AnnualCrop_1.jpg', 'AnnualCrop/AnnualCrop_2.jpg')
    np.testing.assert_array_equal(dataset.labels, np.repeat(np.arange(10), 2))
    # JPEG is lossy, so the smooth originals come back nearly.
    difference = dataset.images[5].astype(float) - pixels(201)
    assert abs(difference).mean() < 3


def test_class_folders_themselves_are_a_root(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / 'tree', eurosat_members())
    assert load_published(eurosat.EUROSAT, tree / '2750', progress=False).images.shape[0] == 20


def test_counts_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = eurosat_members()
    del content['2750/River/River_2.jpg']
    load_published(eurosat.EUROSAT, write_zip(tmp_path / 'EuroSAT.zip', content))
    error = capsys.readouterr().err
    assert 'EuroSAT.zip: 19 images (AnnualCrop 2,' in error
    assert 'River 1,' in error


def test_refusals(tmp_path: Path) -> None:
    content = eurosat_members()
    without = {name: data for name, data in content.items() if '/River/' not in name}
    with pytest.raises(UserError, match="no images of class 'River'"):
        load_published(eurosat.EUROSAT, write_zip(tmp_path / 'a.zip', without), progress=False)
    small = content | {'2750/River/River_9.jpg': encode(pixels(0, 32, 32), 'JPEG')}
    with pytest.raises(UserError, match=r'River_9\.jpg: 32x32 pixels; expected 64x64'):
        load_published(eurosat.EUROSAT, write_zip(tmp_path / 'b.zip', small), progress=False)
    wrong = content | {'2750/SeaLakes/a.jpg': content['2750/SeaLake/SeaLake_1.jpg']}
    with pytest.raises(UserError, match="'SeaLakes'; did you mean 'SeaLake'"):
        load_published(eurosat.EUROSAT, write_zip(tmp_path / 'c.zip', wrong), progress=False)
    with pytest.raises(UserError, match="unknown data source 'tfd'; did you mean 'tfds'"):
        load_published(eurosat.EUROSAT, tmp_path, 'tfd')
    with pytest.raises(UserError, match='0 pixels'):
        load_published(eurosat.EUROSAT, tmp_path, size=0)


def test_size_resamples(tmp_path: Path) -> None:
    path = write_zip(tmp_path / 'EuroSAT.zip', eurosat_members())
    full, half = (
        load_published(eurosat.EUROSAT, path, size=size, progress=False).images[:]
        for size in (64, 32)
    )
    assert half.shape == (20, 32, 32, 3)
    blocks = full.reshape(20, 32, 2, 32, 2, 3).mean((2, 4))
    assert abs(half - blocks).max() < 6


def test_uc_merced_takes_odd_sizes(tmp_path: Path) -> None:
    content = {
        f'UCMerced_LandUse/Images/{name}/{name}{i:02}.tif': encode(pixels(i, 256 - i, 256), 'TIFF')
        for name in ucmerced.CLASS_NAMES
        for i in range(2)
    }
    content['UCMerced_LandUse/readme.txt'] = b''
    dataset = load_published(
        ucmerced.UCMERCED, write_zip(tmp_path / 'uc.zip', content), progress=False
    )
    assert dataset.images.shape == (42, 64, 64, 3)
    assert dataset.names[-1] == 'tenniscourt/tenniscourt01.tif'


class Server(http.server.ThreadingHTTPServer):
    """Serves one folder and counts what it is asked for."""

    num_requests = 0


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.num_requests += 1  # type: ignore[attr-defined]
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / 'served'
    folder.mkdir()
    write_zip(folder / 'EuroSAT.zip', eurosat_members())
    handler = functools.partial(Handler, directory=str(folder))
    with Server(('127.0.0.1', 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={'poll_interval': 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def _publish(monkeypatch: pytest.MonkeyPatch, url: str, sha256: str) -> None:
    archive = Archive(url, 94_280_567, sha256)
    monkeypatch.setattr(eurosat, 'EUROSAT', eurosat.EUROSAT._replace(archive=archive))


def test_download_is_checked_and_kept(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    data = (tmp_path / 'served' / 'EuroSAT.zip').read_bytes()
    url = f'http://127.0.0.1:{server.server_port}/EuroSAT.zip'
    _publish(monkeypatch, url, hashlib.sha256(data).hexdigest())
    assert load_published(eurosat.EUROSAT).images.shape == (20, 64, 64, 3)
    assert '100%' in capsys.readouterr().err
    assert (tmp_path / 'cache' / 'downloads' / 'EuroSAT.zip').read_bytes() == data
    load_published(eurosat.EUROSAT, '', progress=False)
    assert server.num_requests == 1


def test_download_with_another_checksum_is_refused(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    _publish(monkeypatch, f'http://127.0.0.1:{server.server_port}/EuroSAT.zip', '0' * 64)
    with pytest.raises(UserError, match=r'not the published file .*SHA-256 differs'):
        load_published(eurosat.EUROSAT, progress=False)
    assert not list((tmp_path / 'cache' / 'downloads').iterdir())
    _publish(monkeypatch, f'http://127.0.0.1:{server.server_port}/gone.zip', '0' * 64)
    with pytest.raises(UserError, match=r'gone\.zip cannot be downloaded: 404'):
        load_published(eurosat.EUROSAT, progress=False)


def test_without_a_network_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound but not listening: connections are refused
        taken.bind(('127.0.0.1', 0))
        url = f'http://127.0.0.1:{taken.getsockname()[1]}/EuroSAT.zip'
        _publish(monkeypatch, url, '0' * 64)
        with pytest.raises(UserError) as caught:
            load_published(eurosat.EUROSAT, progress=False)
    message = str(caught.value)
    assert 'no connection' in message
    assert url in message
    assert '94 MB' in message
    assert '--config.data.root=PATH/EuroSAT.zip' in message
    assert '\n' not in message


def test_download_folder_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'file').touch()
    monkeypatch.setenv('EOJAX_CACHE', str(tmp_path / 'file'))
    with pytest.raises(UserError, match=r'cannot be kept in .*EOJAX_CACHE'):
        load_published(eurosat.EUROSAT, progress=False)


def test_published_facts_are_those_of_tfds() -> None:
    tfds = pytest.importorskip('tensorflow_datasets')
    folder = Path(tfds.__file__).parent / 'url_checksums'
    for images, file in ((eurosat.EUROSAT, 'eurosat.txt'), (ucmerced.UCMERCED, 'uc_merced.txt')):
        rows = [line.split('\t') for line in (folder / file).read_text().splitlines()]
        archive = images.archive
        assert [archive.url, str(archive.num_bytes), archive.sha256] in [row[:3] for row in rows]


def test_counts_in_words(tmp_path: Path) -> None:
    dataset = load_published(
        eurosat.EUROSAT, write_zip(tmp_path / 'e.zip', eurosat_members(1)), progress=False
    )
    line = describe_counts(dataset.subset(np.arange(3)))
    assert line.startswith('3 images (AnnualCrop 1, Forest 1, HerbaceousVegetation 1, Highway 0,')


@pytest.mark.parametrize(
    ('module', 'images', 'name', 'num'),
    [
        (eurosat, eurosat.EUROSAT, 'EuroSAT_RGB.zip', 21531),
        (ucmerced, ucmerced.UCMERCED, 'ucmerced_64.zip', 2100),
    ],
)
def test_real_archive(module, images, name: str, num: int) -> None:
    dataset = load_published(images, real_data(name), progress=False, cache=False)
    assert dataset.images.shape == (num, 64, 64, 3)
    assert dataset.names == tuple(sorted(set(dataset.names)))
    pixels_of_some = dataset.images[::5].reshape(-1, 3) / np.float32(255)
    np.testing.assert_allclose(pixels_of_some.mean(0, dtype=float), module.MEAN, atol=5e-3)
    np.testing.assert_allclose(pixels_of_some.std(0, dtype=float), module.STD, atol=5e-3)
