"""Encoders of two domains into one embedding, and one classifier on it.

"Land Use Prediction using Electro-Optical to SAR Few-Shot Transfer Learning" (Hussing et al.,
2022), section 2, after Rostami et al. (2019): a Y-shaped network of two encoders of the same
architecture, phi for the source (EO) and psi for the target (SAR), and a classifier h. The methods
that the paper compares differ in what trains these, and in nothing else:

  `swd_transfer`: phi and h on the source, then all three with both domains aligned;
  `fine_tune`: phi and h on the source, then psi, which begins as phi, and h on the target;
  `sar_only`: psi and h on the target.

Notes:
  The paper leaves open the size of the embedding and the classifier. It prints its contrastive loss
  as one of the encoder's output, z = phi(x), without a head; the head that is an option is that of
  Khosla et al. (2020), one hidden layer.
  Where labels were chosen by class, a method that also learns from a source with the true shares
  has an advantage that has nothing to do with transfer. `expected_shares` tells all three the same
  shares (`eojax.methods.transfer.class_shares`); the paper's do without.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax, random
from ml_collections import ConfigDict

from eojax import models
from eojax.augment import AUGMENTATIONS
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.methods.method import Task
from eojax.methods.options import AUGMENT, AVERAGE_DECAY
from eojax.methods.transfer import class_shares
from eojax.models.model import Network
from eojax.option import NOT_NEGATIVE, Option, at_least

DOMAINS = ('source', 'target')
# Of the config group `method`.
OPTIONS: dict[str, Option] = {
    'augment': AUGMENT.but('dihedral_shift'),
    'embedding_size': Option(128, 'length of an embedding', at_least(1)),
    'classifier_hidden': Option(
        0, "features of the classifier's hidden layer; 0: it is linear", NOT_NEGATIVE, 'features'
    ),
    'normalise_embedding': Option(False, 'whether embeddings are brought to one length'),
    'expected_shares': Option(
        class_shares.AS_LABELLED,
        'class shares of the images to be classified: as_labelled, as_source, or'
        ' water=0.6,urban=0.4',
    ),
    'average_decay': AVERAGE_DECAY,
}


class EmbeddingClassifier(NamedTuple):
    """The network's pure functions.

    Attributes:
      encoder: phi and psi, images to `[N, embedding_size]`.
      num_classes: outputs of h.
      options: the config group `method`.
      num_devices: over which each batch is split.
      expected: float32 `[K]`, the class shares that h's posteriors are of; None where they are
        those of the labels that it learns from.
      offsets: float32 `[K]` of each domain, which training adds to the logits for that.
    """

    encoder: Network
    num_classes: int
    options: ConfigDict
    num_devices: int
    expected: np.ndarray | None = None
    offsets: Mapping[str, np.ndarray] = {}

    def init(self, key: Array, shapes: Mapping[str, Sequence[int]]) -> tuple[Any, Any]:
        """Parameters and statistics of the encoders of some domains and of the classifier.

        Args:
          shapes: height, width and bands of each domain's images.
        """
        key_classifier, key_encoders = random.split(key)
        size, hidden = self.options.embedding_size, self.options.classifier_hidden
        sizes = (size, hidden, self.num_classes) if hidden else (size, self.num_classes)
        parameters: dict[str, Any] = {'classifier': _init_dense(key_classifier, sizes)}
        statistics: dict[str, Any] = {}
        for name, key in zip(DOMAINS, random.split(key_encoders), strict=True):
            if name in shapes:
                example = jnp.zeros((1, *shapes[name]), jnp.float32)
                parameters[name], statistics[name] = self.encoder.init(key, example)
        return parameters, statistics

    def init_projection(self, key: Array, size: int) -> Any:
        """Parameters of a contrastive head with `size` outputs."""
        embedded = self.options.embedding_size
        return _init_dense(key, (embedded, embedded, size))

    def embed(self, parameters: Any, statistics: Any, domain: str, images: Array) -> Array:
        """The embedding `[N, embedding_size]` of a domain's images, as in evaluation."""
        return self._scaled(self.encoder.apply(parameters[domain], statistics[domain], images))

    def embed_in_training(
        self, parameters: Any, statistics: Any, domain: str, images: Array, key: Array
    ) -> tuple[Array, Any]:
        """The same as in training, and the statistics after it; those of other domains stay."""
        outputs, updated = self.encoder.train(
            parameters[domain], statistics[domain], images, key=key
        )
        return self._scaled(outputs), {**statistics, domain: updated}

    def _scaled(self, embedding: Array) -> Array:
        if not self.options.normalise_embedding:
            return embedding
        # Length sqrt(D): each coordinate has the size that the classifier starts out for.
        squared = jnp.square(embedding).mean(-1, keepdims=True)
        return embedding * lax.rsqrt(squared + 1e-12)  # the gradient is finite at zero

    def classify(self, parameters: Any, embedding: Array) -> Array:
        """h: logits `[N, num_classes]` of an embedding."""
        return _dense(parameters['classifier'], embedding)

    def project(self, parameters: Any, embedding: Array) -> Array:
        """The contrastive head: vectors `[N, size]` of any length."""
        return _dense(parameters['projection'], embedding)

    def classification(
        self, parameters: Any, embedding: Array, labels: Array, domain: str
    ) -> tuple[Array, Array]:
        """The mean cross-entropy of h with labels `[N]` of a domain, and the accuracy."""
        logits = self.classify(parameters, embedding)
        if domain in self.offsets:
            logits = logits + self.offsets[domain]
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean(), (logits.argmax(-1) == labels).mean()

    def views(self, images: Array, labels: Array, key: Array) -> tuple[Array, Array]:
        """Two augmented views of each image, `[2 N, H, W, C]`, and their labels `[2 N]`."""
        augment = AUGMENTATIONS[self.options.augment]
        pair = [augment({'images': images}, key)[0]['images'] for key in random.split(key)]
        return (
            sharding.join(pair, self.num_devices),
            sharding.join([labels, labels], self.num_devices),
        )


