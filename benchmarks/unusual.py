"""Which score tells images of other kinds from a run's own: what the literature has, side by side.

    python -m benchmarks.unusual --workdir=jem-eurosat-32 --data_root=EuroSAT_RGB.zip
        --domain=ucmerced=UCMerced.zip --domain=river=S2.tif [--member=RUN ...] [--images=300]

AUROC of the run's test images against each domain, by

`log_density`, `max_probability`, `typicality`, `states`, `ratio`: those of `eojax compare`;
`noise_levels`: the density of the norms of grad log p(x + sigma n) at five sigma under a mixture of
  Gaussians of training images (Mahmood et al., "Multiscale Score Matching for Out-of-Distribution
  Detection", 2021);
`background_ratio`: log p(x) less what a background model makes of it (Ren et al., "Likelihood
  Ratios for Out-of-Distribution Detection", 2019). The background is a stationary Gaussian of all
  training images, which knows their colours and spectrum and nothing they show; as log p(x) is
  unnormalised, its weight is the slope of log p(x) on the background's, over training images;
`complexity_ratio`: likewise with minus the size of the image as a PNG (Serra et al., "Input
  Complexity and Out-of-Distribution Detection with Likelihood-based Generative Models", 2020);
`waic`: the mean less the variance of log p(x) over the run and its `--member`s, each in units of
  its own training images (Choi, Jang and Alemi, "WAIC, but Why?", 2018).

All are fitted to training images alone. `detail` is the density of roughness and grain under the
mixture of `states`, without any network: what a score must beat.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from benchmarks import command, provenance
from benchmarks.command import Numbers, rounded
from eojax.apps.compare_domains.domains import find_domain, own_domains, parse_domains
from eojax.data.columns import spread
from eojax.data.value_range import scale_to_unit
from eojax.errors import UserError, one_line_errors
from eojax.evaluation.scoring import density_name, score_all, score_batches
from eojax.metrics.out_of_distribution import auroc
from eojax.metrics.typicality import (
    STATISTICS,
    fit_mixture,
    fit_ratio,
    fit_states,
    typicality,
)
from eojax.runs.command import open_trained
from eojax.runs.run import Run, with_data
from eojax.tables import plain_table

# Of the noise of `noise_levels`, of images in [-1, 1].
LEVELS = (0.0, 0.05, 0.1, 0.2, 0.4)
# Training images that scores are fitted to.
_TRAINING = 2000
SCORES = (
    'log_density', 'max_probability', 'typicality', 'states', 'ratio', 'noise_levels',
    'background_ratio', 'complexity_ratio', 'waic', 'detail',
)  # fmt: skip
# Whatever is known of each image, `[num]` or `[num, levels]`, by name.
Known = dict[str, np.ndarray]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints the table and writes the record."""
    parser = command.parser('unusual', __doc__)
    parser.add_argument('--workdir', required=True, help='a run with log p(x), a file or a name')
    parser.add_argument('--data_root', default='', help="where the runs' own data lie now")
    parser.add_argument('--member', action='append', default=[], help='other runs, for waic')
    parser.add_argument('--domain', action='append', default=[], help='NAME=PATH; may be repeated')
    parser.add_argument('--images', type=int, default=300, help='of each domain, at most')
    options = parser.parse_args(arguments)
    with one_line_errors():
        if options.images < 20:
            raise UserError(f'--images must be at least 20, not {options.images}')
        paths = parse_domains(options.domain)
        commit = command.commit_for(options)
        run, state = opened(options.workdir, options.data_root)
        others = [opened(place, options.data_root) for place in options.member]
        for place, (other, _) in zip(options.member, others, strict=True):
            if other.task.image_shape != run.task.image_shape:
                raise UserError(f'--member={place}: its images are of another size or other bands')
        images = images_of(run, paths, options.images)
        known = {}
        for name, pixels in images.items():
            command.say(f'{name}: {len(pixels)} images')
            known[name] = known_of(run, state, others, pixels)
        found = scores_of(known)
        numbers: Numbers = {'images': options.images, 'members': 1 + len(others)}
        for name in [name for name in images if name not in ('train', 'test')]:
            numbers[f'images_{name}'] = len(images[name])
            for score, values in found.items():
                numbers[f'auroc_{name}_{score}'] = rounded(auroc(values['test'], values[name]))
        print(text(numbers))
        flags = ('workdir', 'data_root', 'images')
        words = command.spelled('unusual', options, flags)
        words += ''.join(f' --domain={text}' for text in options.domain)
        words += ''.join(f' --member={text}' for text in options.member)
        command.write(options, provenance.record_of(words, commit, numbers, options.notes))


