"""Optimisers and learning-rate schedules of the config group `optimizer`, all of them optax's.

What optax's update does not see, the point at which the gradient is taken, is here too: sharpness-
aware minimisation (Foret et al., 2021; adaptive: Kwon et al., 2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from eojax.errors import UserError
from eojax.option import BELOW_ONE, NOT_NEGATIVE, OR_INFINITE, POSITIVE, Option, Range, one_of

_SHARES = Range(
    'shares between 0 and 1',
    'are shares of all steps, between 0 and 1',
    lambda shares: all(0.0 < share < 1.0 for share in shares),
)
_CYCLES = Range(
    'above 0 to 0.25, or 0.5',
    'must lie in (0, 0.25], or be 0.5 for the half cosine to zero, as the rate would turn negative',
    lambda cycles: 0.0 < cycles <= 0.25 or cycles == 0.5,
)
OPTIONS: dict[str, Option] = {
    'name': Option('adam', 'the optimiser; adam is AdamW', one_of('adam', 'sgd')),
    'learning_rate': Option(1e-4, 'the highest learning rate, after the warm-up', POSITIVE),
    'b1': Option(0.9, 'decay of the mean of gradients, of adam', BELOW_ONE),
    'b2': Option(0.999, 'decay of the mean of squared gradients, of adam', BELOW_ONE),
    'momentum': Option(0.9, 'momentum, of sgd', BELOW_ONE),
    'nesterov': Option(True, "whether the momentum is Nesterov's, of sgd"),
    'weight_decay': Option(
        0.0, 'decay of kernels: decoupled with adam, L2 with sgd; 0: none', NOT_NEGATIVE
    ),
    'clip_norm': Option(0.0, 'norm at which the gradient is clipped; 0: never', OR_INFINITE),
    'warmup_steps': Option(
        0,
        'steps over which the rate rises from 0, in a line',
        NOT_NEGATIVE,
        'steps',
        phase='within',
    ),
    'schedule': Option(
        'constant',
        'the learning rate after the warm-up',
        one_of('constant', 'milestones', 'cosine'),
    ),
    'milestones': Option(
        (), 'shares of all steps at which the rate falls, for schedule milestones', _SHARES
    ),
    'milestone_factor': Option(0.3, 'factor of the rate at each milestone', POSITIVE),
    'cosine_cycles': Option(
        0.5, 'cycles c of cos(2 pi c s / steps), for schedule cosine; 0.5: from 1 to 0', _CYCLES
    ),
    'sharpness_radius': Option(
        0.0, 'radius of sharpness-aware minimisation, in weights; 0: none', NOT_NEGATIVE
    ),
    'sharpness_adaptive': Option(False, 'whether that radius is in relative changes of weights'),
}

Aux = TypeVar('Aux')


def check(options: ConfigDict) -> None:
    """Refuses options that do not go together.

    Raises:
      UserError: one line that names the key.
    """
    if options.sharpness_adaptive and not options.sharpness_radius:
        raise UserError('optimizer.sharpness_adaptive needs an optimizer.sharpness_radius above 0')
    if options.schedule == 'milestones' and not options.milestones:
        raise UserError("optimizer.schedule is 'milestones' but optimizer.milestones is empty")


def learning_rate(options: ConfigDict, steps: int) -> optax.Schedule:
    """The learning rate by step: linear warm-up from 0, then the schedule.

    `milestones` multiplies by `milestone_factor` at these shares of all steps; `cosine` is
    cos(2 pi c s / steps) with c `cosine_cycles`: 0.25 ends at zero, FixMatch's 7/32 does not, and
    0.5 is the half cosine from 1 to 0, (1 + cos(pi s / steps)) / 2.
    """
    peak, warmup = options.learning_rate, options.warmup_steps
    if options.schedule == 'milestones':
        drops: dict[int, float] = {}
        for milestone in options.milestones:  # in a short run two may fall on one step
            step = round(milestone * steps) - warmup
            drops[step] = drops.get(step, 1.0) * options.milestone_factor
        after = optax.piecewise_constant_schedule(peak, drops)
    elif options.schedule == 'cosine' and options.cosine_cycles == 0.5:
        after = optax.cosine_decay_schedule(peak, max(steps - warmup, 1))
    elif options.schedule == 'cosine':
        turn = 2.0 * math.pi * options.cosine_cycles

        def after(step: jax.Array) -> jax.Array:
            return peak * jnp.cos(turn * step / max(steps - warmup, 1))
    else:
        after = optax.constant_schedule(peak)
    if not warmup:
        return after
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), after], [warmup])


def build(options: ConfigDict, steps: int) -> optax.GradientTransformation:
    """The optimiser: gradient clipping, decoupled or coupled weight decay on kernels, the update.

    Weight decay acts on arrays of two dimensions and more, not on biases and norms; with `sgd` it
    is added to the gradient (L2), with `adam` it is decoupled (AdamW).
    """
    rate = learning_rate(options, steps)
    parts: list[optax.GradientTransformation] = []
    if options.clip_norm:
        parts.append(optax.clip_by_global_norm(options.clip_norm))
    if options.name == 'sgd':
        if options.weight_decay:
            parts.append(optax.add_decayed_weights(options.weight_decay, mask=_kernels))
        parts.append(optax.sgd(rate, options.momentum, options.nesterov))
    else:
        parts.append(optax.scale_by_adam(options.b1, options.b2))
        if options.weight_decay:
            parts.append(optax.add_decayed_weights(options.weight_decay, mask=_kernels))
        parts.append(optax.scale_by_learning_rate(rate))
    return optax.chain(*parts)


def sharpness_aware_gradient(
    gradient_of: Callable[[Any], tuple[Any, Aux]], parameters: Any, options: ConfigDict
) -> tuple[Any, Aux]:
    """The gradient for the optimiser: at the parameters, or where the loss is worse near them.

    With a radius r = `sharpness_radius` above 0 and g the gradient at the parameters w, it is that
    at w + e, to be applied at w:

        e = r g / ||g||                   (Foret et al., 2021, Eq. 2)
        e = r w^2 g / ||w g||             (`sharpness_adaptive`: Kwon et al., 2021)

    The adaptive radius is measured in relative changes of the weights, element by element, and does
    not change when they are rescaled; useful values are about ten times those of the plain one.

    Args:
      gradient_of: parameters to gradient and anything beside it. It is called twice where the
        radius is positive: batch, chains and keys belong inside it, so that both passes see the
        same ones.
      options: the config group `optimizer`.

    Returns:
      The gradient, and what stood beside the gradient at w: metrics and batch-norm statistics are
      those of the parameters, not of their worse neighbours.
    """
    gradient, aux = gradient_of(parameters)
    if not options.sharpness_radius:
        return gradient, aux
    if options.sharpness_adaptive:
        norm = optax.tree.norm(jax.tree.map(lambda w, g: w * g, parameters, gradient))
        direction = jax.tree.map(lambda w, g: jnp.square(w) * g, parameters, gradient)
    else:
        norm, direction = optax.tree.norm(gradient), gradient
    length = options.sharpness_radius / jnp.maximum(
        norm, 1e-12
    )  # a zero gradient stays where it is
    ascended = jax.tree.map(lambda w, d: w + length * d, parameters, direction)
    return gradient_of(ascended)[0], aux


def _kernels(parameters: Any) -> Any:
    return jax.tree.map(lambda p: p.ndim > 1, parameters)
