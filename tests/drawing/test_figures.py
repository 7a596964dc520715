from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eojax.drawing import figures
from eojax.drawing import style as drawing
from eojax.errors import UserError
from eojax.metrics.calibration import reliability_curve, wilson_interval


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == 'PNG'
        return np.asarray(image.convert('RGB'))


def _probabilities(num: int = 300) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.dirichlet(np.full(4, 0.3), num), generator.integers(0, 4, num)


def _holds_block(picture: np.ndarray, block: np.ndarray) -> bool:
    windows = np.lib.stride_tricks.sliding_window_view(picture, block.shape)
    first = np.argwhere((picture[..., :] == block[0, 0]).all(axis=-1))
    height, width = windows.shape[:2]
    return any(
        np.array_equal(windows[y, x, 0], block) for y, x in first if y < height and x < width
    )


@pytest.mark.parametrize('labels', [None, ['AnnualCrop', 'SeaLake']])
def test_grid_enlarges_every_pixel_by_the_same_whole_factor(tmp_path, labels):
    images = np.random.default_rng(0).integers(0, 255, (2, 3, 13, 13, 3), dtype=np.uint8)
    path = tmp_path / 'grid.png'
    columns = None if labels is None else ['a', 'a name far wider than one image', 'c']
    figures.image_grid(images, path, row_labels=labels, column_labels=columns, title='Samples')
    picture = _pixels(path)
    for image in images.reshape(6, 13, 13, 3):
        assert _holds_block(picture, image.repeat(8, axis=0).repeat(8, axis=1))


def test_labels_take_room_of_their_own(tmp_path):
    images = np.zeros((2, 2, 64, 64, 3), np.uint8)
    figures.image_grid(images, tmp_path / 'plain.png')
    figures.image_grid(images, tmp_path / 'named.png', row_labels=['River', 'HerbaceousVegetation'])
    plain, named = _pixels(tmp_path / 'plain.png'), _pixels(tmp_path / 'named.png')
    assert named.shape[1] > plain.shape[1] + 100
    # Dark pixels of the text, none of them cut off by the left edge.
    assert (named[:, : named.shape[1] - plain.shape[1]] < 100).any()
    assert (named[:, :4] == 255).all()


