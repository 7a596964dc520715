"""The part of a report about `evaluation.json`: numbers, the papers' beside them, and figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from eojax.apps.report import guarantees, synthesis
from eojax.apps.report.page import Table
from eojax.apps.report.pictures import Picture, read_picture
from eojax.apps.report.wording import number, words
from eojax.evaluation.published_results import (
    EPOCHS,
    NETWORKS,
    PAPERS,
    PublishedResult,
    image_size,
    published_results,
)

# Name, with an arrow to where it is better, and a note; {score} is what `_score` says.
_MEASURES = {
    'accuracy': ('Accuracy\u00a0↑', ''),
    'f1_macro': ('F1, mean of the classes\u00a0↑', ''),
    'pixel_accuracy': ('Accuracy of pixels\u00a0↑', 'overall accuracy'),
    'mean_iou': ('Mean IoU\u00a0↑', 'of the classes among the labels'),
    'mean_iou_all': ('Mean IoU, all classes\u00a0↑', ''),
    'mean_f1': ('F1, mean of the classes\u00a0↑', 'of the classes among the labels'),
    'kappa': ("Cohen's kappa\u00a0↑", 'agreement beyond chance'),
    'boundary_accuracy': ('Accuracy near borders\u00a0↑', 'of pixels near another class'),
    'interior_accuracy': ('Accuracy away from borders\u00a0↑', ''),
    'boundary_share': ('Pixels near borders', ''),
    'nll': ('Negative log-likelihood\u00a0↓', 'nats'),
    'ece': ('Expected calibration error\u00a0↓', ''),
    'brier': ('Brier score\u00a0↓', '0 to 2'),
    'fid': ('FID\u00a0↓', 'Fréchet inception distance'),
    'kid': ('KID\u00a0↓', 'kernel inception distance'),
    'log_density_train': ('Mean log p(x), training images', 'unnormalised'),
    'log_density_test': ('Mean log p(x), test images', 'unnormalised'),
    'log_density_samples': ('Mean log p(x), samples', 'unnormalised'),
    'log_sum_exp_train': ('Mean log-sum-exp, training images', 'of logits, no trained density'),
    'log_sum_exp_test': ('Mean log-sum-exp, test images', 'of logits, no trained density'),
    'kl_test': ('Divergence of {score}, test from training\u00a0↓', 'Kullback-Leibler, nats'),
    'kl_samples': ('Divergence of {score}, samples from training\u00a0↓', 'likewise'),
    **guarantees.MEASURES,
    **synthesis.MEASURES,
}
_FIGURES = {
    'confusion_matrix': 'Confusion matrix: of each true class (row), the share in per cent that is '
    'predicted as each class (column).',
    'segmentation': 'Places of the test split, drawn without a look at the scores: image, truth, '
    'prediction, and how sure the run is.',
    'iou': 'Intersection over union of each class.',
    'groups': 'Scores of each city, in per cent.',
    'reliability': 'Reliability: how often the run is right, by how sure it is; on the dashed line '
    'it is as often right as it says.',
    'log_density': 'Values of {score} of training and test images, samples and other sets.',
    **guarantees.FIGURES,
    **synthesis.FIGURES,
}
_OF_CLASS = ('precision_', 'recall_', 'f1_', 'iou_')
_OF_GROUP = ('pixel_accuracy_', 'mean_iou_')
_OF_SET = ('auroc_', 'fpr95_', 'kl_')
_OF_SAMPLES = 'sample_share_'
_COUNTS = (
    'step', 'samples', 'test_images', 'learnt_known', 'learnt_images', 'inception_images',
    *guarantees.COUNTS, *synthesis.COUNTS
)  # fmt: skip


class Trained(NamedTuple):
    """The run's own protocol, for a comparison with the papers'; None where it is not known.

    Attributes:
      data, method, labels_per_class, size, network: of the config.
      train, total: training images, and all images of the splits.
      epochs: passes over the training images up to the evaluated step.
      generator: the kind of generator, of methods that synthesise.
    """

    data: str | None
    method: str | None
    labels_per_class: Any
    size: Any
    network: str | None
    train: int | None
    total: int | None
    epochs: float | None
    generator: str | None = None


class Paper(NamedTuple):
    """A paper's number, as printed, and where it stands."""

    printed: str
    place: str


class Measure(NamedTuple):
    """One of the main numbers: its name, a note, its value, and what papers report."""

    name: str
    note: str
    value: str
    papers: Sequence[Paper]