def opened(place: str, root: str) -> tuple[Run, Any]:
    """A run with its data, and its state.

    Raises:
      UserError: it has no log p(x), or its images are not of 8 bits.
    """
    run, state = open_trained(Path(place), None, root)
    if density_name(run.method) != 'log_density':
        raise UserError(f'{place}: {run.config.method.name} learns no log p(x)')
    if run.images.dtype != 'uint8':
        raise UserError(f'{place}: its images are not of 8 bits, which PNG files hold')
    return with_data(run), state


def images_of(run: Run, paths: Mapping[str, Path], num: int) -> dict[str, np.ndarray]:
    """Training and test images, and those of the domains, uint8 `[num, H, W, bands]`."""
    splits = {'train': (run.splits.train, _TRAINING), 'test': (run.splits.test, num)}
    images = {
        name: np.asarray(run.dataset.images[split[spread(len(split), most)]])
        for name, (split, most) in splits.items()
    }
    domains = [
        *own_domains(run, num),
        *(find_domain(name, path, run, num) for name, path in paths.items()),
    ]
    return images | {domain.name: domain.read() for domain in domains}


def known_of(run: Run, state: Any, others: Sequence[tuple[Run, Any]], images: np.ndarray) -> Known:
    """All that scores are made of."""
    names = ('log_density', 'max_probability', 'roughness', 'grain')
    known = score_all(run, names, state, images)
    members = [score_all(one, ('log_density',), its, images)['log_density'] for one, its in others]
    known['members'] = np.stack([known['log_density'], *members], -1)
    known['gradients'] = np.stack([noisy_gradients(run, state, images, x) for x in LEVELS], -1)
    known['gradient'] = known['gradients'][:, 0]
    known['bytes'] = np.array([png_bytes(image) for image in images], np.float64)
    known['pixels'] = np.asarray(scale_to_unit(images, run.images.limits), np.float32)
    return known


def noisy_gradients(run: Run, state: Any, images: np.ndarray, level: float) -> np.ndarray:
    """-||grad log p|| of images under normal noise of that deviation, float32 `[num]`."""
    units = np.asarray(scale_to_unit(images, run.images.limits), np.float32)
    noise = np.random.default_rng(0).normal(0.0, level or 1.0, units.shape) * bool(level)
    units, size = (units + noise).astype(np.float32), run.config.evaluate.batch_size
    batches = (units[start : start + size] for start in range(0, len(units), size))
    scores = score_batches(run, ('gradient',), state, batches, scaled=True)
    return np.concatenate([found['gradient'] for found in scores])


def png_bytes(image: np.ndarray) -> int:
    """The size of an image `[H, W, bands]` as a PNG, its bands side by side if not 1 or 3."""
    bands = image.shape[-1]
    flat = image if bands == 3 else np.concatenate([image[..., i] for i in range(bands)], 1)
    file = io.BytesIO()
    Image.fromarray(flat).save(file, 'PNG')
    return file.tell()


