"""A trained run on held-out images: numbers to `evaluation.json`, figures beside it.

    python -m eojax.evaluate --workdir=runs/jem_eurosat
    python -m eojax.evaluate --workdir=runs/jem_eurosat --data=more_eurosat.zip --out=more

What is measured follows from what the method can do, and needs no more than that; each is an
evaluator (`eojax.evaluation.evaluators`):

`logits`: accuracy, nll, ece, brier, f1_macro, precision_, recall_ and f1_<Class>;
  confusion_matrix.png, reliability.png.
`pixel_logits`: pixel_accuracy, kappa, mean_iou, mean_iou_all, iou_ and f1_<Class>, ... of pixels;
  pixel_accuracy_ and mean_iou_<city> where places have groups, with groups.csv and places.csv;
  nll, ece, brier; boundary_accuracy of pixels within `evaluate.boundary_pixels` of a border between
  classes, and interior_accuracy of the others; confusion_matrix.png, iou.png, groups.png,
  reliability.png, segmentation.png. Windows overlap by `evaluate.window_overlap` of their side.
`pixel_log_density`, or `pixel_logits` where the config names outliers or unseen classes:
  auroc_<set>_<score> of pixels (`eojax.evaluation.pixels.unseen`); unseen_pixels.png.
`logits` or `pixel_logits`, where the config asks for it: sets of classes, corrected areas and what
  is left open, set_, area_, not_known_, aurc_ and error_at_ (`eojax.evaluation.guarantees`);
  sets.png, areas.png, areas.csv, risk_coverage.png.
`log_density`: auroc_ and fpr95_<set> against each set of outliers (`eojax.evaluation.outliers`),
  kl_test, kl_samples and kl_<set>, the divergence from the training images; log_density.png. Of a
  classifier alone, the log-sum-exp of its logits stands for it.
`sample`: fid, kid and inception_images, with the weights of `evaluate.inception`; samples.png. They
  compare the evaluated images with as many samples, by default ends of the chains of training that
  are run on once more (`eojax.evaluation.sampling.run_on_starts`). FID falls with the number of
  images. sample_share_<Class>: the share of `samples` that the run takes for the class; of chains
  that are drawn for a class, the share that was drawn.
`synthesise`: mae, psnr and ssim of synthesised and real images, texture_distance, that of each
  class and texture_match (`eojax.evaluation.synthesis.textures`), synthesis.png; with
  `evaluate.segmenter` truth_, agreement_ and real_pixel_accuracy, _mean_iou, _mean_iou_all and
  _iou_<Class> (`eojax.evaluation.synthesis.segmentation`), frechet_distance, class_iou.png; of
  radar in dB mae_db, backscatter_distance and looks_ (`eojax.evaluation.synthesis.radar`),
  backscatter.png. With `evaluate.centre` of the middle of each place alone.
`reconstruct`: reconstruction_rmse, in levels of 8 bits; reconstructions.png.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from eojax import option
from eojax.atomic_file import write_atomically
from eojax.config.options import EVALUATE
from eojax.data.dataset import Dataset
from eojax.devices import sharding
from eojax.drawing.pictures import arrange, mosaic, save_picture, visible_bands
from eojax.errors import UserError
from eojax.evaluation import evaluators
from eojax.evaluation.classes import image_classes
from eojax.evaluation.densities import density
from eojax.evaluation.evaluation_set import EvaluationSet, evaluation_set
from eojax.evaluation.evaluators import Evaluator
from eojax.evaluation.generation import generated, samples_of
from eojax.evaluation.guarantees.evaluator import guarantees
from eojax.evaluation.guarantees.rules import asked_in, check_asked
from eojax.evaluation.guarantees.sample import check_validation, density_of
from eojax.evaluation.outliers import outlier_sets, parse_outliers, spread
from eojax.evaluation.pixels import unseen
from eojax.evaluation.pixels.classes import (
    pixel_borders,
    pixel_calibration,
    pixel_classes,
    pixel_groups,
)
from eojax.evaluation.pixels.examples import pixel_examples
from eojax.evaluation.pixels.outlier_windows import outlier_windows
from eojax.evaluation.pixels.unseen import unseen_pixels
from eojax.evaluation.predictions.evaluator import image_predictions
from eojax.evaluation.reconstructions import reconstruction
from eojax.evaluation.sampling import (
    buffer_capacity,
    buffer_images,
    chain_of,
    draw_samples,
    run_on_starts,
)
from eojax.evaluation.scoring import density_name, score
from eojax.evaluation.synthesis.measure import (
    measure_synthesis,
    synthesis_picture,
    validate_synthesis,
)
from eojax.evaluation.synthesis.segmenter import open_segmenter
from eojax.feed.pipeline import to_uint8
from eojax.home import expanded
from eojax.messages import counted
from eojax.models import inception
from eojax.runs.run import Run, with_data

_PICTURE_SAMPLES = 64


def check(config: ConfigDict) -> None:
    """Refuses what an evaluation at the end of a long training would stumble over.

    Raises:
      UserError: one line that names the key of the group `evaluate`.
    """
    options = config.evaluate
    option.check(EVALUATE, options, 'evaluate')
    check_asked(asked_in(options))
    if asked_in(options).any and config.data.validation_by == 'test':
        raise UserError(
            'evaluate.coverage, not_known and areas are calibrated on the validation part, and with'
            ' data.validation_by=test that is the test part itself: choose group or place'
        )
    if options.checkpoint == 'best' and config.data.validation_by == 'test':
        raise UserError(
            'evaluate.checkpoint=best would choose the state by the test images, which'
            ' data.validation_by=test makes the validation part: choose evaluate.checkpoint=last,'
            ' or data.validation_by=group or place'
        )
    parse_outliers(options.outliers)
    if options.inception and not expanded(options.inception).is_file():
        raise UserError(f'evaluate.inception: no such file: {options.inception}')


def check_inputs(run: Run) -> None:
    """Reads the outliers and weights that an evaluation of a run would read after its scores.

    Raises:
      UserError: an image or a file that cannot be read, by name.
    """
    options, abilities = run.config.evaluate, set(run.method.abilities)
    if asked_in(options).any:
        check_validation(run)
        check_asked(asked_in(options), density=density_of(run) is not None)
    if 'synthesise' in abilities:
        open_segmenter(run)
    if options.outliers and 'pixel_logits' in abilities:
        if unseen.asked_for(run):
            side = run.method.window or min(run.facts.size or (64, 64))
            outlier_windows(run, side)
    elif options.outliers and {'logits', 'log_density'} & abilities:
        outlier_sets(options, run.task.image_shape[0], sharding.is_main_process(), run.facts)
    if options.inception and 'sample' in abilities:
        inception.load_inception(expanded(options.inception))


def _check_writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise UserError(f'{out} cannot be written to: {error.strerror or error}') from error


def evaluate_run(
    run: Run,
    state: Any,
    out: Path,
    labelled: Dataset | None = None,
    known: tuple[int, int] | None = None,
) -> Path:
    """Evaluates as `measure_run` and returns `out`, the folder with the numbers and figures."""
    measure_run(run, state, out, labelled, known)
    return out


def measure_run(
    run: Run,
    state: Any,
    out: Path | None,
    labelled: Dataset | None = None,
    known: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Evaluates a state of a run; all processes of the run call it together.

    Args:
      out: folder for `evaluation.json` and the figures; made if need be. None: nothing is written.
      labelled: images of the run's classes and size; the run's test split where None.
      known: of the images that the run has learnt from, how many were known by their pixels when
        `labelled` was read, and how many there are; goes to `evaluation.json`.

    Returns:
      The numbers of `evaluation.json`.

    Raises:
      UserError: see `check`; or images or weights that cannot be read.
    """
    check(run.config)
    main = sharding.is_main_process()
    if labelled is None:
        run = with_data(run)
        labelled = run.dataset.subset(run.splits.test)
    tested = evaluation_set(run, labelled)
    check_inputs(run)
    if main and out is not None:
        _check_writable(out)
    if 'synthesise' in run.method.abilities:
        tested, measured = measure_synthesis(run, state, labelled)
    else:
        if 'pixel_logits' in run.method.abilities:
            tested = tested._replace(border=run.config.evaluate.boundary_pixels)
        chosen = evaluators_of(run, state, tested)
        measured = evaluators.measure(run, state, tested, chosen, 'test images')
    counts = {} if known is None else {'learnt_known': known[0], 'learnt_images': known[1]}
    numbers = {'step': run.step, 'test_images': tested.num, **counts, **evaluators.joined(measured)}
    if main and out is not None:
        text = json.dumps(numbers, indent=2, allow_nan=False) + '\n'
        # Before the figures: no drawing loses the numbers.
        write_atomically(out / 'evaluation.json', lambda file: file.write(text.encode()))
        evaluators.draw(measured, out)
    if main:
        print(_table(numbers))
        where = 'nothing is written: a folder for evaluation.json and figures is given by out'
        if out is not None:
            where = f'figures and evaluation.json are in {out}'
        print(where, flush=True)
    return numbers


