"""Image synthesis: what a sensor would see of given land cover and rasters such as elevation.

"Synthesizing Optical and SAR Imagery From Land Cover Maps and Auxiliary Raster Data" (Baier,
Deschemps, Schmitt and Yokoya, 2021). With x the land cover and rasters of a place, y the real
image, G a generator (Table I, `eojax.models.image_generator`) and D a discriminator (Table II,
`eojax.models.patch_discriminator`) with layers D_k, section II-D:

    L_G = E[-D(G(x), x) + lambda sum_k ||D_k(G(x), x) - D_k(y, x)||_1]
    L_D = E[-min(0, -1 + D(y, x)) - min(0, -1 - D(G(x), x))]

A step updates the generator once, then the discriminator `method.discriminator_steps` times, on an
image that the updated generator makes; each has an Adam of its own (section III-C). The spectra of
their kernels are normalised with one power iteration an update. Statistics of batch normalisation
are those of the whole batch, on all devices.

Notes:
  The paper prints L_G with the minus before both terms and L_D without its own (`eojax.losses.
  feature_matching`, `eojax.losses.hinge`). It has lambda 1, its code 5, SPADE 10, which is the
  default here; norms are means, and the mean of the scales is taken.
  `method.generator` names the five generators of Table III. The discriminator sees what the
  generator sees: land cover, one-hot and nothing where it is unknown, and rasters.
  `method.spectral_norm`: `all` kernels, as the paper says; `authors`: those of their code, all of
  the generator but SPADE's own and the middle ones of the discriminator; `none`; or those in whose
  name, such as `generator/body/block1/conv1/convolution/kernel`, a regular expression is found.
  Each further update of the discriminator sees other places, those of a stream of its own.
  Pixels of the target without data are shown alike in real and made-up images.
  Rasters are brought to mean 0 and standard deviation 1 over the training places
  (`eojax.methods.adversarial.standardisation`; the paper gives metres, which vary by tens), and
  with `method.raster_values='relief'` less their mean over `method.relief_window` pixels around;
  `stored` leaves them in [-1, 1].
  Options that the paper does not have: a running average of the generator, with batch statistics
  of its own from every tenth batch, as those of training belong to other parameters; differentiable
  augmentation of all that the discriminator sees (`eojax.augment.differentiable`); and
  `method.discriminator='segmentation'`, OASIS (`eojax.methods.adversarial.judges`), in which
  pixels of unknown class have no part.
  The best state is the one whose textures on validation places are nearest to the real ones, class
  by class (`eojax.metrics.textures`): likeness of pixels would choose the most blurred one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax, random
from ml_collections import ConfigDict

from eojax.augment import differentiable
from eojax.augment.sample import VALID
from eojax.data.dataset import Dataset
from eojax.data.facts import IMAGES, Facts
from eojax.errors import UserError
from eojax.feed.streams import Batch, Stream
from eojax.methods.adversarial import judges, player, standardisation
from eojax.methods.adversarial.judges import JUDGES, Given, Judge
from eojax.methods.adversarial.player import Player
from eojax.methods.adversarial.standardisation import Moments, relief, standardised
from eojax.methods.method import Method, Metrics, Phase, Recipe, Task
from eojax.methods.pixels import windows
from eojax.methods.pixels.windows import Windows
from eojax.methods.update import descent, optimizers
from eojax.methods.update.descent import Aside, Descent
from eojax.models import image_generator, spectral_norm
from eojax.models.image_generator import GENERATORS
from eojax.models.model import Network
from eojax.models.pixel_network import join_rasters
from eojax.option import (
    NOT_NEGATIVE,
    Option,
    Options,
    Range,
    at_least,
    name_in,
    one_of,
    with_defaults,
)

SPECTRAL_NORMS = {
    'all': '',
    'authors': r'^generator/(?!.*/(hidden|modulation)/)'
    r'|^discriminator/(scale\d+/layer[234]|down\d+|up\d+|head)/',
    'none': r'(?!)',
}
RASTER_VALUES = ('standardised', 'relief', 'stored')
_ODD = Range('odd, 3 or more', 'must be odd, and 3 or more', lambda n: n >= 3 and n % 2 == 1)
_ADAM = with_defaults(optimizers.OPTIONS, b1=0.0, b2=0.9)
OPTIONS: dict[str, Options] = {
    'method': {
        'generator': Option('fusion', 'what the image is made of, and how', name_in(GENERATORS)),
        'rasters': windows.OPTIONS['rasters']._replace(
            default='elevation', meaning='rasters that the image is made of; not seen by label'
        ),
        'raster_values': Option(
            'standardised',
            'what is seen of them: brought to mean 0 and deviation 1, less the mean around or not',
            one_of(*RASTER_VALUES),
        ),
        'relief_window': Option(
            33, 'side of the square whose mean is subtracted, for relief', _ODD, 'pixels'
        ),
        'target': Option(IMAGES, 'raster that is made, such as images or sar'),
        'window': windows.OPTIONS['window'],
        'evaluation_window': windows.OPTIONS['evaluation_window'],
        'augment': windows.OPTIONS['augment'].but('flips'),
        'discriminator': Option('patch', 'what the discriminator says', name_in(JUDGES)),
        'discriminator_steps': Option(1, 'updates of the discriminator in a step', at_least(1)),
        'feature_matching_weight': Option(
            10.0, 'lambda of feature matching, with the patch discriminator', NOT_NEGATIVE
        ),
        'label_mix_weight': Option(
            10.0, 'weight of LabelMix, with the segmentation discriminator; 0: none', NOT_NEGATIVE
        ),
        'spectral_norm': Option(
            'all', 'kernels with normalised spectra: all, authors, none or a regular expression'
        ),
        'diff_augment': Option(
            '', 'augmentation of what the discriminator sees', differentiable.WITHIN
        ),
        'average_decay': windows.OPTIONS['average_decay'],
    },
    'optimizer': {'b1': _ADAM['b1'], 'b2': _ADAM['b2']},
    'discriminator': {
        'width': Option(64, 'features of its first layer', at_least(1), 'features'),
        'scales': Option(2, 'scales of the patch discriminator', at_least(1)),
        'levels': Option(
            6, 'how often the segmentation discriminator halves the sides', at_least(1)
        ),
        'optimizer': with_defaults(_ADAM, learning_rate=4e-4),
    },
}
NETWORK = 'image_generator'
# Of the running average's batch statistics: a batch of so many, and iterations for its spectra.
_EVERY, _ITERATIONS = 10, 5


class SynthesisState(NamedTuple):
    """All that the next step needs.

    Attributes:
      generator: and the running average of its parameters.
      discriminator: likewise, without average.
      average_statistics: batch statistics of the averaged generator; `()` without average.
      moments: of the generator's rasters, `eojax.methods.adversarial.standardisation`; `()` where
        they stay as they are.
    """

    generator: Player
    discriminator: Player
    average_statistics: Any
    moments: Any


def check(config: ConfigDict) -> None:
    """Refuses combinations that cannot train.

    Raises:
      UserError: one line that names the key.
    """
    optimizers.check(config.discriminator.optimizer)
    pattern = config.method.spectral_norm
    try:
        spectral_norm.named(SPECTRAL_NORMS.get(pattern, pattern))
    except UserError as error:
        raise UserError(f'method.spectral_norm: {error}') from error
    if config.method.target in _inputs(config.method):
        raise UserError(
            f'method.target {config.method.target!r} is among method.rasters, which it is made of'
        )


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config.

    Raises:
      UserError: data without a raster that is asked for; windows that cut pixels of one.
    """
    options, facts = config.method, task.facts
    inputs = _inputs(options)
    seen = _windows(options, inputs, facts)
    bands = len(facts.rasters[options.target].bands)
    updates = config.steps * options.discriminator_steps
    training = _Training(
        image_generator.build(config.model, options.generator, task.num_classes, bands),
        judges.build(options, config.model, config.discriminator, task.num_classes),
        descent.build(config.optimizer, config.steps, options.average_decay),
        descent.build(config.discriminator.optimizer, updates),
        options,
        inputs,
    )
    stream = seen.stream('labelled', config.batch_size)
    works = bool(inputs) and options.raster_values != 'stored'

    def fit(dataset: Dataset) -> Moments:
        return standardisation.fit(dataset, inputs, options.window, _around(options))

    names = [f'labelled_{n}' if n else 'labelled' for n in range(options.discriminator_steps)]
    streams: dict[str, Stream] = dict.fromkeys(names, stream)
    return Method(
        training.init,
        (Phase('synthesis', config.steps, streams, training.step),),
        {'synthesise': training.synthesise},
        score='texture_match',
        rasters=seen.rasters,
        window=seen.evaluation,
        fit=fit if works else None,
        fitted=standardisation.shapes_of(seen.bands - bands) if works else None,
    )


