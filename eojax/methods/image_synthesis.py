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

from eojax.data.dataset import Dataset
from eojax.data.facts import Facts
from eojax.errors import UserError
from eojax.feed.streams import Batch, Stream
from eojax.methods.adversarial import judges, player, standardisation
from eojax.methods.adversarial.options import (
    OPTIONS,
    around_of,
    check,
    inputs_of,
    normalised_kernels,
)
from eojax.methods.adversarial.player import Player
from eojax.methods.adversarial.seen import Seen
from eojax.methods.adversarial.standardisation import Moments
from eojax.methods.adversarial.updates import Updates
from eojax.methods.method import Method, Metrics, Phase, Recipe, Task
from eojax.methods.pixels import windows
from eojax.methods.pixels.windows import Windows
from eojax.methods.update import descent
from eojax.models import image_generator, spectral_norm

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


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config.

    Raises:
      UserError: data without a raster that is asked for; windows that cut pixels of one.
    """
    options, facts = config.method, task.facts
    inputs = inputs_of(options)
    drawn = _windows(options, inputs, facts)
    bands = len(facts.rasters[options.target].bands)
    updates = config.steps * options.discriminator_steps
    training = _Training(
        Updates(
            image_generator.build(config.model, options.generator, task.num_classes, bands),
            judges.build(options, config.model, config.discriminator, task.num_classes),
            descent.build(config.optimizer, config.steps, options.average_decay),
            descent.build(config.discriminator.optimizer, updates),
        ),
        options,
        Seen(inputs, options.target, around_of(options)),
    )
    stream = drawn.stream('labelled', config.batch_size)
    works = bool(inputs) and options.raster_values != 'stored'

    def fit(dataset: Dataset) -> Moments:
        return standardisation.fit(dataset, inputs, options.window, around_of(options))

    names = [f'labelled_{n}' if n else 'labelled' for n in range(options.discriminator_steps)]
    streams: dict[str, Stream] = dict.fromkeys(names, stream)
    return Method(
        training.init,
        (Phase('synthesis', config.steps, streams, training.step),),
        {'synthesise': training.synthesise},
        score='texture_match',
        rasters=drawn.rasters,
        window=drawn.evaluation,
        fit=fit if works else None,
        fitted=standardisation.shapes_of(drawn.bands - bands) if works else None,
    )


def _windows(options: ConfigDict, inputs: tuple[str, ...], facts: Facts) -> Windows:
    """The windows of the generator's rasters and, last, of the target."""
    if options.target not in facts.rasters:
        raise UserError(
            f'method.target: {options.target!r} is no raster of {facts.title or facts.name}'
            f' (it has {", ".join(facts.rasters)})'
        )
    names = ','.join((*inputs, options.target))
    return windows.windows_of(ConfigDict({**options.to_dict(), 'rasters': names}), facts)


class _Training(NamedTuple):
    """The steps of both networks and what they can do; nothing in here changes."""

    updates: Updates
    options: ConfigDict
    seen: Seen

    def init(self, key: Array, batch: Batch, fitted: Any) -> SynthesisState:
        keys = random.split(key, 4)
        moments = () if fitted is None else jax.tree.map(jnp.asarray, fitted)
        example = {name: array[:1] for name, array in batch['labelled'].items()}
        given, real, _ = self.seen.of(example, moments)
        made = self.updates.generator.init(keys[0], *given)
        judging = self.updates.judge.network.init(
            keys[1], real, self.updates.judge.condition(given)
        )
        spectra = self.options.spectral_norm
        generator = player.begin(
            self.updates.descent, *made, normalised_kernels(spectra, 'generator'), keys[2]
        )
        discriminator = player.begin(
            self.updates.judge_descent,
            *judging,
            normalised_kernels(spectra, 'discriminator'),
            keys[3],
        )
        if spectra != 'none' and not (generator.spectra or discriminator.spectra):
            raise UserError(f'method.spectral_norm {spectra!r} is in the name of no kernel')
        average = jax.tree.map(jnp.copy, made[1]) if self.options.average_decay else ()
        return SynthesisState(generator, discriminator, average, moments)

    def step(self, state: SynthesisState, batch: Batch, key: Array) -> tuple[Any, Metrics]:
        """One update of the generator, then those of the discriminator (section II-D)."""
        keys = random.split(key, 1 + self.options.discriminator_steps)
        judging = state.discriminator.turned()
        generator, metrics = self.updates.generator_update(
            state.generator.turned(),
            judging,
            self.seen.of(batch['labelled'], state.moments),
            keys[0],
        )
        of_judge: dict[str, Array] = {}
        for number, key_judge in enumerate(keys[1:]):
            judging = judging.turned() if number else judging
            sample = batch[f'labelled_{number}' if number else 'labelled']
            shown = self.seen.of(sample, state.moments)
            judging, of_judge = self.updates.judge_update(generator, judging, shown, key_judge)
        average = self._average_statistics(state, generator, batch['labelled'], key)
        after = SynthesisState(generator, judging, average, state.moments)
        return after, {**metrics, **of_judge}

    def _average_statistics(
        self, state: SynthesisState, generator: Player, sample: Mapping[str, Array], key: Array
    ) -> Any:
        held = state.average_statistics
        if not jax.tree.leaves(held):
            return held
        given = self.seen.of(sample, state.moments).given

        def renewed() -> Any:
            average = _averaged(generator)
            return self.updates.generator.train(average, held, *given, key=key)[1]

        return lax.cond(state.generator.trained.updates % _EVERY == 0, renewed, lambda: held)

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
        given = self.seen.given(labels, rasters, state.moments)
        images: Array = self.updates.generator.apply(_averaged(state.generator), statistics, *given)
        return images


def _averaged(generator: Player) -> Any:
    """The averaged parameters as the network gets them: their norms are their own."""
    average = generator.trained.average
    spectra = spectral_norm.iterated(average, generator.spectra, _ITERATIONS)
    return spectral_norm.normalised(average, spectra)


RECIPE = Recipe(
    OPTIONS,
    ('synthesise',),
    build,
    check,
    models=(NETWORK,),
    labels=('pixel',),
    advice='lower optimizer.learning_rate and discriminator.optimizer.learning_rate',
)
