from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.special import softmax

from eojax.apps.predict import command as predict
from eojax.evaluation.predictions.rows import rows_of, training_of
from eojax.evaluation.reference import reference_scores
from eojax.evaluation.scoring import score_all
from tests.data.rasters import write_raster
from tests.tiny_runs import TinyRun, tiny_run


@pytest.fixture(scope='module')
def jem(tmp_path_factory) -> TinyRun:
    """A copy, since the scores of training images are kept in the run's folder."""
    case = tiny_run('jem')
    folder = tmp_path_factory.mktemp('runs') / 'jem'
    shutil.copytree(case.folder, folder)
    return case._replace(run=case.run._replace(folder=folder), folder=folder)


@pytest.fixture(scope='module')
def images(jem, tmp_path_factory) -> Path:
    """Test images at two depths, one a georeferenced TIFF, and one in an archive."""
    folder = tmp_path_factory.mktemp('images')
    (folder / 'deep' / 'er').mkdir(parents=True)
    pixels = jem.run.dataset.images[jem.run.splits.test[:5]]
    Image.fromarray(pixels[0]).save(folder / 'a.png')
    Image.fromarray(pixels[1]).save(folder / 'deep' / 'b.png')
    write_raster(folder / 'deep' / 'er' / 'c.tif', pixels[2])
    Image.fromarray(pixels[3]).save(folder / 'd.png')
    with zipfile.ZipFile(folder / 'more.zip', 'w') as archive:
        archive.write(folder / 'd.png', 'in/d.png')
    (folder / 'd.png').unlink()
    return folder


def _predict(jem: TinyRun, out: Path, *options: str) -> Path:
    predict.main([f'--workdir={jem.folder}', f'--out={out}', *options])
    return out


def test_a_row_an_image_with_the_numbers_of_the_run(jem, images, tmp_path, capsys):
    given = [f'--images={images}', f'--images={images / "more.zip"}', '--top=2']
    table = pd.read_csv(_predict(jem, tmp_path / 'p.csv', *given))
    names = ['a.png', 'deep/b.png', 'deep/er/c.tif', 'more.zip/in/d.png']
    assert list(table['file']) == [f'{images}/{name}' for name in names]

    stored = jem.run.dataset.images[jem.run.splits.test[:4]]
    scores = score_all(jem.run, ('logits', 'log_density'), jem.state, stored)
    probabilities = softmax(scores['logits'].astype(np.float64), -1)
    classes = np.array(jem.run.facts.class_names)
    second = np.argsort(probabilities, -1)[:, -2]
    assert list(table['class']) == list(classes[probabilities.argmax(-1)])
    assert list(table['class_2']) == list(classes[second])
    np.testing.assert_allclose(table['probability'], probabilities.max(-1), rtol=1e-5)
    np.testing.assert_allclose(table['log_density'], scores['log_density'], rtol=1e-5)
    train = reference_scores(jem.run, jem.state, ('log_density',))['log_density']
    below = [(train <= value).mean() * 100 for value in scores['log_density']]
    np.testing.assert_allclose(table['percentile'], below, rtol=1e-5)
    assert list(table['unseen']) == list(scores['log_density'] < np.percentile(train, 1.0))
    # 8 pixels of 10 m from the corner at 600 km, 5,300 km in UTM's zone 32.
    assert table['longitude'].notna().tolist() == [False, False, True, False]
    assert table['longitude'][2] == pytest.approx(10.338, abs=0.002)
    assert table['latitude'][2] == pytest.approx(47.844, abs=0.002)

    said = capsys.readouterr()
    assert 'trained on drawn landscapes, not on real images' in said.err
    summary = json.loads((tmp_path / 'p.summary.json').read_text())
    assert summary['synthetic']
    assert summary['images'] == sum(summary['classes'].values()) == 4
    assert summary['unseen'] == table['unseen'].sum()


def test_a_classifier_alone_counts_nothing_unseen(images, tmp_path):
    out = _predict(tiny_run('supervised'), tmp_path / 'p.csv', f'--images={images / "a.png"}')
    assert 'unseen' not in pd.read_csv(out)
    summary = json.loads((tmp_path / 'p.summary.json').read_text())
    assert not {'unseen', 'percentile'} & summary.keys()


def test_parquet_and_geojson_hold_the_same_rows(jem, images, tmp_path):
    given = [f'--images={images / "deep"}']
    table = pd.read_csv(_predict(jem, tmp_path / 'p.csv', *given))
    stored = pd.read_parquet(_predict(jem, tmp_path / 'p.parquet', *given))
    pd.testing.assert_frame_equal(stored, table, check_dtype=False)
    features = json.loads(_predict(jem, tmp_path / 'p.geojson', *given).read_text())['features']
    assert [one['properties']['file'] for one in features] == list(table['file'])
    assert features[0]['geometry'] is None
    ring = np.array(features[1]['geometry']['coordinates'][0])
    np.testing.assert_allclose(
        ring.min(0), [table['longitude'][1], table['latitude'][1]], atol=2e-3
    )
    assert (ring[0] == ring[-1]).all()


def test_broken_images_are_named_and_the_others_written(jem, images, tmp_path, capsys):
    folder = tmp_path / 'some'
    folder.mkdir()
    shutil.copy(images / 'a.png', folder)
    (folder / 'b.png').write_bytes((images / 'a.png').read_bytes()[:100])
    Image.fromarray(np.zeros((20, 16, 3), np.uint8)).save(folder / 'c.png')
    (folder / 'list.txt').write_text('# of mine\na.png\n\nc.png\nnone.png\n')
    with pytest.raises(SystemExit) as end:
        _predict(jem, tmp_path / 'p.csv', f'--images={folder}')
    assert end.value.code == 1
    assert list(pd.read_csv(tmp_path / 'p.csv')['file']) == [f'{folder}/a.png']
    said = capsys.readouterr().err
    assert f'{folder}/b.png: broken image' in said
    assert f'{folder}/c.png: 16x20 pixels; the run was trained on images of 16x16' in said
    assert '2 of 3 images could not be read' in said

    given = (f'--list={folder / "list.txt"}', '--skip_broken', '--resize')
    assert list(pd.read_csv(_predict(jem, tmp_path / 'p.csv', *given))['file']) == [
        'a.png', 'c.png',
    ]  # fmt: skip
    with pytest.raises(SystemExit) as end:
        _predict(jem, tmp_path / 'none.csv', f'--images={folder / "b.png"}')
    assert end.value.code == 1
    assert not (tmp_path / 'none.csv').exists()


def test_ranks_and_percentiles():
    logits = np.log(np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]]))
    training = training_of(np.arange(100.0), 10.0)
    rows = list(rows_of(logits, np.array([9.5, 50.0]), ['a', 'b', 'c'], 2, training))
    assert [row['class'] for row in rows] == ['b', 'a']
    assert [row['class_2'] for row in rows] == ['c', 'b']
    assert rows[0]['probability'] == pytest.approx(0.5)
    # 10 of 100 training images, 0 to 9, are below 9.5, and the 10th percentile is 9.9.
    assert [row['percentile'] for row in rows] == [10.0, 51.0]
    assert [row['unseen'] for row in rows] == [True, False]