def test_grey_images_are_drawn_grey(tmp_path):
    images = np.full((1, 1, 8, 8, 1), 90, np.uint8)
    figures.image_grid(images, tmp_path / 'grey.png')
    picture = _pixels(tmp_path / 'grey.png')
    assert (picture[picture.shape[0] // 2, picture.shape[1] // 2] == 90).all()


def test_filmstrip_has_a_chain_in_each_row(tmp_path):
    frames = np.zeros((5, 2, 32, 32, 3), np.uint8)
    figures.filmstrip(frames, [0, 1, 5, 20, 1000], tmp_path / 'film.png')
    height, width, _ = _pixels(tmp_path / 'film.png').shape
    assert width > 5 * 96
    assert 2 * 96 < height < 3 * 96


def test_confusion_matrix_shades_the_share_of_the_true_class(tmp_path):
    path = tmp_path / 'confusion.png'
    figures.confusion_matrix(np.array([[5, 0], [0, 500]]), ['few', 'many'], path)
    dark = (_pixels(path).astype(int) @ [1, 1, 1] < 200).sum()
    figures.confusion_matrix(np.array([[0, 0], [500, 0]]), ['none', 'wrong'], path)
    assert dark > 1.5 * (_pixels(path).astype(int) @ [1, 1, 1] < 200).sum()


@pytest.mark.parametrize('num_classes', [2, 21])
def test_confusion_matrix_of_any_number_of_classes(tmp_path, num_classes):
    path = tmp_path / 'confusion.png'
    matrix = np.random.default_rng(0).integers(0, 9, (num_classes, num_classes))
    figures.confusion_matrix(matrix, [f'class {i}' for i in range(num_classes)], path)
    assert _pixels(path).std() > 10


def _has_colour(picture: np.ndarray, colour: str) -> bool:
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((np.abs(picture.astype(int) - wanted).max(axis=-1) <= 2).any())


def test_each_curve_has_its_colour(tmp_path):
    curve = reliability_curve(*_probabilities())
    figures.reliability_diagram({'one': curve}, tmp_path / 'one.png')
    figures.reliability_diagram({'one': curve, 'two': curve}, tmp_path / 'two.png')
    assert not _has_colour(_pixels(tmp_path / 'one.png'), figures.COLOURS[1])
    assert _has_colour(_pixels(tmp_path / 'two.png'), figures.COLOURS[1])


def test_histogram_stays_legible_beside_a_set_that_is_far_away(tmp_path):
    generator = np.random.default_rng(0)
    train = generator.normal(10, 1, 1000)
    path = tmp_path / 'density.png'
    figures.log_density_histogram({'train': train, 'test': train + 0.5}, path)
    near = _pixels(path)
    figures.log_density_histogram({'train': train, 'noise': np.full(50, -1e9)}, path)
    for picture in (near, _pixels(path)):
        assert _has_colour(picture, figures.COLOURS[0])
        columns = np.flatnonzero((picture != picture[0, 0]).any(axis=(0, 2)))
        assert len(columns) > 200
    figures.log_density_histogram({'constant': np.zeros(5)}, path)


def _texts(monkeypatch, draw) -> list[str]:
    """All text of a figure."""
    kept: list[drawing.Figure] = []
    monkeypatch.setattr(
        figures, 'save_figure', lambda figure, path, crop=False: kept.append(figure)
    )
    draw()
    return [text.get_text() for text in kept[0].findobj(drawing.Text) if text.get_text()]


def test_a_histogram_counts_what_lies_beyond_its_axis(monkeypatch):
    train = np.linspace(0.0, 10.0, 1001)
    scores = {'train': train, 'noise': np.r_[np.full(7, -1e9), np.full(43, 5.0)], 'near': train}
    texts = _texts(monkeypatch, lambda: figures.log_density_histogram(scores, 'x.png'))
    (noise,) = [text for text in texts if text.startswith('noise')]
    assert '7 of 50 beyond left' in noise
    assert 'right' not in noise
    assert 'near' in texts
    low, high, _ = drawing.score_bins(list(scores.values()), 24)
    assert -12 < low < 0
    assert 10 < high < 12


def test_histograms_of_several_models_have_the_same_bins(monkeypatch, tmp_path):
    near, far = np.linspace(0.0, 1.0, 101), np.linspace(8.0, 10.0, 101)
    edges = figures.common_bins([near, far])
    assert edges[0] < 0.0
    assert edges[-1] > 10.0
    # As fine as the narrowest needs: 24 bins over its width.
    assert 1 / 30 < edges[1] - edges[0] < 1 / 20
    panels = {'one': {'training': near, 'test': near}, 'other': {'training': far}}
    texts = _texts(monkeypatch, lambda: figures.log_density_panels(panels, 'x.png', edges))
    assert {'one', 'other', 'training', 'test'} <= set(texts)
    # Of samples that do not vary, bins stay so many as can be drawn.
    assert len(figures.common_bins([np.zeros(9), np.ones(9)])) < 400


def test_labels_of_columns_have_lines(tmp_path):
    images = np.zeros((1, 2, 8, 8, 3), np.uint8)
    for name, labels in (('one', ['a', 'b']), ('two', ['a', 'b\nc'])):
        figures.image_grid(images, tmp_path / f'{name}.png', column_labels=labels)
    heights = [Image.open(tmp_path / f'{name}.png').height for name in ('one', 'two')]
    assert 10 < heights[1] - heights[0] < 30


def test_a_reliability_bin_says_how_many_images_it_holds(monkeypatch):
    probabilities = np.array([[0.95, 0.05]] * 1200 + [[0.55, 0.45]] * 30)
    curve = reliability_curve(probabilities, np.zeros(1230, int))
    texts = _texts(monkeypatch, lambda: figures.reliability_diagram({'test': curve}, 'x.png'))
    assert {' 1.2k', ' 30'} <= set(texts)


def test_interval_of_a_share_is_wilsons():
    low, high = wilson_interval(np.array([0.0, 0.5, 1.0]), np.array([10, 100, 10]))
    np.testing.assert_allclose(low, [0.0, 0.4038, 0.7225], atol=1e-4)
    np.testing.assert_allclose(high, [0.2775, 0.5962, 1.0], atol=1e-4)


def test_shares_are_whole_per_cents_and_none_is_rounded_to_nothing_or_all(monkeypatch):
    matrix = np.array([[999, 1], [400, 600]])
    texts = _texts(monkeypatch, lambda: figures.confusion_matrix(matrix, ['a', 'b'], 'x.png'))
    assert {'>99%', '<1%', '40%', '60%'} <= set(texts)


def test_a_class_that_no_image_has_is_said_to_have_none(monkeypatch):
    matrix = np.array([[3, 1], [0, 0]])
    texts = _texts(monkeypatch, lambda: figures.confusion_matrix(matrix, ['a', 'b'], 'x.png'))
    assert {'a  (4)', 'b  (0)'} <= set(texts)


def test_figures_for_print_lie_beside_the_png(tmp_path, monkeypatch):
    monkeypatch.setenv(drawing.KINDS_VARIABLE, 'svg, PDF')
    figures.confusion_matrix(np.eye(2, dtype=int), ['a', 'b'], tmp_path / 'm.png')
    assert (tmp_path / 'm.svg').read_text().lstrip().startswith('<?xml')
    assert (tmp_path / 'm.pdf').read_bytes().startswith(b'%PDF')
    assert (tmp_path / 'm.png').exists()
    monkeypatch.setenv(drawing.KINDS_VARIABLE, 'jpg')
    with pytest.raises(UserError, match='EOJAX_FIGURES=jpg: figures can be svg or pdf'):
        figures.confusion_matrix(np.eye(2, dtype=int), ['a', 'b'], tmp_path / 'n.png')


def test_training_curves_skip_what_is_missing(tmp_path):
    rows = [{'step': i, 'loss': 1 / (1 + i)} for i in range(400)]
    rows[7]['loss'] = float('nan')
    rows[-1]['accuracy'] = 0.5
    figures.training_curves(rows, ['loss', 'accuracy'], tmp_path / 'curves.png')
    assert _has_colour(_pixels(tmp_path / 'curves.png'), figures.COLOURS[0])
    with pytest.raises(ValueError, match="'fid'"):
        figures.training_curves(rows, ['loss', 'fid'], tmp_path / 'curves.png')


def test_a_picture_appears_complete_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / 'new' / 'grid.png'
    images = np.zeros((1, 1, 8, 8, 3), np.uint8)
    figures.image_grid(images, path)
    before = path.read_bytes()

    def fails(self, filename, **_):
        Path(filename).write_bytes(b'half')
        raise OSError('disk full')

    monkeypatch.setattr(drawing.FigureCanvasAgg, 'print_png', fails)
    with pytest.raises(OSError, match='disk full'):
        figures.image_grid(images + 9, path)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ['grid.png']


def test_what_does_not_fit_is_refused(tmp_path):
    path = tmp_path / 'figure.png'
    with pytest.raises(ValueError, match='images must be'):
        figures.image_grid(np.zeros((2, 8, 8, 3), np.uint8), path)
    with pytest.raises(ValueError, match='images must be'):
        figures.image_grid(np.zeros((1, 2, 8, 8, 3), np.float32), path)
    with pytest.raises(ValueError, match='3 labels'):
        figures.image_grid(np.zeros((1, 2, 8, 8, 3), np.uint8), path, column_labels=list('abc'))
    with pytest.raises(ValueError, match='3 classes'):
        figures.confusion_matrix(np.eye(2), list('abc'), path)
    assert not path.exists()


def test_no_global_state_of_matplotlib_is_used():
    code = "import sys, eojax.drawing.figures; print('matplotlib.pyplot' in sys.modules)"
    output = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == 'False'


def test_names_are_drawn_as_they_are(tmp_path, capsys):
    """Dollar signs are no formulas, and characters that no font has are boxes and one line."""
    names = ['a$b$^c', 'x $\\frac{$', '_first', '森林', 'two\nlines']
    figures.confusion_matrix(np.eye(5, dtype=int) * 7, names, tmp_path / 'a.png')
    assert (tmp_path / 'a.png').stat().st_size > 1000
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f'eojax: {tmp_path}/a.png: the fonts lack 2 characters of its names: boxes stand for them'
    ]
    assert drawing.legend_label('_first') == ' _first'
    assert drawing.legend_label('first') == 'first'
