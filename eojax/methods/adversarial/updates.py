"""One update of a generator, and one of a discriminator that judges its images."""

from __future__ import annotations

from typing import Any, NamedTuple

from jax import Array, random

from eojax.methods.adversarial.judges import Judge
from eojax.methods.adversarial.player import Player
from eojax.methods.adversarial.seen import Shown
from eojax.methods.method import Metrics
from eojax.methods.update.descent import Aside, Descent
from eojax.models.model import Network


class Updates(NamedTuple):
    """How both networks are moved; nothing in here changes.

    Attributes:
      generator: makes images of labels and rasters.
      judge: the discriminator with both losses.
      descent, judge_descent: the optimiser of each.
    """

    generator: Network
    judge: Judge
    descent: Descent
    judge_descent: Descent

    def generator_update(
        self, generator: Player, judging: Player, shown: Shown, key: Array
    ) -> tuple[Player, Metrics]:
        """The generator after one step down L_G, and what that says."""
        key_judge, key_make = random.split(key)
        judge_parameters = judging.parameters

        def loss(parameters: Any) -> tuple[Array, Aside]:
            fake, statistics = self.generator.train(
                parameters, generator.trained.statistics, *shown.given, key=key_make
            )
            value, metrics = self.judge.generator_loss(
                judge_parameters, shown.real, shown.without_data(fake), shown.given, key_judge
            )
            return value, Aside(metrics, statistics)

        after, aside = generator.moved(self.descent, loss)
        return after, aside.metrics

    def judge_update(
        self, generator: Player, judging: Player, shown: Shown, key: Array
    ) -> tuple[Player, dict[str, Array]]:
        """The discriminator after one step down L_D, on images that the generator makes now."""
        key_judge, key_make = random.split(key)
        fake, _ = self.generator.train(
            generator.parameters, generator.trained.statistics, *shown.given, key=key_make
        )
        fake = shown.without_data(fake)

        def loss(parameters: Any) -> tuple[Array, Aside]:
            value, metrics = self.judge.discriminator_loss(
                parameters, shown.real, fake, shown.given, key_judge
            )
            return value, Aside(metrics, {})

        after, aside = judging.moved(self.judge_descent, loss)
        metrics = dict(aside.metrics)
        for name in ('loss', 'gradient_norm'):  # of the step these are the generator's
            metrics[f'discriminator_{name}'] = metrics.pop(name)
        return after, metrics
