"""The phases of training that the transfers between two domains share, and their state.

Of "Land Use Prediction using Electro-Optical to SAR Few-Shot Transfer Learning" (Hussing et al.,
2022), section 2; the network is that of `eojax.methods.transfer.embedding_classifier`. Training on
the labelled source minimises

    L(h(phi(x_S)), y_S) + w SupCon                                                   (Eq. 2 and 3)

with L the cross-entropy and, where w is above 0, the supervised contrastive loss of two views of
each image: of z = phi(x), the encoder's output, as printed below Eq. 3, or with `contrastive_size`
of projections of it that nothing else uses, as in Khosla et al. (2020). Training on the labelled
target minimises L(h(psi(x'_T)), y'_T).

Notes:
  With w above 0 the cross-entropy is taken of both views.
  Each phase has its own optimiser and learning-rate schedule, warm-up included.
  Before the target's encoder is trained, every class of a target image is as likely as any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, random
from ml_collections import ConfigDict

from eojax.errors import UserError
from eojax.feed.streams import Batch, Stream
from eojax.losses.supervised_contrastive import supervised_contrastive
from eojax.methods.method import Metrics, Phase, Shape, Task
from eojax.methods.transfer import embedding_classifier
from eojax.methods.transfer.embedding_classifier import EmbeddingClassifier
from eojax.methods.update import descent
from eojax.methods.update.descent import Aside, Descent, Loss, Trained
from eojax.option import NOT_NEGATIVE, POSITIVE, Option, at_least

# By `target_abilities`.
TARGET_ABILITIES = ('logits', 'embedding', 'features')
# Of the config group `method`, for methods that train on the source first.
OPTIONS: dict[str, Option] = {
    'source_steps': Option(
        500, 'steps on the source alone, at first', at_least(1), 'steps', phase='own'
    ),
    'source_batch_size': Option(128, 'images of the source in a step', at_least(1), 'images'),
    'target_rate_factor': Option(
        1.0, 'learning rate on the target, as a factor of that on the source', POSITIVE
    ),
    'contrastive_weight': Option(
        0.0, 'w, the weight of the supervised contrastive loss; 0: none', NOT_NEGATIVE
    ),
    'contrastive_temperature': Option(0.1, 'temperature of the contrastive loss', POSITIVE),
    'contrastive_size': Option(
        0, "length of the projections that it is of; 0: of the encoder's output", NOT_NEGATIVE
    ),
}


class TransferState(NamedTuple):
    """All that the next step needs.

    Attributes:
      trained: its parameters are those of `source` and `target`, the encoders, of the
        `classifier`, and of the contrastive `projection`, where there is one; a phase drops what it
        has no use for. Its statistics are those of the encoders, by domain.
      target_updates: int32, how many updates have trained the target's encoder.
      target_shares: float32 `[K]`, the class shares of the target (`class_shares`); None where
        nothing is weighed by them.
    """

    trained: Trained
    target_updates: Array
    target_shares: Array | None = None


def check(config: ConfigDict) -> None:
    """Refuses first phases on the source that cannot train, and class shares that are none.

    Raises:
      UserError: one line that names the key.
    """
    options = config.method
    embedding_classifier.check(config)
    if options.source_steps >= config.steps:
        raise UserError(
            f'method.source_steps {options.source_steps} leaves nothing of steps {config.steps}'
            ' for the target: set it lower, or steps higher'
        )


class Stage(NamedTuple):
    """A phase's descent and its length; its running average begins anew.

    Attributes:
      descent: of the parameters that the phase moves.
      steps: of the phase.
    """

    descent: Descent
    steps: int

    def begin(self, parameters: Any, statistics: Any) -> TransferState:
        """The state before the phase's first step."""
        trained = self.descent.begin(parameters, statistics)
        return TransferState(trained, jnp.zeros((), jnp.int32))

    def update(self, state: TransferState, loss_of: Loss) -> tuple[TransferState, Metrics]:
        """The state after one step, and the metrics of the loss with `gradient_norm`.

        What the loss keeps beside it are the target's shares after the step, where there are any.
        """
        trained, aside = self.descent.step(state.trained, loss_of)
        more = int('target' in self.descent.moved)
        return TransferState(trained, state.target_updates + more, aside.kept), aside.metrics


def stage(config: ConfigDict, moved: Sequence[str], first_step: int, steps: int) -> Stage:
    """The stage of `steps` steps after `first_step`.

    After the source, `method.target_rate_factor` multiplies the learning rate.

    Args:
      moved: the names of the parameters that it moves; all others stay as they are.
    """
    options = config.optimizer.copy_and_resolve_references()
    if first_step:
        options.learning_rate = options.learning_rate * config.method.target_rate_factor
    return Stage(descent.build(options, steps, config.method.average_decay, tuple(moved)), steps)


def source_stage(config: ConfigDict) -> Stage:
    """The stage of training on the source."""
    options = config.method
    projects = options.contrastive_weight and options.contrastive_size
    projection = ('projection',) if projects else ()
    names = ('source', 'classifier', *projection)
    return stage(config, names, 0, config.method.source_steps)


def source_init(
    network: EmbeddingClassifier, first: Stage, task: Task
) -> Callable[[Array, Batch, Any], TransferState]:
    """`Method.init` with the encoders of both domains, at the beginning of the source's stage."""
    shapes = {'source': _source_shape(task), 'target': task.image_shape}

    def init(key: Array, batch: Batch, fitted: Any) -> TransferState:
        key_network, key_projection = random.split(key)
        parameters, statistics = network.init(key_network, shapes)
        if 'projection' in first.descent.moved:
            size = network.options.contrastive_size
            parameters['projection'] = network.init_projection(key_projection, size)
        return first.begin(parameters, statistics)

    return init