def evaluators_of(run: Run, state: Any, tested: EvaluationSet) -> list[Evaluator]:
    """The evaluators of a method, chosen by its abilities."""
    abilities, names = run.method.abilities, run.facts.class_names
    if 'pixel_logits' in abilities:
        places = tested.dataset.places
        return [
            pixel_classes(run.facts),
            pixel_groups(run.facts, places),
            pixel_calibration(len(names)),
            *([pixel_borders()] if tested.border else []),
            pixel_examples(tested, 'pixel_log_density' in abilities),
            *([unseen_pixels(run, state, tested)] if unseen.asked_for(run) else []),
            *([guarantees(run, state, tested)] if asked_in(run.config.evaluate).any else []),
        ]
    chosen, samples = [], samples_of(run, state, tested.num)
    if 'logits' in abilities:
        chosen += [image_classes(names), image_predictions(run, state, tested)]
        if asked_in(run.config.evaluate).any:
            chosen.append(guarantees(run, state, tested))
    if {'logits', 'log_density'} & set(abilities):

        def images() -> np.ndarray | None:
            made = samples()
            return None if made is None else made.images

        chosen.append(density(run, state, density_name(run.method), images))
    if 'sample' in abilities:
        chosen.append(generated(run, state, tested.dataset, samples))
    if 'reconstruct' in abilities:
        chosen.append(reconstruction(run, state, tested.dataset))
    return chosen


