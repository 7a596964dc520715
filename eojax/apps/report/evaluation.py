"""The part of a report about `evaluation.json`: numbers, the papers' beside them, and figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from eojax.apps.report.page import (
    Html,
    bar,
    breakable,
    columns,
    gallery,
    join,
    number,
    picture,
    table,
    tag,
    words,
)
from eojax.evaluation.published_results import (
    EPOCHS,
    IMAGE_SIZE,
    NETWORK,
    PAPERS,
    PublishedResult,
    published_results,
)

# Name, with an arrow to where it is better, and a note.
_MEASURES = {
    'accuracy': ('Accuracy\u00a0↑', ''),
    'f1_macro': ('F1, mean of the classes\u00a0↑', ''),
    'nll': ('Negative log-likelihood\u00a0↓', 'nats'),
    'ece': ('Expected calibration error\u00a0↓', ''),
    'brier': ('Brier score\u00a0↓', '0 to 2'),
    'fid': ('FID\u00a0↓', 'Fréchet inception distance'),
    'kid': ('KID\u00a0↓', 'kernel inception distance'),
    'log_density_train': ('Mean log p(x), training images', 'unnormalised'),
    'log_density_test': ('Mean log p(x), test images', 'unnormalised'),
    'log_density_samples': ('Mean log p(x), samples', 'unnormalised'),
    'kl_test': ('Divergence of log p(x), test from training\u00a0↓', 'Kullback-Leibler, nats'),
}
_FIGURES = {
    'confusion_matrix': 'Confusion matrix: of each true class (row), the share in per cent that is '
    'predicted as each class (column).',
    'reliability': 'Reliability: how often the run is right, by how sure it is; on the dashed line '
    'it is as often right as it says.',
    'log_density': 'Unnormalised log p(x) of training and test images, samples and other sets.',
}
_OF_CLASS = ('precision_', 'recall_', 'f1_')
_OF_SET = ('auroc_', 'fpr95_')
_COUNTS = ('step', 'test_images', 'inception_images')


class Trained(NamedTuple):
    """What the papers' protocol is compared with; None where the run folder does not say it.

    Attributes:
      data, method, labels_per_class, size, network: of the config.
      train, total: training images, and all images of the splits.
      epochs: passes over the training images up to the evaluated step.
    """

    data: str | None
    method: str | None
    labels_per_class: Any
    size: Any
    network: str | None
    train: int | None
    total: int | None
    epochs: float | None


def evaluation_numbers(numbers: Mapping[str, Any], trained: Trained | None) -> Html:
    """Tables of an `evaluation.json`.

    Args:
      trained: to look up the papers' numbers; None leaves them out.
    """
    published = [] if trained is None else _published(trained, numbers)
    parts: list[str | None] = [_main_table(numbers, published)]
    if trained is not None and published:
        differences = [tag('li', line) for line in _differences(trained, numbers, published)]
        cited = [PAPERS[name] for name in sorted({result.paper for result in published})]
        parts += [
            tag('h3', 'How the protocols differ'),
            tag('ul', *differences, class_='note'),
            *(tag('p', line, class_='note') for line in cited),
        ]
    return columns(join(parts), join([_set_table(numbers), _class_table(numbers)]))


def evaluation_figures(folder: Path) -> Html | None:
    """The figures of an evaluation's folder, but for the samples."""
    known = [folder / f'{name}.png' for name in _FIGURES]
    others = sorted(set(folder.glob('*.png')) - {*known, folder / 'samples.png'})
    paths = [p for p in (*known, *others) if p.is_file() and not p.name.startswith('.')]
    texts = [_FIGURES.get(path.stem, words(path.stem)) for path in paths]
    shown = [picture(path, text, text, chart=True) for path, text in zip(paths, texts, strict=True)]
    return gallery(shown)


def _published(trained: Trained, numbers: Mapping[str, Any]) -> list[PublishedResult]:
    found = published_results(str(trained.data), str(trained.method), str(trained.labels_per_class))
    return [result for result in found if result.key in numbers]


