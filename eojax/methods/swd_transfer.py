"""Transfer from one sensor to another by aligning their embeddings in sliced Wasserstein distance.

"Land Use Prediction using Electro-Optical to SAR Few-Shot Transfer Learning" (Hussing et al.,
2022), section 2, after Rostami et al. (2019). With phi and psi the encoders of source (EO) and
target (SAR), h their classifier, X_T all target images and X'_T the few labelled ones:

    first  L(h(phi(x_S)), y_S) + w SupCon                                            (Eq. 3)
    then   L(h(phi(x_S)), y_S) + L(h(psi(x'_T)), y'_T)
           + lambda SW^2(phi(X_S), psi(X_T))
           + eta sum_j SW^2(phi(X_S)|C_j, psi(X'_T)|C_j)                             (Eq. 2)

with L the cross-entropy and SW^2 of Eq. 1 (`eojax.losses.sliced_wasserstein`). The first phase, and
the contrastive loss that shapes its embedding, are in `eojax.methods.transfer.transfer_phases`.

Notes:
  The second phase moves phi too, as Eq. 2 has it: its classification loss on the source would be
  constant in phi otherwise, and the two encoders are trained to agree in Rostami et al. as well.
  `train_source_encoder` False keeps phi as the first phase left it, in its evaluation mode, and
  makes the aligned distribution a fixed one.
  X_T holds the labelled images too. Both streams of the target pass psi as one batch, and share its
  statistics of batch normalisation, which phi does not see.
  The paper's SW^2 is a sum over the batch and ours a mean (`eojax.losses.sliced_wasserstein`): a
  lambda of the paper is `alignment_weight` over the batch size here. That matters: on drawn zones a
  weight of 5 gains little over fine-tuning, and 64, the batch size, four points.
  Options that the paper does not have, off by default: psi begins with phi's weights; confident
  pseudo-labels let unlabelled images into the class-conditional term.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, random
from ml_collections import ConfigDict

from eojax.devices import sharding
from eojax.errors import UserError
from eojax.feed.streams import Batch, Stream
from eojax.losses.consistency import pseudo_labels
from eojax.losses.sliced_wasserstein import class_conditional_sliced_wasserstein, sliced_wasserstein
from eojax.methods.fixmatch import guess_metrics
from eojax.methods.method import Method, Metrics, Phase, Recipe, Task
from eojax.methods.transfer import embedding_classifier, transfer_phases
from eojax.methods.transfer.embedding_classifier import EmbeddingClassifier
from eojax.methods.transfer.transfer_phases import Stage, TransferState
from eojax.methods.update.descent import Aside

DEFAULTS: dict[str, dict[str, Any]] = {
    'method': {
        **embedding_classifier.DEFAULTS,
        **transfer_phases.DEFAULTS,
        'alignment_weight': 1.0,
        'class_alignment_weight': 1.0,
        'num_projections': 128,
        'train_source_encoder': True,
        'start_from_source': False,
        'pseudo_labels': False,
        'pseudo_label_threshold': 0.95,
    },
}


def check(config: ConfigDict) -> None:
    """Refuses combinations that cannot train.

    Raises:
      UserError: one line that names the key.
    """
    embedding_classifier.check(config)
    transfer_phases.check(config)
    options = config.method
    for key in ('alignment_weight', 'class_alignment_weight'):
        if not 0.0 <= options[key] < math.inf:
            raise UserError(f'method.{key} must not be negative, not {options[key]}')
    if options.num_projections < 1:
        raise UserError(f'method.num_projections must be at least 1, not {options.num_projections}')
    if not 0.0 <= options.pseudo_label_threshold <= 1.0:
        raise UserError(
            'method.pseudo_label_threshold must lie in [0, 1],'
            f' not {options.pseudo_label_threshold}'
        )
    if options.pseudo_labels and not options.class_alignment_weight:
        raise UserError(
            'method.pseudo_labels enter the class-conditional term alone: it needs a'
            ' method.class_alignment_weight above 0'
        )


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config."""
    network = embedding_classifier.from_config(config, task)
    options = config.method
    first = transfer_phases.source_stage(config)
    encoders = ('source', 'target') if options.train_source_encoder else ('target',)
    second = transfer_phases.stage(
        config, (*encoders, 'classifier'), first.steps, config.steps - first.steps
    )
    init = transfer_phases.source_init(network, first, task)
    bands = transfer_phases.bands_of(task)

    def begin(state: TransferState) -> TransferState:
        old, statistics = state.trained.parameters, state.trained.statistics
        parameters = {name: old[name] for name in ('source', 'target', 'classifier')}
        if options.start_from_source:
            parameters['target'] = transfer_phases.carried_over(
                parameters['source'], parameters['target'], bands
            )
            copied = jax.tree.map(jnp.copy, statistics['source'])
            statistics = {**statistics, 'target': copied}
        return second.begin(parameters, statistics)

    def source_logits(state: TransferState, images: Array, key: Array) -> Array:
        average = state.trained.average
        embedding = network.embed(average, state.trained.statistics, 'source', images)
        return network.classify(average, embedding)

    parts = _Alignment(network, second, options, task)
    streams = {
        'source': Stream('labelled', options.source_batch_size, options.augment, 'source'),
        'labelled': Stream('labelled', config.batch_size, options.augment),
        'unlabelled': Stream('train', options.source_batch_size, options.augment),
    }
    phases = (
        transfer_phases.source_phase(network, first),
        Phase('alignment', second.steps, streams, parts.step, begin),
    )
    abilities = {
        **transfer_phases.target_abilities(network),
        'source_logits': source_logits,
        'source_embedding': transfer_phases.embeddings(network, 'source'),
    }
    return Method(init, phases, abilities)