def _inputs(options: ConfigDict) -> tuple[str, ...]:
    """The names of the rasters that the generator sees."""
    if options.generator == 'label':
        return ()
    return tuple(name.strip() for name in options.rasters.split(','))


def _around(options: ConfigDict) -> int:
    """The side of the squares of relief; 0 for rasters as they are."""
    side: int = options.relief_window
    return side if options.raster_values == 'relief' else 0


def _windows(options: ConfigDict, inputs: tuple[str, ...], facts: Facts) -> Windows:
    """The windows of the generator's rasters and, last, of the target."""
    if options.target not in facts.rasters:
        raise UserError(
            f'method.target: {options.target!r} is no raster of {facts.title or facts.name}'
            f' (it has {", ".join(facts.rasters)})'
        )
    names = ','.join((*inputs, options.target))
    return windows.windows_of(ConfigDict({**options.to_dict(), 'rasters': names}), facts)


class Shown(NamedTuple):
    """The parts of a stream's batch.

    Attributes:
      given: what an image is made of.
      real: the image, `[N, h, w, bands]` in [-1, 1].
      valid: where it shows data; None where it does everywhere.
    """

    given: Given
    real: Array
    valid: Array | None


class _Training(NamedTuple):
    """The steps of both networks and what they can do; nothing in here changes.

    Attributes:
      inputs: the names of the rasters that the generator sees.
    """

    generator: Network
    judge: Judge
    descent: Descent
    judge_descent: Descent
    options: ConfigDict
    inputs: tuple[str, ...]

    def init(self, key: Array, batch: Batch, fitted: Any) -> SynthesisState:
        keys = random.split(key, 4)
        moments = () if fitted is None else jax.tree.map(jnp.asarray, fitted)
        example = {name: array[:1] for name, array in batch['labelled'].items()}
        given, real, _ = self._parts(example, moments)
        made = self.generator.init(keys[0], *given)
        judging = self.judge.network.init(keys[1], real, self.judge.condition(given))
        pattern = SPECTRAL_NORMS.get(self.options.spectral_norm, self.options.spectral_norm)
        chosen = spectral_norm.named(pattern)

        def in_generator(name: str) -> bool:
            return chosen(f'generator/{name}')

        def in_discriminator(name: str) -> bool:
            return chosen(f'discriminator/{name}')

        generator = player.begin(self.descent, *made, in_generator, keys[2])
        discriminator = player.begin(self.judge_descent, *judging, in_discriminator, keys[3])
        normalised = generator.spectra or discriminator.spectra
        if self.options.spectral_norm != 'none' and not normalised:
            raise UserError(f'method.spectral_norm {pattern!r} is in the name of no kernel')
        average = jax.tree.map(jnp.copy, made[1]) if self.options.average_decay else ()
        return SynthesisState(generator, discriminator, average, moments)

    def step(self, state: SynthesisState, batch: Batch, key: Array) -> tuple[Any, Metrics]:
        """One update of the generator, then those of the discriminator (section II-D)."""
        keys = random.split(key, 1 + self.options.discriminator_steps)
        judging = state.discriminator.turned()
        generator, metrics = self._generator_update(
            state.generator.turned(),
            judging,
            self._parts(batch['labelled'], state.moments),
            keys[0],
        )
        of_judge: dict[str, Array] = {}
        for number, key_judge in enumerate(keys[1:]):
            judging = judging.turned() if number else judging
            sample = batch[f'labelled_{number}' if number else 'labelled']
            shown = self._parts(sample, state.moments)
            judging, of_judge = self._judge_update(generator, judging, shown, key_judge)
        average = self._average_statistics(state, generator, batch['labelled'], key)
        after = SynthesisState(generator, judging, average, state.moments)
        return after, {**metrics, **of_judge}

    def _generator_update(
        self, generator: Player, judging: Player, shown: Shown, key: Array
    ) -> tuple[Player, Metrics]:
        given, real, valid = shown
        key_judge, key_make = random.split(key)
        judge_parameters = judging.parameters

        def loss(parameters: Any) -> tuple[Array, Aside]:
            fake, statistics = self.generator.train(
                parameters, generator.trained.statistics, *given, key=key_make
            )
            fake = _without_data(fake, real, valid)
            value, metrics = self.judge.generator_loss(
                judge_parameters, real, fake, given, key_judge
            )
            return value, Aside(metrics, statistics)

        after, aside = generator.moved(self.descent, loss)
        return after, aside.metrics

    def _judge_update(
        self, generator: Player, judging: Player, shown: Shown, key: Array
    ) -> tuple[Player, dict[str, Array]]:
        given, real, valid = shown
        key_judge, key_make = random.split(key)
        fake, _ = self.generator.train(
            generator.parameters, generator.trained.statistics, *given, key=key_make
        )
        fake = _without_data(fake, real, valid)

        def loss(parameters: Any) -> tuple[Array, Aside]:
            value, metrics = self.judge.discriminator_loss(parameters, real, fake, given, key_judge)
            return value, Aside(metrics, {})

        after, aside = judging.moved(self.judge_descent, loss)
        metrics = dict(aside.metrics)
        for name in ('loss', 'gradient_norm'):  # of the step these are the generator's
            metrics[f'discriminator_{name}'] = metrics.pop(name)
        return after, metrics

    def _average_statistics(
        self, state: SynthesisState, generator: Player, sample: Mapping[str, Array], key: Array
    ) -> Any:
        held = state.average_statistics
        if not jax.tree.leaves(held):
            return held
        given = self._parts(sample, state.moments).given

        def renewed() -> Any:
            average = _averaged(generator)
            return self.generator.train(average, held, *given, key=key)[1]

        return lax.cond(state.generator.trained.updates % _EVERY == 0, renewed, lambda: held)

    def _parts(self, sample: Mapping[str, Array], moments: Any) -> Shown:
        raster = _joined([sample[name] for name in self.inputs], sample['labels'])
        given = Given(sample['labels'], self._shown(raster, moments))
        return Shown(given, sample[self.options.target], sample.get(VALID))

    def _shown(self, raster: Array, moments: Any) -> Array:
        around = _around(self.options) if raster.shape[-1] else 0
        return standardised(relief(raster, around) if around else raster, moments)

    def synthesise(
        self, state: SynthesisState, labels: Array, rasters: Sequence[Array], key: Array
    ) -> Array:
        """Images, float32 `[N, h, w, bands]` in [-1, 1], by the averaged generator.

        Args:
          labels: int32 `[N, h, w]`, below 0 where the class is unknown.
          rasters: those of `method.rasters` in their order, float32 in [-1, 1], `[N, h, w, bands]`
            or coarser; none for `label`.
          key: nothing here is random.
        """
        trained, kept = state.generator.trained, state.average_statistics
        statistics = kept if jax.tree.leaves(kept) else trained.statistics
        images: Array = self.generator.apply(
            _averaged(state.generator),
            statistics,
            labels,
            self._shown(_joined(rasters, labels), state.moments),
        )
        return images


def _joined(rasters: Sequence[Array], labels: Array) -> Array:
    """`[N, h, w, all bands]`; of no rasters, no bands."""
    if not rasters:
        return jnp.zeros((*labels.shape, 0), jnp.float32)
    empty = jnp.zeros((*labels.shape, 0), jnp.float32)  # of the full size, which others come to
    return join_rasters([empty, *rasters])


def _averaged(generator: Player) -> Any:
    """The averaged parameters as the network gets them: their norms are their own."""
    average = generator.trained.average
    spectra = spectral_norm.iterated(average, generator.spectra, _ITERATIONS)
    return spectral_norm.normalised(average, spectra)


def _without_data(fake: Array, real: Array, valid: Array | None) -> Array:
    """Made-up images that show as little as the real ones where these have no data."""
    return fake if valid is None else jnp.where(valid[..., None], fake, real)


RECIPE = Recipe(
    OPTIONS,
    ('synthesise',),
    build,
    check,
    models=(NETWORK,),
    labels=('pixel',),
    advice='lower optimizer.learning_rate and discriminator.optimizer.learning_rate',
)
