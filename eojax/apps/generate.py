"""Makes images with a trained run, and says what the model thinks of them.

    python -m eojax.apps.generate --workdir=runs/jem_eurosat --num=64 --class=River --out=rivers

Chains of Langevin dynamics go on from the ends of the training's own chains (`--start=buffer`),
begin afresh as those did (`--start=fresh`) or at uniform noise (`--start=noise`). Without `--class`
they follow log p(x); with it they follow log p(x, y) of that class, and of the buffer's images they
go on from those that the model finds most probably of it. A method without chains draws images in
one go, and takes no options of chains. What is written to `--out`:

`image_0000.png` ...: one image each. `grid.png`: all of them, at most 400.
`samples.npz`: `images` uint8 `[N, H, W, C]`; `predicted` int32 `[N]` and `predicted_names`, the
  most probable class, and `log_density` float32 `[N]`, log p(x) unnormalised, of the images as
  written, for methods that have them; `requested` int32 `[N]`, the class asked for, -1 for none;
  `class_names`.
`filmstrip.png`: the course of the first eight chains, where there are chains; for `--start=buffer`,
  of chains that begin afresh, since those of the buffer are at their end.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from eojax.atomic_file import write_atomically
from eojax.devices import sharding
from eojax.drawing import figures
from eojax.drawing.pictures import arrange, save_picture, visible_bands
from eojax.errors import UserError, unknown_name
from eojax.evaluation.sampling import (
    Starts,
    buffer_capacity,
    buffer_images,
    by_class,
    chain_of,
    draw_samples,
    film_samples,
)
from eojax.evaluation.scoring import score, score_all
from eojax.feed.pipeline import to_uint8
from eojax.messages import counted, say
from eojax.methods import METHODS
from eojax.methods.method import ability
from eojax.metrics.summaries import log_probabilities
from eojax.runs.command import (
    check_seed,
    open_folder_for_writing,
    open_trained,
    run_command,
    run_parser,
)
from eojax.runs.run import Run
from eojax.samplers.langevin import Langevin

_GRID_AT_MOST = 400
_FILM_CHAINS, _FILM_FRAMES = 8, 8


class Request(NamedTuple):
    """The images to make.

    Attributes:
      num: images.
      label: index of the class; None for any.
      start: `buffer`, `fresh` or `noise`; empty for the buffer where the method keeps one.
      steps, step_size, noise: of the chains; None for the default.
      seed: of starts and noise.
    """

    num: int
    label: int | None = None
    start: str = ''
    steps: int | None = None
    step_size: float | None = None
    noise: float | None = None
    seed: int = 0


class Generated(NamedTuple):
    """The images that were made; fields as in `samples.npz`.

    Attributes:
      predicted, log_density: None for a method without logits, or without a density.
      film: uint8 `[frames, chains, H, W, C]`, the course of the first chains.
      film_steps: the step after which each frame was taken; empty for a method without chains.
    """

    images: np.ndarray
    predicted: np.ndarray | None
    log_density: np.ndarray | None
    requested: np.ndarray
    film: np.ndarray
    film_steps: list[int]


def generate(run: Run, state: Any, request: Request) -> Generated:
    """Runs the chains and scores their ends; all processes of a run call it together.

    Raises:
      UserError: the method cannot sample, or not as requested; or it keeps no buffer of that many
        images.
    """
    ability(run.method, 'sample', run.config.method.name, METHODS)
    chain = choose_chain(run, request)
    starts = choose_starts(run, state, request)
    images = draw_samples(run, state, starts, request.seed, chain, title='sampling')
    film: np.ndarray = images[None, :0]
    steps: list[int] = []
    if chain is not None:
        film, steps = _film(run, state, request, starts, chain, images)
    names = [name for name in ('logits', 'log_density') if name in run.method.abilities]
    scores = score_all(run, names, state, images) if names else {}
    predicted = scores['logits'].argmax(-1).astype(np.int32) if 'logits' in scores else None
    requested = starts.labels if starts.conditional else np.full(request.num, -1, np.int32)
    return Generated(images, predicted, scores.get('log_density'), requested, film, steps)


def _film(
    run: Run, state: Any, request: Request, starts: Starts, chain: Langevin, images: np.ndarray
) -> tuple[np.ndarray, list[int]]:
    """The course of the first chains, and the steps of its frames.

    Of chains of the buffer, which are at their end and hardly change, it shows how such chains get
    there: from fresh starts, as many steps as they take unless the request says how many.
    """
    every = max(1, -(-chain.steps // _FILM_FRAMES))
    shown, apart = starts, _from_buffer(run, state, request)
    if apart:
        fresh = request._replace(num=min(request.num, _FILM_CHAINS), start='fresh')
        longer = choose_chain(run, fresh)
        assert longer is not None
        every = max(1, -(-longer.steps // _FILM_FRAMES))
        chain = longer._replace(steps=every * -(-longer.steps // every))
        shown = choose_starts(run, state, fresh)
    if sharding.is_main_process():
        num = min(_FILM_CHAINS, len(shown.labels))
        say(f'filming {counted(num, "chain")} of {counted(chain.steps, "step")} for filmstrip.png')
    film = film_samples(run, state, shown, request.seed, chain, every, apart)[:, :_FILM_CHAINS]
    steps = [frame * every for frame in range(len(film))]
    if steps[-1] < chain.steps:
        last = images[: film.shape[1]]
        film, steps = np.concatenate([film, last[None]]), [*steps, chain.steps]
    return film, steps


def _from_buffer(run: Run, state: Any, request: Request) -> bool:
    return (request.start or ('buffer' if buffer_capacity(run, state) else 'fresh')) == 'buffer'


def choose_starts(run: Run, state: Any, request: Request) -> Starts:
    """Where the chains of a request begin.

    From the buffer: different images at random; for a class, those most probably of it. Afresh or
    from noise: classes in turn, or the one asked for.
    """
    capacity, num, label = buffer_capacity(run, state), request.num, request.label
    conditional = label is not None or by_class(run)
    rng = np.random.default_rng(request.seed)
    if not _from_buffer(run, state, request):
        labels = (
            np.arange(num) % max(run.task.num_classes, 1) if label is None else np.full(num, label)
        )
        images = None
        if request.start == 'noise':
            images = rng.uniform(-1.0, 1.0, (num, *run.task.image_shape)).astype(np.float32)
        return Starts(labels.astype(np.int32), images, conditional)
    if 0 < capacity < num:
        raise UserError(
            f'--num={num}: the replay buffer holds {counted(capacity, "image")};'
            ' ask for fewer, or begin afresh with --start=fresh'
        )
    slots = rng.permutation(capacity)
    if label is None:
        images, labels = buffer_images(run, state, slots[:num])
        return Starts(labels, images, conditional)
    images, _ = buffer_images(run, state, slots)
    pixels = to_uint8(jnp.asarray(images))
    logits = score(run, 'logits', state, pixels, title='searching the buffer')
    best = np.argsort(-log_probabilities(logits)[:, label], kind='stable')[:num]
    return Starts(np.full(num, label, np.int32), images[best], conditional)


def choose_chain(run: Run, request: Request) -> Langevin | None:
    """The chain of training with what the request changes; None for a method without chains.

    Such a method takes no options of chains, and a class only if it was trained for classes.

    A chain that is not of the buffer is by default as long as one of the buffer gets to be on
    average before it is begun anew, at most twenty times the steps of one visit.
    """
    chain = chain_of(run)
    given: dict[str, Any] = {k: getattr(request, k) for k in ('steps', 'step_size', 'noise')}
    given = {k: v for k, v in given.items() if v is not None}
    if chain is None:
        if request.start:
            given['start'] = request.start
        name = run.config.method.name
        if given:
            raise UserError(f'method {name!r} has no chains: leave out --{min(given)}')
        if request.label is not None and not by_class(run):
            raise UserError(f'method {name!r} makes images of no class: leave out --class')
        return None
    if request.start in ('fresh', 'noise') and 'steps' not in given:
        share = max(float(run.config.sampler.get('reinitialise', 1.0)), 0.05)
        given['steps'] = round(chain.steps / share)
    return chain._replace(**given)


def write(run: Run, made: Generated, out: Path) -> None:
    """Writes all files into `out`, each of them whole or not at all."""
    names = run.facts.class_names
    seen = visible_bands(made.images, run.images.bands)
    digits = max(4, len(str(len(seen) - 1)))
    for number, image in enumerate(seen):
        save_picture(image, out / f'image_{number:0{digits}d}.png')
    shown = seen[:_GRID_AT_MOST]
    title = f'{len(seen)} samples' if len(shown) == len(seen) else f'{len(shown)} of {len(seen)}'
    if made.requested[0] >= 0 and len(set(made.requested)) == 1:
        title = f'{names[made.requested[0]]}: {title}'
    grid = arrange(shown, math.ceil(math.sqrt(len(shown))))
    figures.image_grid(grid, out / 'grid.png', title=title)
    if made.film_steps:
        film = visible_bands(made.film, run.images.bands)
        figures.filmstrip(film, made.film_steps, out / 'filmstrip.png')
    arrays: dict[str, Any] = {
        'images': made.images,
        'requested': made.requested,
        'class_names': np.asarray(names),
    }
    if made.predicted is not None:
        arrays['predicted'] = made.predicted
        arrays['predicted_names'] = np.asarray(names)[made.predicted]
    if made.log_density is not None:
        arrays['log_density'] = made.log_density
    write_atomically(out / 'samples.npz', lambda file: np.savez(file, **arrays))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = run_parser(
        'generate',
        'Makes images with a trained run: PNGs, a grid, a filmstrip and samples.npz.',
        '--workdir=runs/jem_eurosat --num=64 --class=River --out=rivers',
    )
    parser.add_argument('--num', type=int, default=64, help='how many images (default: 64)')
    parser.add_argument('--class', dest='name', help='class to make; any where left out')
    parser.add_argument(
        '--start', default='', choices=('buffer', 'fresh', 'noise'),
        help='ends of the training\'s chains (default), its fresh starts, or uniform noise',
    )  # fmt: skip
    parser.add_argument(
        '--steps', type=int,
        help="of each chain (default: the sampler's; if not from the buffer, the mean age in it)",
    )  # fmt: skip
    parser.add_argument('--step_size', type=float, help="default: the sampler's")
    parser.add_argument('--noise', type=float, help="default: the sampler's")
    parser.add_argument('--seed', type=int, default=0, help='another seed makes other images')
    run_command(parser, arguments, _check, _generate)


def _check(options: argparse.Namespace) -> None:
    """Refuses numbers that make no images, and a folder that cannot be written to."""
    for name in ('num', 'steps'):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f'--{name} must be at least 1, not {value}')
    if options.step_size is not None and not 0.0 < options.step_size < math.inf:
        raise UserError(f'--step_size must be positive, not {options.step_size}')
    if options.noise is not None and not 0.0 <= options.noise < math.inf:
        raise UserError(f'--noise must not be negative, not {options.noise}')
    check_seed(options.seed)
    open_folder_for_writing(options.out)


def _generate(options: argparse.Namespace) -> None:
    def can_sample(run: Run) -> None:
        if options.name is not None and options.name not in run.facts.class_names:
            raise unknown_name('class', options.name, run.facts.class_names)
        ability(run.method, 'sample', run.config.method.name, METHODS)

    run, state = open_trained(
        options.workdir, options.checkpoint, options.data_root, can_sample, options.class_folders
    )
    names = run.facts.class_names
    label = None if options.name is None else names.index(options.name)
    given = (options.start, options.steps, options.step_size, options.noise, options.seed)
    request = Request(options.num, label, *given)
    made = generate(run, state, request)
    if not sharding.is_main_process():
        return
    write(run, made, options.out)
    if made.predicted is not None:
        counts = np.bincount(made.predicted, minlength=len(names))
        order = np.argsort(-counts, kind='stable')[: np.count_nonzero(counts)]
        say('predicted: ' + ', '.join(f'{names[i]} {counts[i]}' for i in order))
    film = ', filmstrip.png' if made.film_steps else ''
    print(f'{counted(options.num, "image")}, grid.png{film} and samples.npz are in {options.out}')


if __name__ == '__main__':
    main()
