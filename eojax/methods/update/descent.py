"""The update of parameters that every method shares: gradient, optimiser, running average.

One `Descent` moves the parameters of one `Trained`. A method with two networks that are trained
against each other has two of each, and a state that holds both.

Evaluation uses the running average of the parameters,

    a_s = d_s a_(s-1) + (1 - d_s) w_s,    d_s = min(d, s / (9 + s)) after s updates

whose memory grows with training, so that it does not remember the initial values; a decay d of 0
keeps the newest parameters. Statistics of batch normalisation are not averaged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from ml_collections import ConfigDict

from eojax.methods.method import Metrics
from eojax.methods.update import optimizers


class Trained(NamedTuple):
    """Parameters that are trained, and all that their next update needs.

    Attributes:
      parameters: as they are now.
      statistics: of batch normalisation; empty for networks without.
      average: the running average of the parameters, what evaluation uses.
      moments: optax's state.
      updates: int32, how many updates made them.
    """

    parameters: Any
    statistics: Any
    average: Any
    moments: optax.OptState
    updates: Array


class Aside(NamedTuple):
    """The results of a loss beside its value.

    Attributes:
      metrics: scalars by name. After the update, `loss` and `gradient_norm` are among them.
      statistics: of batch normalisation, after the loss was computed.
      kept: anything else that the method's state takes over.
    """

    metrics: Metrics
    statistics: Any = None
    kept: Any = None


# Parameters to the value that is to fall, and what there is beside it.
Loss = Callable[[Any], tuple[Array, Aside]]


class Descent(NamedTuple):
    """How parameters follow the gradient of a loss; nothing in here changes.

    Attributes:
      optimizer: optax's.
      options: the config group `optimizer`.
      average_decay: d of the running average, in [0, 1).
      moved: where the parameters are a mapping: the names of those that are moved, all others stay
        as they are. All of them where empty.
    """

    optimizer: optax.GradientTransformation
    options: ConfigDict
    average_decay: float = 0.0
    moved: tuple[str, ...] = ()

    def begin(self, parameters: Any, statistics: Any = None) -> Trained:
        """The values that the first update starts from."""
        average = jax.tree.map(jnp.copy, parameters)
        updates = jnp.zeros((), jnp.int32)
        return Trained(parameters, statistics, average, self._moments(parameters), updates)

    def take_over(self, trained: Trained) -> Trained:
        """The parameters of another descent so far, with moments for this one."""
        return trained._replace(moments=self._moments(trained.parameters))

    def step(self, trained: Trained, loss_of: Loss) -> tuple[Trained, Aside]:
        """One update.

        Args:
          loss_of: parameters to `(loss, aside)`. It may be called twice
            (`optimizers.sharpness_aware_gradient`): draw what is random outside it, or from a key
            that it closes over.

        Returns:
          The parameters after the update, and what stood beside the loss at the old ones.
        """
        parameters, average = trained.parameters, trained.average

        def loss_with_aside(part: Any) -> tuple[Array, tuple[Array, Aside]]:
            loss, aside = loss_of({**parameters, **part} if self.moved else part)
            return loss, (loss, aside)

        old = self._part(parameters)
        gradient, (loss, aside) = optimizers.sharpness_aware_gradient(
            jax.grad(loss_with_aside, has_aux=True), old, self.options
        )
        updates, moments = self.optimizer.update(gradient, trained.moments, old)
        new = optax.apply_updates(old, updates)
        averaged = running_average(self._part(average), new, trained.updates, self.average_decay)
        if self.moved:
            new, averaged = {**parameters, **new}, {**average, **averaged}
        metrics = {'loss': loss, **aside.metrics, 'gradient_norm': optax.tree.norm(gradient)}
        after = Trained(new, aside.statistics, averaged, moments, trained.updates + 1)
        return after, aside._replace(metrics=metrics)

    def _moments(self, parameters: Any) -> optax.OptState:
        return self.optimizer.init(self._part(parameters))

    def _part(self, parameters: Any) -> Any:
        return {name: parameters[name] for name in self.moved} if self.moved else parameters


def build(
    options: ConfigDict, steps: int, average_decay: float = 0.0, moved: tuple[str, ...] = ()
) -> Descent:
    """The descent of a config.

    Args:
      options: the config group `optimizer`.
      steps: over which the learning rate's schedule goes.
      average_decay, moved: as in `Descent`.
    """
    return Descent(optimizers.build(options, steps), options, average_decay, moved)


def running_average(average: Any, parameters: Any, updates: Array, decay: float) -> Any:
    """The running average after another update.

    Args:
      average: before it.
      parameters: after it.
      updates: int32, how many came before it.
      decay: d of the module's equation.
    """
    effective = jnp.minimum(decay, (1.0 + updates) / (10.0 + updates))
    return optax.incremental_update(parameters, average, 1.0 - effective)
