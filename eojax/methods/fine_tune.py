"""Fine-tuning: a network trained on the source goes on to train on the labelled target.

"Land Use Prediction using Electro-Optical to SAR Few-Shot Transfer Learning" (Hussing et al.,
2022), section 3, (a): "training a single neural network on the EO data and then fine-tuning it on
the SAR domain":

    phi, h = argmin L(h(phi(x_S)), y_S) + w SupCon
    psi, h = argmin L(h(psi(x'_T)), y'_T), from psi = phi

with L the cross-entropy. The contrastive loss of the first phase
(`eojax.methods.transfer.transfer_phases`) is an option; the paper adds it to the alignment's first
phase.

Notes:
  Where the domains differ in their number of bands, the kernel of the first convolution cannot
  carry over: the target's starts at random. Every other weight, and the running statistics of
  batch normalisation, begin as the source left them.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from eojax.methods.method import Method, Recipe, Task
from eojax.methods.transfer import embedding_classifier, transfer_phases
from eojax.methods.transfer.transfer_phases import TransferState

OPTIONS = {'method': {**embedding_classifier.OPTIONS, **transfer_phases.OPTIONS}}


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config."""
    network = embedding_classifier.from_config(config, task)
    first = transfer_phases.source_stage(config)
    second = transfer_phases.stage(
        config, ('target', 'classifier'), first.steps, config.steps - first.steps
    )
    init = transfer_phases.source_init(network, first, task)
    bands = transfer_phases.bands_of(task)

    def begin(state: TransferState) -> TransferState:
        old, statistics = state.trained.parameters, state.trained.statistics
        encoder = transfer_phases.carried_over(old['source'], old['target'], bands)
        parameters = {'target': encoder, 'classifier': old['classifier']}
        kept = transfer_phases.carried_statistics(statistics['source'], statistics['target'])
        return second.begin(parameters, {'target': kept})

    phases = (
        transfer_phases.source_phase(network, first),
        transfer_phases.target_phase('fine_tuning', network, second, config.batch_size, begin),
    )
    return Method(init, phases, transfer_phases.target_abilities(network))


RECIPE = Recipe(
    OPTIONS,
    transfer_phases.TARGET_ABILITIES,
    build,
    transfer_phases.check,
    needs_source=True,
)
