"""A trained run in words: what it was trained on, and what it can do."""

from __future__ import annotations

import numpy as np

from eojax.data.facts import IMAGES
from eojax.evaluation.scoring import scores_of
from eojax.messages import counted
from eojax.runs.domains import SOURCE, TARGET
from eojax.runs.run import Run

_CLASSES_SHOWN = 12


def abilities_of(run: Run) -> tuple[str, ...]:
    """The names of the methods of `OpenedRun` that work for a run."""
    abilities, by_pixel = run.method.abilities, 'pixel_logits' in run.method.abilities
    names = []
    if by_pixel or 'logits' in abilities:
        names += ['probabilities', 'predict', 'logits']
    if ('pixel_log_density' if by_pixel else 'log_density') in abilities:
        names += ['log_density', 'percentile']
    names += [name for name in ('features',) if name in abilities]
    if scores_of(run.method):
        names += ['score', 'function']
    names += [
        name for name in ('sample', 'restore', 'reconstruct', 'synthesise') if name in abilities
    ]
    if SOURCE in run.known and 'source_embedding' in abilities:
        names.append('source')
    names.append('read')
    if by_pixel or 'logits' in abilities:
        names.append('map_scene')
    return (*names, 'evaluate')


def described(run: Run) -> str:
    """Several lines for people."""
    config, facts, counts = run.config, run.facts, run.known[TARGET].counts
    # Without colours or the like, the first of what it sees.
    first = IMAGES if IMAGES in run.method.rasters else run.method.rasters[0]
    images = facts.rasters[first]
    size = 'images of any size' if facts.size is None else f'{facts.size[0]} x {facts.size[1]} px'
    if 'pixel_logits' in run.method.abilities and facts.size is not None:
        size = f'{size}, and any other size'
    low, high = (0, 255) if images.limits is None else np.asarray(images.limits).T
    limits = f'{np.min(low):g} to {np.max(high):g}'
    labelled = counts['labelled']
    some = '' if labelled in (0, counts['train']) else f', {labelled:,} of them labelled'
    ground = '' if facts.metres is None else f', {facts.metres:g} m a pixel'
    title = facts.title or facts.name
    # What has to be said of a data set that no sensor has seen.
    drawn = ' (drawings, no real images)' if facts.synthetic else ''
    lines = [
        f'<eojax run {str(run.folder)!r}: {config.method.name} with {config.model.name}, step'
        f' {run.step:,}',
        f'  trained on: {title}, {counted(counts["train"], "image")}{some}{drawn}',
        f'  sees: {size}, {", ".join(images.bands)} as {images.dtype} ({limits}){ground}',
    ]
    others = [name for name in run.method.rasters if name != first]
    if 'synthesise' in run.method.abilities:
        lines.append(f'  makes: {_synthesis(run)}')
    elif others:
        lines.append(f'  and besides: {", ".join(others)}')
    if facts.class_names:
        shown = ', '.join(facts.class_names[:_CLASSES_SHOWN])
        more = facts.num_classes - _CLASSES_SHOWN
        lines.append(f'  classes: {shown}{f", and {more} more" if more > 0 else ""}')
    lines.append(f'  can: {", ".join(abilities_of(run))}>')
    return '\n'.join(lines)


def _synthesis(run: Run) -> str:
    """What a generator of images makes, and of what."""
    *taken, made = run.method.rasters
    output = run.facts.rasters[made]
    ends = ' and '.join(f'{low:g} to {high:g}' for low, high in output.limits or ((0, 255),))
    cover = [] if run.config.method.generator == 'raster' else ['land cover']
    inputs = ' and '.join((*cover, *taken))
    return f'{made} ({", ".join(output.bands)} as {output.dtype}, {ends}) of {inputs}'
