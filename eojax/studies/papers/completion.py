"""Image completion: a hole in the middle, and salt and pepper, filled by a run."""

from __future__ import annotations

import argparse

import numpy as np

from eojax.apps.restore import repair
from eojax.apps.restore.command import compare, read_case
from eojax.apps.restore.record import numbers_of
from eojax.drawing import figures
from eojax.drawing.pictures import visible_bands
from eojax.feed.pipeline import to_uint8
from eojax.runs.command import open_trained
from eojax.studies.papers.item import Compared, Outcome, Work

_FILE = 'figure.png'
# Of the paper: kind of damage -> its share of the pixels.
_DAMAGES = {'centre': 0.125, 'salt_pepper': 0.1}
_IMAGES, _SHOWN = 16, 2
_CHAINS = 8  # of each image
_METHODS = {'model': 'JEM', 'biharmonic': 'biharmonic', 'median': 'median'}


def completion(work: Work) -> Outcome:
    """Two rows of each damage: damaged, filled by the run and by two others, and true."""
    (one,) = work.plan.runs
    run, state = open_trained(work.folder(one))
    seed = run.config.seed
    settings = repair.choose_settings(run, _CHAINS, seed=seed)
    texture = repair.texture_of(run, state)
    rows, labels, numbers = [], [], []
    for damage, share in _DAMAGES.items():
        options = argparse.Namespace(
            images='test', num=_IMAGES, damage=damage, share=share, seed=seed, mask=None
        )
        case = read_case(run, options)
        found = repair.repair(run, state, case.images, case.masks, texture, settings, 'repairing')
        made, true = compare(case, found), to_uint8(case.images)
        shown = [case.shown, *(made[name] for name in _METHODS), true]
        seen = [visible_bands(images[:_SHOWN], run.images.bands) for images in shown]
        rows.append(np.stack(seen, axis=1))
        words = f'{damage.replace("_", " and ")}, {share:.1%}'
        labels += [words] * _SHOWN
        for name, values in numbers_of(made, true, case.masks).items():
            if name in _METHODS:
                of = f'{words}: {_METHODS[name]}'
                numbers += [Compared(of, key, values[key]) for key in ('psnr', 'ssim')]
    columns = ['damaged', *_METHODS.values(), 'true']
    figures.image_grid(np.concatenate(rows), work.out / _FILE, labels, columns)
    caption = (
        f'Completion by {one.title} of a hole in the middle (12.5% of the pixels) and of salt and'
        f' pepper (10%), the first {_SHOWN} of {_IMAGES} test images each; JEM is the mean of'
        f' {settings.chains} chains. PSNR in dB and SSIM over the missing pixels are means over all'
        f' {_IMAGES}; the paper prints none.'
    )
    return Outcome(caption, numbers, [_FILE])