def _main_table(numbers: Mapping[str, Any], published: list[PublishedResult]) -> Html:
    rest = [
        key for key in numbers if key not in (*_MEASURES, *_COUNTS)
        and not _of_class(key, numbers) and not key.startswith(_OF_SET)
    ]  # fmt: skip
    rows = []
    for key in [*(k for k in _MEASURES if k in numbers), *rest]:
        name, note = _MEASURES.get(key, (words(key), ''))
        if key in ('fid', 'kid') and 'inception_images' in numbers:
            note += f', {number(numbers["inception_images"])} images'
        first = join([name, tag('small', note) if note else None])
        row = [first, tag('strong', number(numbers[key], key))]
        if published:
            row.append(join(_paper(r) for r in published if r.key == key))
        rows.append(row)
    header = ['', 'this run', 'paper'] if published else ['', 'this run']
    return table(header, rows, 'The main numbers')


def _paper(result: PublishedResult) -> Html:
    place = result.place.replace(' ', '\u00a0').replace('-', '\u2011')  # on one line
    return tag('div', result.printed, tag('small', f'{result.paper}, {place}'))


def _differences(
    trained: Trained, numbers: Mapping[str, Any], published: list[PublishedResult]
) -> Iterator[str]:
    """What keeps this run's numbers from being compared with the papers' as they stand."""
    keys = {result.key for result in published}
    if trained.size not in (None, IMAGE_SIZE):
        yield f'Images of {trained.size} px here, of {IMAGE_SIZE} px in the papers.'
    if trained.network is not None and trained.network != NETWORK:
        yield f'The network is {trained.network} here, {NETWORK} in the papers.'
    if trained.epochs is not None:
        yield (
            f'{trained.epochs:,.1f} passes over {number(trained.train)} training'
            f' images here, {EPOCHS} in the papers.'
        )
    if trained.total is not None and trained.data == 'eurosat' and trained.total < 27_000:
        yield f'{number(trained.total)} of the 27,000 images of EuroSAT are used here.'
    if any('±' in result.printed for result in published):
        yield 'This is one run; where the papers give ±, it is the standard deviation over runs.'
    if keys & {'fid', 'kid'}:
        images = number(numbers.get('inception_images'))
        yield (
            f'FID and KID compare {images} images with as many samples here; FID falls with their'
            ' number, which the papers do not state.'
        )
    if 'kl_test' in keys:
        yield (
            'The divergence depends on the bins, which the papers do not state (here 50 over the'
            ' training images and one at either end); the two papers differ about it too.'
        )
    if 'ece' in keys:
        yield 'The calibration error is of 15 equal bins here; the paper does not state its own.'


def _of_class(key: str, numbers: Mapping[str, Any]) -> bool:
    prefix = next((prefix for prefix in _OF_CLASS if key.startswith(prefix)), None)
    return prefix is not None and f'precision_{key.removeprefix(prefix)}' in numbers


def _class_table(numbers: Mapping[str, Any]) -> Html | None:
    names = [k.removeprefix('precision_') for k in numbers if k.startswith('precision_')]
    rows = []
    for name in names:
        # One decimal: a class has some hundred images.
        scores = [numbers.get(f'{prefix}{name}') for prefix in _OF_CLASS]
        shown = [f'{x:.1%}' if isinstance(x, (int, float)) else '–' for x in scores]
        length = scores[2] if isinstance(scores[2], (int, float)) else 0.0
        rows.append([breakable(name), bar(length, shown[2]), shown[0], shown[1]])
    if not rows:
        return None
    header = ['class', 'F1', 'precision', 'recall']
    return join([tag('h3', 'By class'), table(header, rows, 'Scores of each class')])


def _set_table(numbers: Mapping[str, Any]) -> Html | None:
    names = [key.removeprefix('auroc_') for key in numbers if key.startswith('auroc_')]
    if not names:
        return None
    rows = [
        [words(name), number(numbers[f'auroc_{name}'], 'auroc'),
         number(numbers.get(f'fpr95_{name}'), 'fpr95')]
        for name in names
    ]  # fmt: skip
    note = (
        'How well log p(x) tells the test images from others: the AUROC is 1 where all test images'
        ' are likelier, 0.5 where it cannot tell; the last column is the share of the others that'
        ' pass a threshold which 95% of the test images pass.'
    )
    header = ['set', 'AUROC\u00a0↑', 'passes at 95%\u00a0↓']
    found = table(header, rows, 'Test images against other sets')
    return join([tag('h3', 'Images of other kinds'), found, tag('p', note, class_='note')])
