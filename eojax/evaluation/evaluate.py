"""A trained run on held-out images: numbers to `evaluation.json`, figures beside it.

    python -m eojax.evaluate --workdir=runs/jem_eurosat
    python -m eojax.evaluate --workdir=runs/jem_eurosat --data=more_eurosat.zip --out=more

What is measured follows from what the method can do, and needs no more than that:

`logits`: accuracy, nll, ece, brier, f1_macro, precision_, recall_ and f1_<Class>;
  confusion_matrix.png, reliability.png.
`log_density`: auroc_ and fpr95_<set> against each set of outliers (`eojax.evaluation.outliers`),
  kl_test against the training images; log_density.png.
`sample`: fid, kid and inception_images, with the weights of `evaluate.inception`; samples.png. They
  compare the evaluated images with as many samples, by default ends of the chains of training that
  are run on once more (`eojax.evaluation.sampling.run_on_starts`). FID falls with the number of
  images.
`reconstruct`: reconstruction_rmse, in levels of 8 bits; reconstructions.png.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from eojax.atomic_file import write_atomically
from eojax.config.base import from_json, set_key
from eojax.data import class_groups
from eojax.data.dataset import Dataset
from eojax.data.reading.file_formats import format_of
from eojax.data.reading.image_folder import read_image_folder
from eojax.data.reading.lazy_images import memory_limit
from eojax.devices import compilation_cache, processes, sharding
from eojax.drawing import figures
from eojax.drawing.pictures import (
    REAL_COLUMNS,
    SAMPLE_COLUMNS,
    arrange,
    displayed,
    grid_by_class,
    mosaic,
    save_picture,
    visible_bands,
    visible_indices,
)
from eojax.errors import UserError, one_line_errors
from eojax.evaluation.outliers import outlier_sets, parse_outliers, spread
from eojax.evaluation.reconstructions import evaluate_reconstructions
from eojax.evaluation.reference import examples, reference_scores
from eojax.evaluation.sampling import (
    Starts,
    buffer_capacity,
    buffer_images,
    chain_of,
    draw_samples,
    run_on_starts,
)
from eojax.evaluation.scoring import score, score_all
from eojax.feed.pipeline import to_uint8
from eojax.messages import say
from eojax.metrics import classification, generation
from eojax.metrics.summaries import classification_numbers, density_numbers, log_probabilities
from eojax.models import inception
from eojax.runs.domains import TARGET
from eojax.runs.opening import load_state, open_untrained
from eojax.runs.run import Run, with_data

# Samples from which the grid is filled, where FID does not ask for more.
_GRID_SAMPLES = 256
_PICTURE_SAMPLES = 64


class Samples(NamedTuple):
    """Generated images.

    Attributes:
      images: uint8 `[N, H, W, C]`.
      starts: of the chains that made them.
    """

    images: np.ndarray
    starts: Starts


def check(config: ConfigDict) -> None:
    """Refuses what an evaluation at the end of a long training would stumble over.

    Raises:
      UserError: one line that names the key of the group `evaluate`.
    """
    options = config.evaluate
    parse_outliers(options.outliers)
    for key in ('inception_images', 'outlier_images'):
        if options[key] < 2:
            raise UserError(f'evaluate.{key} must be at least 2, not {options[key]}')
    if options.inception and not Path(options.inception).expanduser().is_file():
        raise UserError(f'evaluate.inception: no such file: {options.inception}')


def evaluate_run(run: Run, state: Any, out: Path, labelled: Dataset | None = None) -> Path:
    """Evaluates a state of a run; all processes of the run call it together.

    Args:
      out: folder for `evaluation.json` and the figures; made if need be.
      labelled: images of the run's classes and size; the run's test split where None.

    Returns:
      `out`.

    Raises:
      UserError: see `check`; or images or weights that cannot be read.
    """
    check(run.config)
    main = sharding.is_main_process()
    if labelled is None:
        run = with_data(run)
        labelled = run.dataset.subset(run.splits.test)
    tested = labelled
    if main:
        out.mkdir(parents=True, exist_ok=True)
    numbers: dict[str, float] = {'step': run.step, 'test_images': len(tested.labels)}
    names = [name for name in ('logits', 'log_density') if name in run.method.abilities]
    found = score_all(run, names, state, tested.images, title='test images') if names else {}
    if 'logits' in found:
        numbers |= classification_numbers(found['logits'], tested.labels, tested.class_names)
        if main:
            _draw_classification(found['logits'], tested, out)
    samples = _draw_samples(run, state, len(tested.labels))
    if 'log_density' in found:
        scores = _density_scores(run, state, found['log_density'], samples)
        numbers |= density_numbers(scores)
        if main:
            figures.log_density_histogram(scores, out / 'log_density.png')
    if samples is not None:
        classes = _classes_of(run, state, samples)
        if main:
            numbers |= _distances(run.config.evaluate, tested, samples)
            _draw_grid(run, samples.images, classes, out)
    if 'reconstruct' in run.method.abilities:
        numbers |= evaluate_reconstructions(run, state, tested, out)
    if main:
        text = json.dumps(numbers, indent=2, allow_nan=False) + '\n'
        write_atomically(out / 'evaluation.json', lambda file: file.write(text.encode()))
        print(_table(numbers))
        print(f'figures and evaluation.json are in {out}', flush=True)
    return out


def _density_scores(
    run: Run, state: Any, tested: np.ndarray, samples: Samples | None
) -> dict[str, np.ndarray]:
    """log p(x) of all sets; of the training set as many images as are tested, at least 1,000.

    Args:
      tested: log p(x) of the tested images.
    """
    size, bands = run.task.image_shape[0], run.images.bands
    progress = sharding.is_main_process()
    sets = outlier_sets(run.config.evaluate, size, bands, progress, format_of(run.facts.files))
    scores = {'train': _training_density(run, state, len(tested)), 'test': tested}
    if samples is not None:
        sets = {'samples': samples.images, **sets}
    for name, images in sets.items():
        scores[name] = score(run, 'log_density', state, images)
    return scores


def _training_density(run: Run, state: Any, num_tested: int) -> np.ndarray:
    """log p(x) of training images: of as many as are tested where the data were read, at least
    1,000; else of those whose scores the run's folder keeps.
    """
    if run.domains is None:
        return reference_scores(run, state, ('log_density',))['log_density']
    chosen = run.splits.train[spread(len(run.splits.train), max(num_tested, 1000))]
    return score(run, 'log_density', state, run.dataset.images, chosen, 'log p(x)')


def _draw_classification(logits: np.ndarray, tested: Dataset, out: Path) -> None:
    matrix = classification.confusion_matrix(logits, tested.labels)
    figures.confusion_matrix(matrix, tested.class_names, out / 'confusion_matrix.png')
    curve = (np.exp(log_probabilities(logits)), tested.labels)
    figures.reliability_diagram({'test': curve}, out / 'reliability.png')


def _draw_samples(run: Run, state: Any, num_tested: int) -> Samples | None:
    if 'sample' not in run.method.abilities:
        return None
    options = run.config.evaluate
    num = min(options.inception_images, num_tested) if options.inception else 0
    starts = run_on_starts(run, state, max(num, _GRID_SAMPLES), run.config.seed)
    images = draw_samples(run, state, starts, run.config.seed, title='sampling')
    return Samples(images, starts)


def _classes_of(run: Run, state: Any, samples: Samples) -> np.ndarray | None:
    """The class a sample was made for; where it was made for none, the one it is taken for.

    None for a method that knows no classes.
    """
    if samples.starts.conditional:
        return samples.starts.labels
    if 'logits' not in run.method.abilities:
        return None
    return score(run, 'logits', state, samples.images).argmax(-1)


def _distances(options: ConfigDict, tested: Dataset, samples: Samples) -> dict[str, float]:
    """FID and KID of equally many tested images and samples; nothing where there are no weights."""
    if not options.inception:
        say('FID and KID are left out: --config.evaluate.inception names no Inception weights')
        return {}
    if not visible_indices(tested.bands):
        say(f'FID and KID are left out: the bands are {", ".join(tested.bands)}')
        return {}
    params = inception.load_inception(Path(options.inception).expanduser())
    num = min(options.inception_images, len(tested.labels), len(samples.images))
    chosen = np.random.default_rng(0).permutation(len(tested.labels))[:num]
    real, generated = (
        inception.features(params, displayed(images, tested.bands, tested.limits), progress=True)
        for images in (tested.images[chosen], samples.images[:num])
    )
    return {
        'fid': generation.fid(real, generated),
        'kid': generation.kid(real, generated),
        'inception_images': num,
    }


def _draw_grid(run: Run, samples: np.ndarray, classes: np.ndarray | None, out: Path) -> None:
    """A row for each class; without classes, as many samples beside as many real images."""
    bands, num_classes = run.images.bands, run.facts.num_classes
    images, labels = _one_row_each(run)
    seen = displayed(images, bands, run.images.limits)
    made = visible_bands(samples, bands)
    if classes is None:
        parts = [arrange(part, REAL_COLUMNS) for part in (seen, made[: len(seen)])]
        columns = ['real'] * REAL_COLUMNS + ['sample'] * REAL_COLUMNS
        beside = np.concatenate(parts, 1)
        figures.image_grid(beside, out / 'samples.png', column_labels=columns, title='Samples')
        return
    grid = grid_by_class(seen, labels, made, classes, num_classes)
    shares = np.bincount(classes, minlength=num_classes) / len(classes)
    rows = [f'{n}  {s:.0%}' for n, s in zip(run.facts.class_names, shares, strict=True)]
    columns = ['real'] * REAL_COLUMNS + ['sample'] * SAMPLE_COLUMNS
    title = f'Samples by class, and the share of {len(samples)} that each class has'
    figures.image_grid(grid, out / 'samples.png', rows, columns, title)


def _one_row_each(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """A few training images of each class and their labels, as stored."""
    if run.domains is None:
        kept = examples(run)
        chosen = _first_of_each(kept.labels, run.facts.num_classes)
        return kept.images[chosen], kept.labels[chosen]
    train = run.splits.train
    chosen = train[_first_of_each(run.dataset.labels[train], run.facts.num_classes)]
    return run.dataset.images[chosen], run.dataset.labels[chosen]


def _first_of_each(labels: np.ndarray, num_classes: int) -> np.ndarray:
    rows = [np.flatnonzero(labels == label)[:REAL_COLUMNS] for label in range(num_classes)]
    return np.concatenate(rows)


def _table(numbers: Mapping[str, float]) -> str:
    """The main numbers, for people."""
    left_out = ('precision_', 'recall_', 'f1_', 'fpr95_', 'step', 'test_images', 'inception_images')
    shown = {k: v for k, v in numbers.items() if not k.startswith(left_out) or k == 'f1_macro'}
    width = max(map(len, shown), default=0)
    lines = [f'{numbers["test_images"]:,} images, step {numbers["step"]:,}']
    for key, value in shown.items():
        note = f'  ({numbers["inception_images"]:,} images)' if key in ('fid', 'kid') else ''
        lines.append(f'  {key:<{width}}  {value:10.4f}{note}')
    return '\n'.join(lines)


def validate(run: Run, state: Any) -> dict[str, float]:
    """What the training's log says of the validation split.

    Accuracy and negative log-likelihood; the mean log p(x) of a method without logits.
    """
    chosen, abilities = run.splits.validation, run.method.abilities
    if not len(chosen) or not {'logits', 'log_density'} & set(abilities):
        return {}
    if 'logits' not in abilities:
        density = score(run, 'log_density', state, run.dataset.images, chosen)
        return {'validation_log_density': float(density.mean())}
    log_p = log_probabilities(score(run, 'logits', state, run.dataset.images, chosen))
    labels = run.dataset.labels[chosen]
    return {
        'validation_accuracy': classification.accuracy(log_p, labels),
        'validation_nll': classification.nll(log_p, labels),
    }


def sample_picture(run: Run, state: Any) -> np.ndarray | None:
    """64 samples, the same each time, to `samples/` in the run's folder.

    They are slots of the replay buffer; a method without chains makes them of the same noise.

    Returns:
      The picture, uint8 `[height, width, 3]`; None for a method with neither.
    """
    capacity = buffer_capacity(run, state)
    if capacity:
        stored, _ = buffer_images(run, state, spread(capacity, _PICTURE_SAMPLES))
        samples = to_uint8(jnp.asarray(stored))
    elif 'sample' in run.method.abilities and chain_of(run) is None:
        starts = run_on_starts(run, state, _PICTURE_SAMPLES, run.config.seed)
        samples = draw_samples(run, state, starts, run.config.seed)
    else:
        return None
    images = visible_bands(samples, run.images.bands)
    factor = max(1, -(-64 // images.shape[1]))
    picture = mosaic(arrange(images, 8), factor)
    if sharding.is_main_process():
        save_picture(picture, run.folder / 'samples' / f'step_{run.step:07d}.png')
    return picture


def read_labelled(path: Path, run: Run) -> Dataset:
    """Labelled images of some or all of a run's classes, as the run's own data set is read.

    Where the run's classes are groups (`data.classes`), the folders are those of the data set's own
    classes, and grouped likewise.

    Raises:
      UserError: an unknown class, a file of another size than the data set's, or a broken one, by
        name; or images of none of the groups.
    """
    size = run.config.data.size
    # Of a data set that is read from no files: any size, resampled.
    known = run.facts.files
    wanted = None if known is None else known.size
    dataset = read_image_folder(
        path,
        run.known[TARGET].own_classes,
        wanted,
        sharding.is_main_process(),
        resize=None if wanted == size else size,
        bands=run.images.bands,
        allow_missing_classes=True,
        file_format=format_of(run.facts.files),
        resident_bytes=memory_limit(run.config.data),
    )
    dataset = class_groups.regroup(dataset, class_groups.parse(run.config.data.classes))
    if not len(dataset.labels):
        raise UserError(f'{path}: no images of {", ".join(run.facts.class_names)}')
    return dataset.with_limits(run.images.limits)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='python -m eojax.evaluate',
        description='Evaluates a trained run: evaluation.json and figures.',
        epilog='example: python -m eojax.evaluate --workdir=runs/jem_eurosat --data=held_out.zip',
    )
    parser.add_argument('--workdir', type=Path, required=True, help='folder of the run')
    parser.add_argument('--data', type=Path, help='labelled folder or zip; else the test split')
    parser.add_argument('--out', type=Path, help='folder to write to; else one in the run folder')
    parser.add_argument('--checkpoint', choices=('last', 'best'), help="else as the run's config")
    parser.add_argument('--data_root', default='', help="where the run's own data set lies now")
    parser.add_argument('--inception', help='npz of Inception weights, for FID and KID')
    parser.add_argument('--inception_images', type=int, help='how many images these compare')
    parser.add_argument('--outliers', help='name=path,... of images that are no such data')
    options = parser.parse_args(arguments)
    with one_line_errors():
        compilation_cache.enable()
        processes.start()
        with processes.together():
            _evaluate(options)


def _evaluate(options: argparse.Namespace) -> None:
    changes = {
        'data.root': options.data_root,
        'evaluate.inception': options.inception,
        'evaluate.inception_images': options.inception_images,
        'evaluate.outliers': options.outliers,
    }
    config = from_json(options.workdir / 'config.json')
    for key, value in changes.items():
        if value not in (None, ''):
            set_key(config, key, value)
    check(config)
    run = open_untrained(config, options.workdir)
    labelled = None if options.data is None else read_labelled(options.data, run)
    run, state = load_state(run, options.checkpoint or '')
    folder = 'evaluation' if labelled is None else f'evaluation_{options.data.stem}'
    evaluate_run(run, state, options.out or options.workdir / folder, labelled)