def bands_of(task: Task) -> tuple[int, int]:
    """How many bands the images of source and target have."""
    return _source_shape(task)[-1], task.image_shape[-1]


def _source_shape(task: Task) -> Shape:
    if task.source_shape is None:
        raise UserError('this method learns from two data sets: the config names no source')
    return task.source_shape


def source_phase(network: EmbeddingClassifier, first: Stage) -> Phase:
    """phi and h on the labelled source, as the module says."""
    options = network.options
    weight = options.contrastive_weight

    def loss_of(parameters: Any, statistics: Any, batch: Batch, key: Array) -> Any:
        key_views, key_model = random.split(key)
        images, labels = batch['source']['images'], batch['source']['labels']
        if weight:
            images, labels = network.views(images, labels, key_views)
        embedding, statistics = network.embed_in_training(
            parameters, statistics, 'source', images, key_model
        )
        loss, accuracy = network.classification(parameters, embedding, labels, 'source')
        metrics = {'source_cross_entropy': loss, 'source_accuracy': accuracy}
        if weight:
            z = network.project(parameters, embedding) if options.contrastive_size else embedding
            contrastive = supervised_contrastive(
                z, labels, options.contrastive_temperature
            )  # Eq. 3
            loss += weight * contrastive
            metrics['contrastive'] = contrastive
        return loss, Aside(metrics, statistics)

    def step(state: TransferState, batch: Batch, key: Array) -> tuple[TransferState, Metrics]:
        return first.update(state, lambda p: loss_of(p, state.trained.statistics, batch, key))

    augment = 'none' if weight else options.augment
    stream = Stream('labelled', options.source_batch_size, augment, 'source')
    return Phase('source', first.steps, {'source': stream}, step)


def target_phase(
    name: str,
    network: EmbeddingClassifier,
    second: Stage,
    batch_size: int,
    begin: Callable[[TransferState], TransferState] | None = None,
) -> Phase:
    """psi and h on the labelled target."""

    def loss_of(parameters: Any, statistics: Any, batch: Batch, key: Array) -> Any:
        images, labels = batch['labelled']['images'], batch['labelled']['labels']
        embedding, statistics = network.embed_in_training(
            parameters, statistics, 'target', images, key
        )
        loss, accuracy = network.classification(parameters, embedding, labels, 'target')
        return loss, Aside({'accuracy': accuracy}, statistics)

    def step(state: TransferState, batch: Batch, key: Array) -> tuple[TransferState, Metrics]:
        return second.update(state, lambda p: loss_of(p, state.trained.statistics, batch, key))

    streams = {'labelled': Stream('labelled', batch_size, network.options.augment)}
    return Phase(name, second.steps, streams, step, begin)


def carried_over(source: Any, target: Any, bands: tuple[int, int]) -> Any:
    """The target encoder's parameters, with the source's values wherever their shapes agree.

    The first layer's kernel stays the target's own where the domains differ in their bands.

    Args:
      source, target: parameters of the same architecture.
      bands: how many the images of source and target have.

    Raises:
      UserError: the network depends on the size of its images, and they differ.
    """

    def one(path: Any, ours: Array, theirs: Array) -> Array:
        if ours.shape == theirs.shape:
            return jnp.copy(theirs)
        kernels = [(*leaf.shape[:-2], *leaf.shape[-1:]) for leaf in (ours, theirs)]
        if kernels[0] == kernels[1] and (theirs.shape[-2], ours.shape[-2]) == bands:
            return ours
        name = jax.tree_util.keystr(path)
        raise UserError(
            f'the encoder of the source cannot become that of the target: {name} has the shape'
            f' {theirs.shape} in one and {ours.shape} in the other; this network needs source and'
            ' target images of one size'
        )

    return jax.tree_util.tree_map_with_path(one, target, source)


def carried_statistics(source: Any, target: Any) -> Any:
    """The source encoder's statistics; those of each band stay the target's where bands differ."""
    return jax.tree.map(
        lambda theirs, ours: jnp.copy(theirs if theirs.shape == ours.shape else ours),
        source,
        target,
    )


def target_logits(
    network: EmbeddingClassifier,
) -> Callable[[TransferState, Array, Array], Array]:
    """The ability `logits`: h(psi(x)) of target images; all 0 before psi is trained."""

    def logits(state: TransferState, images: Array, key: Array) -> Array:
        average = state.trained.average
        embedding = network.embed(average, state.trained.statistics, 'target', images)
        trained = state.target_updates > 0
        return jnp.where(trained, network.classify(average, embedding), 0.0)

    return logits


def target_abilities(
    network: EmbeddingClassifier,
) -> dict[str, Callable[[TransferState, Array, Array], Array]]:
    """All that a transfer can do with target images; their features are their embedding."""
    embedding = embeddings(network, 'target')
    return {'logits': target_logits(network), 'embedding': embedding, 'features': embedding}


def embeddings(
    network: EmbeddingClassifier, domain: str
) -> Callable[[TransferState, Array, Array], Array]:
    """The ability `embedding` or `source_embedding`: phi(x) or psi(x), `[N, embedding_size]`."""

    def embedding(state: TransferState, images: Array, key: Array) -> Array:
        return network.embed(state.trained.average, state.trained.statistics, domain, images)

    return embedding
