"""The supervised contrastive loss: features of one class together, those of others apart."""

import jax
import jax.numpy as jnp
import optax

from eojax.losses.supervised_contrastive import supervised_contrastive

key = jax.random.key(0)
labels = jnp.arange(60) % 3
features = jax.random.normal(key, (60, 8))  # of any length: the loss takes their directions


def cosines(features):
    """Mean cosine within classes, and between them."""
    z = features / jnp.linalg.norm(features, axis=1, keepdims=True)
    same = labels[:, None] == labels
    both = z @ z.T
    off = ~jnp.eye(60, dtype=bool)
    return float(both[same & off].mean()), float(both[~same].mean())


optimizer = optax.adam(0.05)
state = optimizer.init(features)
update = jax.jit(jax.value_and_grad(lambda f: supervised_contrastive(f, labels, temperature=0.1)))
for step in range(100):
    loss, gradient = update(features)
    if step in (0, 99):
        within, between = cosines(features)
        print(f'step {step:2d}: loss {loss:.3f}, cosine within {within:.2f}, between {between:.2f}')
    change, state = optimizer.update(gradient, state)
    features = optax.apply_updates(features, change)
# Of 19 positives each as close as can be, the loss is log 19.