def _table(numbers: Mapping[str, float]) -> str:
    """The main numbers, for people."""
    counts = ('step', 'samples', 'test_images', 'learnt_', 'inception_images')
    left_out = (
        'precision_',
        'recall_',
        'f1_',
        'fpr95_',
        'sample_share_',
        'frechet_features',
        'texture_distance_',
        'set_coverage_of_',
        'area_mapped_of_',
        'area_low_of_',
        'area_high_of_',
        'area_true_of_',
        *counts,
    )
    shown = {k: v for k, v in numbers.items() if not k.startswith(left_out) or k == 'f1_macro'}
    width = max(map(len, shown), default=0)
    lines = [f'{counted(int(numbers["test_images"]), "image")}, step {numbers["step"]:,}']
    for key, value in shown.items():
        note = (
            f'  ({counted(int(numbers["inception_images"]), "image")})'
            if key in ('fid', 'kid')
            else ''
        )
        if key == 'log_sum_exp_test':
            note = '  (of the logits: no density was trained; kl and auroc are of it too)'
        lines.append(f'  {key:<{width}}  {value:10.4f}{note}')
    return '\n'.join(lines)


def validate(run: Run, state: Any) -> dict[str, float]:
    """The numbers of the validation split in the training's log, by `validation_<metric>`.

    Accuracy and negative log-likelihood, of images or of pixels; the mean log p(x) of a method
    without logits; how close synthesised images come to real ones.
    """
    chosen, abilities = run.splits.validation, run.method.abilities
    if 'synthesise' in abilities and len(chosen):
        measured = validate_synthesis(run, state, chosen)
        return {f'validation_{key}': value for key, value in measured.items()}
    if not len(chosen) or not {'logits', 'pixel_logits', 'log_density'} & set(abilities):
        return {}
    if not {'logits', 'pixel_logits'} & set(abilities):
        values = score(run, 'log_density', state, run.dataset.images, chosen)
        return {'validation_log_density': float(values.mean())}
    if 'pixel_logits' in abilities:
        evaluator = pixel_classes(run.facts)
    else:
        evaluator = image_classes(run.facts.class_names)
    tested = evaluation_set(run, run.dataset.subset(chosen))
    (result,) = evaluators.measure(run, state, tested, [evaluator])
    kept = ('accuracy', 'nll', 'pixel_accuracy', 'mean_iou')
    return {f'validation_{k}': v for k, v in result.numbers.items() if k in kept}


def sample_picture(run: Run, state: Any) -> np.ndarray | None:
    """64 samples, the same each time, to `samples/` in the run's folder.

    They are slots of the replay buffer; a method without chains makes them of the same noise. Of a
    method that synthesises they are validation places, real and below them synthesised.

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
    elif 'synthesise' in run.method.abilities:
        samples = None
    else:
        return None
    picture = synthesis_picture(run, state) if samples is None else _grid(run, samples)
    if picture is not None and sharding.is_main_process():
        save_picture(picture, run.folder / 'samples' / f'step_{run.step:07d}.png')
    return picture


def _grid(run: Run, samples: np.ndarray) -> np.ndarray:
    images = visible_bands(samples, run.images.bands)
    return mosaic(arrange(images, 8), max(1, -(-64 // images.shape[1])))