class _Alignment(NamedTuple):
    """Values that the second phase's pure functions share; nothing in here changes."""

    network: EmbeddingClassifier
    stage: Stage
    options: ConfigDict
    task: Task

    def step(self, state: TransferState, batch: Batch, key: Array) -> tuple[TransferState, Metrics]:
        """One update of Eq. 2."""
        return self.stage.update(
            state, lambda p: self._loss(p, state.trained.statistics, batch, key)
        )

    def _loss(self, parameters: Any, statistics: Any, batch: Batch, key: Array) -> Any:
        key_source, key_target, key_alignment = random.split(key, 3)
        network, options = self.network, self.options
        labels_s, labels_t = batch['source']['labels'], batch['labelled']['labels']
        source, statistics = self._embed_source(parameters, statistics, batch, key_source)
        few, every, statistics = self._embed_target(parameters, statistics, batch, key_target)
        loss_s, accuracy_s = network.classification(parameters, source, labels_s)
        loss_t, accuracy_t = network.classification(parameters, few, labels_t)
        loss = loss_s + loss_t
        metrics = {
            'source_cross_entropy': loss_s,
            'source_accuracy': accuracy_s,
            'cross_entropy': loss_t,
            'accuracy': accuracy_t,
        }
        if options.alignment_weight:
            aligned = sliced_wasserstein(source, every, key_alignment, options.num_projections)
            loss += options.alignment_weight * aligned
            metrics['alignment'] = aligned
        if options.class_alignment_weight:
            known, labels_known, more = self._labelled(parameters, few, every, batch)
            matched = class_conditional_sliced_wasserstein(
                source,
                labels_s,
                known,
                labels_known,
                self.task.num_classes,
                random.fold_in(key_alignment, 1),
                options.num_projections,
            )
            loss += options.class_alignment_weight * matched
            metrics |= {'class_alignment': matched, **more}
        return loss, Aside(metrics, statistics)

    def _embed_source(
        self, parameters: Any, statistics: Any, batch: Batch, key: Array
    ) -> tuple[Array, Any]:
        """phi(X_S), and the statistics after it."""
        images = batch['source']['images']
        if self.options.train_source_encoder:
            return self.network.embed_in_training(parameters, statistics, 'source', images, key)
        return self.network.embed(parameters, statistics, 'source', images), statistics

    def _embed_target(
        self, parameters: Any, statistics: Any, batch: Batch, key: Array
    ) -> tuple[Array, Array, Any]:
        """psi(X'_T), psi(X_T) and the statistics after them."""
        groups = [batch[name]['images'] for name in ('labelled', 'unlabelled')]
        joined = sharding.join(groups, self.task.num_devices)
        embedding, statistics = self.network.embed_in_training(
            parameters, statistics, 'target', joined, key
        )
        sizes = [len(group) for group in groups]
        few, every = sharding.parted(embedding, sizes, self.task.num_devices)
        return few, every, statistics

    def _labelled(
        self, parameters: Any, few: Array, every: Array, batch: Batch
    ) -> tuple[Array, Array, dict[str, Array]]:
        """The target's embeddings with labels, own or pseudo, and what there is to tell of them."""
        labels = batch['labelled']['labels']
        if not self.options.pseudo_labels:
            return few, labels, {}
        q = jax.nn.softmax(self.network.classify(parameters, every))
        pseudo = pseudo_labels(q, self.options.pseudo_label_threshold)
        guessed = jnp.where(pseudo.chosen, pseudo.labels, -1)
        groups = [[few, every], [labels, guessed]]
        known, labels_known = (sharding.join(g, self.task.num_devices) for g in groups)
        return known, labels_known, guess_metrics(pseudo, batch['unlabelled']['truth'])


RECIPE = Recipe(
    DEFAULTS,
    (*transfer_phases.TARGET_ABILITIES, 'source_logits', 'source_embedding'),
    check,
    build,
    needs_source=True,
    advice=(
        'lower optimizer.learning_rate, method.alignment_weight or method.class_alignment_weight,'
        ' or set optimizer.clip_norm'
    ),
)