def from_config(config: ConfigDict, task: Task) -> EmbeddingClassifier:
    """The network of a config: its model gives embeddings in place of logits."""
    encoder = models.build(config.model, config.method.embedding_size)
    shares = class_shares.expected(
        config.method.expected_shares, task.facts.class_names, task.source_label_counts
    )
    offsets = {}
    if shares is not None:
        counts = {'source': task.source_label_counts, 'target': task.label_counts}
        offsets = {name: class_shares.offsets(c, shares) for name, c in counts.items() if sum(c)}
    return EmbeddingClassifier(
        encoder, task.num_classes, config.method, task.num_devices, shares, offsets
    )


def check(config: ConfigDict) -> None:
    """Refuses class shares that there are none of.

    Raises:
      UserError: one line that names the key.
    """
    text = config.method.expected_shares
    class_shares.parse(text, (), class_shares.EXPECTED_KEY)
    if text == class_shares.AS_SOURCE and 'source' not in config:
        raise UserError(
            f'{class_shares.EXPECTED_KEY}={text}: {config.method.name} has no source; give the'
            ' share of each class, as water=0.6,urban=0.4'
        )


def _init_dense(key: Array, sizes: Sequence[int]) -> dict[str, dict[str, Array]]:
    kernel_init = jax.nn.initializers.lecun_normal()
    pairs = list(itertools.pairwise(sizes))
    return {
        f'dense{number}': {'kernel': kernel_init(key, pair), 'bias': jnp.zeros(pair[1])}
        for number, (key, pair) in enumerate(
            zip(random.split(key, len(pairs)), pairs, strict=True), 1
        )
    }


def _dense(layers: Mapping[str, Mapping[str, Array]], inputs: Array) -> Array:
    """Dense layers with a ReLU between each two."""
    outputs = inputs
    for number in range(1, len(layers) + 1):
        layer = layers[f'dense{number}']
        outputs = jax.nn.relu(outputs) if number > 1 else outputs
        outputs = outputs @ layer['kernel'] + layer['bias']
    return outputs
