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
  The paper states neither lambda nor eta. Its SW^2 is a sum over the batch and ours a mean
  (`eojax.losses.sliced_wasserstein`), which does not change with the batch. With `sum_over_batch`
  it is the paper's: lambda counts once for each image of the batch, and eta once for each labelled
  image of a class in it (where numbers differ, of the target's), so that more classes in one batch
  weigh no more. The size matters: on drawn zones a lambda of 5 on the mean gains little over
  fine-tuning, and 64, the batch size, which is 1 on the sum, four points.
  Options that the paper does not have, off by default: psi begins with phi's weights; confident
  pseudo-labels let unlabelled images into the class-conditional term; the source is weighed to the
  class shares of the target, estimated or given, in the third term
  (`eojax.methods.transfer.class_shares`); lambda rises over the first steps of the second phase,
  so that what the labels say comes first.
"""

from __future__ import annotations

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
from eojax.methods.transfer import class_shares, embedding_classifier, transfer_phases
from eojax.methods.transfer.embedding_classifier import EmbeddingClassifier
from eojax.methods.transfer.transfer_phases import Stage, TransferState
from eojax.methods.update.descent import Aside
from eojax.option import BELOW_ONE, NOT_NEGATIVE, SHARE, Option, at_least

OPTIONS = {
    'method': {
        **embedding_classifier.OPTIONS,
        **transfer_phases.OPTIONS,
        'alignment_weight': Option(1.0, 'lambda, the weight of all images', NOT_NEGATIVE),
        'class_alignment_weight': Option(1.0, 'eta, the weight of each class', NOT_NEGATIVE),
        'target_shares': Option(
            class_shares.EQUAL,
            'class shares of the target: as_source, estimated, or water=0.6,urban=0.4',
        ),
        'shares_decay': Option(0.99, 'decay of the running estimate of these shares', BELOW_ONE),
        'alignment_warmup': Option(
            0,
            'first steps of the alignment over which lambda rises from 0',
            NOT_NEGATIVE,
            'steps',
            phase='within',
        ),
        'sum_over_batch': Option(
            False, 'whether the two distances are sums over the images of a batch, else means'
        ),
        'num_projections': Option(128, 'projections of the sliced distance', at_least(1)),
        'train_source_encoder': Option(True, 'whether the second phase moves phi too'),
        'start_from_source': Option(False, "whether psi begins with phi's weights"),
        'pseudo_labels': Option(
            False, 'whether confident pseudo-labels enter the class-conditional term'
        ),
        'pseudo_label_threshold': Option(0.95, 'the least confidence of a pseudo-label', SHARE),
    },
}


def check(config: ConfigDict) -> None:
    """Refuses combinations that cannot train.

    Raises:
      UserError: one line that names the key.
    """
    transfer_phases.check(config)
    options = config.method
    class_shares.parse(options.target_shares, ())
    if options.pseudo_labels and not options.class_alignment_weight:
        raise UserError(
            'method.pseudo_labels enter the class-conditional term alone: it needs a'
            ' method.class_alignment_weight above 0'
        )


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config."""
    network = embedding_classifier.from_config(config, task)
    options = config.method
    given = class_shares.parse(options.target_shares, task.facts.class_names)
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
            kept = transfer_phases.carried_statistics(statistics['source'], statistics['target'])
            statistics = {**statistics, 'target': kept}
        state = second.begin(parameters, statistics)
        if options.target_shares == class_shares.EQUAL:
            return state
        return state._replace(target_shares=class_shares.initial(given, task.label_counts))

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
        return self.stage.update(state, lambda p: self._loss(p, state, batch, key))

    def _loss(self, parameters: Any, state: TransferState, batch: Batch, key: Array) -> Any:
        key_source, key_target, key_alignment = random.split(key, 3)
        network, options, statistics = self.network, self.options, state.trained.statistics
        labels_s, labels_t = batch['source']['labels'], batch['labelled']['labels']
        source, statistics = self._embed_source(parameters, statistics, batch, key_source)
        few, every, statistics = self._embed_target(parameters, statistics, batch, key_target)
        loss_s, accuracy_s = network.classification(parameters, source, labels_s, 'source')
        loss_t, accuracy_t = network.classification(parameters, few, labels_t, 'target')
        loss = loss_s + loss_t
        metrics = {
            'source_cross_entropy': loss_s,
            'source_accuracy': accuracy_s,
            'cross_entropy': loss_t,
            'accuracy': accuracy_t,
        }
        shares = state.target_shares
        if options.alignment_weight:
            weights = None if shares is None else class_shares.weights(shares, labels_s)
            aligned = sliced_wasserstein(
                source, every, key_alignment, options.num_projections, weights
            )
            images = len(source) if options.sum_over_batch else 1
            loss += self._lambda(state) * images * aligned
            metrics['alignment'] = aligned
        if shares is not None:
            shares, more = self._shares(parameters, shares, every)
            metrics |= more
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
                by_size=options.sum_over_batch,
            )
            loss += options.class_alignment_weight * matched
            metrics |= {'class_alignment': matched, **more}
        return loss, Aside(metrics, statistics, shares)

    def _lambda(self, state: TransferState) -> Array | float:
        options = self.options
        if not options.alignment_warmup:
            return float(options.alignment_weight)
        risen = state.target_updates / options.alignment_warmup
        return options.alignment_weight * jnp.minimum(risen, 1.0)

    def _shares(
        self, parameters: Any, shares: Array, every: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The target's shares after the step, and the metrics that tell them."""
        if self.options.target_shares == class_shares.ESTIMATED:
            logits = self.network.classify(parameters, jax.lax.stop_gradient(every))
            counts = self.task.source_label_counts, self.task.label_counts
            expected = self.network.expected
            prior = class_shares.prior(*counts) if expected is None else jnp.asarray(expected)
            decay = self.options.shares_decay
            shares = class_shares.updated(shares, jax.nn.softmax(logits), prior, decay)
        names = [name.replace(' ', '_') for name in self.task.facts.class_names]
        return shares, {f'target_share_{n}': s for n, s in zip(names, shares, strict=True)}

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
    OPTIONS,
    (*transfer_phases.TARGET_ABILITIES, 'source_logits', 'source_embedding'),
    build,
    check,
    needs_source=True,
    advice=(
        'lower optimizer.learning_rate, method.alignment_weight or method.class_alignment_weight,'
        ' or set optimizer.clip_norm'
    ),
)