class ClassScore(NamedTuple):
    """The scores of a class, the IoU of pixels alone, and the length of its bar, 0% to 100%."""

    name: str
    f1: str
    precision: str
    recall: str
    iou: str
    length: str


class Evaluation(NamedTuple):
    """The contents of one `evaluation.json`, as the page shows them.

    Attributes:
      title: of other images than the test split; empty for those.
      about: which images, and which state.
      measures: the main numbers.
      differences: from the papers' protocols; empty where no numbers of papers are shown.
      cited: the papers.
      sets: test images against others; None without such numbers.
      samples: the share of samples that each class has; None where none were made.
      classes: the scores of each.
      groups: the scores of each city; None where there are none.
      tables: of guarantees, and of methods that synthesise images.
      figures: of the folder, but for the samples.
    """

    title: str
    about: str
    measures: Sequence[Measure]
    differences: Sequence[str]
    cited: Sequence[str]
    sets: Table | None
    samples: Table | None
    classes: Sequence[ClassScore]
    groups: Table | None
    tables: Sequence[Table]
    figures: Sequence[Picture]

    @property
    def compared(self) -> bool:
        """Whether numbers of papers are shown."""
        return bool(self.cited)


def describe_evaluation(
    folder: Path, numbers: Mapping[str, Any], trained: Trained | None
) -> Evaluation:
    """An `evaluation.json` and the figures beside it.

    Args:
      trained: what the run is, to look up the papers' numbers; None for other images than those of
        the test split.
    """
    published = [] if trained is None else _published(trained, numbers)
    about = []
    if 'test_images' in numbers:
        kind = 'images' if trained is None else 'images of the test split'
        about.append(f'{number(numbers["test_images"])} {kind}')
    if 'step' in numbers:
        about.append(f'the state after step {number(numbers["step"])}')
    return Evaluation(
        title=f'Other images: {words(folder.name)}' if trained is None else '',
        about=', '.join(about),
        measures=_measures(numbers, published),
        differences=[*_differences(trained, numbers, published)] if trained and published else [],
        cited=[PAPERS[name] for name in sorted({result.paper for result in published})],
        sets=_sets(numbers, _score(numbers)),
        samples=_samples(numbers),
        classes=[*_classes(numbers)],
        groups=_groups(numbers),
        tables=[
            *guarantees.guarantee_tables(numbers),
            *synthesis.synthesis_tables(
                numbers, trained and trained.data, trained and trained.generator
            ),
        ],
        figures=_figures(folder, _score(numbers)),
    )


def _score(numbers: Mapping[str, Any]) -> str:
    """What sets are compared by: log p(x), or the log-sum-exp of logits where that is none."""
    return 'log-sum-exp' if 'log_sum_exp_test' in numbers else 'log p(x)'


def _figures(folder: Path, score: str) -> list[Picture]:
    known = [folder / f'{name}.png' for name in _FIGURES]
    others = sorted(set(folder.glob('*.png')) - {*known, folder / 'samples.png'})
    paths = [p for p in (*known, *others) if p.is_file() and not p.name.startswith('.')]
    texts = [_FIGURES.get(path.stem, words(path.stem)).replace('{score}', score) for path in paths]
    return [read_picture(p, text, text, chart=True) for p, text in zip(paths, texts, strict=True)]


def _published(trained: Trained, numbers: Mapping[str, Any]) -> list[PublishedResult]:
    found = published_results(str(trained.data), str(trained.method), str(trained.labels_per_class))
    return [result for result in found if result.key in numbers]


def _measures(numbers: Mapping[str, Any], published: list[PublishedResult]) -> list[Measure]:
    groups = {f'{prefix}{name}' for prefix in _OF_GROUP for name in _group_names(numbers)}
    rest = [
        key for key in numbers if key not in (*_MEASURES, *_COUNTS)
        and not _of_class(key, numbers) and not key.startswith((*_OF_SET, _OF_SAMPLES))
        and key not in groups and not synthesis.in_tables(key)
        and not guarantees.in_tables(key)
    ]  # fmt: skip
    measures = []
    for key in [*(k for k in _MEASURES if k in numbers), *rest]:
        name, note = _MEASURES.get(key, (words(key), ''))
        name = name.replace('{score}', _score(numbers))
        if key in ('fid', 'kid') and 'inception_images' in numbers:
            note += f', {number(numbers["inception_images"])} images'
        if key == 'frechet_distance' and 'frechet_images' in numbers:
            features = number(numbers.get('frechet_features'))
            note += f', {features} of {number(numbers["frechet_images"])} images'
        papers = [_paper(result) for result in published if result.key == key]
        measures.append(Measure(name, note, number(numbers[key], key), papers))
    return measures


