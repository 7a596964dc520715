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

from eojax.errors import UserError, unknown_name

DEFAULTS: dict[str, Any] = {
    'name': 'adam',
    'learning_rate': 1e-4,
    'b1': 0.9,
    'b2': 0.999,
    'momentum': 0.9,
    'nesterov': True,
    'weight_decay': 0.0,
    'clip_norm': 0.0,
    'warmup_steps': 0,
    'schedule': 'constant',
    'milestones': (),
    'milestone_factor': 0.3,
    'cosine_cycles': 0.5,
    'sharpness_radius': 0.0,
    'sharpness_adaptive': False,
}
OPTIMIZERS = ('adam', 'sgd')
SCHEDULES = ('constant', 'milestones', 'cosine')

Aux = TypeVar('Aux')


def check(options: ConfigDict) -> None:
    """Refuses options that make no optimiser.

    Raises:
      UserError: one line that names the key.
    """
    if options.name not in OPTIMIZERS:
        raise unknown_name('optimizer.name', options.name, OPTIMIZERS)
    if options.schedule not in SCHEDULES:
        raise unknown_name('optimizer.schedule', options.schedule, SCHEDULES)
    for key in ('learning_rate', 'milestone_factor'):
        if not 0.0 < options[key] < math.inf:
            raise UserError(f'optimizer.{key} must be positive, not {options[key]}')
    radius = options.sharpness_radius
    if not 0.0 <= radius < math.inf:
        raise UserError(f'optimizer.sharpness_radius must not be negative, not {radius}')
    if options.sharpness_adaptive and not radius:
        raise UserError('optimizer.sharpness_adaptive needs an optimizer.sharpness_radius above 0')
    for key in ('b1', 'b2', 'momentum'):
        if not 0.0 <= options[key] < 1.0:
            raise UserError(f'optimizer.{key} must lie in [0, 1), not {options[key]}')
    for key in ('weight_decay', 'clip_norm', 'warmup_steps'):
        if options[key] < 0:
            raise UserError(f'optimizer.{key} must not be negative, not {options[key]}')
    if not all(0.0 < m < 1.0 for m in options.milestones):
        raise UserError(
            'optimizer.milestones are shares of all steps, between 0 and 1,'
            f' not {tuple(options.milestones)}'
        )
    cycles = options.cosine_cycles
    if not (0.0 < cycles <= 0.25 or cycles == 0.5):
        raise UserError(
            'optimizer.cosine_cycles must lie in (0, 0.25], or be 0.5 for the half cosine to zero;'
            f' the rate would turn negative at {cycles}'
        )
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