class Background(NamedTuple):
    """A stationary Gaussian of images: mean `[bands]`, and for each frequency the inverse of its
    spectral density's root `[H, W, bands, bands]`, with the sum of the logs of its determinants."""

    mean: np.ndarray
    whitening: np.ndarray
    log_determinant: float

    def log_density(self, images: np.ndarray) -> np.ndarray:
        """log p(x) of images `[num, H, W, bands]`, float64 `[num]`."""
        waves = np.einsum('hwab,nhwb->nhwa', self.whitening, _waves(images - self.mean))
        constant = images[0].size * np.log(2.0 * np.pi)
        square = np.square(np.abs(waves)).sum((1, 2, 3))
        return -0.5 * (square + self.log_determinant + constant)


def fit_background(images: np.ndarray) -> Background:
    """The stationary Gaussian of images `[num, H, W, bands]`, periodic at their borders."""
    mean = images.mean((0, 1, 2), dtype=np.float64)
    waves = _waves(images - mean)
    density = np.einsum('nhwa,nhwb->hwab', waves, waves.conj()) / len(images)
    values, vectors = np.linalg.eigh(density)
    values = np.maximum(values, 1e-8)  # bands may repeat each other
    whitening = np.einsum('hwab,hwb,hwcb->hwac', vectors, values**-0.5, vectors.conj())
    return Background(mean, whitening, float(np.log(values).sum()))


def _waves(images: np.ndarray) -> np.ndarray:
    return np.fft.fft2(images, axes=(1, 2), norm='ortho')


def scores_of(known: Mapping[str, Known]) -> dict[str, dict[str, np.ndarray]]:
    """The scores by name and set of images, each higher for images that are more like training."""
    training = known['train']
    background = fit_background(training['pixels'])
    states = fit_states({key: training[key] for key in STATISTICS})
    detail = fit_states({key: training[key] for key in ('roughness', 'grain')})
    noise_levels = fit_mixture(np.log(np.abs(training['gradients']) + 1e-30))
    centre, scale = training['members'].mean(0), training['members'].std(0)
    simple = {
        'background_ratio': lambda one: background.log_density(one['pixels']),
        'complexity_ratio': lambda one: -one['bytes'],
    }
    ratios = {name: ratio_to(training, of) for name, of in simple.items()}
    ratio = fit_ratio(training['log_density'], training['roughness'])
    made: dict[str, Callable[[Known], np.ndarray]] = {
        'log_density': lambda one: one['log_density'],
        'max_probability': lambda one: one['max_probability'],
        'typicality': lambda one: typicality(one['log_density'], training['log_density']),
        'states': states,
        'ratio': lambda one: ratio(one['log_density'], one['roughness']),
        'noise_levels': lambda one: noise_levels(np.log(np.abs(one['gradients']) + 1e-30)),
        **ratios,
        'waic': lambda one: waic((one['members'] - centre) / scale),
        'detail': detail,
    }
    if training['members'].shape[-1] < 2:
        del made['waic']
    return {name: {key: of(one) for key, one in known.items()} for name, of in made.items()}


def ratio_to(
    training: Known, background: Callable[[Known], np.ndarray]
) -> Callable[[Known], np.ndarray]:
    """log p(x) less what a background explains of it over training images, as a line."""
    ratio = fit_ratio(training['log_density'], background(training))
    return lambda one: ratio(one['log_density'], background(one))


def waic(densities: np.ndarray) -> np.ndarray:
    """Mean less variance over the members, of log p(x) `[num, members]`."""
    values: np.ndarray = densities.mean(-1) - densities.var(-1, ddof=1)
    return values


def text(numbers: Numbers) -> str:
    """The table of AUROC, a row for each domain."""
    names = [key.removeprefix('images_') for key in numbers if key.startswith('images_')]
    scores = [score for score in SCORES if f'auroc_{names[0]}_{score}' in numbers]
    rows = [
        [name, *(f'{numbers[f"auroc_{name}_{score}"]:.3f}' for score in scores)] for name in names
    ]
    return '\n'.join(plain_table([['AUROC', *scores], *rows]))


if __name__ == '__main__':
    main()