def _paper(result: PublishedResult) -> Paper:
    place = result.place.replace(' ', '\u00a0').replace('-', '\u2011')  # on one line
    return Paper(result.printed, f'{result.paper}, {place}')


def _differences(
    trained: Trained, numbers: Mapping[str, Any], published: list[PublishedResult]
) -> Iterator[str]:
    """The differences that keep this run's numbers from being compared with the papers'."""
    keys = {result.key for result in published}
    size = image_size(trained.data)
    if trained.size not in (None, size):
        yield f'Images of {trained.size} px here, of {size} px in the papers.'
    network = NETWORKS.get(trained.method or '', NETWORKS[''])
    if trained.network not in (None, network):
        yield f'The network is {trained.network} here, {network} in the papers.'
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
            'The divergence depends on its estimate: the papers have histograms and do not state'
            ' their bins (evaluate.divergence=histogram is the nearest), and they differ about the'
            ' number too.'
        )
    if 'ece' in keys:
        yield 'The calibration error is of 15 equal bins here; the paper does not state its own.'


def _of_class(key: str, numbers: Mapping[str, Any]) -> bool:
    prefix = next((prefix for prefix in _OF_CLASS if key.startswith(prefix)), None)
    return prefix is not None and f'precision_{key.removeprefix(prefix)}' in numbers


def _classes(numbers: Mapping[str, Any]) -> Iterator[ClassScore]:
    for name in [k.removeprefix('precision_') for k in numbers if k.startswith('precision_')]:
        # One decimal: a class has some hundred images.
        scores = [numbers.get(f'{prefix}{name}') for prefix in _OF_CLASS]
        precision, recall, f1, iou = (
            f'{x:.1%}' if isinstance(x, (int, float)) else '–' for x in scores
        )
        share = scores[2] if isinstance(scores[2], (int, float)) else 0.0
        length = f'{100 * min(max(share, 0.0), 1.0):.1f}%'
        yield ClassScore(name, f1, precision, recall, '' if scores[3] is None else iou, length)


def _group_names(numbers: Mapping[str, Any]) -> list[str]:
    accuracy, iou = _OF_GROUP
    names = [key.removeprefix(accuracy) for key in numbers if key.startswith(accuracy)]
    return [name for name in names if f'{iou}{name}' in numbers]


def _groups(numbers: Mapping[str, Any]) -> Table | None:
    names = _group_names(numbers)
    if not names:
        return None
    rows = [[words(n), *(number(numbers[f'{p}{n}'], 'iou') for p in _OF_GROUP)] for n in names]
    header = ['city', 'accuracy\u00a0↑', 'mean IoU\u00a0↑']
    note = 'The IoU of each class in each city is in groups.csv.'
    return Table('Scores of each city', header, rows, note=note)


def _samples(numbers: Mapping[str, Any]) -> Table | None:
    keys = [key for key in numbers if key.startswith(_OF_SAMPLES)]
    if not keys:
        return None
    # One decimal, as of the classes: there are some hundred samples.
    shares = sorted(((numbers[key], key.removeprefix(_OF_SAMPLES)) for key in keys), reverse=True)
    rows = [[name, f'{share:.1%}'] for share, name in shares]
    note = (
        f'Of {number(numbers.get("samples"))} samples, by the class that each was made for, or'
        ' where it was made for none, by the one that the run sees in it.'
    )
    return Table('Samples by class', ['class', 'share of samples'], rows, note=note)


def _sets(numbers: Mapping[str, Any], score: str) -> Table | None:
    names = [key.removeprefix('auroc_') for key in numbers if key.startswith('auroc_')]
    if not names:
        return None
    rows = [
        [words(name), number(numbers[f'auroc_{name}'], 'auroc'),
         number(numbers.get(f'fpr95_{name}'), 'fpr95'), number(numbers.get(f'kl_{name}'), 'kl')]
        for name in names
    ]  # fmt: skip
    note = (
        f'How well {score} tells the test images from others: the AUROC is 1 where all test images'
        ' have higher values, 0.5 where it cannot tell; the second column is the share of the'
        ' others that pass a threshold which 95% of the test images pass; the last is the'
        f' Kullback-Leibler divergence of their {score} from that of training images, in nats.'
    )
    header = ['set', 'AUROC\u00a0↑', 'passes at 95%\u00a0↓', 'divergence']
    return Table('Test images against other sets', header, rows, note=note)
