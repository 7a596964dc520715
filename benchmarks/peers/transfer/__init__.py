"""Peer of `eojax.methods.swd_transfer`: its second phase, the alignment, without pseudo-labels.

What is published has no training code of its own to be in the style of, so there is a best effort
alone. Nothing in this file imports torch.
"""

from __future__ import annotations

from collections.abc import Collection

from ml_collections import ConfigDict

from benchmarks import peers

_UNDERSTOOD = frozenset(
    {
        'method.augment',
        'method.embedding_size',
        'method.classifier_hidden',
        'method.normalise_embedding',
        'method.average_decay',
        'method.source_batch_size',
        'method.target_rate_factor',
        'method.alignment_weight',
        'method.class_alignment_weight',
        'method.sum_over_batch',
        'method.num_projections',
        'method.train_source_encoder',
        # What is done before the phase that a peer has.
        'method.source_steps',
        'method.start_from_source',
        'method.contrastive_weight',
        'method.contrastive_temperature',
        'method.contrastive_size',
        'model.widths',
        'model.strides',
        'model.convolutions',
        'model.norm',
        'model.normalise_input',
        'model.activation',
        'model.norm_momentum',
        'model.dtype',  # a peer's precision is its own
    }
)


def check(config: ConfigDict, optimizer: Collection[str]) -> None:
    """Refuses what the peer does not compute.

    Args:
      optimizer: keys of the group `optimizer` that it follows.

    Raises:
      UserError: one line that names the key.
    """
    peers.check(config, 'swd_transfer', 'convnet', _UNDERSTOOD | set(optimizer))


def learning_rates(config: ConfigDict) -> list[float]:
    """The learning rate of each step of the alignment, which has a schedule of its own."""
    options = config.optimizer.copy_and_resolve_references()
    options.learning_rate = options.learning_rate * config.method.target_rate_factor
    return peers.learning_rates(options, config.steps - config.method.source_steps)
